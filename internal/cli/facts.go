package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

type factsCmd struct {
	VM   string `name:"vm" required:"" help:"The VM." placeholder:"NAME"`
	Kind string `help:"One kind, with its data." placeholder:"NAME"`
	ofTenant
}

// Help is shown below the flags.
func (factsCmd) Help() string {
	return `Examples:
  demarc facts --vm web-1
  demarc facts --vm web-1 --kind listeners --output json`
}

func (s *session) factColumns() []column[api.Fact] {
	return []column[api.Fact]{
		{key: "kind", head: "KIND", text: func(v api.Fact) string { return v.Kind }},
		{key: "subject", text: func(v api.Fact) string { return about(v.Subject) }},
		{key: "observed_at", head: "OBSERVED", text: func(v api.Fact) string { return stamp(v.ObservedAt) },
			show: func(v api.Fact) string { return s.age(v.ObservedAt) + " ago" }},
		{key: "changed_at", head: "CHANGED", text: func(v api.Fact) string { return stamp(v.ChangedAt) },
			show: func(v api.Fact) string { return s.age(v.ChangedAt) + " ago" }},
		{key: "source", head: "SOURCE", fit: cut, text: func(v api.Fact) string { return v.Source }},
		{key: "digest", head: "DIGEST", fit: cut, text: func(v api.Fact) string { return v.Digest }},
		{key: "data", text: func(v api.Fact) string { return string(v.Data) }},
	}
}

// Run shows facts.
func (c *factsCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	if c.Kind != "" {
		return c.one(ctx, s, client, tenant)
	}
	all, err := api.Collect(client.Facts(ctx, tenant, c.VM))
	if err != nil {
		return fmt.Errorf("reading facts about VM %s of tenant %s: %w", c.VM, tenant, err)
	}
	return printList(s, all, s.factColumns(), "Nothing is known about it yet: no agent has reported. See `demarc agent list`.")
}

func (c *factsCmd) one(ctx context.Context, s *session, client *api.Client, tenant string) error {
	f, err := client.Fact(ctx, tenant, c.VM, c.Kind)
	if err != nil {
		return fmt.Errorf("reading fact %s about VM %s of tenant %s: %w", c.Kind, c.VM, tenant, err)
	}
	if err := printOne(s, f, s.factColumns()); err != nil || s.flags.Output != "table" {
		return err
	}
	var data bytes.Buffer
	if err := json.Indent(&data, f.Data, "", "  "); err != nil {
		return fmt.Errorf("reading fact %s: %w", c.Kind, err)
	}
	return s.print("\n" + cleanLines(strings.TrimSpace(data.String())) + "\n")
}

type servicesCmd struct{}

var serviceColumns = []column[api.Service]{
	{key: "name", head: "NAME", text: func(v api.Service) string { return v.Name }},
	{key: "standard", head: "STANDARD", text: func(v api.Service) string { return yes(v.Standard) }},
	{key: "title", head: "TITLE", fit: flow, text: func(v api.Service) string { return v.Title }},
	{key: "duties", head: "DUTIES MOVED", fit: flow, text: func(v api.Service) string { return strings.Join(v.Duties, " ") }},
	{key: "kinds", text: func(v api.Service) string { return strings.Join(v.Kinds, " ") }},
}

// Run lists services.
func (c *servicesCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Services(ctx))
	if err != nil {
		return fmt.Errorf("listing services: %w", err)
	}
	return printList(s, all, serviceColumns, "This server offers no managed service.")
}
