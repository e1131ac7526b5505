package recording

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/demarc/demarc/api/cast"
)

// writeAt is how much is collected in memory before it goes to the file.
const writeAt = 64 << 10

// Recording is a session that is being recorded. It is safe for concurrent use.
type Recording struct {
	// ID and Meta do not change.
	ID string
	Meta
	started  time.Time
	began    time.Time // by the monotonic clock
	recorder *Recorder
	file     *os.File
	failed   chan struct{} // closed at the first fault
	done     chan struct{} // closed once the recording is ended in the ledger

	mu     sync.Mutex
	sealed sync.Cond // signalled when a segment was sealed, or at a fault

	// All below are guarded by mu.
	buf    []byte
	echo   echo
	tail   [2][]byte // bytes of a character that is not whole, of output and input
	hash   hash.Hash // of the present segment, what is in the file of it
	size   int64     // of the file
	last   time.Duration
	oldest time.Time // when the first event that is not sealed came; zero if all are
	fault  error
	ending string // why, once it is to end

	// number, chain and end are of the last segment; the sealer's own.
	number int64
	chain  string
	end    int64
	broken bool // a segment could not be sealed, so none after it can be
}

// Failed is closed when the session can no longer be recorded; it must end then.
func (rec *Recording) Failed() <-chan struct{} { return rec.failed }

// Err says why Failed is closed.
func (rec *Recording) Err() error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.fault
}

// Output records what the user is shown. It must be called before the user is
// shown it, and returns an error if that must not be.
func (rec *Recording) Output(p []byte) error {
	return rec.record(func(at time.Duration) {
		if rec.Terminal {
			rec.resolve(rec.echo.output(p))
		}
		rec.text(0, at, cast.Output, p)
	})
}

// Input records what the user sends.
func (rec *Recording) Input(p []byte) error {
	return rec.record(func(at time.Duration) {
		if rec.Terminal {
			rec.resolve(rec.echo.input(p, at))
			return
		}
		rec.text(1, at, cast.Input, p)
	})
}

// Resize records the size of the user's terminal.
func (rec *Recording) Resize(width, height int) error {
	return rec.record(func(at time.Duration) {
		rec.event(at, cast.Resize, []byte(strconv.Itoa(width)+"x"+strconv.Itoa(height)))
	})
}

// Mark records what the gateway itself has to say about the session.
func (rec *Recording) Mark(words string) error {
	return rec.record(func(at time.Duration) { rec.event(at, cast.Marker, []byte(words)) })
}

// record runs write with the time since the session began, once there is room.
func (rec *Recording) record(write func(at time.Duration)) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for rec.fault == nil && !rec.oldest.IsZero() && time.Since(rec.oldest) > patience {
		rec.sealed.Wait()
	}
	if rec.fault != nil {
		return rec.fault
	}
	if rec.ending != "" {
		return fmt.Errorf("%w: it has ended", ErrRecording)
	}
	now := time.Now()
	write(now.Sub(rec.began))
	if rec.oldest.IsZero() {
		rec.oldest = now
	}
	if len(rec.buf) >= writeAt {
		if err := rec.flush(); err != nil {
			rec.fail(err)
		}
	}
	return rec.fault
}

// event appends an event; time never goes back in a recording.
func (rec *Recording) event(at time.Duration, code string, data []byte) {
	rec.last = max(rec.last, at)
	rec.buf = cast.AppendEvent(rec.buf, rec.last, code, data)
}

// resolve writes inputs about which it is known now whether they were echoed.
func (rec *Recording) resolve(known []typed) {
	for _, k := range known {
		rec.event(k.at, cast.Input, k.shown())
	}
}

// flush writes what is collected to the file. mu is held.
func (rec *Recording) flush() error {
	if len(rec.buf) == 0 {
		return nil
	}
	if rec.size+int64(len(rec.buf)) > MaxBytes {
		return fmt.Errorf("%w: it has reached %d GiB", ErrRecording, MaxBytes>>30)
	}
	n, err := rec.file.Write(rec.buf)
	rec.hash.Write(rec.buf[:n])
	rec.size += int64(n)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecording, err)
	}
	if cap(rec.buf) > 4*writeAt {
		rec.buf = nil
	}
	rec.buf = rec.buf[:0]
	return nil
}

// fail ends the session for want of a recording. mu is held.
func (rec *Recording) fail(err error) {
	if rec.fault == nil {
		rec.fault = err
		close(rec.failed)
		rec.sealed.Broadcast()
	}
}

// Close ends the recording and returns once that is in the ledger, or cannot
// be. reason is for people, in a few words.
func (rec *Recording) Close(reason string) {
	rec.mu.Lock()
	if rec.ending == "" {
		rec.ending = reason
		if rec.Terminal {
			rec.resolve(rec.echo.end())
		}
	}
	rec.mu.Unlock()
	rec.recorder.wake()
	<-rec.done
}

// segment writes and syncs what came since the last segment. The sealer calls
// it; ok is false if there is nothing to seal.
func (rec *Recording) segment() (s segment, ok bool) {
	rec.mu.Lock()
	if rec.Terminal {
		rec.resolve(rec.echo.waited(time.Since(rec.began)))
	}
	if rec.fault == nil {
		if err := rec.flush(); err != nil {
			rec.fail(err)
		}
	}
	s = segment{Recording: rec, end: rec.size, at: rec.last, ending: rec.ending, fault: rec.fault}
	if rec.size > rec.end && !rec.broken {
		s.digest = [sha256.Size]byte(rec.hash.Sum(nil))
		rec.hash.Reset()
		s.dirty = true
	}
	s.until = time.Now()
	rec.mu.Unlock()
	if s.dirty {
		if err := rec.file.Sync(); err != nil {
			rec.mu.Lock()
			rec.fail(fmt.Errorf("%w: %w", ErrRecording, err))
			s.fault, rec.broken = rec.fault, true
			rec.mu.Unlock()
			s.dirty = false // what is not on disk is not vouched for
		}
	}
	return s, s.dirty || s.ending != "" || s.fault != nil
}
