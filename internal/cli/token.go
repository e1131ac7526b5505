package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

type tokenCmd struct {
	Add    tokenAddCmd    `cmd:"" help:"Make a token that acts for you, confirmed in the console and shown once."`
	Create tokenCreateCmd `cmd:"" help:"Make a service with a token of its own, shown once."`
	List   tokenListCmd   `cmd:"" help:"List the principals, or your own tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a principal's token, or one of your own, for good."`
}

type tokenAddCmd struct {
	Name  string   `arg:"" help:"What the token is for."`
	Scope []string `help:"Actions that it is narrowed to, as look,manage-estate; all that you may do if left out." placeholder:"ACTION"`
	Days  int      `help:"Days until it expires, up to 90; 30 if left out." placeholder:"N"`
}

// Help is shown below the flags.
func (tokenAddCmd) Help() string {
	return `Example:
  demarc token add nightly --scope look --days 7`
}

var ownTokenColumns = []column[api.Token]{
	{key: "id", head: "ID", text: func(v api.Token) string { return v.ID }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.Token) string { return v.Name }},
	{key: "scope", head: "SCOPE", fit: flow, text: func(v api.Token) string { return strings.Join(v.Scope, " ") }},
	{key: "expires", head: "EXPIRES", text: func(v api.Token) string { return stampOf(&v.Expires) }, show: func(v api.Token) string { return clockOf(&v.Expires) }},
	{key: "used_at", head: "USED", text: func(v api.Token) string { return stampOf(v.UsedAt) }, show: func(v api.Token) string { return clockOf(v.UsedAt) }},
	{key: "revoked_at", head: "REVOKED", text: func(v api.Token) string { return stampOf(v.RevokedAt) }, show: func(v api.Token) string { return clockOf(v.RevokedAt) }},
}

// Run has the console confirm a token.
func (c *tokenAddCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	token, err := s.confirmInConsole(ctx, client, &api.NewToken{Name: c.Name, Scope: c.Scope, Days: c.Days})
	if err != nil {
		return err
	}
	type made struct {
		Token string `json:"token"`
	}
	if err := printOne(s, made{token}, []column[made]{{key: "token", head: "TOKEN", text: func(v made) string { return v.Token }}}); err != nil {
		return err
	}
	s.note("\nThe token is not shown again.")
	return nil
}

type tokenCreateCmd struct {
	Name   string `arg:"" help:"Name of the principal."`
	Role   string `required:"" enum:"provider-operator,provider-support,provider-security,provider-compliance,provider-administrator,provider-auditor,customer-owner,customer-administrator,customer-approver,customer-viewer,customer-auditor" help:"What it may be; see docs/access.md." placeholder:"ROLE"`
	Tenant string `help:"The tenant; required for the customer's roles." placeholder:"NAME"`
	Days   int    `help:"Days until it expires, up to 366; 90 if left out." placeholder:"N"`
}

// Help is shown below the flags.
func (tokenCreateCmd) Help() string {
	return `Example:
  demarc token create ana --role customer-administrator --tenant acme`
}

type tokenListCmd struct {
	Tenant string `help:"Of one tenant; your own side's if left out." placeholder:"NAME"`
	Own    bool   `help:"The tokens that act for you."`
}

type tokenRevokeCmd struct {
	ID string `arg:"" name:"id" help:"Id of the principal, or of a token of yours."`
	consent
}

var principalColumns = []column[api.Principal]{
	{key: "id", head: "ID", text: func(v api.Principal) string { return v.ID }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.Principal) string { return v.Name }},
	{key: "kind", text: func(v api.Principal) string { return v.Kind }},
	{key: "role", head: "ROLE", text: func(v api.Principal) string { return v.Role }},
	{key: "tenant", head: "TENANT", fit: cut, text: func(v api.Principal) string { return v.Tenant }},
	{key: "expires", head: "EXPIRES", text: func(v api.Principal) string { return stampOf(v.Expires) }, show: func(v api.Principal) string { return clockOf(v.Expires) }},
	{key: "revoked_at", head: "REVOKED", text: func(v api.Principal) string { return stampOf(v.RevokedAt) }, show: func(v api.Principal) string { return clockOf(v.RevokedAt) }},
}

// Run makes a principal.
func (c *tokenCreateCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.CreatePrincipal(ctx, api.NewPrincipal{Name: c.Name, Role: c.Role, Tenant: c.Tenant, Days: c.Days})
	if err != nil {
		return fmt.Errorf("making principal %s: %w", c.Name, err)
	}
	once := column[api.Principal]{key: "token", head: "TOKEN", text: func(v api.Principal) string { return v.Token }}
	if err := printOne(s, v, append(principalColumns[:len(principalColumns):len(principalColumns)], once)); err != nil {
		return err
	}
	s.note("\nThe token is not shown again. Keep it with `demarc login`.")
	return nil
}

// Run lists principals.
func (c *tokenListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if c.Own {
		own, err := api.Collect(client.Tokens(ctx))
		if err != nil {
			return fmt.Errorf("listing your tokens: %w", err)
		}
		return printList(s, own, ownTokenColumns, "You have no token.")
	}
	all, err := api.Collect(client.Principals(ctx, c.Tenant))
	if err != nil {
		return fmt.Errorf("listing principals: %w", err)
	}
	return printList(s, all, principalColumns, "No principal that you may see.")
}

// Run revokes a principal.
func (c *tokenRevokeCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Revoke %s?", c.ID); err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.ID, "k-") {
		t, err := client.RevokeToken(ctx, c.ID)
		if err != nil {
			return fmt.Errorf("revoking token %s: %w", c.ID, err)
		}
		return printOne(s, t, ownTokenColumns)
	}
	v, err := client.RevokePrincipal(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("revoking principal %s: %w", c.ID, err)
	}
	return printOne(s, v, principalColumns)
}
