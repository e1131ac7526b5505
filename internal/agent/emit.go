package agent

import (
	"context"
	"sync"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
)

// recordLog is where records go, as spool.Spool is one.
type recordLog interface {
	Append(ctx context.Context, r evidence.Record) (uint64, error)
	Refuse()
}

// emitter hands records to the spool. A fact whose data is the same as the last
// of its kind goes without the data: its digest says what it is.
type emitter struct {
	log recordLog

	mu    sync.Mutex // guards facts
	facts map[string]*lastFact
}

// lastFact is the digest of the last fact of one kind that is in the spool.
// The mutex is held over the append, so that digest and spool agree on which
// fact came last.
type lastFact struct {
	mu     sync.Mutex
	digest string
}

func newEmitter(log recordLog) *emitter {
	return &emitter{log: log, facts: map[string]*lastFact{}}
}

func (e *emitter) emit(ctx context.Context, r evidence.Record) error {
	if r.Class != evidence.ClassFact || len(r.Data) == 0 {
		_, err := e.log.Append(ctx, r)
		return err
	}
	if err := r.Check(); err != nil {
		e.log.Refuse()
		return err
	}
	data, err := canonical.Bytes(r.Data)
	if err != nil {
		// The spool refuses it, in its own words, and counts it.
		_, err := e.log.Append(ctx, r)
		return err
	}
	last := e.last(r.Kind)
	last.mu.Lock()
	defer last.mu.Unlock()
	r.Data, r.Digest = data, canonical.Digest(data)
	if r.Digest == last.digest {
		r.Data = nil
	}
	if _, err = e.log.Append(ctx, r); err == nil {
		last.digest = r.Digest
	}
	return err
}

func (e *emitter) last(kind string) *lastFact {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.facts[kind]
	if f == nil {
		f = &lastFact{}
		e.facts[kind] = f
	}
	return f
}

// forget makes the next fact of every kind go with its data.
func (e *emitter) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.facts = map[string]*lastFact{}
}
