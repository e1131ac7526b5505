package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/wire"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// keeper holds a key of the customer.
type keeper struct {
	decision.Key
	private ed25519.PrivateKey
}

func newKeeper(t testing.TB, holder string) keeper {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return keeper{decision.Key{ID: decision.KeyID(der), Holder: holder, Algorithm: decision.Ed25519, Public: der}, private}
}

func (k keeper) sign(t testing.TB, d decision.Decision) decision.Signed {
	t.Helper()
	text, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return decision.Signed{Decision: d, Signatures: []decision.Signature{{Key: k.ID, Algorithm: decision.Ed25519, Signature: ed25519.Sign(k.private, decision.Message(text))}}}
}

func keySet(keys ...keeper) decision.KeySet {
	s := decision.KeySet{Tenant: "tenant-1", Version: 1}
	for _, k := range keys {
		s.Keys = append(s.Keys, k.Key)
	}
	return s
}

func digestOf(t testing.TB, s decision.KeySet) string {
	t.Helper()
	d, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// policyOf makes an agent-policy for the machine of these tests.
func policyOf(version int64, level int, edit ...func(*decision.Decision)) decision.Decision {
	d := decision.Decision{
		ID: fmt.Sprintf("d-%04d", version), Kind: decision.AgentPolicy, Tenant: "tenant-1", Subject: "vm/vm-1", Version: version,
		IssuedAt: noon, ExpiresAt: noon.Add(time.Hour), Content: json.RawMessage(fmt.Sprintf(`{"document":{"level":%d},"service":"guarded"}`, level)),
	}
	for _, e := range edit {
		e(&d)
	}
	return d
}

// rotate is a signed change from one set to the next.
func rotate(t testing.TB, by keeper, from, to decision.KeySet) decision.Signed {
	t.Helper()
	content, err := decision.Encode(decision.KeyChangeContent{Previous: digestOf(t, from), KeySet: to})
	if err != nil {
		t.Fatal(err)
	}
	return by.sign(t, decision.Decision{
		ID: "d-rotation", Kind: decision.KeyChange, Tenant: from.Tenant, Subject: "tenant/" + from.Tenant, Version: to.Version,
		IssuedAt: noon, ExpiresAt: noon.Add(time.Hour), Content: content,
	})
}

// pinnedTo is what an agent knows right after its enrolment.
func pinnedTo(t testing.TB, s decision.KeySet) customer {
	t.Helper()
	c := customer{}.under(digestOf(t, s), Identity{Identity: wire.Identity{Tenant: "tenant-1", VM: "vm-1"}})
	c, err := c.follow(decision.History{First: s})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTake(t *testing.T) {
	alice, eve := newKeeper(t, "p-alice"), newKeeper(t, "p-eve")
	base := pinnedTo(t, keySet(alice))
	held, err := base.take(alice.sign(t, policyOf(5, 2)))
	if err != nil {
		t.Fatal(err)
	}
	subject := func(s string) func(*decision.Decision) { return func(d *decision.Decision) { d.Subject = s } }
	tampered := alice.sign(t, policyOf(6, 2))
	tampered.Decision.Content = json.RawMessage(`{"document":{"level":0},"service":"guarded"}`)
	flipped := alice.sign(t, policyOf(6, 2))
	flipped.Signatures[0].Signature[0] ^= 1
	unpinned := customer{}.under("", Identity{Identity: wire.Identity{Tenant: "tenant-1", VM: "vm-1"}})
	for _, x := range []struct {
		name string
		c    customer
		s    decision.Signed
		want string
	}{
		{"newer", held, alice.sign(t, policyOf(6, 2)), ""},
		{"newer by some", held, alice.sign(t, policyOf(60, 2)), ""},
		{"the same again", held, alice.sign(t, policyOf(5, 2)), ""},
		{"for the tenant", held, alice.sign(t, policyOf(1, 1, subject("tenant/tenant-1"))), ""},
		{"unsigned", held, decision.Signed{Decision: policyOf(6, 2)}, "unsigned"},
		{"signed by the server", held, eve.sign(t, policyOf(6, 2)), "key"},
		{"changed after it was signed", held, tampered, "signature"},
		{"a flipped bit", held, flipped, "signature"},
		{"for another VM", held, alice.sign(t, policyOf(6, 2, subject("vm/vm-2"))), "foreign"},
		{"for another tenant's VM of that name", held, alice.sign(t, policyOf(6, 2, func(d *decision.Decision) { d.Tenant = "tenant-2" })), "foreign"},
		{"for another tenant", held, alice.sign(t, policyOf(6, 2, subject("tenant/tenant-2"))), "foreign"},
		{"older", held, alice.sign(t, policyOf(4, 2)), "rolled-back"},
		{"another of the same version", held, alice.sign(t, policyOf(5, 0)), "replayed"},
		{"the same id with another version", held, alice.sign(t, policyOf(6, 2, func(d *decision.Decision) { d.ID = "d-0005" })), "replayed"},
		{"another kind", held, alice.sign(t, policyOf(6, 2, func(d *decision.Decision) { d.Kind = decision.Erase })), "foreign"},
		{"members that a policy has not", held, alice.sign(t, policyOf(6, 2, func(d *decision.Decision) {
			d.Content = json.RawMessage(`{"Service":"x","document":{"level":2},"service":"guarded"}`)
		})), "malformed"},
		{"without a pin", unpinned, alice.sign(t, policyOf(6, 2)), "unpinned"},
	} {
		next, err := x.c.take(x.s)
		got := ""
		if err != nil {
			got = refusal(x.s, "guarded", err).Class
		}
		if got != x.want {
			t.Errorf("%s: %q (%v), want %q", x.name, got, err, x.want)
		}
		before, _ := x.c.obey(noon)
		after, _ := next.obey(noon)
		if x.want != "" && after["guarded"].Digest != before["guarded"].Digest {
			t.Errorf("%s: refused and obeyed", x.name)
		}
	}
}

func TestObey(t *testing.T) {
	alice := newKeeper(t, "p-alice")
	c := pinnedTo(t, keySet(alice))
	until := func(at time.Time, level int) func(*decision.Decision) {
		return func(d *decision.Decision) {
			d.Content, _ = decision.Encode(decision.PolicyContent{Service: "guarded", Document: json.RawMessage(fmt.Sprintf(`{"level":%d}`, level)), Until: &at})
		}
	}
	take := func(d decision.Decision) {
		t.Helper()
		var err error
		if c, err = c.take(alice.sign(t, d)); err != nil {
			t.Fatal(err)
		}
	}
	level := func(now time.Time) string {
		policies, _ := c.obey(now)
		return string(policies["guarded"].document)
	}
	take(policyOf(1, 1, func(d *decision.Decision) { d.Subject = "tenant/tenant-1" }))
	take(policyOf(1, 2, func(d *decision.Decision) { d.ID = "d-vm01" }, until(noon.Add(time.Hour), 2)))
	if got := level(noon); got != `{"level":2}` {
		t.Errorf("the VM's own policy: %s", got)
	}
	if got := level(noon.Add(time.Hour)); got != `{"level":1}` {
		t.Errorf("after it ended, the tenant's: %s", got)
	}
	if _, ended := c.obey(noon.Add(time.Hour)); len(ended) != 1 || ended[0].Class != "expired" {
		t.Errorf("it does not say that a policy ended: %v", ended)
	}
	// The clock jumps ahead and back: what counts is what counts at the time.
	if got := level(noon); got != `{"level":2}` {
		t.Errorf("after the clock came back: %s", got)
	}
	// A policy that comes when its time is over still ends the one before it.
	take(policyOf(2, 3, func(d *decision.Decision) { d.ID = "d-vm02" }, until(noon.Add(-time.Hour), 3)))
	if got := level(noon); got != `{"level":1}` {
		t.Errorf("an expired newer policy brought back an older one: %s", got)
	}
	if _, err := c.take(alice.sign(t, policyOf(1, 2, func(d *decision.Decision) { d.ID = "d-vm01" }, until(noon.Add(time.Hour), 2)))); decision.Reason(err) != "rolled-back" {
		t.Errorf("back to the one before: %v", err)
	}
}

func TestFollow(t *testing.T) {
	alice, bob, eve := newKeeper(t, "p-alice"), newKeeper(t, "p-bob"), newKeeper(t, "p-eve")
	first := keySet(alice)
	second := first
	second.Version, second.Keys = 2, []decision.Key{bob.Key}
	rotation := rotate(t, alice, first, second)
	c := pinnedTo(t, first)
	old, err := c.take(alice.sign(t, policyOf(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	c, err = old.follow(decision.History{First: first, Changes: []decision.Signed{rotation}})
	if err != nil || c.Keys.Version != 2 {
		t.Fatalf("version %d, %v", c.Keys.Version, err)
	}
	if _, err := c.take(alice.sign(t, policyOf(2, 0))); decision.Reason(err) != "key" {
		t.Errorf("a policy by the removed key: %v", err)
	}
	if now, _ := c.obey(noon); now["guarded"].Version != 1 {
		t.Error("what the removed key signed before does not count any more")
	}
	if _, err := c.take(bob.sign(t, policyOf(2, 2))); err != nil {
		t.Errorf("a policy by the new key: %v", err)
	}
	// A server that shows the keys of before does not bring them back.
	if again, err := c.follow(decision.History{First: first}); err != nil || again.Keys.Version != 2 {
		t.Errorf("an older history: version %d, %v", again.Keys.Version, err)
	}
	planted := second
	planted.Keys = []decision.Key{eve.Key}
	third := second
	third.Version, third.Keys = 3, []decision.Key{eve.Key}
	for name, h := range map[string]decision.History{
		"keys of the server's own":     {First: keySet(eve)},
		"a rotation by the server":     {First: first, Changes: []decision.Signed{rotate(t, eve, first, planted)}},
		"a rotation that nobody made":  {First: first, Changes: []decision.Signed{{Decision: rotation.Decision}}},
		"a rotation from another past": {First: first, Changes: []decision.Signed{rotate(t, bob, second, third)}},
	} {
		fresh := customer{}.under(digestOf(t, first), Identity{Identity: wire.Identity{Tenant: "tenant-1", VM: "vm-1"}})
		got, err := fresh.follow(h)
		if err == nil || got.Keys != nil && digestOf(t, *got.Keys) != digestOf(t, first) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Pinned to the second, an agent needs no proof of how it came about.
	late := customer{}.under(digestOf(t, second), Identity{Identity: wire.Identity{Tenant: "tenant-1", VM: "vm-1"}})
	if got, err := late.follow(decision.History{First: first, Changes: []decision.Signed{rotation}}); err != nil || got.Keys.Version != 2 {
		t.Errorf("pinned to the second: %v", err)
	}
	// Another tenant's keys, truly signed, are not this one's.
	foreign := first
	foreign.Tenant = "tenant-2"
	other := customer{}.under(digestOf(t, foreign), Identity{Identity: wire.Identity{Tenant: "tenant-1", VM: "vm-1"}})
	if _, err := other.follow(decision.History{First: foreign}); decision.Reason(err) != "foreign" {
		t.Errorf("another tenant's keys: %v", err)
	}
}

func TestTrustForm(t *testing.T) {
	dir := t.TempDir()
	for _, bad := range []string{"", "sha256:", "sha256:" + strings.Repeat("A", 64), strings.Repeat("a", 64)} {
		if Trust(dir, bad) == nil {
			t.Errorf("%q was taken for a digest", bad)
		}
	}
	if err := Trust(dir, "sha256:"+strings.Repeat("a", 64)); err == nil {
		t.Error("a machine that is not enrolled trusts keys")
	}
}
