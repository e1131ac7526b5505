// Package access says who acts: principals and their roles. What a role may do
// is decided in one place, Permits.
package access

// Role is what a principal may be.
type Role string

const (
	// ProviderAdministrator runs the product for the provider.
	ProviderAdministrator Role = "provider-administrator"
	// ProviderAuditor reads everything of the provider's side.
	ProviderAuditor Role = "provider-auditor"
	// CustomerAdministrator runs a tenant's side.
	CustomerAdministrator Role = "customer-administrator"
	// CustomerViewer reads a tenant's side.
	CustomerViewer Role = "customer-viewer"
)

// Roles lists every role.
var Roles = []Role{ProviderAdministrator, ProviderAuditor, CustomerAdministrator, CustomerViewer}

// Principal is who acts.
type Principal struct {
	ID   string
	Name string
	Role Role
	// Tenant is the one that a customer's principal belongs to; empty for the provider's.
	Tenant string
}

// OfProvider reports whether the principal acts for the provider.
func (p Principal) OfProvider() bool {
	return p.Role == ProviderAdministrator || p.Role == ProviderAuditor
}

// Actor is how the ledger names the principal.
func (p Principal) Actor() string { return string(p.Role) + "/" + p.ID }

// Action is what somebody wants to do.
type Action string

const (
	Read  Action = "read"
	Write Action = "write"
)

// Permits decides whether p may do a on something of the tenant; an empty
// tenant means something of the provider's own.
func Permits(p Principal, a Action, tenant string) bool {
	switch p.Role {
	case ProviderAdministrator:
		return true
	case ProviderAuditor:
		return a == Read
	case CustomerAdministrator:
		return tenant != "" && tenant == p.Tenant
	case CustomerViewer:
		return a == Read && tenant != "" && tenant == p.Tenant
	}
	return false
}
