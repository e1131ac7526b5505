package entry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/canonical"
)

func good() Entry {
	return Entry{
		Time: time.Date(2026, 3, 3, 10, 20, 30, 456_000, time.UTC), Tenant: "t-1", Sequence: 7,
		Actor: "provider-administrator/p-7", Action: "subscription.create", Subject: "vm/v-17",
		Digests: map[string]string{"document": canonical.Digest([]byte("a")), "approval": canonical.Digest([]byte("b"))},
	}
}

// What an entry, its commitment and its leaf are is fixed: a change here would
// make every ledger that exists unprovable.
func TestKnownAnswer(t *testing.T) {
	e := good()
	text := `{"action":"subscription.create","actor":"provider-administrator/p-7","digests":{` +
		`"approval":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",` +
		`"document":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},` +
		`"sequence":7,"subject":"vm/v-17","tenant":"t-1","time":"2026-03-03T10:20:30.000456Z"}`
	got := e.AppendCanonical(nil)
	if string(got) != text {
		t.Fatalf("canonical form is\n%s, want\n%s", got, text)
	}
	salt := bytes.Repeat([]byte{0x5a}, SaltSize)
	c := Commit(salt, got)
	if want := sha256.Sum256([]byte(strings.Repeat("\x5a", 32) + text)); c != want {
		t.Errorf("commitment is %x, want %x", c, want)
	}
	if got, want := hex.EncodeToString(hashOf(c.Leaf())), fmt.Sprintf("%x", sha256.Sum256(append([]byte{0}, c[:]...))); got != want {
		t.Errorf("leaf is %s, want %s", got, want)
	}
}

func hashOf(h [32]byte) []byte { return h[:] }

// The hand-written form is RFC 8785's, and reads back.
func TestCanonicalFormIsRFC8785(t *testing.T) {
	name := rapid.StringMatching(`[a-z][a-z0-9_-]{0,20}`)
	id := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,40}`)
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{
			Time:     time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time")).UTC(),
			Tenant:   rapid.OneOf(rapid.Just(""), id).Draw(t, "tenant"),
			Sequence: rapid.Int64Range(1, maxSequence).Draw(t, "sequence"),
			Actor:    id.Draw(t, "actor"), Subject: id.Draw(t, "subject"),
			Action: rapid.StringMatching(`[a-z][a-z0-9-]{0,8}(\.[a-z][a-z0-9-]{0,8}){1,3}`).Draw(t, "action"),
		}
		for _, n := range rapid.SliceOfN(name, 0, MaxDigests).Draw(t, "digests") {
			if e.Digests == nil {
				e.Digests = map[string]string{}
			}
			e.Digests[n] = canonical.Digest([]byte(n))
		}
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		digests := e.Digests
		if digests == nil {
			digests = map[string]string{}
		}
		want, err := canonical.JSON(map[string]any{
			"action": e.Action, "actor": e.Actor, "digests": digests, "sequence": e.Sequence,
			"subject": e.Subject, "tenant": e.Tenant, "time": e.Time.Format(timeForm),
		})
		if err != nil {
			t.Fatal(err)
		}
		got := e.AppendCanonical(nil)
		if !bytes.Equal(got, want) {
			t.Fatalf("form is\n%s, want\n%s", got, want)
		}
		again, err := Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if !again.Time.Equal(e.Time) || again.Tenant != e.Tenant || again.Sequence != e.Sequence || !maps.Equal(again.Digests, e.Digests) {
			t.Errorf("read back as %+v, want %+v", again, e)
		}
	})
}

// Names of people, mail addresses, secrets in prose and control characters have
// no place in an entry; and a refusal does not repeat what it refuses.
func TestCheckRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"no time":           func(e *Entry) { e.Time = time.Time{} },
		"year 10000":        func(e *Entry) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"negative sequence": func(e *Entry) { e.Sequence = -1 },
		"mail as actor":     func(e *Entry) { e.Actor = "jane@example.org" },
		"name as actor":     func(e *Entry) { e.Actor = "Jane Doe" },
		"no actor":          func(e *Entry) { e.Actor = "" },
		"one-word action":   func(e *Entry) { e.Action = "create" },
		"upper-case action": func(e *Entry) { e.Action = "Subscription.create" },
		"no subject":        func(e *Entry) { e.Subject = "" },
		"newline":           func(e *Entry) { e.Subject = "vm/v\n1" },
		"quote":             func(e *Entry) { e.Subject = `vm/"v"` },
		"long subject":      func(e *Entry) { e.Subject = strings.Repeat("s", MaxIdentifier+1) },
		"tenant with space": func(e *Entry) { e.Tenant = "t 1" },
		"text as digest":    func(e *Entry) { e.Digests = map[string]string{"document": "hunter2"} },
		"upper-case digest": func(e *Entry) { e.Digests = map[string]string{"d": "sha256:" + strings.Repeat("A", 64)} },
		"name of a digest":  func(e *Entry) { e.Digests = map[string]string{"Jane Doe": canonical.Digest(nil)} },
		"many digests": func(e *Entry) {
			e.Digests = map[string]string{}
			for i := range MaxDigests + 1 {
				e.Digests[fmt.Sprintf("d%d", i)] = canonical.Digest(nil)
			}
		},
	} {
		e := good()
		spoil(&e)
		err := e.Check()
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
			continue
		}
		for _, value := range []string{"jane", "Jane", "hunter2"} {
			if strings.Contains(err.Error(), value) {
				t.Errorf("%s: the error repeats the value: %v", name, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	e := good()
	f.Add(e.AppendCanonical(nil))
	f.Add([]byte(`{"action":"a.b","actor":"a","digests":{},"sequence":1,"subject":"s","tenant":"","time":"2026-03-03T10:20:30.000456Z"}`))
	f.Add([]byte(`{"action":"a.b","actor":"a","digests":{},"sequence":1e0,"subject":"s","tenant":"","time":"2026-03-03T10:20:30.000456Z"} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			return
		}
		if !bytes.Equal(e.AppendCanonical(nil), data) {
			t.Errorf("%q was accepted, and is written as %q", data, e.AppendCanonical(nil))
		}
	})
}
