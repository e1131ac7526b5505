package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/demarc/demarc/api"
)

type subscriptionCmd struct {
	Create subscriptionCreateCmd `cmd:"" help:"Buy a managed service."`
	Show   subscriptionShowCmd   `cmd:"" help:"Show a subscription."`
	List   subscriptionListCmd   `cmd:"" help:"List the subscriptions of a tenant, ended ones too."`
	End    subscriptionEndCmd    `cmd:"" help:"End a subscription; its duties go back to the customer."`
}

type subscriptionCreateCmd struct {
	Service string `arg:"" help:"The service, as named by demarc services."`
	ofTenant
	place
	From moment `help:"From when on; now if left out, never in the past." placeholder:"TIME"`
	To   moment `help:"Until when; open if left out." placeholder:"TIME"`
}

// Help is shown below the flags.
func (subscriptionCreateCmd) Help() string {
	return `With neither --vm nor --vdc it covers all VMs of the tenant, later ones too.

Examples:
  demarc subscription create vulnerability-management --vm web-1
  demarc subscription create anti-malware --vdc main --from 2026-04-01`
}

type subscriptionShowCmd struct {
	ID string `arg:"" name:"id" help:"Id of the subscription."`
	ofTenant
}

type subscriptionListCmd struct{ ofTenant }

type subscriptionEndCmd struct {
	ID string `arg:"" name:"id" help:"Id of the subscription."`
	ofTenant
	At moment `help:"When; now if left out, never in the past." placeholder:"TIME"`
	consent
}

// subscriptionColumns show what is covered by name where names has it.
func subscriptionColumns(names map[string]string) []column[api.Subscription] {
	return []column[api.Subscription]{
		{key: "id", head: "ID", text: func(v api.Subscription) string { return v.ID }},
		{key: "tenant", text: func(v api.Subscription) string { return v.Tenant }},
		{key: "service", head: "SERVICE", text: func(v api.Subscription) string { return v.Service }},
		{key: "covers", head: "COVERS", fit: cut, text: func(v api.Subscription) string { return covers(v.Covers, nil) },
			show: func(v api.Subscription) string { return covers(v.Covers, names) }},
		{key: "from", head: "FROM", text: func(v api.Subscription) string { return stamp(v.From) }, show: func(v api.Subscription) string { return clock(v.From) }},
		{key: "to", head: "TO", text: func(v api.Subscription) string { return stampOf(v.To) }, show: func(v api.Subscription) string { return clockOf(v.To) }},
		{key: "active", head: "ACTIVE", text: func(v api.Subscription) string { return yes(v.Active) }},
	}
}

func covers(c api.Coverage, names map[string]string) string {
	switch {
	case c.VM != "":
		return "vm " + cmp.Or(names[c.VM], c.VM)
	case c.VDC != "":
		return "vdc " + cmp.Or(names[c.VDC], c.VDC)
	}
	return "all VMs"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Run buys a service.
func (c *subscriptionCreateCmd) Run(ctx context.Context, s *session) error {
	from, err := c.From.at(s.now())
	if err != nil {
		return err
	}
	to, err := c.To.at(s.now())
	if err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.CreateSubscription(ctx, tenant, api.NewSubscription{Service: c.Service, VDC: c.VDC, VM: c.VM, From: from, To: to})
	if err != nil {
		return fmt.Errorf("subscribing tenant %s to %s: %w", tenant, c.Service, err)
	}
	return printOne(s, v, subscriptionColumns(nil))
}

// Run shows a subscription.
func (c *subscriptionShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Subscriptions(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing subscriptions of tenant %s: %w", tenant, err)
	}
	i := slices.IndexFunc(all, func(v api.Subscription) bool { return v.ID == c.ID })
	if i < 0 {
		return &fault{code: ExitFailure, err: fmt.Errorf("tenant %s has no subscription %s", tenant, c.ID),
			next: "see `demarc subscription list --tenant " + tenant + "`"}
	}
	return printOne(s, all[i], subscriptionColumns(nil))
}

// Run lists subscriptions.
func (c *subscriptionListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Subscriptions(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing subscriptions of tenant %s: %w", tenant, err)
	}
	names, err := s.names(ctx, client, tenant, len(all))
	if err != nil {
		return err
	}
	return printList(s, all, subscriptionColumns(names),
		"No subscription yet, so each party has the duties that it began with. `demarc services` lists what can be bought.")
}

// Run ends a subscription.
func (c *subscriptionEndCmd) Run(ctx context.Context, s *session) error {
	at, err := c.At.at(s.now())
	if err != nil {
		return err
	}
	if err := s.confirm(c.consent, "End subscription %s? Its duties go back to the customer.", c.ID); err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.EndSubscription(ctx, tenant, c.ID, api.EndSubscription{At: at})
	if err != nil {
		return fmt.Errorf("ending subscription %s of tenant %s: %w", c.ID, tenant, err)
	}
	return printOne(s, v, subscriptionColumns(nil))
}
