package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/demarc/demarc/api"
)

type activityCmd struct {
	ofTenant
	Since  moment `help:"Not before; 30 days ago if left out." placeholder:"TIME"`
	Limit  int    `default:"50" help:"At most so many; 0 for all." placeholder:"N"`
	Follow bool   `short:"f" help:"Go on showing acts as they happen, until interrupted."`
}

// Help is shown below the flags.
func (activityCmd) Help() string {
	return `Each act is an entry of the ledger; "demarc ledger show INDEX" shows it, and "demarc ledger bundle" proves it.

Example:
  demarc activity --tenant acme --follow`
}

var activityColumns = []column[api.Activity]{
	{key: "index", head: "ENTRY", text: func(v api.Activity) string { return strconv.FormatInt(v.Index, 10) }},
	{key: "time", head: "TIME (UTC)", text: func(v api.Activity) string { return stamp(v.Time) },
		show: func(v api.Activity) string { return v.Time.UTC().Format("2006-01-02 15:04:05") }},
	{key: "words", head: "WHAT THE PROVIDER DID", fit: flow, text: func(v api.Activity) string { return v.Words }},
	{key: "actor", text: func(v api.Activity) string { return v.Actor }},
	{key: "action", text: func(v api.Activity) string { return v.Action }},
	{key: "subject", text: func(v api.Activity) string { return v.Subject }},
	{key: "proof", text: func(v api.Activity) string { return v.Proof }},
}

// Run lists acts, and follows them.
func (c *activityCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	since, err := c.Since.text(s.now())
	if err != nil {
		return err
	}
	if since == "" {
		since = stamp(s.now().AddDate(0, 0, -30))
	}
	var list []api.Activity
	for a, err := range client.Activity(ctx, tenant, since) {
		if err != nil {
			return fmt.Errorf("reading what the provider did: %w", err)
		}
		if list = append(list, a); len(list) == c.Limit {
			break
		}
	}
	if err := printList(s, list, activityColumns, "The provider did nothing in that time."); err != nil || !c.Follow {
		return err
	}
	last := int64(-1)
	if len(list) > 0 {
		last = list[0].Index
	}
	return c.follow(ctx, s, client, tenant, last)
}

// follow prints acts as they happen, each on a line.
func (c *activityCmd) follow(ctx context.Context, s *session, client *api.Client, tenant string, last int64) error {
	for e, err := range client.Events(ctx, tenant) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("following what the provider does: %w", err)
		}
		var a api.Activity
		switch {
		case e.Name == "lost":
			s.note("some acts were missed: list them again")
			continue
		case e.Name != "activity":
			continue
		}
		if err := json.Unmarshal(e.Data, &a); err != nil {
			return fmt.Errorf("reading an act: %w", err)
		}
		if a.Index <= last {
			continue
		}
		last = a.Index
		line := fmt.Sprintf("%d  %s  %s\n", a.Index, a.Time.UTC().Format(time.DateTime), clean(a.Words))
		if s.flags.Output == "json" {
			line = string(e.Data) + "\n"
		}
		if err := s.print(line); err != nil {
			return err
		}
	}
	return nil
}

type incidentCmd struct {
	List  incidentListCmd  `cmd:"" help:"List incidents, newest first."`
	Close incidentCloseCmd `cmd:"" help:"Close an incident with what was found out."`
}

type incidentListCmd struct{ ofTenant }

type incidentCloseCmd struct {
	ID string `arg:"" name:"id" help:"Its id."`
	ofTenant
	Note string `required:"" help:"What was found out." placeholder:"TEXT"`
}

var incidentColumns = []column[api.Incident]{
	{key: "id", head: "ID", text: func(v api.Incident) string { return v.ID }},
	{key: "state", head: "STATE", text: func(v api.Incident) string { return v.State }, hue: func(v api.Incident) hue {
		if v.State == "open" {
			return red
		}
		return plain
	}},
	{key: "kind", text: func(v api.Incident) string { return v.Kind }},
	{key: "vm", head: "VM", fit: cut, text: func(v api.Incident) string { return v.VM }, show: func(v api.Incident) string { return v.VMName }},
	{key: "at", text: func(v api.Incident) string { return stamp(v.At) }},
	{key: "opened_at", head: "OPENED", text: func(v api.Incident) string { return stamp(v.OpenedAt) }, show: func(v api.Incident) string { return clock(v.OpenedAt) }},
	{key: "words", head: "WHAT HAPPENED", fit: flow, text: func(v api.Incident) string { return v.Words }},
	{key: "closed_by", text: func(v api.Incident) string { return v.ClosedBy }},
	{key: "note", head: "NOTE", fit: flow, text: func(v api.Incident) string { return v.Note }},
}

// Run lists incidents.
func (c *incidentListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	list, err := api.Collect(client.Incidents(ctx, tenant))
	if err != nil {
		return fmt.Errorf("listing incidents: %w", err)
	}
	return printList(s, list, incidentColumns, "There is no incident.")
}

// Run closes an incident.
func (c *incidentCloseCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	i, err := client.CloseIncident(ctx, tenant, c.ID, c.Note)
	if err != nil {
		return fmt.Errorf("closing the incident: %w", err)
	}
	return printOne(s, i, incidentColumns)
}
