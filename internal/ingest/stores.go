package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/metrics"
)

// storeLoop brings the events and numbers of committed units into their
// stores. The state was committed before: a record beyond an agent's position
// is in no event store, so only what comes again has to be looked up.
func (in *Ingest) storeLoop(ctx context.Context) {
	for {
		var group []*unit
		select {
		case <-ctx.Done():
			return
		case u, ok := <-in.stored:
			if !ok {
				return
			}
			group = append(group, u)
		}
		for more := true; more && len(group) < groupBatches; {
			select {
			case u, ok := <-in.stored:
				if more = ok; ok {
					group = append(group, u)
				}
			default:
				more = false
			}
		}
		if !in.storeAll(ctx, group) {
			return
		}
		for _, u := range group {
			u.records = nil // what follows may wait for seconds
			select {
			case in.flush <- u:
			case <-ctx.Done():
				return
			}
		}
	}
}

// storeAll tries until it succeeds; false means that ctx ended.
func (in *Ingest) storeAll(ctx context.Context, group []*unit) bool {
	again := false
	return in.try(ctx, "event store", func() error {
		// After a failure it is not known what has arrived.
		err := in.storeEvents(ctx, group, again)
		again = true
		return err
	}) && in.try(ctx, "metrics store", func() error { return in.cfg.Metrics.Append(ctx, samplesOf(group)) })
}

// try repeats work on a store, with growing pauses, until it succeeds; false
// means that ctx ended.
func (in *Ingest) try(ctx context.Context, name string, work func() error) bool {
	var pause pauses
	for {
		err := work()
		if err == nil {
			in.mended(name)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		in.faulty(name, err)
		if !pause.wait(ctx) {
			return false
		}
	}
}

// stream is the part of an agent's records that one question covers.
type stream struct {
	tenant       uint32
	agent, epoch string
}

func (in *Ingest) storeEvents(ctx context.Context, group []*unit, again bool) error {
	present, err := in.present(ctx, group, again)
	if err != nil {
		return err
	}
	oldest := in.cfg.Events.Oldest(time.Now())
	var events []eventstore.Event
	for _, u := range group {
		there := present[streamOf(u)]
		for i := range u.taken() {
			r := &u.records[i]
			seq := u.first + uint64(i)
			if r.reason != "" || r.Class == evidence.ClassFact {
				continue
			}
			if _, ok := there[seq]; ok {
				continue
			}
			at := correct(r.Time, u.row.Skew, u.received)
			if at.Before(oldest) {
				continue // counted as rejected when it was accepted
			}
			events = append(events, eventstore.Event{
				Tenant: u.row.TenantOrdinal, Time: at, Agent: u.agent, VM: u.row.VM,
				Class: string(r.Class), Kind: r.Kind, Epoch: u.epoch, Seq: seq, Data: r.Data,
			})
		}
	}
	return in.cfg.Events.Append(ctx, events)
}

// taken is how many of the unit's records are ingest's to keep.
func (u *unit) taken() uint64 {
	if u.over {
		return u.skip
	}
	return u.count
}

func streamOf(u *unit) stream { return stream{u.row.TenantOrdinal, u.agent, u.epoch} }

// present looks up which events of records that came before are in the store.
func (in *Ingest) present(ctx context.Context, group []*unit, all bool) (map[stream]map[uint64]struct{}, error) {
	type span struct{ first, last uint64 }
	ask := map[stream]span{}
	for _, u := range group {
		n := u.skip
		if all {
			n = u.taken()
		}
		for i := range n {
			if u.records[i].Class == evidence.ClassFact {
				continue
			}
			seq, s := u.first+i, streamOf(u)
			have, ok := ask[s]
			if !ok {
				have = span{seq, seq}
			}
			ask[s] = span{min(have.first, seq), max(have.last, seq)}
		}
	}
	if len(ask) == 0 {
		return nil, nil
	}
	// What was appended a moment ago is found only after a flush.
	if err := in.cfg.Events.Sync(ctx); err != nil {
		return nil, err
	}
	found := make(map[stream]map[uint64]struct{}, len(ask))
	for s, sp := range ask {
		set, err := in.cfg.Events.Existing(ctx, s.tenant, s.agent, s.epoch, sp.first, sp.last)
		if err != nil {
			return nil, fmt.Errorf("look for events that came again: %w", err)
		}
		found[s] = set
	}
	return found, nil
}

// samplesOf returns the numbers of all facts in the group. The metrics store
// skips those that it has.
func samplesOf(group []*unit) []metrics.Sample {
	var list []metrics.Sample
	for _, u := range group {
		for i := range u.taken() {
			r := &u.records[i]
			for _, n := range r.numbers {
				list = append(list, metrics.Sample{
					Tenant: u.tenant, VM: u.row.VM, Name: n.name, Value: n.value, Time: correct(r.Time, u.row.Skew, u.received),
				})
			}
		}
	}
	return list
}

// flushLoop acknowledges units once everything that was stored before is on disk.
func (in *Ingest) flushLoop(ctx context.Context) {
	last := time.Now()
	for u := range in.flush {
		t := time.NewTimer(time.Until(last.Add(in.cfg.SyncEvery)))
		select {
		case <-t.C:
		case <-ctx.Done(): // what is stored is still flushed and answered
		}
		t.Stop()
		group := []*unit{u}
		for more := true; more; {
			select {
			case u, ok := <-in.flush:
				if more = ok; ok {
					group = append(group, u)
				}
			default:
				more = false
			}
		}
		if !in.syncAll(ctx) {
			return
		}
		last = time.Now()
		for _, u := range group {
			in.answer(u, Delivery.Ack)
		}
	}
}

// lastFlush bounds the flush at the end.
const lastFlush = 15 * time.Second

func (in *Ingest) syncAll(ctx context.Context) bool {
	sync := func(ctx context.Context) bool {
		return in.try(ctx, "event store", func() error { return in.cfg.Events.Sync(ctx) }) &&
			in.try(ctx, "metrics store", func() error { return in.cfg.Metrics.Sync(ctx) })
	}
	if sync(ctx) {
		return true
	}
	// Stopping: what is stored is flushed once more, so that it need not come again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	return sync(ctx)
}
