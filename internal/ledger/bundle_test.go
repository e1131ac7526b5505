package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/ledger/signed"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

func bundled(t testing.TB, l *Log, o BundleOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := l.Bundle(t.Context(), &b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func testWitnessKey(t testing.TB) string {
	t.Helper()
	w, err := torchwood.NewCosignatureSigner("witness.test/w1", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return w.Verifier().String()
}

// A tenant verifies its entries offline with the first key of the ledger, which
// was rotated since, and with a witness.
//
//demarc:duty CLD.8.1.5/P-2.3b
func TestBundleVerifies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := grown(t, s)
		keys, err := l.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var kept []byte
		err = s.Read(t.Context(), func(tx *store.Tx) error {
			c, err := tx.LedgerCheckpoint(4)
			kept = []byte(c.Note)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		o := bundle.Options{Keys: []string{keys[0].VKey}, Witnesses: []string{testWitnessKey(t)}, Threshold: 1, Earlier: kept}
		for name, c := range map[string]struct {
			o                 BundleOptions
			shown             int
			firstSeq, lastSeq int64
			proven, notProven string
		}{
			"tenant":        {o: BundleOptions{Tenant: "t-2", Since: 4, Cosignatures: 1}, shown: 66 + 2, firstSeq: 1, lastSeq: 66, proven: "number 1 and its number 66", notProven: "What the 199 entries"},
			"later":         {o: BundleOptions{Tenant: "t-2", From: 60, Since: 4}, shown: 7 + 2, firstSeq: 60, lastSeq: 66, notProven: "before its number 60"},
			"provider":      {o: BundleOptions{Since: 4}, shown: 69, firstSeq: 1, lastSeq: 69, proven: "No entry of the provider"},
			"late provider": {o: BundleOptions{Since: 4, From: 60}, shown: 10 + 1, firstSeq: 60, lastSeq: 69},
			"all":           {o: BundleOptions{All: true, Since: 4}, shown: 267, proven: "Every entry from 0 to 266 is shown"},
			"late all":      {o: BundleOptions{All: true, Since: 4, From: 200}, shown: 68, proven: "Every entry from 200 to 266 is shown", notProven: "entries before 200"},
		} {
			r, err := bundle.Verify(bytes.NewReader(bundled(t, l, c.o)), o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if len(r.Entries) != c.shown || r.FirstSequence != c.firstSeq || r.LastSequence != c.lastSeq || r.Size != 267 {
				t.Errorf("%s: shows %d entries, numbers %d to %d, of %d", name, len(r.Entries), r.FirstSequence, r.LastSequence, r.Size)
			}
			if !strings.Contains(strings.Join(r.Proven, "\n"), c.proven) || !strings.Contains(strings.Join(r.NotProven, "\n"), c.notProven) {
				t.Errorf("%s: proven %q, not proven %q", name, r.Proven, r.NotProven)
			}
			if len(r.Witnesses) != 1 || !r.Witnesses[0].Trusted || r.Witnesses[0].At.IsZero() {
				t.Errorf("%s: witnesses %v", name, r.Witnesses)
			}
		}
	})
}

func TestBundleSaysWhatItDoesNotProve(t *testing.T) {
	l := grown(t, storetest.Open(t, storetest.SQLite(t)))
	r, err := bundle.Verify(bytes.NewReader(bundled(t, l, BundleOptions{Tenant: "t-1"})), bundle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(r.NotProven, "\n")
	for _, want := range []string{"you named no key", "no witness that you named", "no earlier checkpoint", "has no entry after number"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %q", want, said)
		}
	}
}

func TestBundleRefusals(t *testing.T) {
	l := grown(t, storetest.Open(t, storetest.SQLite(t)))
	for name, o := range map[string]BundleOptions{
		"no such tenant": {Tenant: "t-9"}, "from beyond": {Tenant: "t-1", From: 1000},
		"no such checkpoint": {Tenant: "t-1", Since: 5}, "too few cosignatures": {Tenant: "t-1", Cosignatures: 2},
	} {
		if err := l.Bundle(t.Context(), new(bytes.Buffer), o); !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v, want ErrRange", name, err)
		}
	}

	other := grown(t, storetest.Open(t, storetest.SQLite(t)))
	foreign, err := other.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	foreignCheckpoint, err := other.PublishedCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := bundled(t, l, BundleOptions{Tenant: "t-1"})
	for name, c := range map[string]struct {
		o    bundle.Options
		want string
	}{
		"foreign key":     {bundle.Options{Keys: []string{foreign[0].VKey}}, "none of the keys you named"},
		"too few":         {bundle.Options{Witnesses: []string{testWitnessKey(t)}, Threshold: 2}, "1 of the witnesses you named"},
		"rewritten":       {bundle.Options{Earlier: foreignCheckpoint}, "was rewritten"},
		"unknown earlier": {bundle.Options{Earlier: []byte("demarc/test\n7\n" + strings.Repeat("A", 43) + "=\n\n— x y\n")}, "no proof that it continues"},
	} {
		if _, err := bundle.Verify(bytes.NewReader(b), c.o); !errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Every byte of a bundle is flipped in turn, and none passes, although the
// verifier names no key, no witness and no checkpoint of its own.
//
//demarc:duty CLD.12.1.5/P-5.2b
func TestBundleFindsEveryFlippedByte(t *testing.T) {
	l := grown(t, storetest.Open(t, storetest.SQLite(t)))
	b := bundled(t, l, BundleOptions{Tenant: "t-2", From: 60, Since: 4})
	if _, err := bundle.Verify(bytes.NewReader(b), bundle.Options{}); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for _, bit := range []byte{1, 2, 16, 32, 128} {
			b[i] ^= bit
			if _, err := bundle.Verify(bytes.NewReader(b), bundle.Options{}); !errors.Is(err, bundle.ErrInvalid) {
				t.Errorf("byte %d (%q) with bit %d flipped: %v", i, b[max(0, i-20):min(len(b), i+20)], bit, err)
			}
			b[i] ^= bit
		}
	}
	for _, n := range []int{0, 1, len(b) / 2, len(b) - 1} {
		if _, err := bundle.Verify(bytes.NewReader(b[:n]), bundle.Options{}); !errors.Is(err, bundle.ErrInvalid) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := bundle.Verify(bytes.NewReader(append(b, ' ')), bundle.Options{}); !errors.Is(err, bundle.ErrInvalid) {
		t.Errorf("with a space at its end: %v", err)
	}
}

// Whoever has a signed checkpoint can add a signature of their own to it. That
// does not make their key one of the ledger's, for the ledger does not tell of it.
func TestBundleRefusesAKeyThatTheLedgerDoesNotTellOf(t *testing.T) {
	l := grown(t, storetest.Open(t, storetest.SQLite(t)))
	keys, err := l.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(bundled(t, l, BundleOptions{Tenant: "t-1"}))
	if err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	intruder, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text, lines, err := signed.Split([]byte(b.Checkpoint))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := note.Sign(&note.Note{Text: text}, intruder)
	if err != nil {
		t.Fatal(err)
	}
	_, own, err := signed.Split(forged)
	if err != nil {
		t.Fatal(err)
	}
	b.Keys = append(b.Keys, bundle.Key{FromSize: 267, VKey: vkey})
	b.Checkpoint += own[0]
	b.Rotations = append(b.Rotations, bundle.Linked{Checkpoint: text + "\n" + lines[0] + own[0], Proof: []byte{}})
	var written bytes.Buffer
	if err := b.Write(&written); err != nil {
		t.Fatal(err)
	}
	_, err = bundle.Verify(&written, bundle.Options{Keys: []string{keys[0].VKey}})
	if !errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), "no entry tells of it") {
		t.Errorf("error is %v", err)
	}
}
