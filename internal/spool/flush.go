package spool

import (
	"errors"
	"fmt"
	"os"

	"github.com/demarc/demarc/internal/durable"
)

// flushLoop makes groups durable one after the other; while one waits for the
// disk the next one fills.
func (s *Spool) flushLoop() {
	var buf []byte
	for {
		_, open := <-s.wake
		s.mu.Lock()
		g := s.group
		s.group = newGroup()
		s.mu.Unlock()
		if len(g.entries) > 0 {
			buf = s.flush(g, buf[:0])
			if cap(buf) > 1<<20 {
				buf = nil
			}
		}
		if !open {
			return
		}
	}
}

// flush writes and syncs one group and tells its callers.
func (s *Spool) flush(g *group, buf []byte) []byte {
	s.mu.Lock()
	seg := s.segments[len(s.segments)-1]
	first := s.written + 1
	s.mu.Unlock()
	for i, e := range g.entries {
		buf = appendFrame(buf, first+uint64(i), e.class, e.payload)
	}
	err := s.write(&seg, first, buf)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued -= int64(len(buf))
	g.first, g.err = first, err
	if err != nil {
		s.fault = err.Error()
	} else {
		s.fault = ""
		seg.size += int64(len(buf))
		s.disk += int64(len(buf))
		s.written += uint64(len(g.entries))
		if !s.closed {
			close(s.durable)
			s.durable = make(chan struct{})
		}
	}
	close(g.done)
	return buf
}

// write puts buf durably at the end of *seg, or of a new segment if that one
// is full, and then *seg is the new one. After a failure nothing of buf counts.
func (s *Spool) write(seg **segment, first uint64, buf []byte) error {
	if (*seg).size >= s.cfg.segmentBytes {
		if err := s.roll(first); err != nil {
			return err
		}
		s.mu.Lock()
		*seg = s.segments[len(s.segments)-1]
		s.mu.Unlock()
	}
	if _, err := s.active.WriteAt(buf, (*seg).size); err != nil {
		return errors.Join(fmt.Errorf("write spool: %w", err), s.active.Truncate((*seg).size))
	}
	if err := s.active.Sync(); err != nil {
		// After a failed fsync the kernel may have dropped the pages and
		// report success the next time: the file's tail cannot be relied on.
		return errors.Join(fmt.Errorf("sync spool: %w", err), s.active.Truncate((*seg).size))
	}
	return nil
}

// roll begins a new segment whose first record will be first. The header is
// durable under the final name before anything is written behind it.
func (s *Spool) roll(first uint64) error {
	path := segmentPath(s.cfg.Dir, first)
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	w := s.cfg.wrap(f)
	_, err = w.WriteAt(encodeHeader(s.epoch, first), 0)
	if err == nil {
		err = w.Sync()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = durable.SyncDir(s.cfg.Dir)
	}
	if err == nil && s.state.f != nil {
		err = s.state.f.Sync()
	}
	if err != nil {
		w.Close()
		return errors.Join(fmt.Errorf("begin segment: %w", err), removeIfThere(path+".new"))
	}
	if s.active != nil {
		s.active.Close()
	}
	s.active = w
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.segments); n > 0 && s.segments[n-1].first == first {
		// A segment without a record had the same name.
		s.disk -= s.segments[n-1].size
		s.segments = s.segments[:n-1]
	}
	s.segments = append(s.segments, &segment{path: path, first: first, size: headerBytes})
	s.disk += headerBytes
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
