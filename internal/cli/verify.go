package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

type verifyCmd struct {
	Bundle  string   `arg:"" help:"Bundle file, or - for standard input."`
	Key     []string `help:"Verifier key of the ledger, got from the provider beside the bundle; repeatable." placeholder:"KEY" sep:"none"`
	Witness []string `help:"Verifier key of a witness that must have cosigned; repeatable." placeholder:"KEY" sep:"none"`
}

// Help is shown below the flags.
func (verifyCmd) Help() string {
	return `Needs no server. Without --key it proves only that the bundle is whole, not who signed it. Exits with 3 if the bundle does not verify.

Examples:
  demarc verify acme.bundle --key demarc.example+1a2b3c4d+AbC...
  demarc ledger bundle | demarc verify -`
}

var verificationColumns = []column[Verification]{
	{key: "origin", head: "ORIGIN", text: func(v Verification) string { return v.Origin }},
	{key: "tenant", head: "TENANT", text: func(v Verification) string { return v.Tenant }},
	{key: "entries", head: "ENTRIES", text: func(v Verification) string { return strconv.FormatInt(v.Entries, 10) }},
	{key: "tree_size", head: "TREE SIZE", text: func(v Verification) string { return strconv.FormatInt(v.TreeSize, 10) }},
	{key: "first", head: "FIRST", text: func(v Verification) string { return stamp(v.First) }},
	{key: "last", head: "LAST", text: func(v Verification) string { return stamp(v.Last) }},
	{key: "keys", head: "SIGNED BY", fit: flow, text: func(v Verification) string { return strings.Join(v.Keys, " ") }},
	{key: "witnesses", head: "WITNESSED BY", fit: flow, text: func(v Verification) string { return strings.Join(v.Witnesses, " ") }},
	{key: "proven", head: "PROVEN", fit: flow, text: func(v Verification) string { return strings.Join(v.Proven, "; ") }},
	{key: "not_proven", head: "NOT PROVEN", fit: flow, text: func(v Verification) string { return strings.Join(v.NotProven, "; ") }, hue: func(Verification) hue { return yellow }},
	{key: "trusted", head: "KEYS GIVEN", text: func(v Verification) string { return yes(v.Trusted) }},
}

// Run verifies a bundle.
func (c *verifyCmd) Run(ctx context.Context, s *session) error {
	if s.programs.Verify == nil {
		return fmt.Errorf("verify: %w", errMissing)
	}
	var in io.Reader = s.streams.In
	if c.Bundle != "-" {
		f, err := os.Open(c.Bundle)
		if err != nil {
			return fmt.Errorf("opening the bundle: %w", err)
		}
		defer f.Close()
		in = f
	}
	stop := func() {}
	if _, tty := terminalOf(s.streams.Err); tty {
		stop = spin(s.streams.Err, "verifying")
	}
	v, err := s.programs.Verify(ctx, in, Trust{Keys: c.Key, Witnesses: c.Witness})
	stop()
	if errors.Is(err, context.Canceled) {
		return err
	}
	if err != nil {
		return &fault{code: ExitVerification, err: fmt.Errorf("%s does not verify: %w", c.Bundle, err),
			next: "fetch the bundle again; if it fails again, keep it: it is evidence"}
	}
	if err := printOne(s, v, verificationColumns); err != nil {
		return err
	}
	if !v.Trusted {
		s.note("the bundle is whole; who signed it is not proved: give the provider's key with --key")
	}
	return nil
}
