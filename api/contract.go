package api

import (
	"context"
	"io"
	"iter"
	"net/http"
)

// PostureFilter narrows a list of verdicts; an empty member admits all.
type PostureFilter struct {
	Tenant, VM, Control, Duty, Party, Verdict string
}

// Posture lists verdicts.
func (c *Client) Posture(ctx context.Context, f PostureFilter) iter.Seq2[Verdict, error] {
	return list[Verdict](ctx, c, params("tenant", f.Tenant, "vm", f.VM, "control", f.Control,
		"duty", f.Duty, "party", f.Party, "verdict", f.Verdict, "limit", "500"), "v1", "posture")
}

// Overview counts verdicts of a tenant, or of all if tenant is empty.
func (c *Client) Overview(ctx context.Context, tenant string) (Overview, error) {
	return get[Overview](ctx, c, params("tenant", tenant), "v1", "overview")
}

// Explain says everything about one duty of one subject: the VM or VDC named,
// else the tenant.
func (c *Client) Explain(ctx context.Context, duty, tenant, vdc, vm string) (Explanation, error) {
	return get[Explanation](ctx, c, params("duty", duty, "tenant", tenant, "vdc", vdc, "vm", vm), "v1", "explain")
}

// Matrix says who is responsible for what; at is an RFC 3339 time, or a
// date, whose end in UTC is meant; empty is now.
func (c *Client) Matrix(ctx context.Context, tenant, at string) (Matrix, error) {
	return get[Matrix](ctx, c, params("at", at), "v1", "tenants", tenant, "matrix")
}

// Duties lists the duties in force of a control, or all if control is empty.
func (c *Client) Duties(ctx context.Context, control string) iter.Seq2[Duty, error] {
	return list[Duty](ctx, c, params("control", control, "limit", "500"), "v1", "duties")
}

// Catalogues lists the versions of the contract.
func (c *Client) Catalogues(ctx context.Context) iter.Seq2[Catalogue, error] {
	return list[Catalogue](ctx, c, nil, "v1", "catalogues")
}

// CatalogueSource reads the source of a version.
func (c *Client) CatalogueSource(ctx context.Context, name, version string) (CatalogueSource, error) {
	return get[CatalogueSource](ctx, c, nil, "v1", "catalogues", name, version)
}

// LoadCatalogue puts a catalogue in force. A bad one is refused with a Problem
// of status 422 whose errors name file, line and column.
func (c *Client) LoadCatalogue(ctx context.Context, in CatalogueSource) (Catalogue, error) {
	return post[Catalogue](ctx, c, in, "v1", "catalogues")
}

// ValidateCatalogue is LoadCatalogue without the effect.
func (c *Client) ValidateCatalogue(ctx context.Context, in CatalogueSource) (Catalogue, error) {
	return post[Catalogue](ctx, c, in, "v1", "catalogues", "validate")
}

// ImportOSCAL makes a catalogue's source of an OSCAL component definition and
// does not load it.
func (c *Client) ImportOSCAL(ctx context.Context, in CatalogueSource) (CatalogueSource, error) {
	return post[CatalogueSource](ctx, c, in, "v1", "catalogues", "import-oscal")
}

// Services lists the managed services.
func (c *Client) Services(ctx context.Context) iter.Seq2[Service, error] {
	return list[Service](ctx, c, nil, "v1", "services")
}

// FactKinds lists the kinds of facts with their schemas.
func (c *Client) FactKinds(ctx context.Context) iter.Seq2[FactKind, error] {
	return list[FactKind](ctx, c, nil, "v1", "fact-kinds")
}

// Policies lists the policies in force of a tenant and its VMs.
func (c *Client) Policies(ctx context.Context, tenant string) iter.Seq2[Policy, error] {
	return list[Policy](ctx, c, nil, "v1", "tenants", tenant, "policies")
}

// SetPolicy proposes the policy of a service for a tenant or one of its VMs. It
// comes into force when the decision that is returned is signed.
func (c *Client) SetPolicy(ctx context.Context, tenant, service string, in NewPolicy) (Decision, error) {
	var out Decision
	err := c.do(ctx, call{
		method: http.MethodPut, segments: []string{"v1", "tenants", tenant, "policies", service}, body: in,
	}, &out)
	return out, err
}

// Subscriptions lists the subscriptions of a tenant, ended ones too.
func (c *Client) Subscriptions(ctx context.Context, tenant string) iter.Seq2[Subscription, error] {
	return list[Subscription](ctx, c, nil, "v1", "tenants", tenant, "subscriptions")
}

// CreateSubscription buys a managed service.
func (c *Client) CreateSubscription(ctx context.Context, tenant string, in NewSubscription) (Subscription, error) {
	return post[Subscription](ctx, c, in, "v1", "tenants", tenant, "subscriptions")
}

// EndSubscription sets the end of a subscription.
func (c *Client) EndSubscription(ctx context.Context, tenant, id string, in EndSubscription) (Subscription, error) {
	return post[Subscription](ctx, c, in, "v1", "tenants", tenant, "subscriptions", id, "end")
}

// A statement is an attestation or a waiver; these name the routes of both.
const (
	Attestations = "attestations"
	Waivers      = "waivers"
)

// ofStatements is the route of the statements of a tenant, or of those about
// the provider where tenant is "".
func ofStatements(tenant, of string, more ...string) []string {
	route := []string{"v1", "tenants", tenant, of}
	if tenant == "" {
		route = []string{"v1", "provider", of}
	}
	return append(route, more...)
}

// Statements lists the statements of a tenant, or about the provider where
// tenant is ""; of is Attestations or Waivers.
func (c *Client) Statements(ctx context.Context, tenant, of string) iter.Seq2[Statement, error] {
	return list[Statement](ctx, c, nil, ofStatements(tenant, of)...)
}

// CreateStatement attests a duty, or waives one about the provider; tenant is ""
// for a duty about the provider. For waivers of a tenant see ProposeWaiver.
func (c *Client) CreateStatement(ctx context.Context, tenant, of string, in NewStatement) (Statement, error) {
	return post[Statement](ctx, c, in, ofStatements(tenant, of)...)
}

// WithdrawStatement ends a statement now; it stays in the history. tenant is ""
// for a statement about the provider.
func (c *Client) WithdrawStatement(ctx context.Context, tenant, of, id string) error {
	return c.do(ctx, call{method: http.MethodPost, segments: ofStatements(tenant, of, id, "withdraw")}, nil)
}

// ExportComponent writes the OSCAL component definition of the provider.
func (c *Client) ExportComponent(ctx context.Context, w io.Writer) error {
	return download(ctx, c, w, nil, "v1", "exports", "oscal-component")
}

// ExportProviderSSP writes the provider's own OSCAL plan, which the plans of
// tenants refer to.
func (c *Client) ExportProviderSSP(ctx context.Context, w io.Writer) error {
	return download(ctx, c, w, nil, "v1", "exports", "oscal-provider-ssp")
}

// Export writes a tenant's document: oscal-ssp, oscal-results, crm.csv or
// crm.xlsx.
func (c *Client) Export(ctx context.Context, w io.Writer, tenant, document string) error {
	return download(ctx, c, w, nil, "v1", "tenants", tenant, "exports", document)
}
