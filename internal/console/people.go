package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// dormancy is how long somebody may stay away before the list says so.
const dormancy = 60 * 24 * time.Hour

var (
	providerRoles = []string{"provider-operator", "provider-support", "provider-security", "provider-compliance", "provider-administrator", "provider-auditor"}
	customerRoles = []string{"customer-owner", "customer-administrator", "customer-approver", "customer-viewer", "customer-auditor"}
)

// peoplePage lists the people of a side, and invites.
type peoplePage struct {
	// Tenant is empty for the provider's people.
	Tenant      string
	People      []personLine
	Invitations []api.Invitation
	// Roles can be given to somebody who is there, Invitable in an invitation.
	Roles, Invitable []string
	MayManage        bool
	MayInvite        bool
	OwnerOnly        bool
	Form             personForm

	// Link is the invitation that was just made; it is shown once.
	Link, Invited string
	LinkExpires   *time.Time

	Problem *problemPage
}

type personForm struct{ Name, Mail, Role string }

// personLine is a person as the list shows it.
type personLine struct {
	api.Person
	Me, Dormant bool
	Means       []string
}

func (c *Console) peoplePage(v *visit) (*peoplePage, error) {
	page := &peoplePage{Roles: providerRoles}
	if v.tenant() == "" {
		page.MayManage = v.mayAtHome("manage-people")
		page.MayInvite, page.Invitable = page.MayManage, providerRoles
	} else {
		t, err := v.client.Tenant(v, v.tenant())
		if err != nil {
			return nil, err
		}
		page.Tenant, page.Roles, page.Invitable = t.Name, customerRoles, customerRoles
		page.MayManage = v.may("manage-people", t)
		page.MayInvite = page.MayManage || v.may("invite-owner", t)
		if !page.MayManage {
			page.OwnerOnly, page.Invitable = true, []string{"customer-owner"}
		}
	}
	now := c.cfg.Now()
	for p, err := range v.client.People(v, page.Tenant) {
		if absent(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		if p.RemovedAt != nil {
			continue
		}
		l := personLine{Person: p, Me: p.ID == v.me.ID, Dormant: now.Sub(lastSign(p)) > dormancy}
		for _, m := range p.Methods {
			l.Means = append(l.Means, strings.ToLower(orElse(meansWords[m], m)))
		}
		page.People = append(page.People, l)
	}
	// The safest role comes first, but for whoever is the first of a side.
	switch {
	case page.OwnerOnly:
	case page.Tenant == "" && len(page.People) == 0:
		page.Form.Role = "provider-administrator"
	case page.Tenant == "":
		page.Form.Role = "provider-auditor"
	case len(page.People) > 0:
		page.Form.Role = "customer-viewer"
	}
	for i, err := range v.client.Invitations(v, page.Tenant) {
		if absent(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		if i.UsedAt == nil && i.RevokedAt == nil && i.Expires.After(now) {
			page.Invitations = append(page.Invitations, i)
		}
	}
	return page, nil
}

// lastSign is when somebody was last heard of.
func lastSign(p api.Person) time.Time {
	if p.SeenAt != nil {
		return *p.SeenAt
	}
	return p.CreatedAt
}

func (c *Console) people(v *visit) error {
	page, err := c.peoplePage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "people", "People", page)
	return nil
}

// changePeople invites, removes, and gives roles.
func (c *Console) changePeople(v *visit) error {
	form := func(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }
	sent := personForm{form("name"), form("mail"), form("role")}
	var err error
	var invitation api.Invitation
	switch form("do") {
	case "invite":
		invitation, err = v.client.Invite(v, api.NewInvitation{Name: sent.Name, Mail: sent.Mail, Role: sent.Role, Tenant: v.tenant()})
	case "withdraw":
		_, err = v.client.RevokeInvitation(v, form("id"))
	case "remove":
		_, err = v.client.RemovePerson(v, form("id"))
	case "role":
		_, err = v.client.ChangeRole(v, form("id"), api.ChangeRole{Role: sent.Role})
	default:
		err = unknownForm
	}
	if err == nil && invitation.Link == "" {
		http.Redirect(v.w, v.r, v.r.URL.Path, http.StatusSeeOther)
		return nil
	}
	page, broken := c.peoplePage(v)
	if broken != nil {
		return broken
	}
	if err == nil {
		page.Link, page.Invited, page.LinkExpires = invitation.Link, invitation.Name, &invitation.Expires
		c.render(v, http.StatusOK, "people", "People", page)
		return nil
	}
	if form("do") == "invite" {
		page.Form = sent
	}
	return c.again(v, err, "people", "People", func(p *problemPage) any { page.Problem = p; return page })
}
