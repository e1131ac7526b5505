package httpapi

import (
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/tenancy"
)

// moment returns the time, or zero for now.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func (a *API) addStatements() {
	a.addTenantStatements()
	a.addProviderStatements()
}

func (a *API) addTenantStatements() {
	add(a, tenant(access.Look), get("list-attestations", "/v1/tenants/{tenant}/attestations", "Attestations, past ones too"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.Statement], error) {
		return a.attestations(c, in.PageParams)
	})
	add(a, tenant(access.Attest), created(post("create-attestation", "/v1/tenants/{tenant}/attestations", "State that a duty is met")), func(c call, in *struct {
		TenantPath
		Body api.NewStatement
	}) (*body[api.Statement], error) {
		return a.attest(c, in.Body)
	})
	add(a, tenant(access.Look), get("list-waivers", "/v1/tenants/{tenant}/waivers", "Waivers, past ones too"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.Statement], error) {
		return a.waivers(c, in.PageParams)
	})
	add(a, tenant(access.Waive), proposed(post("create-waiver", "/v1/tenants/{tenant}/waivers", "Propose to accept the risk that a duty or rule is not met; a signature accepts it")), func(c call, in *struct {
		TenantPath
		Body api.NewStatement
	}) (*body[api.Decision], error) {
		return a.proposeWaiver(c, in.Body)
	})
	for what, action := range map[string]access.Action{"attestation": access.Attest, "waiver": access.Waive} {
		op := post("withdraw-"+what, "/v1/tenants/{tenant}/"+what+"s/{statement}/withdraw", "End it before its time")
		op.DefaultStatus = 204
		add(a, tenant(action), op, func(c call, in *struct {
			TenantPath
			Statement string `path:"statement" maxLength:"100"`
		}) (*struct{}, error) {
			return nil, a.cfg.Estate.Withdraw(c, c.by, what, c.tenant.ID, in.Statement)
		})
	}
}

// addProviderStatements adds the same for duties about the provider itself.
func (a *API) addProviderStatements() {
	add(a, provider(access.Look), get("list-provider-attestations", "/v1/provider/attestations", "Attestations about the provider, past ones too"),
		func(c call, in *struct{ PageParams }) (*list[api.Statement], error) {
			return a.attestations(c, in.PageParams)
		})
	add(a, provider(access.Attest), created(post("create-provider-attestation", "/v1/provider/attestations", "State that a duty about the provider is met")),
		func(c call, in *struct{ Body api.NewStatement }) (*body[api.Statement], error) {
			return a.attest(c, in.Body)
		})
	add(a, provider(access.Look), get("list-provider-waivers", "/v1/provider/waivers", "Waivers about the provider, past ones too"),
		func(c call, in *struct{ PageParams }) (*list[api.Statement], error) {
			return a.waivers(c, in.PageParams)
		})
	add(a, provider(access.Waive), created(post("create-provider-waiver", "/v1/provider/waivers", "Accept the risk that a duty about the provider is not met")),
		func(c call, in *struct{ Body api.NewStatement }) (*body[api.Statement], error) {
			return a.waive(c, in.Body)
		})
	for what, action := range map[string]access.Action{"attestation": access.Attest, "waiver": access.Waive} {
		op := post("withdraw-provider-"+what, "/v1/provider/"+what+"s/{statement}/withdraw", "End it before its time")
		op.DefaultStatus = 204
		add(a, provider(action), op, func(c call, in *struct {
			Statement string `path:"statement" maxLength:"100"`
		}) (*struct{}, error) {
			return nil, a.cfg.Estate.Withdraw(c, c.by, what, "", in.Statement)
		})
	}
}

func (a *API) attestations(c call, pp PageParams) (*list[api.Statement], error) {
	return statements(a, c, pp, (*store.Tx).AttestationList, func(x evidence.Attestation) string { return x.ID }, a.attestationOut)
}

func (a *API) waivers(c call, pp PageParams) (*list[api.Statement], error) {
	return statements(a, c, pp, (*store.Tx).WaiverList, func(x evidence.Waiver) string { return x.ID }, a.waiverOut)
}

func (a *API) attest(c call, n api.NewStatement) (*body[api.Statement], error) {
	claim, err := a.claim(c, n)
	if err != nil {
		return nil, err
	}
	x, err := a.cfg.Estate.Attest(c, c.by, a.cfg.Contract, claim)
	if err != nil {
		return nil, err
	}
	return plain(named(a, c, x, a.attestationOut))
}

func (a *API) waive(c call, n api.NewStatement) (*body[api.Statement], error) {
	if len(n.Attachments) > 0 {
		return nil, huma.Error422UnprocessableEntity("a waiver has no attachments; say in its text what it rests on")
	}
	claim, err := a.claim(c, n)
	if err != nil {
		return nil, err
	}
	x, err := a.cfg.Estate.Waive(c, c.by, a.cfg.Contract, claim)
	if err != nil {
		return nil, err
	}
	return plain(named(a, c, x, a.waiverOut))
}

// claim finds what a statement is about.
func (a *API) claim(c call, n api.NewStatement) (tenancy.Claim, error) {
	claim := tenancy.Claim{Duty: n.Duty, Text: n.Text, Effective: moment(n.Effective), Expires: n.Expires, Subject: posture.TenantSubject(c.tenant.ID)}
	for _, at := range n.Attachments {
		claim.Attachments = append(claim.Attachments, evidence.Attachment(at))
	}
	if n.VM != "" && n.VDC != "" {
		return claim, huma.Error422UnprocessableEntity("a statement is about one VM, one VDC or the tenant: give a VM or a VDC, not both")
	}
	if c.tenant.ID == "" {
		claim.Subject = evidence.Provider
		if n.VM != "" || n.VDC != "" {
			return claim, huma.Error422UnprocessableEntity("a statement about the provider names no VM and no VDC")
		}
	}
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		switch {
		case n.VM != "":
			v, err := tx.VM(c.tenant.ID, n.VM)
			claim.Subject = posture.VMSubject(v)
			return err
		case n.VDC != "":
			v, err := tx.VDC(c.tenant.ID, n.VDC)
			claim.Subject = posture.VDCSubject(v)
			return err
		}
		return nil
	})
	return claim, err
}

func (a *API) attestationOut(n *names, x evidence.Attestation) api.Statement {
	s := api.Statement{
		ID: x.ID, Type: "attestation", Duty: x.Duty, Subject: n.subject(x.Subject), By: x.By, Text: x.Statement, CreatedAt: x.CreatedAt,
		Effective: x.Effective, Expires: x.Expires, Withdrawn: x.Withdrawn, InForce: x.InForce(a.cfg.Now()),
	}
	for _, at := range x.Attachments {
		s.Attachments = append(s.Attachments, api.Attachment(at))
	}
	return s
}

func (a *API) waiverOut(n *names, x evidence.Waiver) api.Statement {
	return api.Statement{
		ID: x.ID, Type: "waiver", Duty: x.Duty, Subject: n.subject(x.Subject), By: x.AcceptedBy, Text: x.Reason, CreatedAt: x.CreatedAt,
		Effective: x.Effective, Expires: x.Expires, Withdrawn: x.Withdrawn, InForce: x.InForce(a.cfg.Now()),
	}
}

// named converts x with the names of its subjects.
func named[D, T any](a *API, c call, x D, convert func(*names, D) T) (out T, err error) {
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		out = convert(newNames(tx), x)
		return nil
	})
	return out, err
}

func statements[D any](a *API, c call, pp PageParams, read func(*store.Tx, string, store.Page) ([]D, error), key func(D) string, convert func(*names, D) api.Statement) (*list[api.Statement], error) {
	p, err := pp.page()
	if err != nil {
		return nil, err
	}
	var out *list[api.Statement]
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		items, err := read(tx, c.tenant.ID, p)
		n := newNames(tx)
		out = paged(items, p.Limit, key, func(x D) api.Statement { return convert(n, x) })
		return err
	})
	return out, err
}
