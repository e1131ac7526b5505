package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"github.com/demarc/demarc/api"
)

// ofParty are the flags that say whose duty a statement is about.
type ofParty struct {
	ofTenant
	Provider bool `help:"About the provider itself instead of a tenant."`
}

// stater connects, and finds out the tenant unless it is about the provider.
func (s *session) stater(ctx context.Context, of ofParty) (client *api.Client, tenant, about string, err error) {
	if !of.Provider {
		client, tenant, err = s.within(ctx, of.Tenant)
		return client, tenant, "tenant " + tenant, err
	}
	if of.Tenant != "" {
		return nil, "", "", usage("leave one of them out", "--provider and --tenant exclude each other")
	}
	client, err = s.connect()
	return client, "", "the provider", err
}

type attestCmd struct {
	Duty string `arg:"" help:"Id of the duty."`
	ofParty
	place
	Text      string   `required:"" help:"What you state." placeholder:"TEXT"`
	Attach    []string `help:"A document that shows it; only its name, size and SHA-256 are sent; repeatable." placeholder:"FILE" type:"existingfile" sep:"none"`
	Effective moment   `help:"From when on; now if left out." placeholder:"TIME"`
	Expires   moment   `required:"" help:"Until when it holds: a date, or 365d." placeholder:"TIME"`
}

// Help is shown below the flags.
func (attestCmd) Help() string {
	return `Example:
  demarc attest CLD.8.1.5/C-2.4a --tenant acme --text "Erasure policy 7 was followed" --attach report.pdf --expires 365d`
}

type waiveCmd struct {
	Duty string `arg:"" help:"Id of the duty, or SERVICE/RULE for a rule of a service."`
	ofParty
	place
	Reason    string `required:"" help:"Why the risk is accepted." placeholder:"TEXT"`
	Effective moment `help:"From when on; now if left out." placeholder:"TIME"`
	Expires   moment `required:"" help:"Until when it holds: a date, or 90d." placeholder:"TIME"`
	keyFlags
	consent
}

// Help is shown below the flags.
func (waiveCmd) Help() string {
	return `A tenant's waiver counts once it is signed: at once with --key, --agent or --pkcs11, else with demarc sign. The provider's own needs no signature.

Example:
  demarc waive CLD.9.5.2/C-4.1b --vm web-1 --reason "legacy port until the move, ticket 4711" --expires 90d --key sign`
}

type statementsCmd struct {
	List     statementListCmd     `cmd:"" help:"List what a tenant has of them, past ones too."`
	Withdraw statementWithdrawCmd `cmd:"" help:"Withdraw one now; it stays in the history."`
}

type statementListCmd struct{ ofParty }

type statementWithdrawCmd struct {
	ID string `arg:"" name:"id" help:"Its id."`
	ofParty
	consent
}

var statementColumns = []column[api.Statement]{
	{key: "id", head: "ID", text: func(v api.Statement) string { return v.ID }},
	{key: "type", text: func(v api.Statement) string { return v.Type }},
	{key: "duty", head: "DUTY", text: func(v api.Statement) string { return v.Duty }},
	{key: "subject", head: "SUBJECT", fit: cut, text: func(v api.Statement) string { return about(v.Subject) }},
	{key: "by", head: "BY", fit: cut, text: func(v api.Statement) string { return v.By }},
	{key: "in_force", head: "IN FORCE", text: func(v api.Statement) string { return yes(v.InForce) }},
	{key: "effective", text: func(v api.Statement) string { return stamp(v.Effective) }},
	{key: "expires", head: "EXPIRES", text: func(v api.Statement) string { return stamp(v.Expires) },
		show: func(v api.Statement) string { return v.Expires.UTC().Format("2006-01-02") }},
	{key: "withdrawn", text: func(v api.Statement) string { return stampOf(v.Withdrawn) }},
	{key: "text", head: "TEXT", fit: flow, text: func(v api.Statement) string { return v.Text }},
}

// Run attests.
func (c *attestCmd) Run(ctx context.Context, s *session) error {
	in := api.NewStatement{Duty: c.Duty, VM: c.VM, VDC: c.VDC, Text: c.Text}
	for _, path := range c.Attach {
		a, err := attachment(path)
		if err != nil {
			return fmt.Errorf("attaching: %w", err)
		}
		in.Attachments = append(in.Attachments, a)
	}
	return s.state(ctx, c.ofParty, in, c.Effective, c.Expires)
}

// Run waives.
func (c *waiveCmd) Run(ctx context.Context, s *session) error {
	in := api.NewStatement{Duty: c.Duty, VM: c.VM, VDC: c.VDC, Text: c.Reason}
	client, tenant, whose, err := s.stating(ctx, c.ofParty, &in, c.Effective, c.Expires)
	if err != nil {
		return err
	}
	if tenant == "" {
		v, err := client.CreateStatement(ctx, tenant, api.Waivers, in)
		if err != nil {
			return fmt.Errorf("waiving %s for %s: %w", in.Duty, whose, err)
		}
		return printOne(s, v, statementColumns)
	}
	d, err := client.ProposeWaiver(ctx, tenant, in)
	if err != nil {
		return fmt.Errorf("waiving %s for %s: %w", in.Duty, whose, err)
	}
	return s.proposed(ctx, client, tenant, d, c.keyFlags, c.consent, func(m api.Matter) bool {
		var content struct {
			Duty    string    `json:"duty"`
			Reason  string    `json:"reason"`
			Expires time.Time `json:"expires"`
		}
		return m.Kind == "waiver" && json.Unmarshal(m.Content, &content) == nil && content.Duty == in.Duty && content.Reason == in.Text &&
			!content.Expires.After(in.Expires)
	})
}

// state attests.
func (s *session) state(ctx context.Context, party ofParty, in api.NewStatement, effective, expires moment) error {
	client, tenant, whose, err := s.stating(ctx, party, &in, effective, expires)
	if err != nil {
		return err
	}
	v, err := client.CreateStatement(ctx, tenant, api.Attestations, in)
	if err != nil {
		return fmt.Errorf("attesting %s for %s: %w", in.Duty, whose, err)
	}
	return printOne(s, v, statementColumns)
}

// stating completes a statement by its times, and connects.
func (s *session) stating(ctx context.Context, party ofParty, in *api.NewStatement, effective, expires moment) (client *api.Client, tenant, whose string, err error) {
	if in.Effective, err = effective.at(s.now()); err != nil {
		return nil, "", "", err
	}
	until, err := expires.at(s.now())
	if err != nil {
		return nil, "", "", err
	}
	if until == nil {
		return nil, "", "", usage(momentForms, "--expires is empty: a statement holds until a named time")
	}
	in.Expires = *until
	return s.stater(ctx, party)
}

// attachment names a document by its content.
func attachment(path string) (api.Attachment, error) {
	f, err := os.Open(path)
	if err != nil {
		return api.Attachment{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return api.Attachment{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return api.Attachment{Name: filepath.Base(path), Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Bytes: n}, nil
}

// statementsOf says which of the two commands with the same verbs was called.
func statementsOf(line *kong.Context) string {
	if line.Selected().Parent.Name == "waiver" {
		return api.Waivers
	}
	return api.Attestations
}

// Run lists statements.
func (c *statementListCmd) Run(ctx context.Context, s *session, line *kong.Context) error {
	of := statementsOf(line)
	client, tenant, whose, err := s.stater(ctx, c.ofParty)
	if err != nil {
		return err
	}
	all, err := api.Collect(client.Statements(ctx, tenant, of))
	if err != nil {
		return fmt.Errorf("listing %s of %s: %w", of, whose, err)
	}
	empty := "No attestation yet: make one with `demarc attest DUTY`."
	if of == api.Waivers {
		empty = "No waiver yet: make one with `demarc waive DUTY`."
	}
	return printList(s, all, statementColumns, empty)
}

// Run withdraws a statement.
func (c *statementWithdrawCmd) Run(ctx context.Context, s *session, line *kong.Context) error {
	of := statementsOf(line)
	if err := s.confirm(c.consent, "Withdraw %s?", c.ID); err != nil {
		return err
	}
	client, tenant, whose, err := s.stater(ctx, c.ofParty)
	if err != nil {
		return err
	}
	if err := client.WithdrawStatement(ctx, tenant, of, c.ID); err != nil {
		return fmt.Errorf("withdrawing %s of %s: %w", c.ID, whose, err)
	}
	s.note("%s is withdrawn", c.ID)
	return nil
}
