package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

type oidcCmd struct {
	Add    oidcAddCmd    `cmd:"" help:"Let people of a side sign in at an OpenID provider."`
	List   oidcListCmd   `cmd:"" help:"List the OpenID providers of a side."`
	Remove oidcRemoveCmd `cmd:"" help:"Let nobody sign in there any more."`
}

type oidcAddCmd struct {
	Name        string   `arg:"" help:"What the button says."`
	Issuer      string   `required:"" help:"Issuer URL of the OpenID provider." placeholder:"URL"`
	ClientID    string   `name:"client-id" required:"" help:"What the provider calls demarc." placeholder:"ID"`
	SecretStdin bool     `help:"Read the client secret from standard input."`
	MFA         []string `name:"mfa" help:"Value of amr or acr that stands for a second factor; repeatable, and needed for the provider's own people." placeholder:"VALUE"`
	Tenant      string   `help:"For people of one tenant; of the provider's own side if left out." placeholder:"NAME"`
}

// Help is shown below the flags.
func (oidcAddCmd) Help() string {
	return `Register the CALLBACK that is shown as redirect URI at the provider. Nobody gets in by it alone: whoever is invited chooses it when joining.

Example:
  demarc oidc add "Acme login" --issuer https://login.acme.example --client-id demarc --mfa mfa --tenant acme --secret-stdin < secret`
}

type oidcListCmd struct {
	Tenant string `help:"Of one tenant; of your own side if left out." placeholder:"NAME"`
}

type oidcRemoveCmd struct {
	ID string `arg:"" name:"id" help:"Id of the OpenID provider."`
	consent
}

var oidcColumns = []column[api.IdentityProvider]{
	{key: "id", head: "ID", text: func(v api.IdentityProvider) string { return v.ID }},
	{key: "name", head: "NAME", fit: cut, text: func(v api.IdentityProvider) string { return v.Name }},
	{key: "tenant", text: func(v api.IdentityProvider) string { return v.Tenant }},
	{key: "issuer", head: "ISSUER", fit: flow, text: func(v api.IdentityProvider) string { return v.Issuer }},
	{key: "client_id", head: "CLIENT", fit: cut, text: func(v api.IdentityProvider) string { return v.ClientID }},
	{key: "mfa", head: "2ND FACTOR", text: func(v api.IdentityProvider) string { return strings.Join(v.MFA, " ") }},
	{key: "callback", head: "CALLBACK", fit: flow, text: func(v api.IdentityProvider) string { return v.Callback }},
}

// Run adds an OpenID provider.
func (c *oidcAddCmd) Run(ctx context.Context, s *session) error {
	in := api.NewIdentityProvider{Name: c.Name, Tenant: c.Tenant, Issuer: c.Issuer, ClientID: c.ClientID, MFA: c.MFA}
	client, err := s.connect()
	if err != nil {
		return err
	}
	if c.SecretStdin {
		if in.ClientSecret, err = s.readSecret(); err != nil {
			return fmt.Errorf("reading the client secret: %w", err)
		}
	}
	v, err := client.AddIdentityProvider(ctx, in)
	if err != nil {
		return fmt.Errorf("adding the OpenID provider %s: %w", c.Name, err)
	}
	return printOne(s, v, oidcColumns)
}

// Run lists OpenID providers.
func (c *oidcListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.IdentityProviders(ctx, c.Tenant))
	if err != nil {
		return fmt.Errorf("listing OpenID providers: %w", err)
	}
	return printList(s, all, oidcColumns, "People sign in here only: add an OpenID provider with `demarc oidc add`.")
}

// Run removes an OpenID provider.
func (c *oidcRemoveCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Whoever signs in with nothing else can no longer sign in. Remove the OpenID provider?"); err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	if err := client.RemoveIdentityProvider(ctx, c.ID); err != nil {
		return fmt.Errorf("removing OpenID provider %s: %w", c.ID, err)
	}
	s.note("removed")
	return nil
}
