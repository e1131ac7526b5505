package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// decodeLoop reads units until ctx ends.
func (in *Ingest) decodeLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-in.decode:
			in.read(u)
			close(u.ready)
		}
	}
}

// commitLoop brings units into the state store, in the order of arrival, as
// many at once as are waiting: a durable commit costs about the same for one
// and for thirty.
func (in *Ingest) commitLoop(ctx context.Context) {
	waiting := newHeld()
	tick := time.NewTicker(max(in.cfg.Patience/8, 10*time.Millisecond))
	defer tick.Stop()
	for {
		var group []*unit
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			group = waiting.expired(time.Now())
		case u := <-in.queue:
			group = append(group, u)
			for more := true; more && len(group) < groupBatches; {
				select {
				case u := <-in.queue:
					group = append(group, u)
				default:
					more = false
				}
			}
		}
		if !in.await(ctx, group) {
			return
		}
		for group = in.admit(group); len(group) > 0; {
			done := in.commit(ctx, group, waiting)
			if ctx.Err() != nil {
				return
			}
			group = waiting.release(done)
		}
	}
}

// await waits until all units are decoded.
func (in *Ingest) await(ctx context.Context, group []*unit) bool {
	for _, u := range group {
		select {
		case <-u.ready:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// admit leaves out units that are on their way already: the bus delivered them
// again, and they are answered together.
func (in *Ingest) admit(group []*unit) []*unit {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.DeleteFunc(group, func(u *unit) bool {
		if u.gone {
			return true
		}
		if u.refusal != "" {
			return false
		}
		if first := in.inflight[u.key()]; first != nil && first != u {
			first.deliveries = append(first.deliveries, u.deliveries...)
			return true
		}
		in.inflight[u.key()] = u
		return false
	})
}

// outcome is what one unit comes to.
type outcome struct {
	refusal string // the whole batch is refused
	hold    bool   // it waits for those before it
	resync  bool   // the agent must send its facts in full
	over    bool
	skip    uint64
	agent   store.AgentIngest
}

// commit brings the group into the state store, trying until it succeeds or
// ctx ends, and hands the units on. It returns the agents that came further.
func (in *Ingest) commit(ctx context.Context, group []*unit, waiting *held) []string {
	var pause pauses
	for tries := 1; ; tries++ {
		var outcomes []outcome
		err := in.cfg.State.Write(ctx, func(tx *store.Tx) (err error) {
			outcomes, err = in.apply(tx, group, waiting)
			return err
		})
		if err == nil {
			in.mended("state store")
			return in.settle(ctx, group, outcomes, waiting)
		}
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, store.ErrUnavailable) {
			// One unit may be the cause; the others must not wait for it.
			if len(group) > 1 {
				var done []string
				for _, u := range group {
					done = append(done, in.commit(ctx, []*unit{u}, waiting)...)
				}
				return done
			}
			if u := group[0]; tries == 3 && u.poison == "" {
				u.poison = clip("the facts of the batch could not be stored: " + err.Error())
				continue
			}
		}
		in.faulty("state store", err)
		if !pause.wait(ctx) {
			return nil
		}
	}
}

// apply decides what becomes of each unit and writes it down in tx. It changes
// nothing but tx, so that it can be repeated.
func (in *Ingest) apply(tx *store.Tx, group []*unit, waiting *held) ([]outcome, error) {
	ids := make([]string, 0, len(group))
	for _, u := range group {
		if !slices.Contains(ids, u.agent) {
			ids = append(ids, u.agent)
		}
	}
	agents, err := tx.AgentsForIngest(ids)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	outcomes := make([]outcome, len(group))
	changed := map[string]bool{}
	stopped := map[string]string{} // agents of which a unit is held, and its epoch
	excused := maps.Clone(waiting.excused)
	for i, u := range group {
		a, known := agents[u.agent]
		o := &outcomes[i]
		switch {
		case !known:
			o.refusal = "the agent is not known"
		case a.Tenant != u.tenant:
			o.refusal = "the agent belongs to another tenant"
		case a.Revoked:
			o.refusal = "the agent's identity was revoked"
		case u.refusal != "":
			o.refusal = u.refusal
			reject(&a, now, "batch", cmp.Or(u.detail, u.refusal), 1)
			agents[u.agent], changed[u.agent], excused[u.agent] = a, true, true
		}
		if o.refusal != "" {
			continue
		}
		p := placeOf(a, u.epoch, u.first, u.count)
		epoch, stop := stopped[u.agent]
		if !stop {
			epoch, stop = waiting.epoch(u.agent)
		}
		// A new epoch must not end one whose batches are still awaited.
		if (p.missing > 0 && !excused[u.agent] || stop && epoch != u.epoch) && !u.expired {
			o.hold, stopped[u.agent] = true, u.epoch
			continue
		}
		o.skip, o.over = p.skip, p.over
		delete(excused, u.agent)
		if p.skip < u.count || u.count == 0 {
			if err := in.accept(tx, u, &a, p, o, now); err != nil {
				return nil, err
			}
			agents[u.agent], changed[u.agent] = a, true
		}
		o.agent = a
	}
	list := make([]store.AgentIngest, 0, len(changed))
	for id := range changed {
		list = append(list, agents[id])
	}
	return outcomes, tx.AdvanceAgents(list)
}

// accept takes in what is new in u.
func (in *Ingest) accept(tx *store.Tx, u *unit, a *store.AgentIngest, p place, o *outcome, now time.Time) error {
	a.Rejections = slices.Clone(a.Rejections) // the row may be read again when tx is repeated
	a.Former = slices.Clone(a.Former)
	if p.over {
		reject(a, now, "batch", "it belongs to a spool that the agent has given up", u.count-p.skip)
		return nil
	}
	before := a.SeenAt
	learn(a, u.sent, u.received)
	oldest := in.cfg.Events.Oldest(now)
	var facts []FactUpdate
	for i := range u.records[p.skip:] {
		r := &u.records[p.skip+uint64(i)]
		at := correct(r.Time, a.Skew, u.received)
		switch {
		case r.reason != "":
			reject(a, now, r.Kind, r.reason, 1)
		case r.Class == evidence.ClassFact && u.poison != "":
			reject(a, now, r.Kind, u.poison, 1)
		case r.Class == evidence.ClassFact:
			facts = append(facts, FactUpdate{Kind: r.Kind, Data: r.Data, Digest: r.Digest, ObservedAt: at})
		case at.Before(oldest):
			reject(a, now, r.Kind, "it is older than events are kept", 1)
		}
	}
	o.resync = p.missing > 0 || u.poison != "" // facts may be among what is missing
	advance(a, p, u.epoch, u.first, u.count)
	if p.missing > 0 {
		note(a, now, "", missed(p.missing))
	}
	if len(facts) == 0 {
		return nil
	}
	// Facts say that the agent lives, and whether it does is judged with them:
	// one that comes back must not be told silent once more.
	if a.SeenAt.Sub(before) > time.Minute {
		if err := tx.AdvanceAgents([]store.AgentIngest{*a}); err != nil {
			return err
		}
	}
	err := in.cfg.Judge.Apply(tx, Observation{
		Subject: evidence.Subject{Scope: evidence.ScopeVM, Tenant: a.Tenant, ID: a.VM}, Agent: a.ID, Facts: facts,
	})
	if errors.Is(err, ErrResync) {
		o.resync = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("take in facts of agent %s: %w", a.ID, err)
	}
	return nil
}

// maxRejections is how many reasons are kept for an agent.
const maxRejections = 5

func reject(a *store.AgentIngest, now time.Time, kind, reason string, n uint64) {
	a.Rejected += n
	note(a, now, kind, reason)
}

func missed(n uint64) string {
	if n == 1 {
		return "a record never came"
	}
	return fmt.Sprintf("%d records never came", n)
}

// note keeps the reason among the last ones.
func note(a *store.AgentIngest, now time.Time, kind, reason string) {
	a.Rejections = append(slices.Clone(a.Rejections), store.Rejection{At: now.UTC().Truncate(time.Millisecond), Kind: clip(kind), Reason: reason})
	a.Rejections = a.Rejections[max(0, len(a.Rejections)-maxRejections):]
}

// settle hands committed units on and answers refused ones.
func (in *Ingest) settle(ctx context.Context, group []*unit, outcomes []outcome, waiting *held) (done []string) {
	for i, u := range group {
		o := &outcomes[i]
		switch {
		case o.refusal != "":
			if o.refusal == u.refusal {
				waiting.excused[u.agent] = true
			}
			in.count(func(s *Status) { s.RefusedBatches++ })
			in.cfg.Log.Warn("batch refused", "agent", u.agent, "reason", o.refusal)
			in.answer(u, func(d Delivery) error { return d.Reject(o.refusal) })
		case o.hold:
			if !waiting.keep(u, time.Now().Add(in.cfg.Patience)) {
				in.answer(u, func(d Delivery) error { return d.Retry(in.cfg.Patience / 4) })
			}
		default:
			u.skip, u.over, u.row = o.skip, o.over, o.agent
			delete(waiting.excused, u.agent)
			done = append(done, u.agent)
			in.count(func(s *Status) { s.Batches++; s.Records += u.count - min(o.skip, u.count) })
			select {
			case in.stored <- u:
			case <-ctx.Done():
				return nil
			}
		}
		if o.resync {
			in.resync(ctx, u.tenant, u.agent)
		}
	}
	return done
}

// resync asks an agent for its facts in full, at most once a minute.
func (in *Ingest) resync(ctx context.Context, tenant, agent string) {
	now := time.Now()
	in.mu.Lock()
	ask := now.Sub(in.resynced[agent]) >= time.Minute
	if ask {
		in.resynced[agent] = now
	}
	in.mu.Unlock()
	if ask {
		in.cfg.Resync(ctx, tenant, agent)
	}
}

// answer answers all deliveries of a unit, which thereby leaves ingest.
func (in *Ingest) answer(u *unit, how func(Delivery) error) {
	in.mu.Lock()
	if in.inflight[u.key()] == u {
		delete(in.inflight, u.key())
	}
	list := u.deliveries
	in.mu.Unlock()
	for _, d := range list {
		if err := how(d); err != nil {
			// It comes again, and is then known.
			in.cfg.Log.Warn("the bus did not take an answer", "agent", u.agent, "error", err)
		}
	}
}
