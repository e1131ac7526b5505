package httpapi_test

import (
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/access"
)

// place is where an action happens: in a tenant, which may be one of the
// provider's own hosts; the zero value is the provider itself.
type place struct {
	tenant string
	own    bool
}

// mayDo is what a role may do, written by hand and not taken from the policy:
// a change of either must be made twice.
type mayDo struct {
	// everywhere: a customer's role in its own tenant, a provider's role
	// anywhere. provider: besides, about the provider itself. home: besides, in
	// tenants of the provider's own hosts.
	everywhere, provider, home string
}

var roleRights = map[access.Role]mayDo{
	access.CustomerOwner: {everywhere: `look read-contacts manage-people manage-keys manage-estate revoke-agents manage-contacts subscribe attest waive
		set-policy sign-decision decide-access revoke-access watch-recording review schedule-reviews close-incidents handle-incidents`},
	access.CustomerAdministrator: {everywhere: `look read-contacts manage-estate revoke-agents manage-contacts subscribe attest set-policy sign-decision
		revoke-access watch-recording review close-incidents handle-incidents`},
	access.CustomerApprover: {everywhere: "look read-contacts waive sign-decision decide-access revoke-access watch-recording review close-incidents handle-incidents"},
	access.CustomerViewer:   {everywhere: "look read-contacts"},
	access.CustomerAuditor:  {everywhere: "look read-contacts watch-recording"},

	access.ProviderAdministrator: {
		everywhere: `look manage-tenants invite-owner manage-catalogue verify-ledger revoke-agents manage-contacts read-contacts attest request-access
			break-glass revoke-access watch-recording handle-incidents`,
		provider: "manage-people manage-keys manage-targets waive sign-decision review schedule-reviews close-incidents rotate-ledger-key",
		home:     "manage-people manage-keys manage-estate subscribe waive set-policy sign-decision decide-access review schedule-reviews close-incidents",
	},
	access.ProviderOperator: {everywhere: "look manage-tenants invite-owner request-access manage-targets"},
	access.ProviderSupport:  {everywhere: "look read-contacts manage-contacts request-access"},
	access.ProviderSecurity: {
		everywhere: "look request-access break-glass revoke-access revoke-agents watch-recording verify-ledger handle-incidents",
		provider:   "review",
		home:       "review",
	},
	access.ProviderCompliance: {
		everywhere: "look manage-catalogue attest verify-ledger read-contacts watch-recording",
		provider:   "waive review",
	},
	access.ProviderAuditor: {everywhere: "look verify-ledger watch-recording"},
}

// personal are the actions that no service may do.
const personal = "request-access decide-access break-glass use-access manage-keys review"

// may says whether by may do the action there. settled: the provider has an
// administrator with a second factor. Nobody here holds a grant.
func may(by access.Principal, a access.Action, at place, settled bool) bool {
	has := func(list string) bool { return slices.Contains(strings.Fields(list), string(a)) }
	provider := by.Role.Side() == access.ProviderSide
	switch {
	case provider && !by.MFA && by.Kind != access.Setup:
		return false
	case by.Kind == access.Setup && settled && a != access.Look && !(a == access.ManageEstate && at.own):
		return false
	case by.Kind != access.Person && has(personal):
		return false
	case by.Scope != nil && a != access.Look && !slices.Contains(by.Scope, a):
		return false
	}
	r := roleRights[by.Role]
	switch {
	case !provider:
		return by.Tenant == at.tenant && has(r.everywhere)
	case has(r.everywhere):
		return true
	case at.tenant == "":
		return has(r.provider)
	}
	return at.own && has(r.home)
}
