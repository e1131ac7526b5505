package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

// place names what something is about; with neither it is the tenant.
type place struct {
	VM  string `name:"vm" xor:"place" help:"The VM that it is about." placeholder:"NAME"`
	VDC string `name:"vdc" xor:"place" help:"The VDC that it is about." placeholder:"NAME"`
}

type explainCmd struct {
	Duty   string `arg:"" help:"Id of the duty, such as CLD.9.5.2/C-4.1b."`
	Tenant string `help:"The tenant; can be left out if the name of the VM is unique." placeholder:"NAME"`
	place
}

// Help is shown below the flags.
func (explainCmd) Help() string {
	return `Examples:
  demarc explain CLD.9.5.2/C-4.1b --vm web-1
  demarc explain CLD.6.3.1/P-1.4a --tenant acme`
}

// Run prints the page of a duty.
func (c *explainCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	tenant := c.Tenant
	switch {
	case c.VDC != "":
		tenant, err = s.tenantOr(ctx, client, tenant)
	case c.VM == "" && tenant == "":
		tenant, err = s.usualTenant(client)
	}
	if err != nil {
		return err
	}
	e, err := client.Explain(ctx, c.Duty, tenant, c.VDC, c.VM)
	if err != nil {
		return fmt.Errorf("explaining %s: %w", c.Duty, err)
	}
	switch s.flags.Output {
	case "csv":
		return s.printCSV(records([]api.Verdict{e.Verdict}, s.verdictColumns()))
	case "table":
		p := &page{width: s.width(), colour: s.colour()}
		s.explain(p, e)
		return s.print(p.String())
	}
	return s.printValue(e)
}

func (s *session) explain(p *page, e api.Explanation) {
	v, d := e.Verdict, e.Duty
	p.line(bold, v.Duty)
	p.text(0, d.Title)
	p.line(faint, strings.Join([]string{d.Level, subjectLine(v.Subject), strings.Join(d.Mode, " and ")}, " · "))
	p.blank()
	p.line(verdictHue(v.Verdict), fmt.Sprintf("%s since %s UTC (%s)", badge(v.Verdict), clock(v.Since), s.age(v.Since)))
	p.text(2, v.Reason)

	p.head("Responsible")
	p.text(2, responsible(e.Assignment))
	p.head("What it stands on")
	s.explainFacts(p, e)
	p.head("Judged by")
	p.pair("applies", e.Applies)
	p.pair("met", e.Met)
	p.pair("stale after", e.StaleAfter)
	p.pair("judged", clock(v.EvaluatedAt)+" UTC")
	if v.DueAt != nil {
		p.pair("next", clockOf(v.DueAt)+" UTC at the latest")
	}
	if len(e.WouldChange) > 0 {
		p.head("What would change it")
		for _, w := range e.WouldChange {
			p.text(2, "- "+w)
		}
	}
	if d.Remedy != "" {
		p.head("Remedy")
		p.text(2, d.Remedy)
	}
	s.explainPast(p, e)
}

func (s *session) explainFacts(p *page, e api.Explanation) {
	if len(e.Facts) == 0 && len(e.Verdict.Evidence) == 0 {
		p.text(2, "nothing yet")
	}
	seen := map[string]bool{}
	for _, f := range e.Facts {
		seen[f.Kind] = true
		p.text(2, fmt.Sprintf("fact %s, observed %s ago, changed %s ago", f.Kind, s.age(f.ObservedAt), s.age(f.ChangedAt)))
		p.detail(4, "from "+f.Source+", "+f.Digest)
	}
	for _, r := range e.Verdict.Evidence {
		if r.Type == "fact" && seen[r.Ref] {
			continue
		}
		p.text(2, fmt.Sprintf("%s %s, of %s UTC", r.Type, r.Ref, clock(r.At)))
		p.detail(4, strings.Trim(r.Source+", "+r.Digest, ", "))
	}
	if len(e.Duty.Missing) > 0 {
		p.text(2, "no service provides yet: "+strings.Join(e.Duty.Missing, ", "))
	}
}

func (s *session) explainPast(p *page, e api.Explanation) {
	if len(e.Statements) > 0 {
		p.head("Attestations and waivers")
		for _, st := range e.Statements {
			force := "not in force"
			if st.InForce {
				force = "in force"
			}
			p.text(2, fmt.Sprintf("%s %s by %s, %s, until %s UTC: %s", st.Type, st.ID, st.By, force, clock(st.Expires), st.Text))
		}
	}
	if len(e.History) > 0 {
		p.head("History")
		for _, h := range e.History {
			p.text(2, fmt.Sprintf("%s – %s  %s, %s: %s", clock(h.From), clock(h.Until), badge(h.Verdict), h.Party, h.Reason))
		}
	}
}

// subjectLine names a subject with its scope, unless both are one word.
func subjectLine(s api.Subject) string {
	if name := about(s); name != s.Scope {
		return s.Scope + " " + name
	}
	return s.Scope
}

// responsible says who, since when, and what moved the duty.
func responsible(a api.Assignment) string {
	text := a.Party
	if a.Since == nil {
		text += ", from the beginning"
	} else {
		text += ", since " + clockOf(a.Since) + " UTC"
	}
	switch {
	case a.Service != "" && a.Subscription != "":
		text += fmt.Sprintf(", moved by the subscription to %s (%s)", a.Service, a.Subscription)
	case a.Service != "":
		text += ", moved by the subscription to " + a.Service
	case a.Subscription != "":
		text += ", moved by subscription " + a.Subscription
	}
	return text
}
