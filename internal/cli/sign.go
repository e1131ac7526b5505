package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/demarc/demarc/api"
)

type signCmd struct {
	Decision string `arg:"" help:"Id of the decision, or a file that demarc decision show --save wrote."`
	Save     string `help:"Write the signature to this file instead of handing it in; see demarc decision submit." placeholder:"FILE" type:"path"`
	keyFlags
	ofTenant
	consent
}

// Help is shown below the flags.
func (signCmd) Help() string {
	return `What is signed is shown first, read from the very bytes that are signed.

Examples:
  demarc sign d-01jz… --key ~/.config/demarc/sign
  demarc sign d-01jz… --agent
  demarc sign d-01jz… --pkcs11 /usr/lib/softhsm/libsofthsm2.so --key-label sign

Without a network, on a machine that holds the key:
  demarc decision show d-01jz… --save matter.json
  demarc sign matter.json --key sign --save signature.json
  demarc decision submit signature.json`
}

// Run signs a decision.
func (c *signCmd) Run(ctx context.Context, s *session) error {
	if !strings.HasPrefix(c.Decision, "d-") {
		return c.offline(ctx, s)
	}
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	d, err := client.Decision(ctx, tenant, c.Decision)
	if err != nil {
		return fmt.Errorf("reading decision %s: %w", c.Decision, err)
	}
	if c.Save != "" {
		sig, m, err := s.signature(ctx, c.keyFlags, c.consent, d.Canonical, d)
		if err != nil {
			return err
		}
		return c.save(s, m, sig)
	}
	return s.signNow(ctx, client, tenant, d, c.keyFlags, c.consent)
}

// offline signs what a file holds.
func (c *signCmd) offline(ctx context.Context, s *session) error {
	if c.Save == "" {
		return usage("add --save FILE and hand that in with `demarc decision submit FILE`", "where does the signature go?")
	}
	raw, err := readBounded(c.Decision, 4<<20)
	if err != nil {
		return fmt.Errorf("reading the decision: %w", err)
	}
	var f api.SigningFile
	if err := json.Unmarshal(raw, &f); err != nil || len(f.Canonical) == 0 {
		return fmt.Errorf("%s is no decision; `demarc decision show ID --save FILE` writes one", c.Decision)
	}
	sig, m, err := s.signature(ctx, c.keyFlags, c.consent, f.Canonical, api.Decision{})
	if err != nil {
		return err
	}
	return c.save(s, m, sig)
}

func (c *signCmd) save(s *session, m api.Matter, sig api.NewSignature) error {
	raw, err := json.MarshalIndent(api.SignatureFile{Tenant: m.Tenant, Decision: m.ID, Signature: sig}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the signature: %w", err)
	}
	if err := os.WriteFile(c.Save, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the signature: %w", err)
	}
	s.note("the signature is in %s; hand it in with `demarc decision submit %s`", c.Save, c.Save)
	return nil
}

// signature shows what canonical bytes say, asks, and signs them. d is what the
// server says beside, for what it calls things; it may be empty.
func (s *session) signature(ctx context.Context, f keyFlags, ask consent, canonical []byte, d api.Decision) (api.NewSignature, api.Matter, error) {
	m, err := api.ReadMatter(canonical)
	if err != nil {
		return api.NewSignature{}, m, err
	}
	if d.ID != "" && (m.ID != d.ID || api.Digest(canonical) != d.Digest) {
		return api.NewSignature{}, m, errors.New("the server gave other bytes than those of the decision asked for; nothing was signed")
	}
	key, err := f.signer(ctx, s)
	if err != nil {
		return api.NewSignature{}, m, err
	}
	s.sayMatter(m, d, api.Digest(canonical))
	if err := s.confirm(ask, "Sign this?"); err != nil {
		return api.NewSignature{}, m, err
	}
	public, err := der(key.public())
	if err != nil {
		return api.NewSignature{}, m, err
	}
	sig, err := key.sign(ctx, api.SigningMessage(canonical))
	if err != nil {
		return api.NewSignature{}, m, fmt.Errorf("signing decision %s: %w", m.ID, err)
	}
	return api.NewSignature{Key: api.KeyID(public), Algorithm: "ed25519", Signature: sig}, m, nil
}

// sayMatter shows a matter in words, beside the table on standard output.
func (s *session) sayMatter(m api.Matter, d api.Decision, digest string) {
	lines := m.Say()
	if d.SubjectName != "" {
		lines = append(lines, api.Line{Head: "the server says", Text: m.Subject + " is called " + d.SubjectName})
	}
	if d.ID != "" && !d.Acts {
		lines = append(lines, api.Line{Head: "effect", Text: "it is kept; nothing acts on it yet"})
	}
	for _, w := range append(lines, api.Line{Head: "digest", Text: digest}) {
		fmt.Fprintf(s.streams.Err, "%-16s %s\n", clean(w.Head), clean(w.Text))
	}
}

// signNow signs a decision and hands the signature in.
func (s *session) signNow(ctx context.Context, client *api.Client, tenant string, d api.Decision, f keyFlags, ask consent) error {
	sig, _, err := s.signature(ctx, f, ask, d.Canonical, d)
	if err != nil {
		return err
	}
	done, err := client.SignDecision(ctx, tenant, d.ID, sig)
	if err != nil {
		return fmt.Errorf("handing in the signature of decision %s: %w", d.ID, err)
	}
	return s.signed(done)
}

// signed prints what became of a decision.
func (s *session) signed(d api.Decision) error {
	if err := printOne(s, d, decisionColumns); err != nil {
		return err
	}
	if d.State == "pending" {
		s.note("\n%d signed it so far, and it takes more: another signs with `demarc sign %s`", len(d.Signatures), d.ID)
	}
	return nil
}

// proposed signs what was proposed, if a key is named, or says how to. same
// holds what was asked for against what the bytes say.
func (s *session) proposed(ctx context.Context, client *api.Client, tenant string, d api.Decision, f keyFlags, ask consent, same func(api.Matter) bool) error {
	if f.named() {
		m, err := api.ReadMatter(d.Canonical)
		if err != nil {
			return err
		}
		if !same(m) {
			return fmt.Errorf("the server made another decision than the one asked for; nothing was signed: see `demarc decision show %s`", d.ID)
		}
		return s.signNow(ctx, client, tenant, d, f, ask)
	}
	if err := printOne(s, d, decisionColumns); err != nil {
		return err
	}
	s.note("\nIt waits for a signature. Sign it: demarc sign %s --key FILE, or in the console", clean(d.ID))
	return nil
}

// sameJSON reports whether two documents are the same but for their spelling.
func sameJSON(a, b json.RawMessage) bool {
	x, y := jsontext.Value(bytes.Clone(a)), jsontext.Value(bytes.Clone(b))
	return x.Canonicalize() == nil && y.Canonicalize() == nil && bytes.Equal(x, y)
}
