package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

type vmCmd struct {
	Create  vmCreateCmd  `cmd:"" help:"Register a VM that runs already."`
	Show    vmShowCmd    `cmd:"" help:"Show a VM and what is declared about it."`
	List    vmListCmd    `cmd:"" help:"List the VMs of a tenant."`
	Declare vmDeclareCmd `cmd:"" aliases:"change" help:"Declare what a VM is for; duties compare with it what is seen."`
}

// declaration are the flags that say what a VM is for.
type declaration struct {
	Role           *string  `help:"What it is for, in a word." placeholder:"WORD"`
	Environment    *string  `help:"production, test, development or another name." placeholder:"NAME"`
	Accountable    *string  `help:"Id of the contact who answers for it." placeholder:"ID"`
	Listeners      []string `name:"listener" help:"A socket that it is meant to offer, as tcp/443; repeatable." placeholder:"PROTOCOL/PORT"`
	Services       []string `name:"unit" help:"A systemd unit that it is meant to run; repeatable." placeholder:"UNIT"`
	SensitivePaths []string `name:"sensitive-path" help:"A directory whose data must be encrypted; repeatable." placeholder:"PATH" sep:"none"`
	AdminSources   []string `name:"admin-source" help:"A CIDR prefix that administrators come from; repeatable." placeholder:"CIDR"`
	Administrators []string `name:"administrator" help:"The account of a registered administrator; repeatable." placeholder:"ACCOUNT"`
	Unmanaged      *string  `help:"The accepted reason why no agent runs on it." placeholder:"REASON"`
}

// over lays the flags that were given over what is declared already: a list
// replaces the former one, and an empty value clears.
func (d declaration) over(old api.Declaration) api.Declaration {
	for _, f := range []struct {
		to   *string
		from *string
	}{
		{&old.Role, d.Role}, {&old.Environment, d.Environment},
		{&old.Accountable, d.Accountable}, {&old.Unmanaged, d.Unmanaged},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct {
		to   *[]string
		from []string
	}{
		{&old.Listeners, d.Listeners}, {&old.Services, d.Services}, {&old.SensitivePaths, d.SensitivePaths},
		{&old.AdminSources, d.AdminSources}, {&old.Administrators, d.Administrators},
	} {
		if f.from != nil {
			*f.to = slices.DeleteFunc(f.from, func(v string) bool { return v == "" })
		}
	}
	return old
}

type vmCreateCmd struct {
	Name string `arg:"" help:"Name of the VM."`
	VDC  string `name:"vdc" required:"" help:"The VDC that it is in." placeholder:"NAME"`
	ofTenant
	declaration
}

type vmShowCmd struct {
	Name string `arg:"" help:"Name or id."`
	ofTenant
}

type vmListCmd struct{ ofTenant }

type vmDeclareCmd struct {
	Name string `arg:"" help:"Name or id."`
	ofTenant
	declaration
	Afresh bool `help:"Forget what was declared before instead of adding to it."`
}

// Help is shown below the flags.
func (vmDeclareCmd) Help() string {
	return `What is not named stays as it was, unless --afresh is given; a list that is named replaces the former one, and an empty value clears.

Examples:
  demarc vm declare web-1 --role web --environment production --listener tcp/443 --listener tcp/22
  demarc vm declare web-1 --sensitive-path /srv/data --admin-source 192.0.2.0/24 --administrator ana
  demarc vm declare web-1 --accountable= --environment test
  demarc vm declare old-1 --unmanaged "appliance without a shell, ticket 4711"`
}

var vmColumns = []column[api.VM]{
	{key: "name", head: "NAME", text: func(v api.VM) string { return v.Name }},
	{key: "id", text: func(v api.VM) string { return v.ID }},
	{key: "tenant", text: func(v api.VM) string { return v.Tenant }},
	{key: "vdc", text: func(v api.VM) string { return v.VDC }},
	{key: "state", head: "STATE", text: func(v api.VM) string { return v.State }},
	{key: "agents", head: "AGENTS", text: func(v api.VM) string { return fmt.Sprint(len(v.Agents)) }},
	{key: "role", head: "ROLE", fit: cut, text: func(v api.VM) string { return v.Declared.Role }},
	{key: "environment", head: "ENVIRONMENT", fit: cut, text: func(v api.VM) string { return v.Declared.Environment }},
	{key: "verdicts", head: "DUTIES", fit: flow, text: func(v api.VM) string { return tally(v.Verdicts) }},
}

var vmDetails = append(without(vmColumns, "id"), []column[api.VM]{
	{key: "id", head: "ID", text: func(v api.VM) string { return v.ID }},
	{key: "accountable", head: "ACCOUNTABLE", text: func(v api.VM) string { return v.Declared.Accountable }},
	{key: "listeners", head: "LISTENERS", fit: flow, text: func(v api.VM) string { return strings.Join(v.Declared.Listeners, " ") }},
	{key: "services", head: "UNITS", fit: flow, text: func(v api.VM) string { return strings.Join(v.Declared.Services, " ") }},
	{key: "sensitive_paths", head: "SENSITIVE PATHS", fit: flow, text: func(v api.VM) string { return strings.Join(v.Declared.SensitivePaths, " ") }},
	{key: "admin_sources", head: "ADMIN SOURCES", fit: flow, text: func(v api.VM) string { return strings.Join(v.Declared.AdminSources, " ") }},
	{key: "administrators", head: "ADMINISTRATORS", fit: flow, text: func(v api.VM) string { return strings.Join(v.Declared.Administrators, " ") }},
	{key: "unmanaged", head: "UNMANAGED", fit: flow, text: func(v api.VM) string { return v.Declared.Unmanaged }},
	{key: "created_at", head: "CREATED", text: func(v api.VM) string { return stamp(v.CreatedAt) }},
}...)

// Run registers a VM.
func (c *vmCreateCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.CreateVM(ctx, tenant, api.NewVM{VDC: c.VDC, Name: c.Name, Declared: c.over(api.Declaration{})})
	if err != nil {
		return fmt.Errorf("registering VM %s of tenant %s: %w", c.Name, tenant, err)
	}
	return printOne(s, v, vmDetails)
}

// Run shows a VM.
func (c *vmShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.VM(ctx, tenant, c.Name)
	if err != nil {
		return fmt.Errorf("reading VM %s of tenant %s: %w", c.Name, tenant, err)
	}
	return printOne(s, v, vmDetails)
}

// Run lists VMs.
func (c *vmListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.VMs(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing VMs of tenant %s: %w", tenant, err)
	}
	return printList(s, all, vmColumns, "No VM yet: enrol one with `demarc agent enroll-token`, or register one with `demarc vm create`.")
}

// Run declares.
func (c *vmDeclareCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.VM(ctx, tenant, c.Name)
	if err != nil {
		return fmt.Errorf("reading VM %s of tenant %s: %w", c.Name, tenant, err)
	}
	old := v.Declared
	if c.Afresh {
		old = api.Declaration{}
	}
	if v, err = client.ChangeVM(ctx, tenant, v.ID, v.Version, api.ChangeVM{Declared: c.over(old)}); err != nil {
		return fmt.Errorf("declaring VM %s of tenant %s: %w", c.Name, tenant, err)
	}
	// The answer to a change has neither agents nor verdicts.
	if v, err = client.VM(ctx, tenant, v.ID); err != nil {
		return fmt.Errorf("VM %s of tenant %s is declared; reading it again: %w", c.Name, tenant, err)
	}
	return printOne(s, v, vmDetails)
}
