package ingest

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"
)

// Status is what ingest does now and did since it began.
type Status struct {
	Batches        uint64 `json:"batches"`
	Records        uint64 `json:"records"`
	RefusedBatches uint64 `json:"refused_batches"`
	// Faults are the stores that cannot be written now; ingest waits for them
	// and loses nothing.
	Faults map[string]Fault `json:"faults"`
}

// Fault is why a store cannot be written.
type Fault struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// Status returns the present status.
func (in *Ingest) Status() Status {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.status
	s.Faults = maps.Clone(s.Faults)
	return s
}

func (in *Ingest) count(f func(*Status)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f(&in.status)
}

// faulty notes that a store failed, and logs it once.
func (in *Ingest) faulty(name string, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f, known := in.status.Faults[name]
	if !known {
		f.Since = time.Now()
		in.cfg.Log.Error("ingest waits for a store", "store", name, "error", err)
	}
	f.Reason = err.Error()
	if in.status.Faults == nil {
		in.status.Faults = map[string]Fault{}
	}
	in.status.Faults[name] = f
}

func (in *Ingest) mended(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if f, known := in.status.Faults[name]; known {
		delete(in.status.Faults, name)
		in.cfg.Log.Info("the store is back", "store", name, "after", time.Since(f.Since).Round(time.Millisecond))
	}
}

// pauses are the growing pauses between tries: 50 ms to 10 s, of which a random
// half, so that servers do not come back in step.
type pauses struct{ next time.Duration }

// wait reports false when ctx ended.
func (p *pauses) wait(ctx context.Context) bool {
	p.next = min(max(2*p.next, 50*time.Millisecond), 10*time.Second)
	t := time.NewTimer(p.next/2 + rand.N(p.next/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
