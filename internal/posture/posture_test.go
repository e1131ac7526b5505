package posture_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/hardening"
	"github.com/demarc/demarc/internal/service/telemetry"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/wire"
)

// world is a state store with one tenant, one VM and an engine whose clock
// the test moves.
type world struct {
	t       *testing.T
	store   *store.Store
	engine  *posture.Engine
	now     time.Time
	vm      evidence.Subject
	changed []evidence.Judgement
}

func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	w := &world{t: t, store: s, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	services := []service.Service{telemetry.New(), hardening.New()}
	kinds := []evidence.Kind{wire.AgentKind}
	for _, svc := range services {
		kinds = append(kinds, svc.Manifest().Kinds...)
	}
	for _, svc := range services {
		if p, ok := svc.(service.Preparer); ok {
			if err := p.Prepare(kinds); err != nil {
				t.Fatal(err)
			}
		}
	}
	cat, err := builtin.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := judgement.Compile(cat, kinds)
	if err != nil {
		t.Fatal(err)
	}
	log, err := ledger.New(ledger.Config{Store: s, Origin: "demarc/test"})
	if err != nil {
		t.Fatal(err)
	}
	w.engine, err = posture.New(posture.Config{
		Catalogue: compiled, Services: services, Sources: []posture.Source{fleet.Coverage{}}, Store: s, Ledger: log,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Changed: func(js []evidence.Judgement) { w.changed = append(w.changed, js...) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.write(func(tx *store.Tx) error {
		tenant := estate.Tenant{ID: "t-1", Name: "acme", CreatedAt: w.now}
		vdc := estate.VDC{ID: "vdc-1", Tenant: "t-1", Name: "main", CreatedAt: w.now}
		vm := estate.VM{ID: "vm-1", Tenant: "t-1", VDC: "vdc-1", Name: "web", State: lifecycle.Active, CreatedAt: w.now}
		w.vm = posture.VMSubject(vm)
		return errors.Join(tx.InsertTenant(&tenant), tx.InsertVDC(&vdc), tx.InsertVM(&vm), w.engine.Rejudge(tx, w.vm))
	})
	return w
}

func (w *world) write(f func(tx *store.Tx) error) {
	w.t.Helper()
	if err := w.store.Write(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

// report lets the agent report facts, all in one batch, and returns how it
// would confirm them later.
func (w *world) report(facts map[string]any) (confirm []posture.FactUpdate) {
	w.t.Helper()
	all := w.updates(facts)
	for _, f := range all {
		confirm = append(confirm, posture.FactUpdate{Kind: f.Kind, Digest: f.Digest})
	}
	w.apply(all)
	return confirm
}

// encode returns the data of a fact with its digest.
func (w *world) encode(data any) (raw []byte, digest string) {
	w.t.Helper()
	raw, err := canonical.JSON(data)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw, canonical.Digest(raw)
}

func (w *world) apply(facts []posture.FactUpdate) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		return w.engine.Apply(tx, posture.Update{Subject: w.vm, Source: "agent/a-1", Facts: facts})
	})
}

func (w *world) sweepAt(at time.Time) {
	w.t.Helper()
	w.now = at
	if err := w.engine.Sweep(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) verdict(duty string) evidence.Judgement {
	w.t.Helper()
	var js []evidence.Judgement
	err := w.store.Read(w.t.Context(), func(tx *store.Tx) (err error) {
		js, err = tx.Verdicts(store.VerdictFilter{Subject: &w.vm, Duty: duty})
		return err
	})
	if err != nil || len(js) != 1 {
		w.t.Fatalf("verdict of %s: %d found, %v", duty, len(js), err)
	}
	return js[0]
}

func (w *world) want(duty string, v evidence.Verdict, reason string) evidence.Judgement {
	w.t.Helper()
	j := w.verdict(duty)
	if j.Verdict != v || !strings.Contains(j.Reason, reason) {
		w.t.Errorf("%s is %s (%s); want %s (…%s…)", duty, j.Verdict, j.Reason, v, reason)
	}
	return j
}

const patches = "CLD.6.3.1/C-1.2a"

// updates says that n security updates wait, the oldest for days, on a
// supported system that needs no restart.
func updates(n, days int) map[string]any {
	return map[string]any{
		"host.updates": telemetry.Updates{
			Manager: "dpkg", Pending: n, PendingSecurity: n, Security: []telemetry.Update{}, OldestDays: days,
			ListsAgeHours: 1, SecuritySource: true, Automatic: true,
		},
		"host.os":     telemetry.OS{Hostname: "web", Family: "debian", ID: "debian", Version: "12", SecureBoot: "unknown"},
		"host.reboot": telemetry.Reboot{Reasons: []string{}, StaleServices: []string{}},
	}
}

//demarc:duty CLD.6.3.1/C-1.2a
func TestVerdictFollowsFacts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.want(patches, evidence.Unknown, "no agent has sent host.updates")
		w.want("CLD.6.3.1/C-1.3b", evidence.Unknown, "no service provides the fact backup.state yet")

		w.report(updates(0, 0))
		met := w.want(patches, evidence.Met, "host.updates")
		if len(met.Evidence) == 0 || met.Evidence[0].Digest == "" || met.Evidence[0].Source != "agent/a-1" {
			t.Errorf("met stands on %v, want facts with digest and source", met.Evidence)
		}

		w.now = w.now.Add(time.Hour)
		w.report(updates(4, 40))
		notMet := w.want(patches, evidence.NotMet, "4")
		if !notMet.Since.Equal(w.now) {
			t.Errorf("not met since %v, want %v", notMet.Since, w.now)
		}

		// Another look at the same: since stays.
		since := w.now
		w.now = w.now.Add(time.Minute)
		w.report(updates(5, 40))
		if j := w.want(patches, evidence.NotMet, "5"); !j.Since.Equal(since) {
			t.Errorf("since moved to %v without a change of verdict", j.Since)
		}
		w.write(func(tx *store.Tx) error {
			past, err := tx.History(w.vm, patches, 10)
			if len(past) != 2 || past[0].Verdict != evidence.Met || past[1].Verdict != evidence.Unknown {
				t.Errorf("history is %+v, want met, then unknown", past)
			}
			return err
		})
	})
}

func TestStaleEvidenceIsUnknownAndConfirmationRevivesIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		confirm := w.report(updates(0, 0))
		due := w.want(patches, evidence.Met, "").DueAt
		w.sweepAt(due.Add(-time.Second))
		w.want(patches, evidence.Met, "")
		w.sweepAt(due)
		w.want(patches, evidence.Unknown, "host.updates was last seen")

		for i := range confirm {
			confirm[i].ObservedAt = w.now
		}
		w.apply(confirm)
		w.want(patches, evidence.Met, "")

		err := s.Write(t.Context(), func(tx *store.Tx) error {
			return w.engine.Apply(tx, posture.Update{Subject: w.vm, Facts: []posture.FactUpdate{{Kind: "host.updates", Digest: "sha256:other", ObservedAt: w.now}}})
		})
		if !errors.Is(err, posture.ErrResync) {
			t.Errorf("confirming another digest: %v, want ErrResync", err)
		}
	})
}

func TestWaiverCountsBetweenItsDates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.report(updates(4, 40))
		start := w.now.Add(time.Hour)
		w.write(func(tx *store.Tx) error {
			return errors.Join(tx.InsertWaiver(evidence.Waiver{
				ID: "w-1", Duty: patches, Subject: w.vm, AcceptedBy: "customer-administrator/p-1", Reason: "the vendor forbids it",
				CreatedAt: w.now, Effective: start, Expires: start.Add(30 * time.Minute),
			}), w.engine.Rejudge(tx, w.vm))
		})
		w.want(patches, evidence.NotMet, "")
		w.sweepAt(start)
		w.want(patches, evidence.Waived, "the vendor forbids it")
		w.sweepAt(start.Add(30 * time.Minute))
		w.want(patches, evidence.NotMet, "")
	})
}

func TestSubscriptionMovesTheLineOnTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.report(updates(0, 0))
		w.sweepAt(w.now)
		from, to := w.now.Add(time.Hour), w.now.Add(2*time.Hour)
		w.write(func(tx *store.Tx) error {
			return tx.InsertSubscription(responsibility.Subscription{
				ID: "s-1", Tenant: "t-1", Service: "vulnerability-management", Covers: responsibility.Coverage{All: true}, From: from, To: &to,
			}, w.now)
		})
		for _, step := range []struct {
			at   time.Time
			want string
		}{{from.Add(-time.Second), "customer"}, {from, "provider"}, {to.Add(-time.Second), "provider"}, {to.Add(time.Hour), "customer"}} {
			w.sweepAt(step.at)
			if j := w.verdict(patches); j.Party != step.want {
				t.Errorf("at %v the duty is the %s's, want the %s's", step.at, j.Party, step.want)
			}
		}
	})
}

func TestChangeIsInTheLedgerWithItsVerdict(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		before := len(w.changed)
		boom := errors.New("boom")
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			raw := []byte(`{"needed":false,"reasons":[],"running_kernel":"6.1","stale_services":[]}`)
			if err := w.engine.Apply(tx, posture.Update{Subject: w.vm, Source: "agent/a-1", Facts: []posture.FactUpdate{
				{Kind: "host.reboot", Data: raw, Digest: canonical.Digest(raw), ObservedAt: w.now}}}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		w.want(patches, evidence.Unknown, "")
		if len(w.changed) != before {
			t.Error("an undone change was published")
		}
		w.report(updates(0, 0))
		if len(w.changed) == before {
			t.Error("a change was not published")
		}
	})
}
