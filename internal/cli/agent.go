package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/demarc/demarc/api"
)

type agentCmd struct {
	EnrollToken agentTokenCmd   `cmd:"" name:"enroll-token" help:"Make a token that enrols one machine, once."`
	List        agentListCmd    `cmd:"" help:"List the agents of a tenant, revoked ones too."`
	Show        agentShowCmd    `cmd:"" help:"Show what the agent of a VM told: keys, policies that it obeys and refuses, services."`
	Revoke      agentRevokeCmd  `cmd:"" help:"End the identity of an agent for good."`
	Refresh     agentRefreshCmd `cmd:"" help:"Ask the agents of a VM to look now."`
}

type agentTokenCmd struct {
	VDC     string `name:"vdc" required:"" help:"The VDC that the machine is in." placeholder:"NAME"`
	VM      string `name:"vm" help:"Name of the VM; the machine's own name if left out." placeholder:"NAME"`
	Minutes int    `help:"Minutes until it expires, up to 10080; 60 if left out." placeholder:"N"`
	ofTenant
}

// Help is shown below the flags.
func (agentTokenCmd) Help() string {
	return `The token is shown once. On the other machine, run the line that is printed.

Example:
  demarc agent enroll-token --vdc main --vm web-1`
}

type agentListCmd struct{ ofTenant }

type agentRevokeCmd struct {
	ID string `arg:"" name:"id" help:"Id of the agent."`
	ofTenant
	consent
}

type agentRefreshCmd struct {
	VM string `arg:"" name:"vm" help:"Name or id of the VM."`
	ofTenant
}

var enrolmentColumns = []column[api.EnrolmentToken]{
	{key: "id", head: "ID", text: func(v api.EnrolmentToken) string { return v.ID }},
	{key: "tenant", text: func(v api.EnrolmentToken) string { return v.Tenant }},
	{key: "vdc", head: "VDC", text: func(v api.EnrolmentToken) string { return v.VDC }},
	{key: "vm_name", head: "VM", text: func(v api.EnrolmentToken) string { return v.VMName }},
	{key: "expires", head: "EXPIRES", text: func(v api.EnrolmentToken) string { return stamp(v.Expires) }},
	{key: "server", head: "SERVER", text: func(v api.EnrolmentToken) string { return v.Server }},
	{key: "token", head: "TOKEN", text: func(v api.EnrolmentToken) string { return v.Token }},
}

func (s *session) agentColumns(names map[string]string) []column[api.Agent] {
	return []column[api.Agent]{
		{key: "id", head: "ID", text: func(v api.Agent) string { return v.ID }},
		{key: "tenant", text: func(v api.Agent) string { return v.Tenant }},
		{key: "vm", head: "VM", fit: cut, text: func(v api.Agent) string { return v.VM },
			show: func(v api.Agent) string { return cmp.Or(names[v.VM], v.VM) }},
		{key: "state", head: "STATE", text: agentState},
		{key: "seen_at", head: "SEEN", text: func(v api.Agent) string { return stampOf(v.SeenAt) },
			show: func(v api.Agent) string {
				if v.SeenAt == nil {
					return "never"
				}
				return s.age(*v.SeenAt) + " ago"
			}},
		{key: "skew_millis", head: "SKEW", text: func(v api.Agent) string { return fmt.Sprint(v.SkewMillis) },
			show: func(v api.Agent) string { return fmt.Sprintf("%d ms", v.SkewMillis) }},
		{key: "enrolled_at", text: func(v api.Agent) string { return stamp(v.EnrolledAt) }},
		{key: "software", head: "SOFTWARE", fit: cut, text: func(v api.Agent) string { return v.Software }},
	}
}

func agentState(a api.Agent) string {
	if a.RevokedAt != nil {
		return "revoked"
	}
	return "enrolled"
}

// Run makes an enrolment token.
func (c *agentTokenCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.CreateEnrolmentToken(ctx, tenant, api.NewEnrolmentToken{VDC: c.VDC, VMName: c.VM, Minutes: c.Minutes})
	if err != nil {
		return fmt.Errorf("making an enrolment token of tenant %s: %w", tenant, err)
	}
	if err := printOne(s, v, enrolmentColumns); err != nil {
		return err
	}
	s.note("\nThe token is not shown again. On the machine, as root:\n  echo %s | demarc-agent enroll --server %s",
		clean(v.Token), clean(cmp.Or(v.Server, client.Base)))
	return nil
}

// Run lists agents.
func (c *agentListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Agents(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing agents of tenant %s: %w", tenant, err)
	}
	names, err := s.names(ctx, client, tenant, len(all))
	if err != nil {
		return err
	}
	return printList(s, all, s.agentColumns(names), "No agent yet: make a token with `demarc agent enroll-token`.")
}

// Run revokes an agent.
func (c *agentRevokeCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Revoke agent %s? It can never report again.", c.ID); err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.RevokeAgent(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("revoking agent %s of tenant %s: %w", c.ID, tenant, err)
	}
	return printOne(s, v, s.agentColumns(nil))
}

// Run asks agents to look now.
func (c *agentRefreshCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	if err := client.Refresh(ctx, tenant, c.VM); err != nil {
		return fmt.Errorf("refreshing VM %s of tenant %s: %w", c.VM, tenant, err)
	}
	s.note("the agents of %s were asked to look now; see `demarc facts --vm %s`", c.VM, c.VM)
	return nil
}
