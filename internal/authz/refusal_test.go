package authz

import (
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/access"
)

// TestRefusal: whoever is refused learns why, and who may instead.
func TestRefusal(t *testing.T) {
	p := policy(t)
	p.Settle(true)
	customer, home := Resource{Tenant: "t-1"}, Resource{Tenant: "t-9", Own: true}
	support := access.Principal{ID: "p-1", Role: access.ProviderSupport, MFA: true}
	admin := access.Principal{ID: "p-2", Role: access.ProviderAdministrator, MFA: true}
	owner := access.Principal{ID: "p-3", Role: access.CustomerOwner, Tenant: "t-1"}
	without, narrow, service, setup := admin, admin, owner, admin
	without.MFA, narrow.Scope, service.Kind, setup.Kind = false, []access.Action{}, access.Service, access.Setup
	for _, c := range []struct {
		what  string
		who   access.Principal
		a     access.Action
		of    Resource
		c     Case
		says  string
		hides string
	}{
		{"another role of the side", support, access.ManageCatalogue, Provider, Case{}, "your role provider-support may not do this (manage-catalogue); provider-compliance, provider-administrator may", "customer"},
		{"the customer's matter", admin, access.ManageEstate, customer, Case{}, "; customer-owner, customer-administrator may", "provider-operator"},
		{"the provider's own", support, access.ManageEstate, home, Case{}, "provider-administrator", ""},
		{"no grant", support, access.UseAccess, customer, Case{}, "without a grant", ""},
		{"no second factor", without, access.ManageTenants, Provider, Case{}, "second factor", "may not"},
		{"narrowed", narrow, access.ManageTenants, Provider, Case{}, "narrowed", ""},
		{"a service", service, access.DecideAccess, customer, Case{}, "for people", ""},
		{"set-up", setup, access.ManageTenants, Provider, Case{}, "setting up", ""},
		{"one's own request", owner, access.DecideAccess, customer, Case{Requester: "p-3"}, "own request", ""},
		{"no such action", admin, "guest-login", customer, Case{Granted: true}, "nobody may", ""},
	} {
		got := p.Refusal(c.who, c.a, c.of, c.c)
		if !strings.Contains(got, c.says) || c.hides != "" && strings.Contains(got, c.hides) || strings.Contains(got, "t-1") || strings.Contains(got, "t-9") {
			t.Errorf("%s: %s", c.what, got)
		}
		if ok, _ := p.Explain(c.who, c.a, c.of, c.c); ok {
			t.Errorf("%s is permitted", c.what)
		}
	}
	for id := range reasons {
		if !strings.Contains(Text(), `@id("`+id+`")`) {
			t.Errorf("the policy has no rule %s", id)
		}
	}
}
