package console

import (
	"slices"
	"testing"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
)

// TestCourtesyFollowsThePolicy compares what pages offer with what the policy
// permits: a form that is always refused, or one that is missing, is a fault.
func TestCourtesyFollowsThePolicy(t *testing.T) {
	policy, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []map[string][]string{tenantOffers, ownOffers, providerOffers} {
		for role, actions := range table {
			if !access.Role(role).Known() {
				t.Errorf("%s is no role", role)
			}
			for _, a := range actions {
				if !slices.Contains(access.Actions, access.Action(a)) {
					t.Errorf("%s is no action", a)
				}
			}
		}
	}
	resources := map[about]authz.Resource{aTenant: {Tenant: "t-1"}, anOwn: {Tenant: "t-1", Own: true}, theProvider: authz.Provider}
	for _, role := range access.Roles {
		who := access.Principal{ID: "p-1", Role: role, MFA: true}
		if !who.OfProvider() {
			who.Tenant = "t-1"
		}
		for _, a := range access.Actions {
			if a == access.Look || a == access.UseAccess {
				continue // everybody looks, and access is used with a grant
			}
			for on, r := range resources {
				if !who.OfProvider() && on == theProvider {
					continue // customers have no page of the provider's
				}
				want := policy.Permits(who, a, r, authz.Case{})
				if got := offers(api.Principal{Role: string(role)}, string(a), on); got != want {
					t.Errorf("%s, %s about %d: offered %v, permitted %v", role, a, on, got, want)
				}
			}
		}
	}
}
