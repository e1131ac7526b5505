package grant_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
)

// BenchmarkDecision is one decision of the policy about using access, asking the
// index of 10,000 grants in force.
func BenchmarkDecision(b *testing.B) {
	policy, err := authz.New()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	g := grant.New(grant.Config{Now: time.Now})
	const grants = 10_000
	for i := range grants {
		g.Take(store.Grant{
			ID: fmt.Sprintf("gr-%d", i), Holder: fmt.Sprintf("p-%d", i%500), Tenant: fmt.Sprintf("t-%d", i%2000), State: access.InForce,
			From: now, Until: now.Add(time.Hour), Changed: int64(i + 1),
		})
	}
	who := eva
	took := make([]time.Duration, 0, b.N)
	i := 0
	for b.Loop() {
		who.ID = fmt.Sprintf("p-%d", i%500)
		tenant := fmt.Sprintf("t-%d", i%2000)
		began := time.Now()
		ok := policy.Permits(who, access.UseAccess, authz.Resource{Tenant: tenant}, authz.Case{Granted: g.Granted(who.ID, tenant)})
		took = append(took, time.Since(began))
		if !ok {
			b.Fatalf("%s may not use its access to %s", who.ID, tenant)
		}
		i++
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "µs/p99")
}

// BenchmarkFacts is the look at a tenant with a hundred grants in force.
func BenchmarkFacts(b *testing.B) {
	r := newRig(b)
	for range 100 {
		r.grant(b, 60)
	}
	src := grant.Environments{Sessions: r, Proofs: &grant.Proofs{}}
	for b.Loop() {
		r.pass(time.Millisecond)
		if e := ask1[environment](b, r, src, acme); e.Active != 100 || len(e.Unapproved) != 0 {
			b.Fatalf("%+v", e)
		}
	}
}
