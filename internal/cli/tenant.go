package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/demarc/demarc/api"
)

type tenantCmd struct {
	Create tenantCreateCmd `cmd:"" help:"Make a tenant."`
	Show   tenantShowCmd   `cmd:"" help:"Show a tenant."`
	List   tenantListCmd   `cmd:"" help:"List the tenants that you may see."`
	Change tenantChangeCmd `cmd:"" help:"Rename a tenant."`
}

type tenantCreateCmd struct {
	Name string `arg:"" help:"1 to 63 lower-case letters, digits, '.', '_' or '-'."`
	Own  bool   `help:"For the provider's own hosts: in it the provider's administrator is the customer. It stays so."`
}

// Help is shown below the flags.
func (tenantCreateCmd) Help() string {
	return `Examples:
  demarc tenant create acme
  demarc tenant create platform --own`
}

type tenantShowCmd struct {
	Name string `arg:"" help:"Name or id."`
}

type tenantListCmd struct{}

type tenantChangeCmd struct {
	Old string `arg:"" name:"tenant" help:"Name or id."`
	New string `name:"name" required:"" help:"The new name." placeholder:"NAME"`
}

var tenantColumns = []column[api.Tenant]{
	{key: "name", head: "NAME", text: func(t api.Tenant) string { return t.Name }},
	{key: "id", head: "ID", text: func(t api.Tenant) string { return t.ID }},
	{key: "own", head: "OWN", text: func(t api.Tenant) string { return yes(t.Own) }},
	{key: "created_at", head: "CREATED", text: func(t api.Tenant) string { return stamp(t.CreatedAt) }},
	{key: "version", head: "VERSION", text: func(t api.Tenant) string { return strconv.FormatInt(t.Version, 10) }},
}

// Run makes a tenant.
func (c *tenantCreateCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	t, err := client.CreateTenant(ctx, api.NewTenant{Name: c.Name, Own: c.Own})
	if err != nil {
		return fmt.Errorf("making tenant %s: %w", c.Name, err)
	}
	return printOne(s, t, tenantColumns)
}

// Run shows a tenant.
func (c *tenantShowCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	t, err := client.Tenant(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("reading tenant %s: %w", c.Name, err)
	}
	return printOne(s, t, tenantColumns)
}

// Run lists tenants.
func (c *tenantListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Tenants(ctx))
	if err != nil {
		return fmt.Errorf("listing tenants: %w", err)
	}
	return printList(s, all, tenantColumns, "No tenant yet: make one with `demarc tenant create NAME`.")
}

// Run renames a tenant.
func (c *tenantChangeCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	t, err := client.Tenant(ctx, c.Old)
	if err != nil {
		return fmt.Errorf("reading tenant %s: %w", c.Old, err)
	}
	if t, err = client.ChangeTenant(ctx, t.ID, t.Version, api.NewTenant{Name: c.New}); err != nil {
		return fmt.Errorf("changing tenant %s: %w", c.Old, err)
	}
	return printOne(s, t, tenantColumns)
}

type vdcCmd struct {
	Create vdcCreateCmd `cmd:"" help:"Make a VDC."`
	Show   vdcShowCmd   `cmd:"" help:"Show a VDC."`
	List   vdcListCmd   `cmd:"" help:"List the VDCs of a tenant."`
}

// ofTenant is the flag of a command about one tenant.
type ofTenant struct {
	Tenant string `help:"The tenant; if left out, that of the profile, your own, or the only one." placeholder:"NAME"`
}

type vdcCreateCmd struct {
	Name string `arg:"" help:"Name of the VDC."`
	ofTenant
}

type vdcShowCmd struct {
	Name string `arg:"" help:"Name or id."`
	ofTenant
}

type vdcListCmd struct{ ofTenant }

var vdcColumns = []column[api.VDC]{
	{key: "name", head: "NAME", text: func(v api.VDC) string { return v.Name }},
	{key: "id", head: "ID", text: func(v api.VDC) string { return v.ID }},
	{key: "tenant", text: func(v api.VDC) string { return v.Tenant }},
	{key: "created_at", head: "CREATED", text: func(v api.VDC) string { return stamp(v.CreatedAt) }},
}

// within connects and finds out the tenant.
func (s *session) within(ctx context.Context, named string) (*api.Client, string, error) {
	client, err := s.connect()
	if err != nil {
		return nil, "", err
	}
	tenant, err := s.tenantOr(ctx, client, named)
	return client, tenant, err
}

// Run makes a VDC.
func (c *vdcCreateCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.CreateVDC(ctx, tenant, api.NewVDC{Name: c.Name})
	if err != nil {
		return fmt.Errorf("making VDC %s of tenant %s: %w", c.Name, tenant, err)
	}
	return printOne(s, v, vdcColumns)
}

// Run shows a VDC.
func (c *vdcShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.VDCs(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing VDCs of tenant %s: %w", tenant, err)
	}
	i := slices.IndexFunc(all, func(v api.VDC) bool { return v.Name == c.Name || v.ID == c.Name })
	if i < 0 {
		return &fault{code: ExitFailure, err: fmt.Errorf("tenant %s has no VDC %s", tenant, c.Name),
			next: "see `demarc vdc list --tenant " + tenant + "`"}
	}
	return printOne(s, all[i], vdcColumns)
}

// Run lists VDCs.
func (c *vdcListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.VDCs(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing VDCs of tenant %s: %w", tenant, err)
	}
	return printList(s, all, vdcColumns, "No VDC yet: make one with `demarc vdc create NAME --tenant "+tenant+"`.")
}
