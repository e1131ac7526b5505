package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

type postureCmd struct {
	Tenant  string   `help:"Of one tenant." placeholder:"NAME"`
	VM      string   `name:"vm" help:"Of one VM." placeholder:"NAME"`
	Control string   `help:"Of one control, such as CLD.9.5.2." placeholder:"ID"`
	Duty    string   `help:"Of one duty, such as CLD.9.5.2/C-4.1b." placeholder:"ID"`
	Party   string   `enum:",customer,provider" default:"" help:"For which one party is responsible: customer or provider." placeholder:"PARTY"`
	Verdict string   `enum:",met,not-met,unknown,not-applicable,waived" default:"" help:"With one verdict: met, not-met, unknown, not-applicable or waived." placeholder:"VERDICT"`
	FailOn  []string `name:"fail-on" enum:"not-met,unknown" help:"Exit with 4 if a duty listed is not-met or unknown; takes both, with a comma." placeholder:"VERDICT"`
}

// Help is shown below the flags.
func (postureCmd) Help() string {
	return `Examples:
  demarc posture --vm web-1
  demarc posture --party customer --verdict not-met
  demarc posture --fail-on not-met,unknown --output csv > posture.csv`
}

// Run lists verdicts by control.
func (c *postureCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	verdicts, err := api.Collect(client.Posture(ctx, api.PostureFilter{
		Tenant: c.Tenant, VM: c.VM, Control: c.Control, Duty: c.Duty, Party: c.Party, Verdict: c.Verdict,
	}))
	if err != nil {
		return fmt.Errorf("reading the posture: %w", err)
	}
	slices.SortStableFunc(verdicts, func(a, b api.Verdict) int {
		return cmp.Or(natural(a.Control, b.Control), natural(a.Duty, b.Duty),
			cmp.Compare(a.Subject.Tenant, b.Subject.Tenant), cmp.Compare(a.Subject.Name, b.Subject.Name))
	})
	var counts api.Counts
	for _, v := range verdicts {
		count(&counts, v.Verdict)
	}
	if err := c.show(ctx, s, client, verdicts, counts); err != nil {
		return err
	}
	return c.judge(counts)
}

func (c *postureCmd) show(ctx context.Context, s *session, client *api.Client, verdicts []api.Verdict, counts api.Counts) error {
	titles := map[string]string{}
	if s.flags.Output == "table" && len(verdicts) > 0 {
		titles = controlTitles(ctx, client, c.Tenant)
	}
	heading := func(v api.Verdict) string { return strings.TrimSpace(v.Control + "  " + titles[v.Control]) }
	err := printGroups(s, verdicts, s.verdictColumns(), heading,
		"No duty fits. Without filters this means that nothing was judged yet: `demarc status` shows whether agents report.")
	if err != nil || s.flags.Output != "table" || len(verdicts) == 0 {
		return err
	}
	return s.print("\n" + tally(counts) + "\n")
}

// judge makes the exit code of --fail-on.
func (c *postureCmd) judge(counts api.Counts) error {
	var found []string
	if n := counts.NotMet; n > 0 && slices.Contains(c.FailOn, "not-met") {
		found = append(found, fmt.Sprintf("%d not met", n))
	}
	if n := counts.Unknown; n > 0 && slices.Contains(c.FailOn, "unknown") {
		found = append(found, fmt.Sprintf("%d unknown", n))
	}
	if len(found) == 0 {
		return nil
	}
	return &fault{code: ExitDuties, err: fmt.Errorf("duties that --fail-on names: %s", strings.Join(found, ", ")),
		next: "`demarc explain DUTY --vm NAME` says what would change one"}
}

// controlTitles reads what the controls are called. Titles are an ornament of
// the headings: without them the table is complete.
func controlTitles(ctx context.Context, client *api.Client, tenant string) map[string]string {
	titles := map[string]string{}
	if o, err := client.Overview(ctx, tenant); err == nil {
		for _, c := range o.Controls {
			titles[c.Control] = c.Title
		}
	}
	return titles
}

func (s *session) verdictColumns() []column[api.Verdict] {
	return []column[api.Verdict]{
		{key: "verdict", head: "VERDICT", text: func(v api.Verdict) string { return v.Verdict },
			show: func(v api.Verdict) string { return badge(v.Verdict) },
			hue:  func(v api.Verdict) hue { return verdictHue(v.Verdict) }},
		{key: "duty", head: "DUTY", text: func(v api.Verdict) string { return v.Duty }},
		{key: "title", text: func(v api.Verdict) string { return v.Title }},
		{key: "level", text: func(v api.Verdict) string { return v.Level }},
		{key: "scope", text: func(v api.Verdict) string { return v.Subject.Scope }},
		{key: "tenant", text: func(v api.Verdict) string { return v.Subject.Tenant }},
		{key: "subject", head: "SUBJECT", fit: cut, text: func(v api.Verdict) string { return about(v.Subject) }},
		{key: "party", head: "PARTY", text: func(v api.Verdict) string { return v.Party }},
		{key: "since", head: "FOR", text: func(v api.Verdict) string { return stamp(v.Since) },
			show: func(v api.Verdict) string { return s.age(v.Since) }},
		{key: "reason", head: "REASON", fit: flow, text: func(v api.Verdict) string { return v.Reason }},
	}
}
