package decision_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/decision"
)

func change(t testing.TB, from, to decision.KeySet) decision.Decision {
	t.Helper()
	digest, err := from.Digest()
	if err != nil {
		t.Fatal(err)
	}
	content, err := decision.Encode(decision.KeyChangeContent{Previous: digest, KeySet: to})
	if err != nil {
		t.Fatal(err)
	}
	return decision.Decision{
		ID: "d-change", Kind: decision.KeyChange, Tenant: from.Tenant, Subject: "tenant/" + from.Tenant, Version: to.Version,
		IssuedAt: noon, ExpiresAt: noon.Add(time.Hour), Content: content,
	}
}

func next(from decision.KeySet, edit func(*decision.KeySet)) decision.KeySet {
	from.Version++
	edit(&from)
	return from
}

func TestNext(t *testing.T) {
	alice, bob, eve := newSigner(t, "p-alice"), newSigner(t, "p-bob"), newSigner(t, "p-eve")
	r1, r2, r3, other := newSigner(t, ""), newSigner(t, ""), newSigner(t, ""), newSigner(t, "")
	set := setOf("t-1", alice)
	set.Recovery, set.Threshold = []decision.Key{r1.Key, r2.Key, r3.Key}, 2
	bare := setOf("t-1", alice)
	rotated := next(set, func(s *decision.KeySet) { s.Keys = []decision.Key{bob.Key} })
	moved := next(set, func(s *decision.KeySet) { s.Recovery, s.Threshold = []decision.Key{other.Key}, 1 })
	dropped := next(set, func(s *decision.KeySet) { s.Recovery, s.Threshold = nil, 0 })
	lower := next(set, func(s *decision.KeySet) { s.Threshold = 1 })
	renamed := next(set, func(s *decision.KeySet) {
		k := r1.Key
		k.Name = "safe"
		s.Recovery = []decision.Key{k, r2.Key, r3.Key}
	})
	foreign := next(set, func(s *decision.KeySet) { s.Tenant = "t-2" })
	skipped := next(set, func(s *decision.KeySet) { s.Version++ })
	for _, c := range []struct {
		name string
		set  decision.KeySet
		s    decision.Signed
		want error
	}{
		{"rotation by a present key", set, signed(t, change(t, set, rotated), alice), nil},
		{"by a key that is to come", set, signed(t, change(t, set, rotated), bob), decision.ErrKey},
		{"by a stranger", set, signed(t, change(t, set, rotated), eve), decision.ErrKey},
		{"by nobody", set, signed(t, change(t, set, rotated)), decision.ErrUnsigned},
		{"recovery by two of three", set, signed(t, change(t, set, rotated), r1, r3), nil},
		{"by one of three", set, signed(t, change(t, set, rotated), r1), decision.ErrUnsigned},
		{"by the same one twice", set, signed(t, change(t, set, rotated), r1, r1), decision.ErrReplayed},
		{"by one and a stranger", set, signed(t, change(t, set, rotated), r1, other), decision.ErrKey},
		{"recovery keys changed by a daily key", set, signed(t, change(t, set, moved), alice), decision.ErrUnsigned},
		{"recovery keys dropped by a daily key", set, signed(t, change(t, set, dropped), alice), decision.ErrUnsigned},
		{"threshold lowered by a daily key", set, signed(t, change(t, set, lower), alice), decision.ErrUnsigned},
		{"a recovery key renamed by a daily key", set, signed(t, change(t, set, renamed), alice), decision.ErrUnsigned},
		{"recovery keys changed by two of them", set, signed(t, change(t, set, moved), r2, r3), nil},
		{"recovery keys for a set without", bare, signed(t, change(t, bare, next(bare, func(s *decision.KeySet) {
			s.Recovery, s.Threshold = []decision.Key{r1.Key}, 1
		})), alice), nil},
		{"another tenant's set", set, signed(t, change(t, set, foreign), alice), decision.ErrForeign},
		{"a version left out", set, signed(t, change(t, set, skipped), alice), decision.ErrForeign},
		{"used again", rotated, signed(t, change(t, set, rotated), alice), decision.ErrRolledBack},
		{"of another past", next(bare, func(*decision.KeySet) {}), signed(t, change(t, set, next(rotated, func(*decision.KeySet) {})), alice), decision.ErrForeign},
	} {
		got, err := c.set.Next(c.s, noon)
		want(t, c.name, err, c.want)
		if c.want == nil && got.Version != c.set.Version+1 {
			t.Errorf("%s: version %d after %d", c.name, got.Version, c.set.Version)
		}
		_, err = c.set.Verify(c.s, noon)
		want(t, c.name+", verified", err, c.want)
	}
	_, err := set.Verify(signed(t, policy("t-1", 1), r1, r2), noon)
	want(t, "recovery keys sign a policy", err, decision.ErrKey)
	_, err = set.Next(signed(t, policy("t-1", 1), alice), noon)
	want(t, "a policy as a change of keys", err, decision.ErrForeign)
	_, err = set.Next(signed(t, change(t, set, rotated), alice), noon.Add(2*time.Hour))
	want(t, "signed too late", err, decision.ErrExpired)
	// Of two rotations of the same set one counts: the other follows nothing.
	after, err := set.Next(signed(t, change(t, set, rotated), alice), noon)
	want(t, "first of two", err, nil)
	_, err = after.Next(signed(t, change(t, set, next(set, func(s *decision.KeySet) { s.Keys = append(s.Keys, eve.Key) })), alice), noon)
	want(t, "second of two", err, decision.ErrRolledBack)
}

func TestKeySetForm(t *testing.T) {
	alice, bob, r1 := newSigner(t, "p-alice"), newSigner(t, "p-bob"), newSigner(t, "")
	good := setOf("t-1", alice, bob)
	good.Recovery, good.Threshold = []decision.Key{r1.Key}, 1
	text, err := good.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := decision.ParseKeySet(text); err != nil || again.Version != 1 || len(again.Keys) != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	for name, edit := range map[string]func(*decision.KeySet){
		"no keys":                func(s *decision.KeySet) { s.Keys = nil },
		"no version":             func(s *decision.KeySet) { s.Version = 0 },
		"a key twice":            func(s *decision.KeySet) { s.Keys = append(s.Keys, s.Keys[0]) },
		"a key recovers itself":  func(s *decision.KeySet) { k := s.Keys[0]; k.Holder = ""; s.Recovery = []decision.Key{k} },
		"id of another":          func(s *decision.KeySet) { s.Keys[0].ID = s.Keys[1].ID },
		"no holder":              func(s *decision.KeySet) { s.Keys[0].Holder = "" },
		"recovery with a holder": func(s *decision.KeySet) { s.Recovery[0].Holder = "p-alice" },
		"threshold of none":      func(s *decision.KeySet) { s.Recovery = nil },
		"threshold too high":     func(s *decision.KeySet) { s.Threshold = 2 },
		"recovery without count": func(s *decision.KeySet) { s.Threshold = 0 },
		"may sign nothing":       func(s *decision.KeySet) { s.Keys[0].Kinds = []decision.Kind{} },
		"kind unknown":           func(s *decision.KeySet) { s.Keys[0].Kinds = []decision.Kind{"all"} },
		"three of two people":    func(s *decision.KeySet) { s.Required = map[decision.Kind]int{decision.Erase: 3} },
		"required once":          func(s *decision.KeySet) { s.Required = map[decision.Kind]int{decision.Erase: 1} },
		"required of what":       func(s *decision.KeySet) { s.Required = map[decision.Kind]int{"all": 2} },
		"not the public key": func(s *decision.KeySet) {
			s.Keys[0].Public = []byte("abc")
			s.Keys[0].ID = decision.KeyID([]byte("abc"))
		},
		"algorithm":                func(s *decision.KeySet) { s.Keys[0].Algorithm = "rot13" },
		"passkey without a page":   func(s *decision.KeySet) { s.Keys[0].Algorithm = decision.WebAuthn },
		"ed25519 with a page":      func(s *decision.KeySet) { s.Keys[0].Origins = []string{"https://demarc.example"} },
		"control characters":       func(s *decision.KeySet) { s.Keys[0].Name = "a\x1b[2J" },
		"more keys than anybody's": func(s *decision.KeySet) { s.Keys = make([]decision.Key, 33) },
	} {
		s, err := decision.ParseKeySet(text)
		if err != nil {
			t.Fatal(err)
		}
		edit(&s)
		want(t, name, s.Check(), decision.ErrForm)
	}
	for name, bad := range map[string][]byte{
		"duplicate": bytes.Replace(text, []byte(`"version":1`), []byte(`"version":1,"version":1`), 1),
		"unknown":   bytes.Replace(text, []byte(`"version":1`), []byte(`"version":1,"w":1`), 1),
		"space":     bytes.Replace(text, []byte(`"version":1`), []byte(`"version": 1`), 1),
		"huge":      bytes.Replace(text, []byte(`"version":1`), []byte(`"version":1e999`), 1),
	} {
		_, err := decision.ParseKeySet(bad)
		want(t, name, err, decision.ErrForm)
	}
}

func FuzzParseKeySet(f *testing.F) {
	text, _ := setOf("t-1", newSigner(f, "p-alice")).Canonical()
	f.Add(text)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decision.ParseKeySet(raw)
		if err != nil {
			return
		}
		if again, err := s.Canonical(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%q was accepted and is %q (%v)", raw, again, err)
		}
	})
}

// FuzzSigned reads what a server could send an agent.
func FuzzSigned(f *testing.F) {
	alice := newSigner(f, "p-alice")
	set := setOf("t-1", alice)
	raw, _ := json.Marshal(signed(f, policy("t-1", 1), alice))
	f.Add(raw)
	text, _ := policy("t-1", 1).Canonical()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s decision.Signed
		if json.Unmarshal(raw, &s) != nil {
			return
		}
		if _, err := set.Verify(s, noon); err == nil {
			if got, _ := s.Decision.Canonical(); !bytes.Equal(got, text) {
				t.Fatalf("a decision that nobody signed counts: %s", got)
			}
		}
	})
}
