package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

type personCmd struct {
	Invite   personInviteCmd   `cmd:"" help:"Invite somebody; the link is shown once."`
	List     personListCmd     `cmd:"" help:"List the people of a side."`
	Invited  personInvitedCmd  `cmd:"" help:"List the invitations to a side."`
	Uninvite personUninviteCmd `cmd:"" help:"End an invitation that was not accepted."`
	Role     personRoleCmd     `cmd:"" help:"Give a person another role of its side."`
	Remove   personRemoveCmd   `cmd:"" help:"End a person with its sessions and tokens."`
}

type personInviteCmd struct {
	Name   string `arg:"" help:"Name of the person."`
	Role   string `required:"" help:"What the person may be; see docs/access.md." placeholder:"ROLE"`
	Mail   string `help:"Mail address; it is the sign-in name unless the person chooses another." placeholder:"ADDRESS"`
	Tenant string `help:"The tenant of a customer's role; your usual one if left out." placeholder:"NAME"`
}

// Help is shown below the flags.
func (personInviteCmd) Help() string {
	return `Whoever has the link joins, so send it by a way that only the person reads. It counts once, for seven days.

Example:
  demarc person invite "Ona Berger" --mail ona@acme.example --role customer-owner --tenant acme`
}

type personListCmd struct {
	Tenant string `help:"Of one tenant; your own side's if left out." placeholder:"NAME"`
}

type personInvitedCmd struct {
	Tenant string `help:"To one tenant; to your own side if left out." placeholder:"NAME"`
}

type personUninviteCmd struct {
	ID string `arg:"" name:"id" help:"Id of the invitation."`
	consent
}

type personRoleCmd struct {
	ID   string `arg:"" name:"id" help:"Id of the person."`
	Role string `arg:"" help:"The role."`
}

type personRemoveCmd struct {
	ID string `arg:"" name:"id" help:"Id of the person."`
	consent
}

var personColumns = []column[api.Person]{
	{key: "id", head: "ID", text: func(v api.Person) string { return v.ID }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.Person) string { return v.Name }},
	{key: "mail", head: "MAIL", fit: cut, text: func(v api.Person) string { return v.Mail }},
	{key: "role", head: "ROLE", text: func(v api.Person) string { return v.Role }},
	{key: "tenant", text: func(v api.Person) string { return v.Tenant }},
	{key: "methods", head: "SIGNS IN WITH", text: func(v api.Person) string { return strings.Join(v.Methods, ", ") }},
	{key: "mfa", head: "2ND FACTOR", text: func(v api.Person) string { return yesNo(v.MFA) }},
	{key: "seen_at", head: "SEEN", text: func(v api.Person) string { return stampOf(v.SeenAt) }, show: func(v api.Person) string { return clockOf(v.SeenAt) }},
	{key: "removed_at", head: "REMOVED", text: func(v api.Person) string { return stampOf(v.RemovedAt) }, show: func(v api.Person) string { return clockOf(v.RemovedAt) }},
}

var invitationColumns = []column[api.Invitation]{
	{key: "id", head: "ID", text: func(v api.Invitation) string { return v.ID }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.Invitation) string { return v.Name }},
	{key: "role", head: "ROLE", text: func(v api.Invitation) string { return v.Role }},
	{key: "tenant", text: func(v api.Invitation) string { return v.Tenant }},
	{key: "expires", head: "EXPIRES", text: func(v api.Invitation) string { return stampOf(&v.Expires) }, show: func(v api.Invitation) string { return clockOf(&v.Expires) }},
	{key: "used_at", head: "ACCEPTED", text: func(v api.Invitation) string { return stampOf(v.UsedAt) }, show: func(v api.Invitation) string { return clockOf(v.UsedAt) }},
	{key: "revoked_at", head: "REVOKED", text: func(v api.Invitation) string { return stampOf(v.RevokedAt) }, show: func(v api.Invitation) string { return clockOf(v.RevokedAt) }},
}

// Run makes an invitation.
func (c *personInviteCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.Role, "customer-") {
		if c.Tenant, err = s.tenantOr(ctx, client, c.Tenant); err != nil {
			return err
		}
	}
	v, err := client.Invite(ctx, api.NewInvitation{Name: c.Name, Mail: c.Mail, Role: c.Role, Tenant: c.Tenant})
	if err != nil {
		return fmt.Errorf("inviting: %w", err)
	}
	once := column[api.Invitation]{key: "link", head: "LINK", text: func(v api.Invitation) string { return v.Link }}
	if err := printOne(s, v, append(invitationColumns[:len(invitationColumns):len(invitationColumns)], once)); err != nil {
		return err
	}
	s.note("\nThe link is not shown again. Whoever has it joins, in a browser or with `demarc join`.")
	return nil
}

// Run lists people.
func (c *personListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.People(ctx, c.Tenant))
	if err != nil {
		return fmt.Errorf("listing people: %w", err)
	}
	return printList(s, all, personColumns, "Nobody has joined yet: invite people with `demarc person invite`.")
}

// Run lists invitations.
func (c *personInvitedCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Invitations(ctx, c.Tenant))
	if err != nil {
		return fmt.Errorf("listing invitations: %w", err)
	}
	return printList(s, all, invitationColumns, "Nobody was invited.")
}

// Run ends an invitation.
func (c *personUninviteCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "End invitation %s?", c.ID); err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.RevokeInvitation(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("ending invitation %s: %w", c.ID, err)
	}
	return printOne(s, v, invitationColumns)
}

// Run changes a role.
func (c *personRoleCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.ChangeRole(ctx, c.ID, api.ChangeRole{Role: c.Role})
	if err != nil {
		return fmt.Errorf("changing the role of %s: %w", c.ID, err)
	}
	return printOne(s, v, personColumns)
}

// Run removes a person.
func (c *personRemoveCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Remove person %s, with its sessions and tokens?", c.ID); err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.RemovePerson(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("removing person %s: %w", c.ID, err)
	}
	return printOne(s, v, personColumns)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
