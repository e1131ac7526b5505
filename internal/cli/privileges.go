package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

type privilegesCmd struct{ ofParty }

// Help is shown below the flags.
func (privilegesCmd) Help() string {
	return `Example:
  demarc privileges --tenant acme`
}

var unusedColumns = []column[api.UnusedPrivilege]{
	{key: "who", head: "NOT USED", fit: cut, text: func(v api.UnusedPrivilege) string { return v.Who }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.UnusedPrivilege) string { return v.Name }},
	{key: "why", head: "WHY", fit: flow, text: func(v api.UnusedPrivilege) string { return v.Why }},
	{key: "since", head: "LAST", text: func(v api.UnusedPrivilege) string { return stampOf(v.Since) }, show: func(v api.UnusedPrivilege) string { return clockOf(v.Since) }},
}

var wideColumns = []column[api.WideRole]{
	{key: "who", head: "WIDER THAN NEEDED", fit: cut, text: func(v api.WideRole) string { return v.Who }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.WideRole) string { return v.Name }},
	{key: "suffices", head: "WOULD DO", text: func(v api.WideRole) string { return v.Suffices }},
	{key: "unused", head: "NEVER USED", fit: flow, text: func(v api.WideRole) string { return strings.Join(v.Unused, " ") }},
}

// Run reports unused rights.
func (c *privilegesCmd) Run(ctx context.Context, s *session) error {
	client, tenant, about, err := s.stater(ctx, c.ofParty)
	if err != nil {
		return err
	}
	p, err := client.Privileges(ctx, tenant)
	if err != nil {
		return fmt.Errorf("reading the rights of %s: %w", about, err)
	}
	if s.flags.Output == "csv" {
		return printList(s, p.Unused, unusedColumns, "")
	}
	if s.flags.Output != "table" {
		return s.printValue(p)
	}
	if err := printList(s, p.Unused, unusedColumns, fmt.Sprintf("No right rested for %d days.", p.UnusedDays)); err != nil {
		return err
	}
	if len(p.Unused) > 0 && len(p.Wide) > 0 {
		if err := s.print("\n"); err != nil {
			return err
		}
	}
	return printList(s, p.Wide, wideColumns, "No role is wider than what is used of it.")
}

type identitiesCmd struct {
	List   identityListCmd   `cmd:"" help:"List the identities."`
	Add    identityAddCmd    `cmd:"" help:"Register an identity."`
	Remove identityRemoveCmd `cmd:"" help:"Take an identity off the register."`
}

type identityListCmd struct{}

type identityAddCmd struct {
	Kind   string `arg:"" enum:"account,fingerprint,address" help:"What it is: account, fingerprint or address."`
	Value  string `arg:"" help:"Name of the account, SHA256:… of the SSH key, or network."`
	Holder string `help:"Principal that it belongs to." placeholder:"ID"`
}

// Help is shown below the flags.
func (identityAddCmd) Help() string {
	return `A login to a customer's VM with the account or the key, or from the network, is an incident then.

Examples:
  demarc provider-identity add fingerprint "$(ssh-keygen -lf id_ed25519.pub | cut -d' ' -f2)"
  demarc provider-identity add address 192.0.2.0/24`
}

type identityRemoveCmd struct {
	ID string `arg:"" name:"id" help:"Its id."`
	consent
}

var identityColumns = []column[api.ProviderIdentity]{
	{key: "id", head: "ID", text: func(v api.ProviderIdentity) string { return v.ID }},
	{key: "kind", head: "KIND", text: func(v api.ProviderIdentity) string { return v.Kind }},
	{key: "value", head: "VALUE", text: func(v api.ProviderIdentity) string { return v.Value }},
	{key: "holder", head: "HOLDER", fit: cut, text: func(v api.ProviderIdentity) string { return v.Holder }},
	{key: "added_at", head: "ADDED", text: func(v api.ProviderIdentity) string { return stamp(v.AddedAt) }, show: func(v api.ProviderIdentity) string { return clock(v.AddedAt) }},
	{key: "added_by", text: func(v api.ProviderIdentity) string { return v.AddedBy }},
	{key: "until", head: "UNTIL", text: func(v api.ProviderIdentity) string { return stampOf(v.Until) }, show: func(v api.ProviderIdentity) string { return clockOf(v.Until) }},
}

// Run lists identities.
func (c *identityListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	list, err := api.Collect(client.ProviderIdentities(ctx))
	if err != nil {
		return fmt.Errorf("listing the provider's identities: %w", err)
	}
	return printList(s, list, identityColumns, "No identity is registered, so that no login can be told to be the provider's.")
}

// Run registers an identity.
func (c *identityAddCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	i, err := client.CreateProviderIdentity(ctx, api.NewProviderIdentity{Kind: c.Kind, Value: c.Value, Holder: c.Holder})
	if err != nil {
		return fmt.Errorf("registering the identity: %w", err)
	}
	return printOne(s, i, identityColumns)
}

// Run takes an identity off the register.
func (c *identityRemoveCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if err := s.confirm(c.consent, "Logins with this identity will no longer be incidents."); err != nil {
		return err
	}
	if err := client.RemoveProviderIdentity(ctx, c.ID); err != nil {
		return fmt.Errorf("removing the identity: %w", err)
	}
	s.note("removed")
	return nil
}
