package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/api"
)

type ledgerCmd struct {
	Log    ledgerLogCmd    `cmd:"" help:"List entries, newest first."`
	Show   ledgerShowCmd   `cmd:"" help:"Show one entry."`
	Verify ledgerVerifyCmd `cmd:"" help:"Have the server read its whole ledger again; exits with 3 if it is at fault."`
	Bundle ledgerBundleCmd `cmd:"" help:"Fetch the bundle that is verified without the server."`
	State  ledgerStateCmd  `cmd:"" help:"Show size, checkpoint and keys."`
	Rotate ledgerRotateCmd `cmd:"" help:"Sign with a new key from now on."`
}

type ledgerLogCmd struct {
	Tenant  string `help:"About one tenant." placeholder:"NAME"`
	Action  string `help:"Of one action, such as tenant.create." placeholder:"NAME"`
	Subject string `help:"About one subject." placeholder:"ID"`
	Since   moment `help:"Not before." placeholder:"TIME"`
	Until   moment `help:"Before." placeholder:"TIME"`
	Limit   int    `default:"50" help:"At most so many; 0 for all." placeholder:"N"`
}

type ledgerShowCmd struct {
	Index int64 `arg:"" help:"Index of the entry, from 0."`
}

type ledgerVerifyCmd struct{}

type ledgerRotateCmd struct{ consent }

// Help is shown below the flags.
func (ledgerRotateCmd) Help() string {
	return `The old and the new key both sign the checkpoint at which they change, so whoever trusts the old one can follow. Give the new verifier key to your witnesses and customers.`
}

type ledgerBundleCmd struct {
	Tenant string `help:"Of one tenant's entries." placeholder:"NAME"`
	Out    string `help:"Write to a file; standard output if left out." placeholder:"FILE"`
}

// Help is shown below the flags.
func (ledgerBundleCmd) Help() string {
	return `Example:
  demarc ledger bundle --tenant acme --out acme.bundle && demarc verify acme.bundle`
}

type ledgerStateCmd struct{}

var entryColumns = []column[api.LedgerEntry]{
	{key: "index", head: "INDEX", text: func(v api.LedgerEntry) string { return strconv.FormatInt(v.Index, 10) }},
	{key: "time", head: "TIME (UTC)", text: func(v api.LedgerEntry) string { return stamp(v.Time) },
		show: func(v api.LedgerEntry) string { return v.Time.UTC().Format("2006-01-02 15:04:05") }},
	{key: "tenant", head: "TENANT", fit: cut, text: func(v api.LedgerEntry) string { return v.Tenant }},
	{key: "actor", head: "ACTOR", fit: cut, text: func(v api.LedgerEntry) string { return v.Actor }},
	{key: "action", head: "ACTION", text: func(v api.LedgerEntry) string { return v.Action }},
	{key: "subject", head: "SUBJECT", fit: cut, text: func(v api.LedgerEntry) string { return v.Subject }},
	{key: "digests", text: digestList},
}

func digestList(e api.LedgerEntry) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Digests)) {
		parts = append(parts, name+"="+e.Digests[name])
	}
	return strings.Join(parts, " ")
}

var ledgerStateColumns = []column[api.LedgerState]{
	{key: "entries", head: "ENTRIES", text: func(v api.LedgerState) string { return strconv.FormatInt(v.Entries, 10) }},
	{key: "verified_at", head: "VERIFIED", text: func(v api.LedgerState) string { return stamp(v.VerifiedAt) }},
	{key: "fault", head: "FAULT", fit: flow, text: func(v api.LedgerState) string { return v.Fault }, hue: func(api.LedgerState) hue { return red }},
	{key: "witnesses", head: "WITNESSES", fit: flow, text: witnessList},
	{key: "keys", head: "KEYS", fit: flow, text: func(v api.LedgerState) string { return strings.Join(v.Keys, " ") }},
	{key: "checkpoint", text: func(v api.LedgerState) string { return v.Checkpoint }},
}

// witnessList says how it stands with each witness.
func witnessList(v api.LedgerState) string {
	var out []string
	for _, w := range v.Witnesses {
		text := fmt.Sprintf("%s: %d entries", w.Name, w.Size)
		if w.Fault != "" {
			text += ", " + w.Fault
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// Run lists entries.
func (c *ledgerLogCmd) Run(ctx context.Context, s *session) error {
	since, err := c.Since.text(s.now())
	if err != nil {
		return err
	}
	until, err := c.Until.text(s.now())
	if err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	var entries []api.LedgerEntry
	for e, err := range client.LedgerEntries(ctx, api.LedgerFilter{
		Tenant: c.Tenant, Action: c.Action, Subject: c.Subject, Since: since, Until: until,
	}) {
		if err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		if entries = append(entries, e); len(entries) == c.Limit {
			break
		}
	}
	return printList(s, entries, entryColumns, "No entry fits.")
}

// Run shows an entry.
func (c *ledgerShowCmd) Run(ctx context.Context, s *session) error {
	if c.Index < 0 {
		return usage("entries are counted from 0", "%d is not the index of an entry", c.Index)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	e, err := client.LedgerEntry(ctx, c.Index)
	if err != nil {
		return fmt.Errorf("reading ledger entry %d: %w", c.Index, err)
	}
	columns := slices.Clone(entryColumns)
	last := &columns[len(columns)-1]
	last.head, last.fit = "DIGESTS", flow
	return printOne(s, e, columns)
}

// Run has the ledger verified.
func (c *ledgerVerifyCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	state, err := client.VerifyLedger(ctx)
	if err != nil {
		return fmt.Errorf("verifying the ledger: %w", err)
	}
	if err := printOne(s, state, ledgerStateColumns); err != nil {
		return err
	}
	if state.Fault != "" {
		return &fault{code: ExitVerification, err: errors.New("the ledger does not verify: " + state.Fault),
			next: "keep the data directory as it is and tell your auditor; `demarc ledger bundle` may still give what is whole"}
	}
	s.note("the ledger is whole")
	return nil
}

// Run rotates the signing key.
func (c *ledgerRotateCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if err := s.confirm(c.consent, "sign the ledger with a new key from now on"); err != nil {
		return err
	}
	state, err := client.RotateLedgerKey(ctx)
	if err != nil {
		return fmt.Errorf("rotating the ledger's key: %w", err)
	}
	return printOne(s, state, ledgerStateColumns)
}

// Run fetches a bundle.
func (c *ledgerBundleCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	return s.deliver(c.Out, true, func(w io.Writer) error {
		if err := client.LedgerBundle(ctx, w, c.Tenant); err != nil {
			return fmt.Errorf("fetching the ledger bundle: %w", err)
		}
		return nil
	})
}

// Run shows the state of the ledger.
func (c *ledgerStateCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	state, err := client.LedgerState(ctx)
	if err != nil {
		return fmt.Errorf("reading the state of the ledger: %w", err)
	}
	if err := printOne(s, state, ledgerStateColumns); err != nil || s.flags.Output != "table" {
		return err
	}
	return s.print("\n" + cleanLines(strings.TrimSpace(state.Checkpoint)) + "\n")
}
