package console

import (
	"slices"

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

var (
	ofOwner = []string{
		"manage-people", "manage-keys", "manage-estate", "subscribe", "attest", "waive", "sign-decision", "decide-access",
		"revoke-access", "watch-recording", "review", "handle-incidents",
	}
	tenantOffers = map[string][]string{
		"customer-owner": ofOwner,
		"customer-administrator": {
			"manage-estate", "subscribe", "attest", "sign-decision", "revoke-access", "watch-recording", "review", "handle-incidents",
		},
		"customer-approver": {
			"waive", "sign-decision", "decide-access", "revoke-access", "watch-recording", "review", "handle-incidents",
		},
		"customer-auditor":       {"watch-recording"},
		"provider-administrator": {"invite-owner", "attest", "request-access", "break-glass", "revoke-access", "watch-recording", "handle-incidents"},
		"provider-operator":      {"invite-owner", "request-access", "manage-targets"},
		"provider-support":       {"request-access"},
		"provider-security":      {"request-access", "break-glass", "revoke-access", "watch-recording", "review", "handle-incidents"},
		"provider-compliance":    {"attest", "watch-recording"},
		"provider-auditor":       {"watch-recording"},
	}
	ownOffers = map[string][]string{
		"provider-administrator": {"manage-people", "manage-keys", "manage-estate", "subscribe", "waive", "sign-decision", "decide-access", "review"},
	}
	providerOffers = map[string][]string{
		"provider-administrator": {"manage-people", "manage-targets", "waive", "review", "sign-decision", "manage-keys"},
		"provider-compliance":    {"waive", "review"},
	}
)

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
