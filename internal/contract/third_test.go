package contract_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/contract"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/all"
	"github.com/demarc/demarc/internal/service/servicetest"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/wire"
)

// lab is a third service, as somebody would add it in a folder of its own: a
// kind of fact, a fact derived from it, and a duty of its own.
type lab struct{}

type reading struct {
	Celsius float64 `json:"celsius"`
}

type alarm struct {
	Hot bool `json:"hot"`
}

func (lab) Manifest() service.Manifest {
	return service.Manifest{
		Name: "laboratory", Title: "Laboratory", Doc: "Watches the temperature.", Standard: true,
		Kinds: []evidence.Kind{
			evidence.KindOf[reading]("lab.temperature", evidence.ScopeVM, time.Minute, "A reading."),
			evidence.KindOf[alarm]("lab.alarm", evidence.ScopeVM, time.Minute, "What follows from it."),
		},
		Catalogue: []byte(`extends: "*"
controls:
- id: LAB.1
  title: Laboratory
  duties:
  - id: LAB.1/C-1
    title: Keep the machine cool.
    party: customer
    scope: vm
    level: must
    modes: [assessed]
    evidence: The alarm of the laboratory.
    assessment:
      stale_after: 1h
      met: "!lab.alarm.hot"
      message: '"%.0f degrees".format([lab.temperature.celsius])'
      remedy: Open a window.
`),
	}
}

func (lab) Reads() []string { return []string{"lab.temperature"} }

func (lab) Derive(in service.Input) ([]service.Derived, error) {
	f, ok := in.Facts("lab.temperature")
	if !ok {
		return nil, nil
	}
	return []service.Derived{{Kind: "lab.alarm", Data: alarm{Hot: string(f.Data) != `{"celsius":20}`}, Observed: f.ObservedAt}}, nil
}

// TestThirdService registers a third service and nothing else: its fact turns
// its duty, next to the built-in ones.
func TestThirdService(t *testing.T) {
	servicetest.Service(t, lab{})
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		services := append(all.Services(), lab{})
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
		log, err := ledger.New(ledger.Config{Store: s, Origin: "demarc/test"})
		if err != nil {
			t.Fatal(err)
		}
		base, err := builtin.Catalogue()
		if err != nil {
			t.Fatal(err)
		}
		c, err := contract.Open(t.Context(), s, log, clock, base, services, []evidence.Kind{wire.AgentKind})
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := c.Compile()
		if err != nil {
			t.Fatal(err)
		}
		engine, err := posture.New(posture.Config{Catalogue: compiled, Services: services, Store: s, Ledger: log, Now: clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		vm := evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t-1", ID: "vm-1"}
		report := func(data string) func(tx *store.Tx) error {
			return func(tx *store.Tx) error {
				return engine.Apply(tx, posture.Update{Subject: vm, Source: "agent/a-1", Facts: []posture.FactUpdate{
					{Kind: "lab.temperature", Data: []byte(data), Digest: canonical.Digest([]byte(data)), ObservedAt: now},
				}})
			}
		}
		for _, step := range []struct {
			do      func(tx *store.Tx) error
			verdict evidence.Verdict
			reason  string
		}{
			{func(tx *store.Tx) error {
				if err := tx.InsertTenant(&estate.Tenant{ID: "t-1", Name: "acme", CreatedAt: now}); err != nil {
					return err
				}
				if err := tx.InsertVDC(&estate.VDC{ID: "v-1", Tenant: "t-1", Name: "main", CreatedAt: now}); err != nil {
					return err
				}
				if err := tx.InsertVM(&estate.VM{ID: "vm-1", Tenant: "t-1", VDC: "v-1", Name: "web", State: lifecycle.Active, CreatedAt: now}); err != nil {
					return err
				}
				return engine.Rejudge(tx, vm)
			}, evidence.Unknown, "there is no fact lab.alarm"},
			{report(`{"celsius":20}`), evidence.Met, "met, by lab.alarm"},
			{report(`{"celsius":41}`), evidence.NotMet, "41 degrees"},
		} {
			now = now.Add(time.Minute)
			if err := s.Write(t.Context(), step.do); err != nil {
				t.Fatal(err)
			}
			var js []evidence.Judgement
			err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
				js, err = tx.Verdicts(store.VerdictFilter{Subject: &vm, Duty: "LAB.1/C-1"})
				return err
			})
			if err != nil || len(js) != 1 || js[0].Verdict != step.verdict || js[0].Reason != step.reason {
				t.Errorf("verdicts %+v, %v; want %s (%s)", js, err, step.verdict, step.reason)
			}
		}
	})
}
