package signed

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// keys returns a ledger's and a witness's signer with their verifier keys.
func keys(t testing.TB) (ledger, witness note.Signer, ledgerKey, witnessKey string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "demarc/test")
	if err != nil {
		t.Fatal(err)
	}
	if ledger, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	w, err := torchwood.NewCosignatureSigner("witness.test/w", ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return ledger, w, vkey, w.Verifier().String()
}

func signedBy(t testing.TB, signers ...note.Signer) []byte {
	t.Helper()
	c := torchwood.Checkpoint{Origin: "demarc/test", Tree: tlog.Tree{N: 7, Hash: tlog.Hash{1}}}
	data, err := note.Sign(&note.Note{Text: c.String()}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func verifiers(t testing.TB, vkeys ...string) (all []note.Verifier) {
	t.Helper()
	for _, k := range vkeys {
		v, _, err := Verifier(k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// A checkpoint passes only with the very signatures that are asked for, and with
// no byte changed.
func TestCheckpoint(t *testing.T) {
	l, w, lk, wk := keys(t)
	both := signedBy(t, l, w)
	c, err := Checkpoint(both, "demarc/test", verifiers(t, lk, wk)...)
	if err != nil || c.N != 7 {
		t.Fatalf("checkpoint %v, error %v", c, err)
	}
	for name, c := range map[string]struct {
		note    []byte
		origin  string
		signers []note.Verifier
	}{
		"other origin":        {both, "demarc/other", verifiers(t, lk, wk)},
		"unknown signature":   {both, "demarc/test", verifiers(t, lk)},
		"missing signature":   {signedBy(t, l), "demarc/test", verifiers(t, lk, wk)},
		"signed twice by one": {signedBy(t, l, w), "demarc/test", verifiers(t, lk, lk)},
		"unsigned":            {signedBy(t), "demarc/test", nil},
		"too long":            {append(both, strings.Repeat("x", MaxNote)...), "demarc/test", verifiers(t, lk, wk)},
	} {
		if _, err := Checkpoint(c.note, c.origin, c.signers...); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for i := range both {
		for bit := range 8 {
			both[i] ^= 1 << bit
			if _, err := Checkpoint(both, "demarc/test", verifiers(t, lk, wk)...); err == nil {
				t.Errorf("byte %d with bit %d flipped was accepted", i, bit)
			}
			both[i] ^= 1 << bit
		}
	}
}

func TestVerifier(t *testing.T) {
	_, _, lk, wk := keys(t)
	if _, cosigner, err := Verifier(lk); err != nil || cosigner {
		t.Errorf("ledger's key: cosigner %v, error %v", cosigner, err)
	}
	if _, cosigner, err := Verifier(wk); err != nil || !cosigner {
		t.Errorf("witness's key: cosigner %v, error %v", cosigner, err)
	}
	for _, key := range []string{lk, wk} {
		b := []byte(key)
		for i := range b {
			for bit := range 8 {
				b[i] ^= 1 << bit
				if _, _, err := Verifier(string(b)); err == nil {
					t.Errorf("%q was accepted", b)
				}
				b[i] ^= 1 << bit
			}
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	l, w, lk, wk := keys(f)
	f.Add(signedBy(f, l, w))
	f.Add([]byte("demarc/test\n7\nAAAA\n\n— x y\n"))
	vs := verifiers(f, lk, wk)
	good := signedBy(f, l)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Checkpoint(data, "demarc/test", vs...); err == nil && string(data[:30]) != string(good[:30]) {
			t.Errorf("%q was accepted", data)
		}
	})
}
