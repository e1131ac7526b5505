package recording

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// segment is what of a recording is to be sealed now.
type segment struct {
	*Recording
	dirty  bool
	end    int64
	at     time.Duration
	until  time.Time // everything before is in the segment
	digest [sha256.Size]byte
	ending string // why the recording ends, if it does
	fault  error
}

// slow is how long sealing takes where something is wrong with disk or ledger.
const slow = 500 * time.Millisecond

// wake seals soon.
func (r *Recorder) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Run seals segments until ctx ends; recordings that are open then are closed.
// Sessions must have ended before.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.closeAll()
			return nil
		case <-tick.C:
		case <-r.kick:
		}
		r.seal(ctx)
	}
}

// closeAll ends what is still open when the server ends.
func (r *Recorder) closeAll() {
	for _, rec := range r.all() {
		rec.mu.Lock()
		if rec.ending == "" {
			rec.ending = "the server was stopped"
		}
		rec.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveUp)
	defer cancel()
	r.seal(ctx)
}

func (r *Recorder) all() []*Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Recording, 0, len(r.live))
	for _, rec := range r.live {
		out = append(out, rec)
	}
	return out
}

// seal writes a segment of each recording that has something new, then the
// ledger entries of all in one transaction. What cannot be sealed ends.
func (r *Recorder) seal(ctx context.Context) {
	began := time.Now()
	segments := r.segments()
	if len(segments) == 0 {
		return
	}
	written := time.Since(began)
	defer func() {
		if took := time.Since(began); took > slow {
			r.cfg.Log.Warn("sealing recordings is slow, and sessions wait for it", "sessions", len(segments), "took", took, "writing", written)
		}
	}()
	deadline := time.Now().Add(giveUp)
	for {
		err := r.commit(context.WithoutCancel(ctx), segments)
		if err == nil {
			break
		}
		r.cfg.Log.Error("seal recordings", "sessions", len(segments), "error", err)
		if time.Now().After(deadline) || ctx.Err() != nil {
			for _, s := range segments {
				s.mu.Lock()
				s.fail(fmt.Errorf("%w: the ledger takes no entries", ErrRecording))
				s.broken = true
				s.mu.Unlock()
				if s.ending != "" {
					r.release(s)
				}
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, s := range segments {
		s.settle()
		if s.ending != "" {
			r.release(s)
		}
	}
}

// segments collects what is to be sealed, one file after another: a call that
// waits for the disk keeps a processor from everybody else for a while, and
// several at once would keep all of them, which the person at the terminal feels.
func (r *Recorder) segments() (out []segment) {
	for _, rec := range r.all() {
		if s, ok := rec.segment(); ok && (s.dirty || s.ending != "") {
			out = append(out, s)
		}
	}
	return out
}

// commit appends the entries of segments, and ends recordings.
func (r *Recorder) commit(ctx context.Context, segments []segment) error {
	now := r.cfg.Now()
	return r.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		var entries []ledger.Entry
		var rows []store.Segment
		for _, s := range segments {
			number, sum := s.number, s.Recording.chain
			if s.dirty {
				number++
				sum = chain(s.ID, number, s.Recording.chain, s.end, s.digest)
				rows = append(rows, store.Segment{
					Recording: s.ID, Number: number, End: s.end, EndTime: s.at, SealedAt: now, Chain: sum, Entry: int64(len(entries)),
				})
				entries = append(entries, s.entry(now, "session.record", sum))
			}
			if s.ending != "" {
				entries = append(entries, s.entry(now, "session.end", sum))
			}
		}
		first, err := r.cfg.Ledger.Append(tx, entries...)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].Entry += first
		}
		if err := tx.InsertSegments(rows); err != nil {
			return err
		}
		next := first
		for _, s := range segments {
			if s.dirty {
				next++
			}
			if s.ending == "" {
				continue
			}
			if err := tx.EndRecording(s.ID, s.outcome(), s.reason(), now, next); err != nil {
				return err
			}
			next++
		}
		return nil
	})
}

func (s segment) entry(now time.Time, action, sum string) ledger.Entry {
	e := ledger.Entry{Time: now, Tenant: s.Tenant, Actor: "system/gateway", Action: action, Subject: "session/" + s.ID}
	if sum != "" {
		e.Digests = map[string]string{"chain": sum}
	}
	return e
}

// outcome is cut where not all that happened could be written.
func (s segment) outcome() string {
	if s.fault != nil {
		return "cut"
	}
	return "complete"
}

func (s segment) reason() string {
	if s.fault != nil {
		return s.fault.Error()
	}
	return s.ending
}

// settle takes in that the segment is sealed.
func (s segment) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirty {
		s.number++
		s.Recording.chain = chain(s.ID, s.number, s.Recording.chain, s.end, s.digest)
		s.Recording.end = s.end
	}
	if !s.oldest.IsZero() {
		s.recorder.waited(time.Since(s.oldest))
	}
	s.oldest = time.Time{}
	if s.size > s.end || len(s.buf) > 0 {
		s.oldest = s.until
	}
	s.sealed.Broadcast()
}

// waited notes how long an event waited to be sealed.
func (r *Recorder) waited(d time.Duration) {
	for {
		former := r.lag.Load()
		if int64(d) <= former || r.lag.CompareAndSwap(former, int64(d)) {
			return
		}
	}
}

// Lag is the longest time that anything recorded since the server started has
// waited to be sealed: what a kill at the worst moment would have lost.
func (r *Recorder) Lag() time.Duration { return time.Duration(r.lag.Load()) }

// release forgets a recording that has ended.
func (r *Recorder) release(s segment) {
	r.mu.Lock()
	delete(r.live, s.ID)
	r.mu.Unlock()
	if s.broken {
		if err := s.file.Truncate(s.Recording.end); err != nil {
			r.cfg.Log.Error("cut a recording to what is sealed of it", "session", s.ID, "error", err)
		}
	}
	s.file.Close()
	close(s.done)
}
