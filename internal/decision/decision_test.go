package decision_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/decision"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// signer holds an Ed25519 key.
type signer struct {
	decision.Key
	private ed25519.PrivateKey
}

func newSigner(t testing.TB, holder string) signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer{decision.Key{ID: decision.KeyID(der), Holder: holder, Algorithm: decision.Ed25519, Public: der}, private}
}

func (s signer) sign(t testing.TB, d decision.Decision) decision.Signature {
	t.Helper()
	text, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return decision.Signature{Key: s.ID, Algorithm: decision.Ed25519, Signature: ed25519.Sign(s.private, decision.Message(text))}
}

func policy(tenant string, version int64) decision.Decision {
	return decision.Decision{
		ID: "d-1234", Kind: decision.AgentPolicy, Tenant: tenant, Subject: "vm/vm-1", Version: version,
		IssuedAt: noon, ExpiresAt: noon.Add(time.Hour), Content: json.RawMessage(`{"document":{"level":2},"service":"hardening"}`),
	}
}

func setOf(tenant string, keys ...signer) decision.KeySet {
	s := decision.KeySet{Tenant: tenant, Version: 1}
	for _, k := range keys {
		s.Keys = append(s.Keys, k.Key)
	}
	return s
}

func signed(t testing.TB, d decision.Decision, by ...signer) decision.Signed {
	s := decision.Signed{Decision: d}
	for _, k := range by {
		s.Signatures = append(s.Signatures, k.sign(t, d))
	}
	return s
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if target == nil && err != nil || target != nil && !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func TestVerify(t *testing.T) {
	alice, bob, stranger := newSigner(t, "p-alice"), newSigner(t, "p-bob"), newSigner(t, "p-eve")
	set := setOf("t-1", alice, bob)
	limited := alice
	limited.Kinds = []decision.Kind{decision.WaiverKind}
	good := signed(t, policy("t-1", 1), alice)
	with := func(change func(*decision.Signed)) decision.Signed {
		s := signed(t, policy("t-1", 1), alice)
		change(&s)
		return s
	}
	both := setOf("t-1", alice, bob)
	both.Required = map[decision.Kind]int{decision.AgentPolicy: 2}
	sameHolder := newSigner(t, "p-alice")
	three := setOf("t-1", alice, sameHolder, bob)
	three.Required = map[decision.Kind]int{decision.AgentPolicy: 2}
	for _, c := range []struct {
		name string
		set  decision.KeySet
		s    decision.Signed
		now  time.Time
		want error
	}{
		{"good", set, good, noon, nil},
		{"two good ones", set, signed(t, policy("t-1", 1), alice, bob), noon, nil},
		{"unsigned", set, decision.Signed{Decision: policy("t-1", 1)}, noon, decision.ErrUnsigned},
		{"another tenant's", setOf("t-2", alice), good, noon, decision.ErrForeign},
		{"unknown key", set, signed(t, policy("t-1", 1), stranger), noon, decision.ErrKey},
		{"removed key", setOf("t-1", bob), good, noon, decision.ErrKey},
		{"key not for this", setOf("t-1", limited), good, noon, decision.ErrKey},
		{"one bad beside a good one", set, with(func(s *decision.Signed) { s.Signatures = append(s.Signatures, stranger.sign(t, s.Decision)) }), noon, decision.ErrKey},
		{"same key twice", set, signed(t, policy("t-1", 1), alice, alice), noon, decision.ErrReplayed},
		{"one of two", both, good, noon, decision.ErrUnsigned},
		{"two of two", both, signed(t, policy("t-1", 1), alice, bob), noon, nil},
		{"two keys of one person", three, signed(t, policy("t-1", 1), alice, sameHolder), noon, decision.ErrUnsigned},
		{"too late", set, good, noon.Add(time.Hour), decision.ErrExpired},
		{"the clock jumped back", set, good, noon.Add(-time.Hour), decision.ErrExpired},
		{"the clock is a little behind", set, good, noon.Add(-time.Minute), nil},
		{"for another VM", set, with(func(s *decision.Signed) { s.Decision.Subject = "vm/vm-2" }), noon, decision.ErrSignature},
		{"another version", set, with(func(s *decision.Signed) { s.Decision.Version = 2 }), noon, decision.ErrSignature},
		{"another id", set, with(func(s *decision.Signed) { s.Decision.ID = "d-9999" }), noon, decision.ErrSignature},
		{"another content", set, with(func(s *decision.Signed) {
			s.Decision.Content = json.RawMessage(`{"document":{"level":1},"service":"hardening"}`)
		}), noon, decision.ErrSignature},
		{"stretched", set, with(func(s *decision.Signed) { s.Decision.ExpiresAt = noon.Add(2 * time.Hour) }), noon, decision.ErrSignature},
		{"flipped bit", set, with(func(s *decision.Signed) { s.Signatures[0].Signature[5] ^= 1 }), noon, decision.ErrSignature},
		{"empty signature", set, with(func(s *decision.Signed) { s.Signatures[0].Signature = nil }), noon, decision.ErrSignature},
		{"other algorithm", set, with(func(s *decision.Signed) { s.Signatures[0].Algorithm = decision.WebAuthn }), noon, decision.ErrSignature},
		{"content not canonical", set, with(func(s *decision.Signed) { s.Decision.Content = json.RawMessage(`{"b":1,"a":2}`) }), noon, decision.ErrForm},
		{"duplicate member", set, with(func(s *decision.Signed) { s.Decision.Content = json.RawMessage(`{"a":1,"a":2}`) }), noon, decision.ErrForm},
		{"huge number", set, with(func(s *decision.Signed) { s.Decision.Content = json.RawMessage(`{"a":1e999}`) }), noon, decision.ErrForm},
		{"rounded number", set, with(func(s *decision.Signed) { s.Decision.Content = json.RawMessage(`{"a":9007199254740993}`) }), noon, decision.ErrForm},
		{"no content", set, with(func(s *decision.Signed) { s.Decision.Content = nil }), noon, decision.ErrForm},
	} {
		by, err := c.set.Verify(c.s, c.now)
		want(t, c.name, err, c.want)
		if c.want == nil && len(by) != len(c.s.Signatures) {
			t.Errorf("%s: %d keys for %d signatures", c.name, len(by), len(c.s.Signatures))
		}
	}
	bare := alice.sign(t, policy("t-1", 1))
	text, _ := policy("t-1", 1).Canonical()
	bare.Signature = ed25519.Sign(alice.private, text)
	_, err := set.Verify(decision.Signed{Decision: policy("t-1", 1), Signatures: []decision.Signature{bare}}, noon)
	want(t, "signed without the first line", err, decision.ErrSignature)
}

func TestParse(t *testing.T) {
	text, err := policy("t-1", 1).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	d, err := decision.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := d.Canonical(); !bytes.Equal(again, text) {
		t.Errorf("%s became %s", text, again)
	}
	for name, bad := range map[string]string{
		"unknown member":   strings.Replace(string(text), `"version"`, `"verse":1,"version"`, 1),
		"other case":       strings.Replace(string(text), `"tenant"`, `"Tenant"`, 1),
		"twice":            strings.Replace(string(text), `"tenant":`, `"tenant":"t-2","tenant":`, 1),
		"space":            strings.Replace(string(text), `:`, `: `, 1),
		"kind":             strings.Replace(string(text), `agent-policy`, `anything`, 1),
		"time with offset": strings.ReplaceAll(string(text), `Z"`, `+00:00"`),
		"version as float": strings.Replace(string(text), `"version":1`, `"version":1.0`, 1),
		"negative version": strings.Replace(string(text), `"version":1`, `"version":-1`, 1),
		"subject":          strings.Replace(string(text), `vm/vm-1`, `vm/../t`, 1),
		"id":               strings.Replace(string(text), `d-1234`, `x`, 1),
		"nothing":          ``,
		"trailing":         string(text) + " ",
		"deep":             `{"content":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	} {
		if _, err := decision.Parse([]byte(bad)); !errors.Is(err, decision.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := policy("t-1", 1)
	big.Content = json.RawMessage(`{"a":"` + strings.Repeat("x", decision.MaxBytes) + `"}`)
	if _, err := big.Canonical(); !errors.Is(err, decision.ErrForm) {
		t.Errorf("too large: %v", err)
	}
}

// TestFlippedBytes changes each byte of a decision in turn: none is left that
// does not matter.
func TestFlippedBytes(t *testing.T) {
	alice := newSigner(t, "p-alice")
	set, s := setOf("t-1", alice), signed(t, policy("t-1", 1), alice)
	text, _ := s.Decision.Canonical()
	for i := range text {
		for _, bit := range []byte{1, 32} {
			changed := bytes.Clone(text)
			changed[i] ^= bit
			d, err := decision.Parse(changed)
			if err != nil {
				continue
			}
			if _, err := set.Verify(decision.Signed{Decision: d, Signatures: s.Signatures}, noon); err == nil {
				t.Fatalf("byte %d changed (%s) and nobody noticed", i, changed)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	text, _ := policy("t-1", 1).Canonical()
	f.Add(text)
	f.Add([]byte(`{"id":"d-1234","ID":"d-9999"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := decision.Parse(raw)
		if err != nil {
			return
		}
		again, err := d.Canonical()
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%q was accepted and is %q (%v)", raw, again, err)
		}
	})
}
