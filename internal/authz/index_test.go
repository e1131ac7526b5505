package authz

import (
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"
	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/access"
)

// whole decides by all policies, as Cedar does without the index.
func (p *Policy) whole(who access.Principal, a access.Action, r Resource, c Case) (bool, []string) {
	if who.ID == "" || who.Role.Side() == "" {
		return false, nil
	}
	req, e := p.request(who, a, r, c)
	decision, d := cedar.Authorize(p.set, e, req)
	return decision == cedar.Allow && len(d.Errors) == 0, p.names(d)
}

// TestIndexDecidesAsTheWholeSet asks every question of a kind both ways.
func TestIndexDecidesAsTheWholeSet(t *testing.T) {
	p := policy(t)
	asked, permitted := 0, 0
	for _, settled := range []bool{false, true} {
		p.Settle(settled)
		for q := range questions() {
			want, wantRules := p.whole(q.who, q.action, q.of, q.c)
			got, rules := p.Explain(q.who, q.action, q.of, q.c)
			if got != want || !reflect.DeepEqual(rules, wantRules) {
				t.Fatalf("%+v: %t by %v, by the whole set %t by %v", q, got, rules, want, wantRules)
			}
			asked++
			if got {
				permitted++
			}
		}
	}
	if asked < 50_000 || permitted < 1_000 {
		t.Errorf("%d asked, %d permitted", asked, permitted)
	}
}

// asked is one question.
type asked struct {
	who    access.Principal
	action access.Action
	of     Resource
	c      Case
}

// questions yields every combination of role, action, kind, second factor,
// place, grant, requester and scope that the policy can tell apart.
func questions() func(func(asked) bool) {
	return func(yield func(asked) bool) {
		for _, role := range access.Roles {
			for _, kind := range []access.Kind{access.Person, access.Service, access.Setup} {
				for i := range 64 {
					who := access.Principal{ID: "p-1", Role: role, Kind: kind, MFA: i&1 != 0}
					if role.Side() == access.CustomerSide {
						who.Tenant = "t-1"
					}
					if i&2 != 0 {
						who.Scope = []access.Action{}
					}
					c := Case{Granted: i&4 != 0}
					if i&8 != 0 {
						c.Requester = "p-1"
					}
					of := Resource{}
					if i&16 != 0 {
						of.Tenant = "t-1"
					}
					if of.Own = i&32 != 0; of.Own && of.Tenant == "" {
						of = Resource{Tenant: "t-2"}
					}
					for _, a := range access.Actions {
						if !yield(asked{who, a, of, c}) {
							return
						}
					}
				}
			}
		}
	}
}

func drawn(t *rapid.T) asked {
	ids := rapid.SampledFrom([]string{"p-1", "p-2", "", "provider", "t-1"})
	tenants := rapid.SampledFrom([]string{"", "t-1", "t-2", "provider"})
	q := asked{
		who: access.Principal{
			ID: ids.Draw(t, "id"), Role: rapid.SampledFrom(append(slices.Clone(access.Roles), "", "system", "provider-", "provider-root")).Draw(t, "role"),
			Tenant: tenants.Draw(t, "of"), Kind: rapid.SampledFrom([]access.Kind{access.Person, access.Service, access.Setup, "", "agent"}).Draw(t, "kind"),
			MFA: rapid.Bool().Draw(t, "mfa"),
		},
		action: rapid.OneOf(rapid.SampledFrom(access.Actions), rapid.Custom(func(t *rapid.T) access.Action {
			return access.Action(rapid.String().Draw(t, "word"))
		})).Draw(t, "action"),
		of: Resource{Tenant: tenants.Draw(t, "tenant"), Own: rapid.Bool().Draw(t, "own")},
		c:  Case{Granted: rapid.Bool().Draw(t, "granted"), Requester: ids.Draw(t, "requester")},
	}
	if rapid.Bool().Draw(t, "narrowed") {
		q.who.Scope = rapid.SliceOf(rapid.SampledFrom(access.Actions)).Draw(t, "scope")
		if q.who.Scope == nil {
			q.who.Scope = []access.Action{}
		}
	}
	return q
}

// TestIndexDecidesAsTheWholeSetWhateverIsAsked is the same for odd questions.
func TestIndexDecidesAsTheWholeSetWhateverIsAsked(t *testing.T) {
	p := policy(t)
	rapid.Check(t, func(t *rapid.T) {
		p.Settle(rapid.Bool().Draw(t, "settled"))
		q := drawn(t)
		want, _ := p.whole(q.who, q.action, q.of, q.c)
		if !slices.Contains(access.Actions, q.action) || !q.who.Role.Known() {
			want = false // the policy says nothing of it, whatever Cedar would
		}
		if got := p.Permits(q.who, q.action, q.of, q.c); got != want {
			t.Fatalf("%+v: %t, by the whole set %t", q, got, want)
		}
	})
}

// grants is an index of grants in force, as the grant part keeps one.
type grants struct {
	mu  sync.RWMutex
	all map[[2]string]struct{}
}

func (g *grants) Granted(principal, tenant string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, ok := g.all[[2]string{principal, tenant}]
	return ok
}

// BenchmarkDecision takes whole decisions, with the look-up among 10,000 grants
// in force, and reports the time that 99 of 100 stay below.
func BenchmarkDecision(b *testing.B) {
	p := policy(b)
	g := &grants{all: map[[2]string]struct{}{}}
	const n = 10_000
	people, tenants := make([]string, n), make([]string, n)
	for i := range n {
		people[i], tenants[i] = "p-"+strconv.Itoa(i), "t-"+strconv.Itoa(i%500)
		g.all[[2]string{people[i], tenants[i]}] = struct{}{}
	}
	took := make([]time.Duration, 0, 1<<20)
	i := 0
	for b.Loop() {
		who := access.Principal{ID: people[i%n], Role: access.ProviderSupport, MFA: true}
		tenant, action := tenants[i%n], access.UseAccess
		if i%4 == 0 {
			who, action = access.Principal{ID: people[i%n], Role: access.CustomerOwner, Tenant: tenant}, access.DecideAccess
		}
		i++
		began := time.Now()
		ok := p.Permits(who, action, Resource{Tenant: tenant}, Case{Granted: g.Granted(who.ID, tenant), Requester: "p-somebody"})
		if d := time.Since(began); len(took) < cap(took) {
			took = append(took, d)
		}
		if !ok {
			b.Fatal("refused")
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
}
