package console

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
)

// FuzzPublicKey asserts that only whole Ed25519 keys are taken, as DER that says
// so.
func FuzzPublicKey(f *testing.F) {
	for _, s := range []string{
		"", "ssh-ed25519", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x", "ssh-ed25519 AAAA/////w==",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		der, err := publicKey(s)
		if err != nil {
			return
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if _, ok := key.(ed25519.PublicKey); err != nil || !ok {
			t.Fatalf("%q gives %x (%v)", s, der, err)
		}
	})
}

// FuzzPasskeyAnswers asserts that what a browser sends is taken whole or refused.
func FuzzPasskeyAnswers(f *testing.F) {
	for _, s := range []string{
		"", "null", "[]", `{"id":"bmV3","response":{"clientDataJSON":"eyJvcmlnaW4iOiJodHRwczovL3gifQ","publicKey":"c3BraQ"}}`,
		`{"id":"bmV3","response":{"clientDataJSON":"YQ","authenticatorData":"YQ","signature":"YQ"}}`, `{"id":1}`,
	} {
		f.Add(s)
	}
	set := api.KeySet{Keys: []api.Key{{ID: "k-1", Algorithm: "webauthn", Credential: []byte("new")}}}
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := newPasskey(s, "x"); err == nil && (len(k.Credential) == 0 || len(k.Public) == 0 || len(k.Origins) != 1 || k.Origins[0] == "") {
			t.Fatalf("%q gives %+v", s, k)
		}
		if a, err := assertionSignature(s, set); err == nil && (a.Key != "k-1" || len(a.Signature) == 0) {
			t.Fatalf("%q gives %+v", s, a)
		}
		if !json.Valid(jsonOrNull(s)) {
			t.Fatalf("%q goes on as it is", s)
		}
	})
}

// FuzzDecisionWords asserts that content of any form is told, or said not to be.
func FuzzDecisionWords(f *testing.F) {
	kinds := []string{"agent-policy", "access-approval", "maintenance-consent", "waiver", "termination", "erase", "key-change", ""}
	for i, s := range []string{`{}`, `[]`, `null`, `{"scope":"vm"}`, `{"scope":[{"do":1}]}`, `{"key_set":{"keys":null,"threshold":-1}}`, `{"seconds":-9223372036854775808}`, `{"at":"x"}`} {
		f.Add(i, s)
	}
	f.Fuzz(func(t *testing.T, kind int, s string) {
		d := api.Decision{ID: "d", Kind: kinds[uint(kind)%uint(len(kinds))], Subject: "vm/v-1", Content: json.RawMessage(s)}
		title, _ := decisionTitle(d, nil)
		lines, quote := inWords(d, nil)
		if strings.TrimSpace(title) == "" {
			t.Fatalf("%s %q has no title", d.Kind, s)
		}
		if !json.Valid([]byte(s)) && (len(lines) != 1 || quote != "") {
			t.Fatalf("%q is told as %v %q", s, lines, quote)
		}
	})
}

// FuzzMoments asserts that only moments are taken.
func FuzzMoments(f *testing.F) {
	for _, s := range []string{"", "2026-03-31T14:30", "2026-03-31T14:30:15", "2026-02-30T00:00", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := dateTime(s)
		if (s == "") != (at == nil && err == nil) {
			t.Fatalf("%q gives %v (%v)", s, at, err)
		}
	})
}
