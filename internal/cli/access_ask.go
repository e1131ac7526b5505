package cli

import (
	"context"
	"fmt"

	"github.com/demarc/demarc/api"
)

type accessRequestCmd struct {
	ofTenant
	Ticket  string `required:"" help:"The customer's matter that it is for." placeholder:"INC-1234"`
	Purpose string `required:"" help:"What is to be done and why." placeholder:"TEXT"`
	Scope   scope  `required:"" help:"What you need, as shell@hv-1: shell, console, exec, sftp or forward at a target; repeatable." placeholder:"DO@TARGET"`
	For     span   `required:"" help:"For how long, up to 12h." placeholder:"TIME"`
	From    moment `help:"When it should begin; as soon as it is approved if left out." placeholder:"TIME"`
}

// Help is shown below the flags.
func (accessRequestCmd) Help() string {
	return `The customer's approvers are told. A request that nobody decides lapses after three days, or when its beginning has passed.

Example:
  demarc access request --tenant acme --ticket INC-1234 --purpose "replace the disk of hv-1" --scope shell@hv-1 --for 2h`
}

// Run asks for access.
func (c *accessRequestCmd) Run(ctx context.Context, s *session) error {
	n := api.NewGrant{Ticket: c.Ticket, Purpose: c.Purpose}
	var err error
	if n.Minutes, err = c.For.minutes(); err != nil {
		return err
	}
	if n.Scope, err = c.Scope.abilities(); err != nil {
		return err
	}
	if n.From, err = c.From.at(s.now()); err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	v, err := client.RequestGrant(ctx, tenant, n)
	if err != nil {
		return fmt.Errorf("asking for access to tenant %s: %w", tenant, err)
	}
	return printOne(s, v, grantColumns)
}

type breakGlassCmd struct {
	ofTenant
	Reason string `required:"" help:"Why there is no time for an approval." placeholder:"TEXT"`
	Scope  scope  `required:"" help:"What you need, as shell@hv-1; repeatable." placeholder:"DO@TARGET"`
	For    span   `default:"1h" help:"For how long, up to 1h." placeholder:"TIME"`
	Ticket string `help:"The customer's matter that it is for; can be named with the notice." placeholder:"INC-1234"`
	consent
}

// Help is shown below the flags.
func (breakGlassCmd) Help() string {
	return `Access begins at once. Within 24 hours you must tell the customer what was done (demarc access notice); until then, and if it is late, the customer's posture says so.

Example:
  demarc access break-glass --tenant acme --reason "hv-1 is on fire" --scope shell@hv-1 --for 30m`
}

// Run takes access.
func (c *breakGlassCmd) Run(ctx context.Context, s *session) error {
	b := api.BreakGlass{Reason: c.Reason, Ticket: c.Ticket}
	var err error
	if b.Minutes, err = c.For.minutes(); err != nil {
		return err
	}
	if b.Scope, err = c.Scope.abilities(); err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	if err := s.confirm(c.consent, "Enter the environment of %s without its approval? It will be told, and it is recorded.", tenant); err != nil {
		return err
	}
	v, err := client.BreakGlass(ctx, tenant, b)
	if err != nil {
		return fmt.Errorf("breaking glass at tenant %s: %w", tenant, err)
	}
	return printOne(s, v, grantColumns)
}

type accessExtendCmd struct {
	oneGrant
	For     span   `required:"" help:"For how long after the end of the grant, up to 12h." placeholder:"TIME"`
	Purpose string `help:"What is still to be done; as before if left out." placeholder:"TEXT"`
}

// Run asks for more time.
func (c *accessExtendCmd) Run(ctx context.Context, s *session) error {
	n, err := c.For.minutes()
	if err != nil {
		return err
	}
	client, tenant, err := c.at(ctx, s)
	if err != nil {
		return err
	}
	v, err := client.ExtendGrant(ctx, tenant, c.Grant, api.ExtendGrant{Minutes: n, Purpose: c.Purpose})
	if err != nil {
		return fmt.Errorf("extending grant %s: %w", c.Grant, err)
	}
	return printOne(s, v, grantColumns)
}

type accessApproveCmd struct {
	oneGrant
	For   span   `help:"For how long, if less than was asked for." placeholder:"TIME"`
	Scope scope  `help:"What of it, if less than was asked for; repeatable." placeholder:"DO@TARGET"`
	From  moment `help:"From when, within 30 days; as asked for, or from the signature, if left out." placeholder:"TIME"`
	keyFlags
	consent
}

// Help is shown below the flags.
func (accessApproveCmd) Help() string {
	return `Nothing is granted until the decision that this makes is signed with your key: here, if one is named, or later with demarc sign DECISION. The time runs from the signature.

Examples:
  demarc access approve gr-01jz… --key my.key
  demarc access approve gr-01jz… --for 1h
  demarc access approve gr-01jz… --from 2026-04-01T20:00:00Z --scope shell@hv-1`
}

var proposalColumns = []column[api.GrantProposal]{
	{key: "grant", head: "GRANT", text: func(v api.GrantProposal) string { return v.Grant }},
	{key: "decision", head: "DECISION", text: func(v api.GrantProposal) string { return v.Decision }},
}

// Run approves a request.
func (c *accessApproveCmd) Run(ctx context.Context, s *session) error {
	var a api.ApproveGrant
	var err error
	if a.Minutes, err = c.For.minutes(); err != nil {
		return err
	}
	if a.Scope, err = c.Scope.abilities(); err != nil {
		return err
	}
	if a.From, err = c.From.at(s.now()); err != nil {
		return err
	}
	client, tenant, err := c.at(ctx, s)
	if err != nil {
		return err
	}
	v, err := client.ApproveGrant(ctx, tenant, c.Grant, a)
	if err != nil {
		return fmt.Errorf("approving grant %s: %w", c.Grant, err)
	}
	if c.named() {
		d, err := client.Decision(ctx, tenant, v.Decision)
		if err != nil {
			return fmt.Errorf("reading decision %s: %w", v.Decision, err)
		}
		return s.proposed(ctx, client, tenant, d, c.keyFlags, c.consent, func(m api.Matter) bool {
			return m.Kind == "access-approval" && m.Subject == "grant/"+v.Grant
		})
	}
	if err := printOne(s, v, proposalColumns); err != nil {
		return err
	}
	s.note("\nIt is not approved yet: sign the decision, with `demarc sign %s --key FILE` or in the console.", clean(v.Decision))
	return nil
}
