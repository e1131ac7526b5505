package authz

import (
	"testing"

	"github.com/demarc/demarc/internal/access"
)

func policy(t testing.TB) *Policy {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRules(t *testing.T) {
	p := policy(t)
	owner := access.Principal{ID: "p-1", Role: access.CustomerOwner, Tenant: "t-1"}
	admin := access.Principal{ID: "p-2", Role: access.ProviderAdministrator, MFA: true}
	own, foreign, home := Resource{Tenant: "t-1"}, Resource{Tenant: "t-2"}, Resource{Tenant: "t-3", Own: true}
	for _, c := range []struct {
		what string
		who  access.Principal
		a    access.Action
		r    Resource
		c    Case
		want bool
	}{
		{"own tenant", owner, access.Look, own, Case{}, true},
		{"foreign tenant", owner, access.Look, foreign, Case{}, false},
		{"the provider's", owner, access.Look, Provider, Case{}, false},
		{"provider looks", admin, access.Look, own, Case{}, true},
		{"provider changes a customer's VM", admin, access.ManageEstate, own, Case{}, false},
		{"provider changes its own VM", admin, access.ManageEstate, home, Case{}, true},
		{"use without a grant", admin, access.UseAccess, own, Case{}, false},
		{"use with a grant", admin, access.UseAccess, own, Case{Granted: true}, true},
		{"own request", owner, access.DecideAccess, own, Case{Requester: "p-1"}, false},
		{"another's request", owner, access.DecideAccess, own, Case{Requester: "p-2"}, true},
		{"an action that does not exist", admin, "guest-login", own, Case{Granted: true}, false},
	} {
		if got, why := p.Explain(c.who, c.a, c.r, c.c); got != c.want {
			t.Errorf("%s: %t by %v, want %t", c.what, got, why, c.want)
		}
	}
	admin.MFA = false
	if ok, why := p.Explain(admin, access.Look, own, Case{}); ok || len(why) != 1 || why[0] != "second-factor" {
		t.Errorf("without a second factor: %t by %v", ok, why)
	}
}

func BenchmarkPermits(b *testing.B) {
	p := policy(b)
	who := access.Principal{ID: "p-1", Role: access.ProviderSupport, MFA: true}
	for b.Loop() {
		if !p.Permits(who, access.UseAccess, Resource{Tenant: "t-1"}, Case{Granted: true}) {
			b.Fatal("refused")
		}
	}
}
