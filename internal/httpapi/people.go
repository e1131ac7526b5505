package httpapi

import (
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// SideParams is embedded in the input of lists of a side.
type SideParams struct {
	Tenant string `query:"tenant" doc:"id or name; your own side if missing" maxLength:"100"`
	PageParams
}

func (a *API) addPeople() {
	ids := a.cfg.Identities
	add(a, anybody, get("list-people", "/v1/people", "People of a side, removed ones too"), func(c call, in *struct{ SideParams }) (*list[api.Person], error) {
		of, p, err := a.manages(&c, in.SideParams, access.ManagePeople)
		if err != nil {
			return nil, err
		}
		ps, err := ids.People(c, of, p)
		return paged(ps, p.Limit, func(x identity.Person) string { return x.ID }, personOut), err
	})
	add(a, anybody, get("list-invitations", "/v1/people/invitations", "Invitations to a side, past ones too"), func(c call, in *struct{ SideParams }) (*list[api.Invitation], error) {
		of, p, err := a.manages(&c, in.SideParams, access.ManagePeople, access.InviteOwner)
		if err != nil {
			return nil, err
		}
		vs, err := ids.Invitations(c, of, p)
		return paged(vs, p.Limit, func(x identity.Invitation) string { return x.ID }, invitationOut), err
	})
	add(a, anybody, created(post("invite", "/v1/people/invitations", "Invite somebody; the link is shown once")), a.invite)
	add(a, anybody, post("revoke-invitation", "/v1/people/invitations/{invitation}/revoke", "End an invitation that was not accepted"), func(c call, in *struct {
		Invitation string `path:"invitation" doc:"id of the invitation" maxLength:"100"`
	}) (*body[api.Invitation], error) {
		v, err := ids.Invitation(c, in.Invitation)
		may := []access.Action{access.ManagePeople}
		if v.FirstOwner {
			may = append(may, access.InviteOwner)
		}
		if err := a.known(c, "invitation", in.Invitation, v.Tenant, err, may...); err != nil {
			return nil, err
		}
		v, err = ids.RevokeInvitation(c, c.by, in.Invitation)
		return plain(invitationOut(v), err)
	})
	add(a, anybody, post("remove-person", "/v1/people/{person}/remove", "End a person with its sessions and tokens; name and mail are forgotten"), func(c call, in *struct{ PersonPath }) (*body[api.Person], error) {
		p, err := ids.Person(c, in.Person)
		if err := a.known(c, "person", in.Person, p.Tenant, err, access.ManagePeople); err != nil {
			return nil, err
		}
		p, err = ids.Remove(c, c.by, in.Person)
		return plain(personOut(p), err)
	})
	add(a, anybody, post("change-role", "/v1/people/{person}/role", "Give a person another role of its side"), func(c call, in *struct {
		PersonPath
		Body api.ChangeRole
	}) (*body[api.Person], error) {
		p, err := ids.Person(c, in.Person)
		if err := a.known(c, "person", in.Person, p.Tenant, err, access.ManagePeople); err != nil {
			return nil, err
		}
		p, err = ids.ChangeRole(c, c.by, in.Person, access.Role(in.Body.Role))
		return plain(personOut(p), err)
	})
}

// PersonPath is embedded in the input of operations about one person.
type PersonPath struct {
	Person string `path:"person" doc:"id of the person" maxLength:"100"`
}

// manages finds the side whose people are asked for, and checks that the caller
// may know them: the provider's people know no customer's, but for the first
// owner whom they invite.
func (a *API) manages(c *call, in SideParams, actions ...access.Action) (tenant string, p store.Page, err error) {
	if p, err = in.page(); err != nil {
		return "", p, err
	}
	tenant = c.by.Tenant
	if in.Tenant != "" {
		if err := a.enter(c, access.Look, in.Tenant); err != nil {
			return "", p, err
		}
		tenant = c.tenant.ID
	}
	of, err := a.resource(c, tenant)
	if err != nil {
		return "", p, err
	}
	if c.by.Tenant == tenant {
		return tenant, p, nil
	}
	for _, action := range actions {
		if a.permits(c.by, action, of) {
			return tenant, p, nil
		}
	}
	return "", p, a.refused(c.by, access.ManagePeople, of)
}

// known checks that the caller may do one of the actions about something of a
// side. What the caller may not know of is not found.
func (a *API) known(c call, what, id, tenant string, err error, actions ...access.Action) error {
	unknown := huma.Error404NotFound("there is no " + what + " " + clip(id) + " that you may see")
	if errors.Is(err, store.ErrNotFound) {
		return unknown
	}
	if err != nil {
		return err
	}
	of, err := a.resource(c, tenant)
	if err != nil {
		return err
	}
	if !a.permits(c.by, access.Look, of) {
		return unknown
	}
	for _, action := range actions {
		if a.permits(c.by, action, of) {
			return nil
		}
	}
	return a.refused(c.by, actions[0], of)
}

func (a *API) invite(c call, in *struct{ Body api.NewInvitation }) (*body[api.Invitation], error) {
	role := access.Role(in.Body.Role)
	of := authz.Provider
	if in.Body.Tenant != "" {
		if err := a.enter(&c, access.Look, in.Body.Tenant); err != nil {
			return nil, err
		}
		of = authz.Resource{Tenant: c.tenant.ID, Own: c.tenant.Own}
	}
	v := identity.Invitation{Name: in.Body.Name, Mail: in.Body.Mail, Role: role, Tenant: of.Tenant}
	if !a.permits(c.by, access.ManagePeople, of) {
		// Whoever may only bring a tenant to life may invite the one who runs it.
		v.FirstOwner = of.Tenant != "" && role == access.CustomerOwner && a.permits(c.by, access.InviteOwner, of)
		if !v.FirstOwner {
			return nil, a.refused(c.by, access.ManagePeople, of)
		}
	}
	made, secret, err := a.cfg.Identities.Invite(c, c.by, v)
	out := invitationOut(made)
	out.Link = a.cfg.Identities.Link(secret)
	return plain(out, err)
}

func personOut(p identity.Person) api.Person {
	out := api.Person{
		ID: p.ID, Name: p.Name, Mail: p.Mail, Role: string(p.Role), Tenant: p.Tenant, CreatedAt: p.CreatedAt, RemovedAt: p.Removed,
		Methods: append([]string{}, p.Methods...), MFA: p.MFA,
	}
	if !p.Seen.IsZero() {
		out.SeenAt = &p.Seen
	}
	return out
}

func invitationOut(v identity.Invitation) api.Invitation {
	return api.Invitation{
		ID: v.ID, Name: v.Name, Mail: v.Mail, Role: string(v.Role), Tenant: v.Tenant, FirstOwner: v.FirstOwner, By: v.By,
		CreatedAt: v.CreatedAt, Expires: v.Expires, UsedAt: v.Used, RevokedAt: v.Revoked,
	}
}

// momentOrNil is a time that may be missing.
func momentOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
