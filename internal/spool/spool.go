// Package spool keeps an agent's records on disk until the server has them.
// It is a log of segment files that is appended at one end and cut at the
// other, bounded in bytes.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/wire"
)

// Errors that callers tell apart. Want of room is service.ErrShed.
var (
	ErrLocked = errors.New("spool is in use")
	ErrClosed = errors.New("spool is closed")
)

// Config says where a spool lies and how large it may grow.
type Config struct {
	// Dir is made if it is missing. Required.
	Dir string
	// MaxBytes bounds the segment files together; 0 means 256 MiB.
	MaxBytes int64
	// Log may be nil.
	Log *slog.Logger

	segmentBytes int64                    // 0: a sixteenth of MaxBytes, 64 KiB to 4 MiB
	wrap         func(*os.File) writeFile // tests put faults between spool and disk
}

// writeFile is what the spool needs of a file that it appends to.
type writeFile interface {
	WriteAt(b []byte, off int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Shares of MaxBytes up to which a class is taken. What a person must be able
// to rely on longest, the state of the machine, is shed last.
var room = map[evidence.Class]struct {
	index   int
	percent int64
}{
	evidence.ClassActivity: {0, 70},
	evidence.ClassFinding:  {1, 90},
	evidence.ClassFact:     {2, 100},
}

// Spool is a durable queue of records. All methods are safe for concurrent
// use, except that Read is meant for one reader.
type Spool struct {
	cfg   Config
	epoch epochID
	lock  *os.File
	state stateFile

	mu       sync.Mutex // guards what follows
	segments []*segment // never empty; the last one is written
	written  uint64     // last durable sequence
	disk     int64      // bytes of all segments
	queued   int64      // bytes in group
	count    counters
	fault    string
	closed   bool
	group    *group        // appends that wait for the next flush
	durable  chan struct{} // closed and replaced when written grows

	active  writeFile // the flusher's alone
	wake    chan struct{}
	flusher sync.WaitGroup
	reader  reader // Read's alone
}

// group is a set of appends that one fsync makes durable together. Its members
// are written under Spool.mu until the flusher takes it; first and err are
// valid once done is closed.
type group struct {
	entries []entry
	done    chan struct{}
	first   uint64
	err     error
}

type entry struct {
	class   byte
	payload []byte
}

// Open opens the spool in cfg.Dir or begins a new one. A torn tail, which a
// crash in the middle of a write leaves, is cut off; none of it was accepted.
func Open(cfg Config) (*Spool, error) {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 256 << 20
	}
	if cfg.segmentBytes <= 0 {
		cfg.segmentBytes = min(max(cfg.MaxBytes/16, 64<<10), 4<<20)
	}
	if cfg.wrap == nil {
		cfg.wrap = func(f *os.File) writeFile { return f }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{cfg: cfg, lock: lock, durable: make(chan struct{}), wake: make(chan struct{}, 1), group: newGroup()}
	if err := s.recover(); err != nil {
		s.reader.close()
		if s.state.f != nil {
			s.state.f.Close()
		}
		lock.Close()
		return nil, err
	}
	s.flusher.Go(s.flushLoop)
	return s, nil
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// Epoch names this life of the spool; sequences are unique within it.
func (s *Spool) Epoch() string { return s.epoch.String() }

// Append stores r and returns its sequence when it is on disk. It fails with
// service.ErrShed when the share of the record's class is used up or the disk
// takes no more, and with evidence.ErrRecord when r is malformed; both are
// counted. Appends that wait at the same time share one fsync.
func (s *Spool) Append(ctx context.Context, r evidence.Record) (uint64, error) {
	return s.AppendAll(ctx, []evidence.Record{r})
}

// AppendAll stores records of which all or none are accepted, with sequences
// that follow each other, and returns the first. The largest share of room
// that one of them may use counts for all.
func (s *Spool) AppendAll(ctx context.Context, records []evidence.Record) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(records) == 0 {
		return 0, fmt.Errorf("append to spool: no records")
	}
	entries := make([]entry, len(records))
	var size, percent int64
	for i, r := range records {
		payload, err := wire.AppendRecord(make([]byte, 0, len(r.Data)+len(r.Kind)+128), r)
		if err != nil {
			s.Refuse()
			return 0, err
		}
		share := room[r.Class]
		entries[i] = entry{class: byte(share.index), payload: payload}
		size += int64(len(payload)) + frameBytes
		percent = max(percent, share.percent)
	}
	g, at, err := s.enqueue(entries, size, percent)
	if err != nil {
		return 0, err
	}
	<-g.done
	if g.err != nil {
		s.shed(entries)
		return 0, fmt.Errorf("%w: %w", service.ErrShed, g.err)
	}
	return g.first + uint64(at), nil
}

func (s *Spool) enqueue(entries []entry, size, percent int64) (*group, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, ErrClosed
	}
	if s.disk+s.queued+size > s.cfg.MaxBytes/100*percent {
		s.shedLocked(entries)
		return nil, 0, service.ErrShed
	}
	g, at := s.group, len(s.group.entries)
	g.entries = append(g.entries, entries...)
	s.queued += size
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return g, at, nil
}

func (s *Spool) shed(entries []entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shedLocked(entries)
}

func (s *Spool) shedLocked(entries []entry) {
	for _, e := range entries {
		s.count.shed[e.class]++
	}
	s.saveLocked()
}

// Refuse counts a record that was malformed.
func (s *Spool) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.refused++
	s.saveLocked()
}

// saveLocked writes the counters; where that fails the fault is shown, and
// the next write carries the counts on.
func (s *Spool) saveLocked() {
	if s.closed {
		return
	}
	if err := s.state.write(&s.count); err != nil {
		s.fault = err.Error()
	}
}

// Cut gives up every record up to seq: the server has them. Files that hold
// nothing else are removed.
func (s *Spool) Cut(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if seq > s.written {
		return fmt.Errorf("cut spool at %d: the last record is %d", seq, s.written)
	}
	if seq <= s.count.cut {
		return nil
	}
	s.count.cut = seq
	if err := s.state.write(&s.count); err != nil {
		return err
	}
	// The last segment stays, since its name keeps the sequence.
	for len(s.segments) > 1 && s.segments[1].first <= seq+1 {
		if err := os.Remove(s.segments[0].path); err != nil {
			return fmt.Errorf("cut spool: %w", err)
		}
		s.disk -= s.segments[0].size
		s.segments = s.segments[1:]
	}
	return nil
}

// Stats tells how the spool stands.
type Stats struct {
	// Waiting counts records not yet cut, Bytes the room they take on disk.
	Waiting uint64
	Bytes   int64
	// Cut and Last are the sequences of the last record cut and of the last stored.
	Cut, Last uint64
	// What was dropped since the spool began: for want of room by class, as
	// malformed, and because the disk did not give back what was written.
	ShedFacts, ShedFindings, ShedActivities, Refused, Lost uint64
	// Fault says why records cannot be taken now, or is empty.
	Fault string
}

// Stats returns the present state.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.count
	st := Stats{Cut: c.cut, Last: s.written, ShedActivities: c.shed[0], ShedFindings: c.shed[1], ShedFacts: c.shed[2],
		Refused: c.refused, Lost: c.lost, Fault: s.fault}
	if s.written > c.cut {
		st.Waiting, st.Bytes = s.written-c.cut, s.disk
	}
	return st
}

// Close flushes what was appended and releases the files.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.wake)
	close(s.durable)
	s.mu.Unlock()
	s.flusher.Wait()
	s.reader.close()
	return errors.Join(s.active.Close(), s.state.f.Sync(), s.state.f.Close(), s.lock.Close())
}
