package posture_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/posture/fleettest"
	"github.com/demarc/demarc/internal/service/hardening"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// TestPolicyEnds: a policy with an end gives way on time to the tenant's, as it
// does at the agents.
func TestPolicyEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		compiled, _ := catalogue(t)
		sim, err := fleettest.New(compiled.Environment)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := sim.Facts(0, w.now)
		if err != nil {
			t.Fatal(err)
		}
		var updates []posture.FactUpdate
		for _, f := range facts {
			if strings.HasPrefix(f.Kind, "host.") {
				updates = append(updates, posture.FactUpdate{Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: w.now})
			}
		}
		w.apply(updates)
		until := w.now.Add(time.Hour)
		tenant := posture.TenantSubject("t-1")
		w.write(func(tx *store.Tx) error {
			return errors.Join(
				tx.AddPolicy(&store.Policy{Subject: tenant, Service: hardening.Name, Document: []byte(`{"level":2}`), Digest: "a", CreatedAt: w.now}),
				tx.AddPolicy(&store.Policy{Subject: w.vm, Service: hardening.Name, Document: []byte(`{"level":1}`), Digest: "b", CreatedAt: w.now, Until: &until}),
				w.engine.Rejudge(tx, w.vm))
		})
		result := func() (f evidence.Fact) {
			t.Helper()
			w.write(func(tx *store.Tx) (err error) {
				f, err = tx.Fact(w.vm, hardening.FactResult)
				return err
			})
			return f
		}
		before := result()
		w.sweepAt(until.Add(-time.Second))
		if f := result(); f.Digest != before.Digest {
			t.Error("the policy ended before its time")
		}
		w.sweepAt(until)
		if f := result(); f.Digest == before.Digest {
			t.Errorf("the policy did not end: %s", f.Data)
		}
	})
}
