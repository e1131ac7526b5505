package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Activity is an act of the provider in a customer's environment, in words.
type Activity struct {
	Index   int64     `json:"index" doc:"of the ledger's entry"`
	Time    time.Time `json:"time"`
	Tenant  string    `json:"tenant"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Words   string    `json:"words" doc:"the act as a sentence"`
	Proof   string    `json:"proof" doc:"path of the bundle that proves the tenant's entries offline"`
}

// Activity lists what the provider did in a tenant, newest first; since is an
// RFC 3339 time or empty.
func (c *Client) Activity(ctx context.Context, tenant, since string) iter.Seq2[Activity, error] {
	return list[Activity](ctx, c, params("since", since), "v1", "tenants", tenant, "activity")
}

// Incident is something that must not have happened, until the customer closes it.
type Incident struct {
	ID       string            `json:"id"`
	Tenant   string            `json:"tenant"`
	Kind     string            `json:"kind" enum:"guest-login"`
	VM       string            `json:"vm"`
	VMName   string            `json:"vm_name"`
	State    string            `json:"state" enum:"open,closed"`
	At       time.Time         `json:"at"`
	OpenedAt time.Time         `json:"opened_at" doc:"when it opened"`
	Words    string            `json:"words" doc:"what happened"`
	Evidence map[string]string `json:"evidence" doc:"digests of the login and of the fact that shows it"`
	ClosedAt *time.Time        `json:"closed_at,omitempty" doc:"when it was closed"`
	ClosedBy string            `json:"closed_by,omitempty" doc:"who closed it: ROLE/ID"`
	Note     string            `json:"note,omitempty" doc:"what was found out"`
}

// CloseIncident closes an incident.
type CloseIncident struct {
	Note string `json:"note" doc:"what was found out" minLength:"3" maxLength:"4000"`
}

// Incidents lists a tenant's incidents, newest first.
func (c *Client) Incidents(ctx context.Context, tenant string) iter.Seq2[Incident, error] {
	return list[Incident](ctx, c, nil, "v1", "tenants", tenant, "incidents")
}

// CloseIncident closes an incident of a tenant; note says what was found out.
func (c *Client) CloseIncident(ctx context.Context, tenant, id, note string) (Incident, error) {
	return post[Incident](ctx, c, CloseIncident{Note: note}, "v1", "tenants", tenant, "incidents", id, "close")
}

// ProviderIdentity is a name, key or network of the provider's people that must
// not be seen in a customer's guest.
type ProviderIdentity struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind" enum:"account,fingerprint,address"`
	Value   string     `json:"value" doc:"name of an account, fingerprint of an SSH key, or network"`
	Holder  string     `json:"holder,omitempty" doc:"principal that it belongs to; missing if it belongs to no one person"`
	AddedAt time.Time  `json:"added_at" doc:"when it was registered"`
	AddedBy string     `json:"added_by" doc:"who registered it: ROLE/ID"`
	Until   *time.Time `json:"until,omitempty"`
}

// NewProviderIdentity registers an identity.
type NewProviderIdentity struct {
	Kind   string `json:"kind" enum:"account,fingerprint,address"`
	Value  string `json:"value" doc:"name of an account, SHA256:… of an SSH key, or a network such as 192.0.2.0/24" maxLength:"100"`
	Holder string `json:"holder,omitempty" doc:"id of the provider's principal that it belongs to" maxLength:"100"`
}

// ProviderIdentities lists the identities of the provider's people.
func (c *Client) ProviderIdentities(ctx context.Context) iter.Seq2[ProviderIdentity, error] {
	return list[ProviderIdentity](ctx, c, nil, "v1", "provider", "identities")
}

// CreateProviderIdentity registers an identity.
func (c *Client) CreateProviderIdentity(ctx context.Context, in NewProviderIdentity) (ProviderIdentity, error) {
	return post[ProviderIdentity](ctx, c, in, "v1", "provider", "identities")
}

// RemoveProviderIdentity takes an identity off the register.
func (c *Client) RemoveProviderIdentity(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodPost, segments: within("", "identities", id, "remove")}, nil)
}

// Privileges are the rights that are not used, or wider than what is used.
type Privileges struct {
	UnusedDays int               `json:"unused_days" doc:"how long something may rest before it counts as unused"`
	Unused     []UnusedPrivilege `json:"unused"`
	Wide       []WideRole        `json:"wide" doc:"roles that are wider than what is used of them"`
}

// UnusedPrivilege is somebody, or an account on a VM, that has rights and does
// not use them.
type UnusedPrivilege struct {
	Who   string     `json:"who" doc:"ROLE/ID, or an account on a VM as ACCOUNT on VM"`
	Name  string     `json:"name,omitempty"`
	Why   string     `json:"why"`
	Since *time.Time `json:"since,omitempty" doc:"last use; missing if there was none"`
}

// WideRole is a role of which a narrower one would do.
type WideRole struct {
	Who      string   `json:"who" doc:"ROLE/ID"`
	Name     string   `json:"name,omitempty"`
	Role     string   `json:"role"`
	Suffices string   `json:"suffices" doc:"the narrower role that permits all that was done"`
	Unused   []string `json:"unused" doc:"what the role may do and nobody did with it"`
}

// Privileges reports unused rights of a tenant; the provider's if tenant is empty.
func (c *Client) Privileges(ctx context.Context, tenant string) (Privileges, error) {
	return get[Privileges](ctx, c, nil, within(tenant, "privileges")...)
}
