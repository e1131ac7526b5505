package posture_test

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
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
	"github.com/demarc/demarc/internal/posture/fleettest"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/selfcheck"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/hardening"
	"github.com/demarc/demarc/internal/service/telemetry"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/wire"
)

// catalogue compiles the built-in catalogue over all kinds of fact.
func catalogue(t testing.TB) (*judgement.Compiled, []service.Service) {
	t.Helper()
	services := []service.Service{telemetry.New(), hardening.New()}
	kinds := append([]evidence.Kind{wire.AgentKind, fleet.CoverageKind}, selfcheck.Kinds...)
	for _, s := range services {
		kinds = append(kinds, s.Manifest().Kinds...)
	}
	for _, s := range services {
		if p, ok := s.(service.Preparer); ok {
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
	return compiled, services
}

// simulation is a store with the facts of many simulated VMs, and an engine.
type simulation struct {
	store  *store.Store
	engine *posture.Engine
	fleet  *fleettest.Fleet
	now    time.Time
}

// simulate stores n VMs with their facts and what hardening derives from them;
// nothing is judged yet.
func simulate(t testing.TB, n int) *simulation {
	t.Helper()
	compiled, services := catalogue(t)
	w := &simulation{store: storetest.Open(t, storetest.SQLite(t)), now: time.Now().UTC().Truncate(time.Microsecond)}
	log, err := ledger.New(ledger.Config{Store: w.store, Origin: "demarc/test"})
	if err != nil {
		t.Fatal(err)
	}
	w.engine, err = posture.New(posture.Config{
		Catalogue: compiled, Services: services, Sources: []posture.Source{fleet.Coverage{}}, Store: w.store, Ledger: log,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Heavy: func() func() { debug.SetGCPercent(400); return func() { debug.SetGCPercent(60) } }, // as the server has it
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.fleet, err = fleettest.New(compiled.Environment); err != nil {
		t.Fatal(err)
	}
	hardened := w.hardening(t, services)
	w.write(t, func(tx *store.Tx) error { return tx.PutFacts(w.fleet.Around(evidence.Provider, w.now)) })
	for first := 0; first < n; first += fleettest.VMsPerTenant {
		w.write(t, func(tx *store.Tx) error {
			name := fleettest.Tenant(first)
			tenant := estate.Tenant{ID: name, Name: name, CreatedAt: w.now}
			if err := tx.InsertTenant(&tenant); err != nil {
				return err
			}
			vdc := estate.VDC{ID: "vdc-" + name, Tenant: name, Name: "main", CreatedAt: w.now}
			if err := tx.InsertVDC(&vdc); err != nil {
				return err
			}
			around := append(w.fleet.Around(posture.TenantSubject(name), w.now), w.fleet.Around(posture.VDCSubject(vdc), w.now)...)
			if err := tx.PutFacts(around); err != nil {
				return err
			}
			for i := first; i < min(first+fleettest.VMsPerTenant, n); i++ {
				if err := w.addVM(tx, i, vdc, hardened[i%fleettest.Variants]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return w
}

func (w *simulation) addVM(tx *store.Tx, i int, vdc estate.VDC, hardened evidence.Fact) error {
	s := fleettest.VM(i)
	vm := estate.VM{ID: s.ID, Tenant: s.Tenant, VDC: vdc.ID, Name: s.ID, State: lifecycle.Active, CreatedAt: w.now}
	if err := tx.InsertVM(&vm); err != nil {
		return err
	}
	if err := tx.InsertAgent(store.Agent{ID: "a-" + s.ID, Tenant: s.Tenant, VM: s.ID, PublicKey: s.ID, EnrolledAt: w.now}); err != nil {
		return err
	}
	if err := tx.AdvanceAgents([]store.AgentIngest{{ID: "a-" + s.ID, SeenAt: w.now, Epoch: "e", Sequence: 1}}); err != nil {
		return err
	}
	facts, err := w.fleet.Facts(i, w.now)
	if err != nil {
		return err
	}
	hardened.Subject = s
	return tx.PutFacts(append(facts, hardened))
}

// hardening lets the service judge each variant once: the result does not
// depend on what VMs of one variant differ in.
func (w *simulation) hardening(t testing.TB, services []service.Service) [fleettest.Variants]evidence.Fact {
	t.Helper()
	var out [fleettest.Variants]evidence.Fact
	var wait sync.WaitGroup
	for part := range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := part; i < fleettest.Variants; i += runtime.GOMAXPROCS(0) {
				facts, err := w.fleet.Facts(i, w.now)
				if err != nil {
					t.Error(err)
					return
				}
				out[i] = derived(t, services, facts, w.now)
			}
		})
	}
	wait.Wait()
	return out
}

func (w *simulation) write(t testing.TB, f func(tx *store.Tx) error) {
	t.Helper()
	if err := w.store.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// derived is what the hardening service makes of a VM's facts.
func derived(t testing.TB, services []service.Service, facts []evidence.Fact, now time.Time) evidence.Fact {
	for _, s := range services {
		d, ok := s.(service.Deriver)
		if !ok {
			continue
		}
		results, err := d.Derive(service.Input{Subject: facts[0].Subject, Now: now, Facts: func(kind string) (evidence.Fact, bool) {
			i := slices.IndexFunc(facts, func(f evidence.Fact) bool { return f.Kind == kind })
			if i < 0 {
				return evidence.Fact{}, false
			}
			return facts[i], true
		}})
		if err != nil || len(results) != 1 {
			t.Errorf("derive: %d results, %v", len(results), err)
			return evidence.Fact{}
		}
		raw, err := canonical.JSON(results[0].Data)
		if err != nil {
			t.Error(err)
		}
		return evidence.Fact{
			Kind: results[0].Kind, Data: raw, Digest: canonical.Digest(raw), ObservedAt: results[0].Observed, ChangedAt: now, Source: "service/" + hardening.Name,
		}
	}
	t.Error("no service derives")
	return evidence.Fact{}
}
