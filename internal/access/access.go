// Package access says who acts and what there is to do: principals, their
// roles, and the actions that the authorization policy decides about.
package access

import (
	"slices"
	"strings"
	"time"
)

// Side is the party that a role belongs to.
type Side string

const (
	ProviderSide Side = "provider"
	CustomerSide Side = "customer"
)

// Role is what a principal may be.
type Role string

const (
	// ProviderOperator runs platform and tenants.
	ProviderOperator Role = "provider-operator"
	// ProviderSupport works on customers' tickets.
	ProviderSupport Role = "provider-support"
	// ProviderSecurity watches, answers incidents and revokes.
	ProviderSecurity Role = "provider-security"
	// ProviderCompliance keeps the contract and states that duties are met.
	ProviderCompliance Role = "provider-compliance"
	// ProviderAdministrator runs the product and decides who works with it.
	ProviderAdministrator Role = "provider-administrator"
	// ProviderAuditor reads everything of the provider's side.
	ProviderAuditor Role = "provider-auditor"

	// CustomerOwner answers for the tenant: people, keys, and all below.
	CustomerOwner Role = "customer-owner"
	// CustomerAdministrator runs the tenant's VMs and services.
	CustomerAdministrator Role = "customer-administrator"
	// CustomerApprover decides about the provider's access and about risks.
	CustomerApprover Role = "customer-approver"
	// CustomerViewer reads the tenant's side.
	CustomerViewer Role = "customer-viewer"
	// CustomerAuditor reads it too, and the recordings of sessions.
	CustomerAuditor Role = "customer-auditor"
)

// Roles lists every role.
var Roles = []Role{
	ProviderOperator, ProviderSupport, ProviderSecurity, ProviderCompliance, ProviderAdministrator, ProviderAuditor,
	CustomerOwner, CustomerAdministrator, CustomerApprover, CustomerViewer, CustomerAuditor,
}

// Known reports whether r is a role.
func (r Role) Known() bool { return slices.Contains(Roles, r) }

// Side returns the party that the role belongs to; empty for what is no role of
// people, such as the system.
func (r Role) Side() Side {
	switch {
	case strings.HasPrefix(string(r), "provider-"):
		return ProviderSide
	case strings.HasPrefix(string(r), "customer-"):
		return CustomerSide
	}
	return ""
}

// Kind says what stands behind a principal.
type Kind string

const (
	// Person signs in; tokens and sessions of a person act as the person.
	Person Kind = "person"
	// Service is a program with a token of its own.
	Service Kind = "service"
	// Setup is the first start's credential. Once the provider has an
	// administrator with a second factor, it can do little more than look.
	Setup Kind = "setup"
)

// Principal is who acts.
type Principal struct {
	ID   string
	Name string
	Role Role
	// Tenant is the one that a customer's principal belongs to; empty for the provider's.
	Tenant string
	// Kind is Person where it is empty.
	Kind Kind
	// MFA tells that a second factor was shown: by the person for this session,
	// or by whoever made the token, for the session that made it.
	MFA bool
	// Scope narrows a token to these actions; nil is all that the role may do.
	Scope []Action
	// Authenticated is when the person last proved who it is.
	Authenticated time.Time
	// Session identifies the session that acts; empty for tokens.
	Session string
}

// OfProvider reports whether the principal acts for the provider.
func (p Principal) OfProvider() bool { return p.Role.Side() == ProviderSide }

// Actor is how the ledger names the principal.
func (p Principal) Actor() string { return string(p.Role) + "/" + p.ID }
