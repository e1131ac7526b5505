package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// recover finds out what an earlier process left.
func (s *Spool) recover() error {
	var err error
	if s.state, s.count, err = openState(s.cfg.Dir); err != nil {
		return err
	}
	leftovers, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*.new"))
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if err := removeIfThere(path); err != nil {
			return fmt.Errorf("open spool: %w", err)
		}
	}
	segs, err := listSegments(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	known, err := s.findEpoch(segs)
	if err != nil {
		return err
	}
	if !known {
		return s.begin(segs)
	}
	s.segments = segs
	for _, g := range segs {
		s.disk += g.size
	}
	return s.recoverTail()
}

// findEpoch takes the epoch of the first segment with a whole header.
func (s *Spool) findEpoch(segs []*segment) (bool, error) {
	for _, g := range segs {
		f, err := os.Open(g.path)
		if err != nil {
			return false, fmt.Errorf("open spool: %w", err)
		}
		e, err := readHeader(f, g.first)
		f.Close()
		if err == nil {
			s.epoch = e
			return true, nil
		}
		s.cfg.Log.Warn("spool segment has a damaged header", slog.String("segment", filepath.Base(g.path)))
	}
	return false, nil
}

// begin starts a new epoch. Segments that no header vouches for are removed.
func (s *Spool) begin(segs []*segment) error {
	for _, g := range segs {
		s.cfg.Log.Warn("spool segment cannot be read and is given up", slog.String("segment", filepath.Base(g.path)))
		if err := removeIfThere(g.path); err != nil {
			return fmt.Errorf("open spool: %w", err)
		}
	}
	s.epoch = newEpoch()
	// Losses are counted on; sequences begin anew.
	s.count.cut, s.count.damaged = 0, 0
	if err := s.state.write(&s.count); err != nil {
		return err
	}
	return s.roll(1)
}

// recoverTail reads the last segment to learn the last sequence, and cuts off
// what a crash left half written.
func (s *Spool) recoverTail() error {
	last := s.segments[len(s.segments)-1]
	r := reader{}
	if err := r.seek(last.path, last.first, last.first); err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	defer r.close()
	end := last.size
	last.size = min(headerBytes, end)
	s.written = last.first - 1
	for {
		seq, _, ok, err := r.frame(end)
		if err != nil {
			return fmt.Errorf("open spool: read %s: %w", last.path, err)
		}
		if !ok {
			break
		}
		s.written, last.size = seq, r.offset
	}
	f, err := os.OpenFile(last.path, os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	s.active = s.cfg.wrap(f)
	if torn := end - last.size; torn > 0 {
		s.cfg.Log.Warn("spool ended in the middle of a write: the tail is cut off", slog.Int64("bytes", torn))
		if err := errors.Join(f.Truncate(last.size), f.Sync()); err != nil {
			return fmt.Errorf("open spool: cut off the torn tail: %w", err)
		}
		s.disk -= torn
	}
	if s.written < s.count.cut {
		// Records that the server has are gone from the tail. Their sequences
		// must not be given again.
		s.written = s.count.cut
		return s.roll(s.written + 1)
	}
	return nil
}
