package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/metrics"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// counterFact is a fact that knows its place: N grows by one from fact to fact
// of an agent.
type counterFact struct {
	N     int    `json:"n" metric:"test_counter"`
	State string `json:"state" enum:"good,bad"`
}

type vdcFact struct {
	N int `json:"n"`
}

func testKinds(t testing.TB) *assessment.Environment {
	t.Helper()
	env, err := assessment.NewEnvironment([]evidence.Kind{
		evidence.KindOf[counterFact]("test.counter", evidence.ScopeVM, time.Minute, "Counts."),
		evidence.KindOf[vdcFact]("test.vdc", evidence.ScopeVDC, time.Minute, "Is about a VDC."),
	})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func decodeJSON(data []byte) (wire.Batch, error) {
	var b wire.Batch
	err := json.Unmarshal(data, &b)
	return b, err
}

// testJudge stores facts, counts them per VM within the transaction and notes
// when one comes out of order or twice.
type testJudge struct {
	mu   sync.Mutex
	fail func(Observation) error
	seen []Observation
}

func (j *testJudge) Apply(tx *store.Tx, obs Observation) error {
	j.mu.Lock()
	fail := j.fail
	j.seen = append(j.seen, obs)
	j.mu.Unlock()
	if fail != nil {
		if err := fail(obs); err != nil {
			return err
		}
	}
	resync := false
	for _, f := range obs.Facts {
		if f.Data == nil {
			old, err := tx.Fact(obs.Subject, f.Kind)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err != nil || old.Digest != f.Digest {
				resync = true
				continue
			}
			if err := tx.ConfirmFacts(obs.Subject, []string{f.Kind}, f.ObservedAt); err != nil {
				return err
			}
			continue
		}
		old, err := tx.Fact(obs.Subject, f.Kind)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var was, is counterFact
		if err == nil {
			if err := json.Unmarshal(old.Data, &was); err != nil {
				return err
			}
		}
		if err := json.Unmarshal(f.Data, &is); err != nil {
			return err
		}
		if is.N != was.N+1 {
			if err := tx.PutSetting("disorder/"+obs.Agent, fmt.Appendf(nil, "%d after %d", is.N, was.N)); err != nil {
				return err
			}
		}
		if err := tx.PutFacts([]evidence.Fact{{
			Subject: obs.Subject, Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: f.ObservedAt, ChangedAt: f.ObservedAt, Source: "agent/" + obs.Agent,
		}}); err != nil {
			return err
		}
	}
	if resync {
		return fmt.Errorf("apply: %w", ErrResync)
	}
	return nil
}

// answers receives what deliveries are answered.
type answers chan string

// message is a Delivery whose answer can be awaited.
type message struct {
	answers
	tenant, agent string
	data          []byte
	received      time.Time
}

func (m *message) Tenant() string      { return m.tenant }
func (m *message) Agent() string       { return m.agent }
func (m *message) Data() []byte        { return m.data }
func (m *message) Received() time.Time { return m.received }

func (a answers) Ack() error                { a <- "ack"; return nil }
func (a answers) Retry(time.Duration) error { a <- "retry"; return nil }
func (a answers) Reject(why string) error   { a <- "reject: " + why; return nil }

// rig is an ingest with real stores, two tenants and agents a1, a2 (t1), b1
// (t2) and a revoked a9 (t1).
type rig struct {
	t       testing.TB
	in      *Ingest
	state   *store.Store
	events  eventstore.Store
	metrics metrics.Store
	judge   *testJudge
	resyncs chan string
	stop    func()
}

func populate(t testing.TB, s *store.Store) {
	t.Helper()
	now := time.Now()
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		for _, tenant := range []string{"t1", "t2"} {
			if err := tx.InsertTenant(&estate.Tenant{ID: tenant, Name: tenant, CreatedAt: now}); err != nil {
				return err
			}
			if err := tx.InsertVDC(&estate.VDC{ID: "vdc-" + tenant, Tenant: tenant, Name: "v", CreatedAt: now}); err != nil {
				return err
			}
		}
		for agent, tenant := range map[string]string{"a1": "t1", "a2": "t1", "b1": "t2", "a9": "t1"} {
			vm := estate.VM{ID: "vm-" + agent, Tenant: tenant, VDC: "vdc-" + tenant, Name: agent, State: lifecycle.Initial[0], CreatedAt: now}
			if err := tx.InsertVM(&vm); err != nil {
				return err
			}
			if err := tx.InsertAgent(store.Agent{ID: agent, Tenant: tenant, VM: vm.ID, PublicKey: "U" + agent, EnrolledAt: now}); err != nil {
				return err
			}
		}
		return tx.RevokeAgent("a9", now)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// newRig builds a rig around the state store; change may replace parts.
func newRig(t testing.TB, s *store.Store, change func(*Config)) *rig {
	t.Helper()
	r := openRig(t, s, t.TempDir(), change)
	populate(t, s)
	r.start()
	return r
}

func openRig(t testing.TB, s *store.Store, dir string, change func(*Config)) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	events, err := eventstore.Open(eventstore.Config{Address: filepath.Join(dir, "events")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Close() })
	numbers, err := metrics.Open(metrics.Config{Address: filepath.Join(dir, "metrics"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { numbers.Close() })
	r := &rig{t: t, state: s, events: events, metrics: numbers, judge: &testJudge{}, resyncs: make(chan string, 100)}
	cfg := Config{
		State: s, Events: events, Metrics: numbers, Judge: r.judge, Kinds: testKinds(t), Decode: decodeJSON, Log: log,
		Resync:   func(_ context.Context, tenant, agent string) { r.resyncs <- tenant + "/" + agent },
		Patience: 30 * time.Second, SyncEvery: 5 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	r.in = New(cfg)
	return r
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.in.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	r.t.Cleanup(r.stop)
}

// send hands a batch over and returns where its answer will come.
func (r *rig) send(tenant, agent string, b wire.Batch) chan string {
	r.t.Helper()
	data, err := json.Marshal(b)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.sendBytes(tenant, agent, data)
}

func (r *rig) sendBytes(tenant, agent string, data []byte) chan string {
	r.t.Helper()
	answer := make(answers, 2)
	if err := r.in.Handle(r.t.Context(), &message{answer, tenant, agent, data, time.Now()}); err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (r *rig) want(answer chan string, want string) {
	r.t.Helper()
	select {
	case got := <-answer:
		if got != want {
			r.t.Errorf("answered %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		r.t.Fatalf("no answer in 20 s, want %q", want)
	}
}

func (r *rig) agent(id string) (a store.AgentIngest) {
	r.t.Helper()
	err := r.state.Read(r.t.Context(), func(tx *store.Tx) (err error) { a, err = tx.AgentIngest(id); return err })
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) fact(vm string) (f counterFact, stored evidence.Fact) {
	r.t.Helper()
	err := r.state.Read(r.t.Context(), func(tx *store.Tx) (err error) {
		stored, err = tx.Fact(evidence.Subject{Scope: evidence.ScopeVM, ID: vm}, "test.counter")
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return f, stored
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal(stored.Data, &f); err != nil {
		r.t.Fatal(err)
	}
	return f, stored
}

// found returns the events of a tenant, the oldest first.
func (r *rig) found(tenant uint32) []eventstore.Event {
	r.t.Helper()
	if err := r.events.Sync(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	list, err := r.events.Query(r.t.Context(), tenant, "", time.Unix(0, 0), time.Now().Add(48*time.Hour), eventstore.MaxLimit)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func activity(n int, at time.Time) evidence.Record {
	return evidence.Record{Class: evidence.ClassActivity, Kind: "process.start", Time: at, Data: json.RawMessage(`{"n":` + strconv.Itoa(n) + `}`)}
}

func fact(n int, at time.Time) evidence.Record {
	data := []byte(fmt.Sprintf(`{"n":%d,"state":"good"}`, n))
	return evidence.Record{Class: evidence.ClassFact, Kind: "test.counter", Time: at, Data: data, Digest: canonical.Digest(data)}
}

func confirmation(n int, at time.Time) evidence.Record {
	r := fact(n, at)
	r.Data = nil
	return r
}

func batch(epoch string, first uint64, records ...evidence.Record) wire.Batch {
	return wire.Batch{Epoch: epoch, First: first, SentAt: time.Now(), Records: records}
}
