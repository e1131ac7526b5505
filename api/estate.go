package api

import (
	"context"
	"iter"
	"net/http"
)

// A tenant, VDC or VM is named to these methods by id or by name.

// Whoami says as whom the server sees the caller.
func (c *Client) Whoami(ctx context.Context) (Principal, error) {
	return get[Principal](ctx, c, nil, "v1", "whoami")
}

// WhoamiIn is Whoami with what the caller may do in a tenant.
func (c *Client) WhoamiIn(ctx context.Context, tenant string) (Principal, error) {
	return get[Principal](ctx, c, params("tenant", tenant), "v1", "whoami")
}

// Tenants lists the tenants that the caller may see.
func (c *Client) Tenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return list[Tenant](ctx, c, nil, "v1", "tenants")
}

// Tenant reads a tenant.
func (c *Client) Tenant(ctx context.Context, tenant string) (Tenant, error) {
	return get[Tenant](ctx, c, nil, "v1", "tenants", tenant)
}

// CreateTenant makes a tenant.
func (c *Client) CreateTenant(ctx context.Context, in NewTenant) (Tenant, error) {
	return post[Tenant](ctx, c, in, "v1", "tenants")
}

// ChangeTenant changes the given version of a tenant; a Problem of status 412
// says that it was changed since.
func (c *Client) ChangeTenant(ctx context.Context, tenant string, version int64, in NewTenant) (Tenant, error) {
	return patch[Tenant](ctx, c, version, in, "v1", "tenants", tenant)
}

// VDCs lists the VDCs of a tenant.
func (c *Client) VDCs(ctx context.Context, tenant string) iter.Seq2[VDC, error] {
	return list[VDC](ctx, c, nil, "v1", "tenants", tenant, "vdcs")
}

// CreateVDC makes a VDC.
func (c *Client) CreateVDC(ctx context.Context, tenant string, in NewVDC) (VDC, error) {
	return post[VDC](ctx, c, in, "v1", "tenants", tenant, "vdcs")
}

// VMs lists the VMs of a tenant.
func (c *Client) VMs(ctx context.Context, tenant string) iter.Seq2[VM, error] {
	return list[VM](ctx, c, nil, "v1", "tenants", tenant, "vms")
}

// VM reads a VM.
func (c *Client) VM(ctx context.Context, tenant, vm string) (VM, error) {
	return get[VM](ctx, c, nil, "v1", "tenants", tenant, "vms", vm)
}

// CreateVM registers a VM that runs already.
func (c *Client) CreateVM(ctx context.Context, tenant string, in NewVM) (VM, error) {
	return post[VM](ctx, c, in, "v1", "tenants", tenant, "vms")
}

// ChangeVM changes the given version of a VM, as ChangeTenant does.
func (c *Client) ChangeVM(ctx context.Context, tenant, vm string, version int64, in ChangeVM) (VM, error) {
	return patch[VM](ctx, c, version, in, "v1", "tenants", tenant, "vms", vm)
}

// Facts lists the latest facts about a VM with their data.
func (c *Client) Facts(ctx context.Context, tenant, vm string) iter.Seq2[Fact, error] {
	return list[Fact](ctx, c, nil, "v1", "tenants", tenant, "vms", vm, "facts")
}

// Fact reads the latest fact of a kind about a VM.
func (c *Client) Fact(ctx context.Context, tenant, vm, kind string) (Fact, error) {
	return get[Fact](ctx, c, nil, "v1", "tenants", tenant, "vms", vm, "facts", kind)
}

// Refresh asks the agents of a VM to look now; it does not wait for them.
func (c *Client) Refresh(ctx context.Context, tenant, vm string) error {
	return c.do(ctx, call{method: http.MethodPost, segments: []string{"v1", "tenants", tenant, "vms", vm, "refresh"}}, nil)
}

// Contacts lists the contacts of a tenant.
func (c *Client) Contacts(ctx context.Context, tenant string) iter.Seq2[Contact, error] {
	return list[Contact](ctx, c, nil, "v1", "tenants", tenant, "contacts")
}

// Contact reads a contact.
func (c *Client) Contact(ctx context.Context, tenant, contact string) (Contact, error) {
	return get[Contact](ctx, c, nil, "v1", "tenants", tenant, "contacts", contact)
}

// CreateContact makes a contact.
func (c *Client) CreateContact(ctx context.Context, tenant string, in NewContact) (Contact, error) {
	return post[Contact](ctx, c, in, "v1", "tenants", tenant, "contacts")
}

// ReplaceContact replaces the given version of a contact, as ChangeTenant does.
func (c *Client) ReplaceContact(ctx context.Context, tenant, contact string, version int64, in NewContact) (Contact, error) {
	var out Contact
	err := c.do(ctx, call{
		method: http.MethodPut, segments: []string{"v1", "tenants", tenant, "contacts", contact},
		body: in, version: version,
	}, &out)
	return out, err
}

// DeleteContact forgets a contact.
func (c *Client) DeleteContact(ctx context.Context, tenant, contact string) error {
	return c.do(ctx, call{method: http.MethodDelete, segments: []string{"v1", "tenants", tenant, "contacts", contact}}, nil)
}

// VerifyContact records that the contact was reached.
func (c *Client) VerifyContact(ctx context.Context, tenant, contact string) (Contact, error) {
	return post[Contact](ctx, c, nil, "v1", "tenants", tenant, "contacts", contact, "verify")
}

// Agents lists the agents of a tenant, revoked ones too.
func (c *Client) Agents(ctx context.Context, tenant string) iter.Seq2[Agent, error] {
	return list[Agent](ctx, c, nil, "v1", "tenants", tenant, "agents")
}

// RevokeAgent ends the identity of an agent for good.
func (c *Client) RevokeAgent(ctx context.Context, tenant, agent string) (Agent, error) {
	return post[Agent](ctx, c, nil, "v1", "tenants", tenant, "agents", agent, "revoke")
}

// EnrolmentTokens lists the enrolment tokens of a tenant without their secrets.
func (c *Client) EnrolmentTokens(ctx context.Context, tenant string) iter.Seq2[EnrolmentToken, error] {
	return list[EnrolmentToken](ctx, c, nil, "v1", "tenants", tenant, "enrolment-tokens")
}

// CreateEnrolmentToken makes a token that enrols one machine.
func (c *Client) CreateEnrolmentToken(ctx context.Context, tenant string, in NewEnrolmentToken) (EnrolmentToken, error) {
	return post[EnrolmentToken](ctx, c, in, "v1", "tenants", tenant, "enrolment-tokens")
}

func patch[T any](ctx context.Context, c *Client, version int64, in any, segments ...string) (T, error) {
	var out T
	err := c.do(ctx, call{method: http.MethodPatch, segments: segments, body: in, version: version}, &out)
	return out, err
}
