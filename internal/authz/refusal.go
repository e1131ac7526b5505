package authz

import (
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/access"
)

// reasons are what the rules that forbid say to whoever they stop.
var reasons = map[string]string{
	"scope-of-the-token":   "your token is narrowed, and this is outside of its scope",
	"second-factor":        "the provider's people act with a second factor only: sign in with yours first",
	"set-up-is-over":       "the first start's credential is for setting up, and the provider has an administrator now: sign in as a person",
	"people-only":          "this is for people, not for services: sign in as a person",
	"not-ones-own-request": "nobody decides about their own request",
}

// Refusal says in a sentence why who may not do a on r, and which roles may. It
// tells nothing of r beyond what the question holds.
func (p *Policy) Refusal(who access.Principal, a access.Action, r Resource, c Case) string {
	_, rules := p.Explain(who, a, r, c)
	for _, id := range rules {
		if why, ok := reasons[id]; ok {
			return why
		}
	}
	said := "your role " + string(who.Role) + " may not do this (" + string(a) + ")"
	if a == access.UseAccess && who.OfProvider() {
		return said + " without a grant for the tenant that is in force now"
	}
	roles := p.Roles(a, r)
	switch {
	case len(roles) == 0:
		return said + "; nobody may"
	case slices.Contains(roles, who.Role):
		return said + " here"
	}
	words := make([]string, len(roles))
	for i, role := range roles {
		words[i] = string(role)
	}
	return said + "; " + strings.Join(words, ", ") + " may"
}

// Roles lists the roles whose people may do a on r, of r's own customer and of
// the provider, when nothing but the role stands in the way.
func (p *Policy) Roles(a access.Action, r Resource) (out []access.Role) {
	for _, role := range access.Roles {
		who := access.Principal{ID: "somebody", Role: role, Kind: access.Person, MFA: true}
		if !who.OfProvider() {
			who.Tenant = r.Tenant
		}
		if p.Permits(who, a, r, Case{Granted: true, Requester: "somebody else"}) {
			out = append(out, role)
		}
	}
	return out
}
