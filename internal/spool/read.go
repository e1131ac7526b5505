package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
)

// reader is a place in the log. It belongs to the one caller of Read.
type reader struct {
	f       *os.File
	segment uint64 // first sequence of the open segment
	offset  int64
	next    uint64 // sequence expected at offset
	buf     []byte // what the file holds from start on
	start   int64
}

func (r *reader) close() {
	if r.f != nil {
		r.f.Close()
		r.f = nil
	}
}

// Wait returns nil when a record above after is durable. It returns ErrClosed
// when the spool closes, and the context's error when that ends first.
func (s *Spool) Wait(ctx context.Context, after uint64) error {
	for {
		s.mu.Lock()
		written, closed, durable := s.written, s.closed, s.durable
		s.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case written > after:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-durable:
		}
	}
}

// Read returns encoded records that follow each other without a gap, the first
// one being the first above after that can still be read; there are at most
// maxRecords of them, of maxBytes together unless the first alone is larger.
// Records that the disk did not give back are skipped and counted as lost. If
// no record can be read, first is where the next one will be, and everything
// before it can be cut. The records belong to the caller.
func (s *Spool) Read(after uint64, maxRecords, maxBytes int) (first uint64, records [][]byte, err error) {
	v, err := s.view()
	if err != nil {
		return 0, nil, err
	}
	r := &s.reader
	want := max(after, v.cut) + 1
	for total := 0; len(records) < maxRecords && want <= v.written; {
		i := v.locate(want)
		if err := r.seek(v.segments[i].path, v.segments[i].first, want); err != nil {
			return 0, nil, fmt.Errorf("read spool: %w", err)
		}
		seq, payload, ok, err := r.frame(v.segments[i].size)
		if err != nil {
			return 0, nil, fmt.Errorf("read spool: %w", err)
		}
		if ok && seq < want {
			continue
		}
		if len(records) > 0 && (!ok || seq > want || total+len(payload) > maxBytes) {
			if ok {
				r.back(seq, payload)
			}
			return first, records, nil
		}
		if !ok {
			r.close()
			seq = v.end(i) + 1
		}
		if seq > want {
			s.lose(want, seq-1)
		}
		want = seq
		if !ok {
			continue
		}
		if len(records) == 0 {
			first = seq
		}
		total += len(payload)
		records = append(records, slices.Clone(payload))
		want++
	}
	if len(records) == 0 {
		first = want
	}
	return first, records, nil
}

// view is the log as it was at one moment.
type view struct {
	segments     []segment
	cut, written uint64
}

func (s *Spool) view() (view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return view{}, ErrClosed
	}
	v := view{cut: s.count.cut, written: s.written, segments: make([]segment, len(s.segments))}
	for i, g := range s.segments {
		v.segments[i] = *g
	}
	return v, nil
}

// locate returns the segment in which seq must lie.
func (v view) locate(seq uint64) int {
	i := len(v.segments) - 1
	for i > 0 && v.segments[i].first > seq {
		i--
	}
	return i
}

// end returns the last sequence that segment i should hold.
func (v view) end(i int) uint64 {
	if i+1 < len(v.segments) {
		return v.segments[i+1].first - 1
	}
	return v.written
}

// lose counts the records from first to last as lost, once.
func (s *Spool) lose(first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = max(first, s.count.damaged+1)
	if last < first {
		return
	}
	s.count.lost += last - first + 1
	s.count.damaged = last
	s.saveLocked()
	s.cfg.Log.Warn("spool is damaged: records are lost", slog.Uint64("first", first), slog.Uint64("last", last))
}

// seek opens a segment and goes to its beginning, unless the reader is at want already.
func (r *reader) seek(path string, first, want uint64) error {
	if r.f != nil && r.segment == first && r.next <= want {
		return nil
	}
	r.close()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	r.f, r.segment, r.offset, r.next = f, first, headerBytes, first
	r.buf = r.buf[:0]
	return nil
}

// back undoes the reading of one frame.
func (r *reader) back(seq uint64, payload []byte) {
	r.offset -= int64(frameBytes + len(payload))
	r.next = seq
}

// frame returns the next whole frame before end and moves behind it; ok is
// false if there is none. The payload is valid until the next call.
func (r *reader) frame(end int64) (seq uint64, payload []byte, ok bool, err error) {
	need := frameBytes
	for {
		b, err := r.fill(r.offset, need, end)
		if err != nil {
			return 0, nil, false, err
		}
		seq, payload, n, err := parseFrame(b)
		switch {
		case err == nil && seq >= r.next:
			r.offset += int64(n)
			r.next = seq + 1
			return seq, payload, true, nil
		case errors.Is(err, io.EOF) && r.offset+int64(n) <= end:
			need = n
			continue
		}
		// Damage: look for a whole frame in what is left of the segment.
		b, err = r.fill(r.offset, int(end-r.offset), end)
		if err != nil {
			return 0, nil, false, err
		}
		at, _, found := findFrame(b, r.next)
		if !found {
			return 0, nil, false, nil
		}
		r.offset += int64(at)
		need = frameBytes
	}
}

// fill returns at least need bytes from offset on, fewer where end comes first.
func (r *reader) fill(offset int64, need int, end int64) ([]byte, error) {
	if left := end - offset; int64(need) > left {
		need = int(max(left, 0))
	}
	if have := r.window(offset, end); len(have) >= need && need > 0 {
		return have, nil
	}
	size := int(min(int64(max(need, 64<<10)), max(end-offset, 0)))
	if cap(r.buf) < size || cap(r.buf) > 1<<20 && size < 128<<10 {
		r.buf = make([]byte, size)
	}
	n, err := r.f.ReadAt(r.buf[:size], offset)
	if err != nil && !errors.Is(err, io.EOF) {
		r.buf = r.buf[:0]
		return nil, err
	}
	r.buf, r.start = r.buf[:n], offset
	return r.buf, nil
}

// window returns the bytes of the buffer from offset on.
func (r *reader) window(offset, end int64) []byte {
	if offset < r.start || offset >= r.start+int64(len(r.buf)) {
		return nil
	}
	b := r.buf[offset-r.start:]
	if left := end - offset; int64(len(b)) > left {
		b = b[:left]
	}
	return b
}
