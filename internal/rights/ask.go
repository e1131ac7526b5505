package rights

import (
	"slices"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
)

// permits is authz.Policy.Permits.
type permits func(who access.Principal, a access.Action, r authz.Resource, c authz.Case) bool

// possible is what the policy lets happen.
type possible struct {
	// needsFactor are the roles that may do nothing without a second factor, and
	// withoutFactor those of the provider that may do something without one.
	needsFactor, withoutFactor []access.Role
	guestLogin                 bool
	vmChange                   bool
}

// changesVM are the actions by which a VM, or what runs on it, is changed.
var changesVM = []access.Action{access.ManageEstate, access.SetPolicy, access.Subscribe}

// guestLogin are names that an action for logging in to a guest would have. What
// grants can hold is asked about besides.
var guestLogin = []access.Action{
	"guest-login", "login-guest", "log-in-to-guest", "use-guest", "open-guest", "guest", "guest-shell", "guest-console", "reset-guest-password", "guest-credentials",
}

// ask puts every question to the policy.
func ask(p permits, abilities []string) possible {
	var out possible
	login := slices.Clone(guestLogin)
	for _, a := range abilities {
		login = append(login, access.Action(a), access.Action("guest-"+a), access.Action(a+"-guest"))
	}
	login = slices.DeleteFunc(login, func(a access.Action) bool { return slices.Contains(access.Actions, a) })
	for _, role := range access.Roles {
		provider := role.Side() == access.ProviderSide
		may, mayBare := false, false
		for q := range situations(role) {
			for _, a := range access.Actions {
				if !p(q.who, a, q.of, q.c) {
					continue
				}
				may = true
				// The first start's credential is no role: see Unfinished.
				mayBare = mayBare || !q.who.MFA && q.who.Kind != access.Setup
				out.vmChange = out.vmChange || provider && q.of.Tenant != "" && !q.of.Own && slices.Contains(changesVM, a)
			}
			for _, a := range login {
				out.guestLogin = out.guestLogin || provider && p(q.who, a, q.of, q.c)
			}
		}
		switch {
		case may && !mayBare:
			out.needsFactor = append(out.needsFactor, role)
		case mayBare && provider:
			out.withoutFactor = append(out.withoutFactor, role)
		}
	}
	// An action of the product that meant a guest would be one too.
	out.guestLogin = out.guestLogin || slices.ContainsFunc(access.Actions, func(a access.Action) bool { return slices.Contains(guestLogin, a) })
	return out
}

// situation is who asks about what, in which case.
type situation struct {
	who access.Principal
	of  authz.Resource
	c   authz.Case
}

// situations yields all that can matter to a decision about the role but the
// action: the kind of principal, the second factor, the place, a grant.
func situations(role access.Role) func(func(situation) bool) {
	return func(yield func(situation) bool) {
		for _, kind := range []access.Kind{access.Person, access.Service, access.Setup} {
			for _, of := range []authz.Resource{authz.Provider, {Tenant: "t-customer"}, {Tenant: "t-own", Own: true}} {
				for i := range 4 {
					who := access.Principal{ID: "p-somebody", Role: role, Kind: kind, MFA: i&1 != 0}
					if role.Side() == access.CustomerSide {
						who.Tenant = "t-customer"
					}
					if !yield(situation{who, of, authz.Case{Granted: i&2 != 0, Requester: "p-else"}}) {
						return
					}
				}
			}
		}
	}
}
