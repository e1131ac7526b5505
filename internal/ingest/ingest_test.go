package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/metrics"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/wire"
)

func sqlite(t testing.TB) *store.Store { return storetest.Open(t, storetest.SQLite(t)) }

func TestRecordsReachTheirStores(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, now := newRig(t, s, nil), time.Now().Add(-time.Minute).UTC()
		first := r.send("t1", "a1", batch("e", 1, fact(1, now), activity(1, now), confirmation(1, now.Add(time.Second))))
		second := r.send("t1", "a1", batch("e", 4, evidence.Record{Class: evidence.ClassFinding, Kind: "malware.found", Time: now, Data: json.RawMessage(`{"n":2}`)}, fact(2, now)))
		other := r.send("t2", "b1", batch("x", 1, activity(7, now), fact(1, now)))
		for _, answer := range []chan string{first, second, other} {
			r.want(answer, "ack")
		}
		if f, stored := r.fact("vm-a1"); f.N != 2 || stored.Subject.Tenant != "t1" || stored.Source != "agent/a1" {
			t.Errorf("fact %+v, %+v", f, stored)
		}
		events := r.found(1)
		if len(events) != 2 {
			t.Fatalf("%d events of the first tenant, want 2", len(events))
		}
		for _, ev := range events {
			want := map[uint64]string{2: "activity process.start {\"n\":1}", 4: "finding malware.found {\"n\":2}"}[ev.Seq]
			if got := fmt.Sprintf("%s %s %s", ev.Class, ev.Kind, ev.Data); got != want || ev.Agent != "a1" || ev.VM != "vm-a1" || !ev.Time.Equal(now) {
				t.Errorf("event %+v, want %s", ev, want)
			}
		}
		if events := r.found(2); len(events) != 1 || events[0].Agent != "b1" {
			t.Errorf("events of the second tenant: %+v", events)
		}
		line, err := r.metrics.Query(t.Context(), "t1", "test_counter", now)
		if err != nil || len(line) != 1 || line[0].Labels["vm"] != "vm-a1" {
			t.Errorf("series %v, %v", line, err)
		}
		a := r.agent("a1")
		if a.Epoch != "e" || a.Sequence != 5 || a.Lost != 0 || a.Rejected != 0 || a.SeenAt.IsZero() {
			t.Errorf("agent %+v", a)
		}
	})
}

// seenJudge notes when the agent was seen, by what it is judged by.
type seenJudge struct {
	Judge
	seen chan time.Time
}

func (j seenJudge) Apply(tx *store.Tx, obs Observation) error {
	a, err := tx.AgentIngest(obs.Agent)
	if err != nil {
		return err
	}
	j.seen <- a.SeenAt
	return j.Judge.Apply(tx, obs)
}

func TestAnAgentIsSeenBeforeItsFactsAreJudged(t *testing.T) {
	seen := make(chan time.Time, 10)
	r := newRig(t, sqlite(t), func(c *Config) { c.Judge = seenJudge{c.Judge, seen} })
	now := time.Now().UTC()
	r.want(r.send("t1", "a1", batch("e", 1, fact(1, now))), "ack")
	if at := <-seen; time.Since(at) > time.Minute {
		t.Errorf("the judge takes the agent for seen at %s", at)
	}
}

func TestReplayedAndReorderedBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, now := newRig(t, s, nil), time.Now().Add(-time.Minute)
		batches := []wire.Batch{
			batch("e", 1, fact(1, now), activity(2, now)),
			batch("e", 3, fact(2, now), activity(4, now)),
			batch("e", 5, fact(3, now), activity(6, now)),
			batch("e", 7, fact(4, now), activity(8, now)),
		}
		overlap := batch("e", 3, fact(2, now), activity(4, now), fact(3, now), activity(6, now), fact(4, now), activity(8, now), fact(5, now), activity(10, now))
		var answers []chan string
		for _, i := range []int{3, 1, 2, 1, 0, 0, 3} {
			answers = append(answers, r.send("t1", "a1", batches[i]))
		}
		for _, a := range answers {
			r.want(a, "ack")
		}
		r.want(r.send("t1", "a1", overlap), "ack")
		r.want(r.send("t1", "a1", overlap), "ack")
		if f, _ := r.fact("vm-a1"); f.N != 5 {
			t.Errorf("fact %d, want 5", f.N)
		}
		a := r.agent("a1")
		if a.Sequence != 10 || a.Lost != 0 {
			t.Errorf("agent %+v", a)
		}
		r.wantSequences(1, 2, 4, 6, 8, 10)
		r.wantOrder("a1")
	})
}

func (r *rig) wantSequences(tenant uint32, want ...uint64) {
	r.t.Helper()
	var got []uint64
	for _, ev := range r.found(tenant) {
		got = append(got, ev.Seq)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.t.Errorf("sequences %v in the event store, want %v", got, want)
	}
}

func (r *rig) wantOrder(agent string) {
	r.t.Helper()
	var why []byte
	err := r.state.Read(r.t.Context(), func(tx *store.Tx) (err error) { why, err = tx.Setting("disorder/" + agent); return err })
	if !errors.Is(err, store.ErrNotFound) {
		r.t.Errorf("facts of %s came out of order: %s, %v", agent, why, err)
	}
}

func TestGapCountsAsLossAfterPatience(t *testing.T) {
	r, now := newRig(t, sqlite(t), func(c *Config) { c.Patience = 50 * time.Millisecond }), time.Now().Add(-time.Minute)
	r.want(r.send("t1", "a1", batch("e", 1, activity(1, now))), "ack")
	r.want(r.send("t1", "a1", batch("e", 11, activity(11, now), fact(1, now))), "ack")
	if a := r.agent("a1"); a.Lost != 9 || a.Sequence != 12 {
		t.Errorf("agent %+v, want 9 lost", a)
	} else if len(a.Rejections) != 1 || a.Rejections[0].Kind != "" || a.Rejections[0].Reason != "9 records never came" || a.Rejected != 0 {
		t.Errorf("what was lost is not told: %+v", a.Rejections)
	}
	select {
	case who := <-r.resyncs:
		if who != "t1/a1" {
			t.Errorf("%s was asked to resync", who)
		}
	case <-time.After(10 * time.Second):
		t.Error("the agent was not asked to resync")
	}
	// A straggler brings its events, and changes no fact.
	r.want(r.send("t1", "a1", batch("e", 5, activity(5, now), fact(77, now))), "ack")
	if f, _ := r.fact("vm-a1"); f.N != 1 {
		t.Errorf("fact %d, want 1", f.N)
	}
	r.wantSequences(1, 1, 5, 11)
}

func TestOldEpochAfterANewOne(t *testing.T) {
	r, now := newRig(t, sqlite(t), nil), time.Now().Add(-time.Minute)
	old := batch("old", 1, activity(1, now), fact(1, now))
	r.want(r.send("t1", "a1", old), "ack")
	r.want(r.send("t1", "a1", batch("new", 1, activity(1, now), fact(2, now))), "ack")
	r.want(r.send("t1", "a1", old), "ack")
	r.want(r.send("t1", "a1", batch("old", 3, activity(3, now), fact(3, now))), "ack")
	if f, _ := r.fact("vm-a1"); f.N != 2 {
		t.Errorf("fact %d, want 2", f.N)
	}
	a := r.agent("a1")
	if a.Epoch != "new" || a.Sequence != 2 || a.Rejected != 2 || len(a.Rejections) != 1 || !strings.Contains(a.Rejections[0].Reason, "given up") {
		t.Errorf("agent %+v", a)
	}
	r.wantSequences(1, 1, 1)
}

// A tenant changes nothing of another (invariant 3 of the design).
func TestForeignRevokedAndUnknownAgents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, now := newRig(t, s, nil), time.Now().Add(-time.Minute)
		b := batch("e", 1, activity(1, now), fact(1, now))
		r.want(r.send("t2", "a1", b), "reject: the agent belongs to another tenant")
		r.want(r.send("t1", "a9", b), "reject: the agent's identity was revoked")
		r.want(r.send("t1", "zz", b), "reject: the agent is not known")
		r.want(r.send("t1", "a1", b), "ack")
		if n := len(r.found(1)) + len(r.found(2)); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
		if a := r.agent("a9"); a.Sequence != 0 {
			t.Errorf("the revoked agent advanced: %+v", a)
		}
		if st := r.in.Status(); st.RefusedBatches != 3 || st.Batches != 1 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestMalformedRecordsDoNotStopTheRest(t *testing.T) {
	r, now := newRig(t, sqlite(t), nil), time.Now().Add(-time.Minute)
	big := json.RawMessage(`{"x":"` + strings.Repeat("a", 2<<20) + `"}`)
	wrong := fact(1, now)
	wrong.Digest = fact(2, now).Digest
	bad := map[string]evidence.Record{
		"the limit is":   {Class: evidence.ClassActivity, Kind: "big.one", Time: now, Data: big},
		"no service":     {Class: evidence.ClassFact, Kind: "test.unknown", Time: now, Data: json.RawMessage(`{}`)},
		"is missing":     {Class: evidence.ClassFact, Kind: "test.counter", Time: now, Data: json.RawMessage(`{"n":1}`)},
		"none of":        {Class: evidence.ClassFact, Kind: "test.counter", Time: now, Data: json.RawMessage(`{"n":1,"state":"odd"}`)},
		"not a member":   {Class: evidence.ClassFact, Kind: "test.counter", Time: now, Data: json.RawMessage(`{"n":1,"state":"good","x":1}`)},
		"its VM only":    {Class: evidence.ClassFact, Kind: "test.vdc", Time: now, Data: json.RawMessage(`{"n":1}`)},
		"not that of":    wrong,
		"has no time":    {Class: evidence.ClassActivity, Kind: "a.b", Data: json.RawMessage(`{}`)},
		"class":          {Class: "rumour", Kind: "a.b", Time: now, Data: json.RawMessage(`{}`)},
		"dotted":         {Class: evidence.ClassActivity, Kind: "A b", Time: now, Data: json.RawMessage(`{}`)},
		"one JSON":       {Class: evidence.ClassActivity, Kind: "a.b", Time: now, Data: json.RawMessage(`[1]`)},
		"older than":     {Class: evidence.ClassActivity, Kind: "a.b", Time: now.AddDate(-1, 0, 0), Data: json.RawMessage(`{}`)},
		"has no data":    {Class: evidence.ClassActivity, Kind: "a.b", Time: now},
		"100 characters": {Class: evidence.ClassActivity, Kind: strings.Repeat("k", 101), Time: now, Data: json.RawMessage(`{}`)},
	}
	seq := uint64(1)
	for why, rec := range bad {
		r.want(r.send("t1", "a1", batch("e", seq, activity(1, now), rec, activity(2, now))), "ack")
		a := r.agent("a1")
		if n := len(a.Rejections); n == 0 || !strings.Contains(a.Rejections[n-1].Reason, why) {
			t.Errorf("rejections %+v, want one with %q", a.Rejections, why)
		}
		seq += 3
	}
	r.want(r.send("t1", "a1", batch("e", seq, fact(1, now))), "ack")
	if a := r.agent("a1"); a.Rejected != uint64(len(bad)) || len(a.Rejections) != maxRejections || a.Sequence != seq {
		t.Errorf("agent %+v", a)
	}
	if n := len(r.found(1)); n != 2*len(bad) {
		t.Errorf("%d events, want %d", n, 2*len(bad))
	}
	if f, _ := r.fact("vm-a1"); f.N != 1 {
		t.Errorf("fact %+v", f)
	}
}

func TestBatchesThatCannotBeRead(t *testing.T) {
	r, now := newRig(t, sqlite(t), func(c *Config) {
		c.Decode = func(data []byte) (wire.Batch, error) {
			if string(data) == "panic" {
				panic("decoder")
			}
			return decodeJSON(data)
		}
	}), time.Now()
	for _, data := range []string{"", "{", "panic", `{"epoch":"a","first":"private words"}`, `{"epoch":"a b","first":1}`, `{"epoch":"a","first":0}`, `{"epoch":"a","first":18446744073709551615}`, `{"epoch":"a","first":1}`} {
		if got := <-r.sendBytes("t1", "a1", []byte(data)); !strings.HasPrefix(got, "reject: ") || strings.Contains(got, "private") {
			t.Errorf("%q: %s", data, got)
		}
	}
	r.want(r.send("t1", "a1", batch("e", 1, activity(1, now))), "ack")
	// Its successor does not wait for a batch that was refused.
	r.want(r.sendBytes("t1", "a1", []byte("}")), "reject: "+unreadable)
	r.want(r.send("t1", "a1", batch("e", 5, activity(5, now))), "ack")
	if a := r.agent("a1"); a.Rejected != 9 || a.Lost != 3 || a.Sequence != 5 {
		t.Errorf("agent %+v", a)
	}
}

func TestClockADayAhead(t *testing.T) {
	r := newRig(t, sqlite(t), nil)
	now := time.Now()
	ahead := now.Add(24 * time.Hour)
	b := batch("e", 1, fact(1, ahead.Add(-time.Minute)), activity(1, ahead.Add(-time.Hour)), activity(2, ahead.Add(72*time.Hour)))
	b.SentAt = ahead
	r.want(r.send("t1", "a1", b), "ack")
	if a := r.agent("a1"); a.Skew > -24*time.Hour+time.Minute || a.Skew < -24*time.Hour-time.Minute {
		t.Errorf("skew %s", a.Skew)
	}
	near := func(got, want time.Time) bool { d := got.Sub(want); return d > -10*time.Second && d < 10*time.Second }
	if _, stored := r.fact("vm-a1"); !near(stored.ObservedAt, now.Add(-time.Minute)) {
		t.Errorf("the fact was observed at %s", stored.ObservedAt)
	}
	for _, ev := range r.found(1) {
		want := map[uint64]time.Time{2: now.Add(-time.Hour), 3: now}[ev.Seq]
		if !near(ev.Time, want) {
			t.Errorf("event %d at %s, want %s", ev.Seq, ev.Time, want)
		}
	}
}

func TestUnknownConfirmationAsksForResync(t *testing.T) {
	r, now := newRig(t, sqlite(t), nil), time.Now()
	r.want(r.send("t1", "a1", batch("e", 1, confirmation(3, now), activity(1, now))), "ack")
	if who := <-r.resyncs; who != "t1/a1" {
		t.Errorf("%s was asked", who)
	}
	r.want(r.send("t1", "a1", batch("e", 3, confirmation(3, now))), "ack")
	if n := len(r.resyncs); n != 0 {
		t.Errorf("asked %d times more within a minute", n)
	}
	if a := r.agent("a1"); a.Sequence != 3 {
		t.Errorf("agent %+v", a)
	}
}

// brittle fails for a while, as stores do: before the work, or after it.
type brittle struct {
	eventstore.Store
	metrics metrics.Store
	state   *store.Store
	calls   atomic.Int64
	failing func(call int64) (before, after bool)
}

func (b *brittle) do(err error, work func() error) error {
	before, after := b.failing(b.calls.Add(1))
	if before {
		return err
	}
	if e := work(); e != nil {
		return e
	}
	if after {
		return err
	}
	return nil
}

type brittleState struct{ *brittle }

func (b brittleState) Write(ctx context.Context, fn func(*store.Tx) error) error {
	return b.do(fmt.Errorf("%w: connection lost", store.ErrUnavailable), func() error { return b.state.Write(ctx, fn) })
}

type brittleEvents struct{ *brittle }

func (b brittleEvents) Append(ctx context.Context, list []eventstore.Event) error {
	return b.do(fmt.Errorf("%w: disk full", eventstore.ErrUnavailable), func() error { return b.Store.Append(ctx, list) })
}

func (b brittleEvents) Sync(ctx context.Context) error {
	return b.do(fmt.Errorf("%w: disk full", eventstore.ErrUnavailable), func() error { return b.Store.Sync(ctx) })
}

type brittleMetrics struct{ *brittle }

func (b brittleMetrics) Append(ctx context.Context, list []metrics.Sample) error {
	return b.do(fmt.Errorf("%w: disk full", metrics.ErrUnavailable), func() error { return b.metrics.Append(ctx, list) })
}

func (b brittleMetrics) Sync(ctx context.Context) error { return b.metrics.Sync(ctx) }

// Every store fails, now before and now after the work was done, and a commit
// that persisted is reported as failed: still each record is there once.
func TestStoresThatFailForAWhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		b := &brittle{failing: func(call int64) (bool, bool) { return call%7 == 1, call%7 == 3 }}
		r := newRig(t, s, func(c *Config) {
			b.Store, b.metrics, b.state = c.Events.(eventstore.Store), c.Metrics.(metrics.Store), s
			c.State, c.Events, c.Metrics = brittleState{b}, brittleEvents{b}, brittleMetrics{b}
		})
		now := time.Now().Add(-time.Minute)
		var answers []chan string
		var want []uint64
		for i := range 20 {
			seq := uint64(2*i + 1)
			answers = append(answers, r.send("t1", "a1", batch("e", seq, activity(i, now), fact(i+1, now))))
			want = append(want, seq)
		}
		for _, a := range answers {
			r.want(a, "ack")
		}
		r.wantSequences(1, want...)
		r.wantOrder("a1")
		if f, _ := r.fact("vm-a1"); f.N != 20 {
			t.Errorf("fact %d, want 20", f.N)
		}
		if st := r.in.Status(); len(st.Faults) != 0 {
			t.Errorf("faults remain: %+v", st.Faults)
		}
	})
}

func TestFaultIsVisibleWhileItLasts(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	b := &brittle{failing: func(int64) (bool, bool) { return broken.Load(), false }}
	s := sqlite(t)
	r := newRig(t, s, func(c *Config) { b.state = s; c.State = brittleState{b} })
	answer := r.send("t1", "a1", batch("e", 1, activity(1, time.Now())))
	for r.in.Status().Faults["state store"].Reason == "" {
		select {
		case a := <-answer:
			t.Fatalf("answered %s while the store is away", a)
		case <-t.Context().Done():
			t.Fatal("the fault does not show")
		case <-time.After(time.Millisecond):
		}
	}
	broken.Store(false)
	r.want(answer, "ack")
	if st := r.in.Status(); len(st.Faults) != 0 {
		t.Errorf("faults remain: %+v", st.Faults)
	}
}

func TestFactsThatCannotBeStoredStopNobodyElse(t *testing.T) {
	r, now := newRig(t, sqlite(t), nil), time.Now().Add(-time.Minute)
	r.judge.mu.Lock()
	r.judge.fail = func(obs Observation) error {
		if obs.Agent == "a2" {
			return errors.New("a rule divides by zero")
		}
		return nil
	}
	r.judge.mu.Unlock()
	bad := r.send("t1", "a2", batch("e", 1, fact(1, now), activity(2, now)))
	good := r.send("t1", "a1", batch("e", 1, fact(1, now)))
	r.want(good, "ack")
	r.want(bad, "ack")
	if a := r.agent("a2"); a.Rejected != 1 || a.Sequence != 2 || !strings.Contains(a.Rejections[0].Reason, "divides by zero") {
		t.Errorf("agent %+v", a)
	}
	r.wantSequences(1, 2)
}

func TestStopLeavesTheRestToTheBus(t *testing.T) {
	s := sqlite(t)
	b := &brittle{failing: func(int64) (bool, bool) { return true, false }}
	r := newRig(t, s, func(c *Config) { b.state = s; c.State = brittleState{b} })
	answer := r.send("t1", "a1", batch("e", 1, activity(1, time.Now())))
	r.stop()
	select {
	case a := <-answer:
		t.Errorf("answered %s although nothing was stored", a)
	default:
	}
}
