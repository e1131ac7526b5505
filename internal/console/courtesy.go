package console

import (
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

// What a page offers to whom is a courtesy: nobody should be shown a form that
// the API will refuse. The API decides; a test compares this with its policy.

// about is what an action concerns.
type about int

const (
	aTenant     about = iota // a customer's tenant
	anOwn                    // a tenant of the provider's own hosts
	theProvider              // the provider itself
)

// The actions of each role, besides looking.
var (
	tenantOffers = map[string][]string{
		"customer-owner": {
			"manage-people", "manage-keys", "manage-estate", "revoke-agents", "manage-contacts", "read-contacts", "subscribe", "attest", "waive",
			"set-policy", "sign-decision", "decide-access", "revoke-access", "watch-recording", "review", "schedule-reviews", "handle-incidents", "close-incidents",
		},
		"customer-administrator": {
			"manage-estate", "revoke-agents", "manage-contacts", "read-contacts", "subscribe", "attest", "set-policy", "sign-decision",
			"revoke-access", "watch-recording", "review", "handle-incidents", "close-incidents",
		},
		"customer-approver": {
			"read-contacts", "waive", "sign-decision", "decide-access", "revoke-access", "watch-recording", "review", "handle-incidents",
			"close-incidents",
		},
		"customer-viewer":  {"read-contacts"},
		"customer-auditor": {"read-contacts", "watch-recording"},
		"provider-administrator": {
			"manage-tenants", "invite-owner", "manage-catalogue", "verify-ledger", "revoke-agents", "manage-contacts", "read-contacts", "attest",
			"request-access", "break-glass", "revoke-access", "watch-recording", "handle-incidents",
		},
		"provider-operator": {"manage-tenants", "invite-owner", "request-access", "manage-targets"},
		"provider-support":  {"read-contacts", "manage-contacts", "request-access"},
		"provider-security": {
			"request-access", "break-glass", "revoke-access", "revoke-agents", "watch-recording", "verify-ledger", "handle-incidents",
		},
		"provider-compliance": {"manage-catalogue", "attest", "verify-ledger", "read-contacts", "watch-recording"},
		"provider-auditor":    {"verify-ledger", "watch-recording"},
	}
	// In tenants of its own hosts the provider's administrator is the customer.
	ownOffers = map[string][]string{
		"provider-administrator": {
			"manage-people", "manage-keys", "manage-estate", "subscribe", "waive", "set-policy", "sign-decision", "decide-access", "review",
			"schedule-reviews", "close-incidents",
		},
		"provider-security": {"review"},
	}
	providerOffers = map[string][]string{
		"provider-administrator": {"manage-people", "manage-keys", "manage-targets", "waive", "sign-decision", "review", "schedule-reviews", "close-incidents", "rotate-ledger-key"},
		"provider-security":      {"review"},
		"provider-compliance":    {"waive", "review"},
	}
)

// actionsOf lists what a role may do somewhere.
func actionsOf(role string) []string {
	out := slices.Concat(tenantOffers[role], ownOffers[role], providerOffers[role])
	if strings.HasPrefix(role, "provider-") {
		out = append(out, "use-access") // with a grant
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// offers reports whether a page shows the form of an action to a principal.
func offers(me api.Principal, action string, on about) bool {
	if slices.Contains(tenantOffers[me.Role], action) {
		return true
	}
	switch on {
	case anOwn:
		return slices.Contains(ownOffers[me.Role], action)
	case theProvider:
		return slices.Contains(providerOffers[me.Role], action)
	}
	return false
}

// may is offers about a tenant.
func (v *visit) may(action string, t api.Tenant) bool {
	if t.Own {
		return offers(v.me, action, anOwn)
	}
	return offers(v.me, action, aTenant)
}

// mayAtHome is offers about the provider itself.
func (v *visit) mayAtHome(action string) bool { return offers(v.me, action, theProvider) }
