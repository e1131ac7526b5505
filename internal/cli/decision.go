package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/demarc/demarc/api"
)

type decisionCmd struct {
	List     decisionListCmd     `cmd:"" help:"List decisions; those that wait for a signature unless told otherwise."`
	Show     decisionShowCmd     `cmd:"" help:"Say in words what a decision is about."`
	Submit   decisionSubmitCmd   `cmd:"" help:"Hand in a signature that was made elsewhere."`
	Withdraw decisionWithdrawCmd `cmd:"" help:"End a decision without a signature."`
}

type decisionListCmd struct {
	State string `enum:"pending,signed,withdrawn,expired,all" default:"pending" help:"Which: pending, signed, withdrawn, expired or all; pending if left out." placeholder:"STATE"`
	ofTenant
}

type decisionShowCmd struct {
	ID   string `arg:"" name:"id" help:"Its id."`
	Save string `help:"Write it to a file, to be signed on a machine without a network." placeholder:"FILE" type:"path"`
	ofTenant
}

type decisionSubmitCmd struct {
	File string `arg:"" help:"The file that demarc sign --save wrote." type:"existingfile"`
}

type decisionWithdrawCmd struct {
	ID string `arg:"" name:"id" help:"Its id."`
	ofTenant
	consent
}

var decisionColumns = []column[api.Decision]{
	{key: "id", head: "ID", text: func(v api.Decision) string { return v.ID }},
	{key: "kind", head: "KIND", text: func(v api.Decision) string { return v.Kind }},
	{key: "subject", head: "ABOUT", fit: cut, text: func(v api.Decision) string { return v.Subject },
		show: func(v api.Decision) string {
			if v.SubjectName != "" {
				scope, _, _ := strings.Cut(v.Subject, "/")
				return scope + " " + v.SubjectName
			}
			return v.Subject
		}},
	{key: "version", text: func(v api.Decision) string { return fmt.Sprint(v.Version) }},
	{key: "state", head: "STATE", text: func(v api.Decision) string { return v.State }},
	{key: "signatures", head: "SIGNED", text: func(v api.Decision) string { return fmt.Sprintf("%d of %d", len(v.Signatures), v.Needs) }},
	{key: "expires_at", head: "SIGN BEFORE", text: func(v api.Decision) string { return stamp(v.ExpiresAt) }},
	{key: "proposed_by", head: "PROPOSED BY", fit: cut, text: func(v api.Decision) string { return v.ProposedBy }},
	{key: "digest", text: func(v api.Decision) string { return v.Digest }},
}

// Run lists decisions.
func (c *decisionListCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	state := c.State
	if state == "all" {
		state = ""
	}
	all, err := api.Collect(client.Decisions(ctx, tenant, state))
	if err != nil {
		return fmt.Errorf("listing decisions of tenant %s: %w", tenant, err)
	}
	return printList(s, all, decisionColumns, "No such decision. Others: demarc decision list --state all")
}

// Run shows a decision.
func (c *decisionShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	d, err := client.Decision(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("reading decision %s: %w", c.ID, err)
	}
	if c.Save != "" {
		raw, err := json.MarshalIndent(api.SigningFile{Canonical: d.Canonical}, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the decision: %w", err)
		}
		if err := os.WriteFile(c.Save, append(raw, '\n'), 0o600); err != nil {
			return fmt.Errorf("writing the decision: %w", err)
		}
	}
	if s.flags.Output != "table" {
		return printOne(s, d, decisionColumns)
	}
	m, err := api.ReadMatter(d.Canonical)
	if err != nil {
		return err
	}
	columns := []column[api.Decision]{}
	for _, w := range m.Say() {
		columns = append(columns, column[api.Decision]{head: w.Head, fit: flow, text: func(api.Decision) string { return w.Text }})
	}
	columns = append(columns, column[api.Decision]{head: "digest", text: func(api.Decision) string { return api.Digest(d.Canonical) }},
		column[api.Decision]{head: "state", text: func(v api.Decision) string {
			if v.State == "signed" && !v.Acts {
				return "signed; nothing acts on it yet"
			}
			return v.State
		}},
		column[api.Decision]{head: "signed by", fit: flow, text: func(v api.Decision) string {
			var by []string
			for _, g := range v.Signatures {
				by = append(by, fmt.Sprintf("%s with %s at %s", g.By, g.Key, stamp(g.At)))
			}
			return strings.Join(by, ", ")
		}})
	return printOne(s, d, columns)
}

// Run hands in a signature.
func (c *decisionSubmitCmd) Run(ctx context.Context, s *session) error {
	raw, err := readBounded(c.File, 1<<20)
	if err != nil {
		return fmt.Errorf("reading the signature: %w", err)
	}
	var f api.SignatureFile
	if err := json.Unmarshal(raw, &f); err != nil || f.Decision == "" || f.Tenant == "" {
		return fmt.Errorf("%s is no signature; `demarc sign FILE --save` writes one", c.File)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	d, err := client.SignDecision(ctx, f.Tenant, f.Decision, f.Signature)
	if err != nil {
		return fmt.Errorf("handing in the signature of decision %s: %w", f.Decision, err)
	}
	return s.signed(d)
}

// Run withdraws a decision.
func (c *decisionWithdrawCmd) Run(ctx context.Context, s *session) error {
	if err := s.confirm(c.consent, "Withdraw decision %s?", c.ID); err != nil {
		return err
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	d, err := client.WithdrawDecision(ctx, tenant, c.ID)
	if err != nil {
		return fmt.Errorf("withdrawing decision %s: %w", c.ID, err)
	}
	return printOne(s, d, decisionColumns)
}
