package grant_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var start = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// rig is a store with tenants and people; its ledger and judge take notes, and
// its decisions are signed by a word.
type rig struct {
	*grant.Grants
	store  *store.Store
	policy *authz.Policy

	mu      sync.Mutex
	time    time.Time
	ticks   bool // the time is that of the test's bubble
	entries []ledger.Entry
	judged  int
	failing error
	people  map[string]access.Principal
	twins   map[string]string // principals of one person
	keys    map[string]key
	book    *consent.Book
	live    []grant.Session
}

func (r *rig) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ticks {
		return time.Now()
	}
	return r.time
}

func (r *rig) at(t time.Time) { r.mu.Lock(); defer r.mu.Unlock(); r.time = t }

func (r *rig) pass(d time.Duration) { r.at(r.Now().Add(d)) }

func (r *rig) Append(_ *store.Tx, es ...ledger.Entry) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, es...)
	return 0, r.failing
}

func (r *rig) Rejudge(_ *store.Tx, s ...evidence.Subject) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.judged += len(s)
	return nil
}

func (r *rig) Standing(_ *store.Tx, id string) (access.Principal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.people[id]
	if !ok {
		return p, fmt.Errorf("principal %q: %w", id, store.ErrNotFound)
	}
	p.MFA = false // not known of somebody who is not there
	return p, nil
}

func (r *rig) Same(_ *store.Tx, a, b string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a == b || r.twins[a] == b || r.twins[b] == a, nil
}

func (r *rig) Live(*store.Tx, string) ([]grant.Session, error) { return r.live, nil }

// sign signs the decision with a key of by's, at the book of consent.
func (r *rig) sign(t testing.TB, by access.Principal, id string) error {
	t.Helper()
	k, ok := r.keys[by.ID]
	if !ok {
		return fmt.Errorf("%w: %s has none", decision.ErrKey, by.ID)
	}
	var d store.Decision
	err := r.store.Read(t.Context(), func(tx *store.Tx) (err error) {
		d, err = tx.DecisionByID(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.book.Sign(t.Context(), by, id, decision.Signature{Key: k.ID, Algorithm: decision.Ed25519, Signature: ed25519.Sign(k.private, decision.Message([]byte(d.Body)))})
	return err
}

// effect is what sign does after the book was content: whoever by is.
func (r *rig) effect(t testing.TB, by access.Principal, id string) error {
	t.Helper()
	return r.store.Write(t.Context(), func(tx *store.Tx) error {
		s, err := tx.SignedDecision(id)
		if err != nil {
			return err
		}
		return r.Approved(tx, by, s)
	})
}

type key struct {
	decision.Key
	private ed25519.PrivateKey
}

func newKey(t testing.TB, holder string) key {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key{decision.Key{ID: decision.KeyID(der), Holder: holder, Algorithm: decision.Ed25519, Public: der}, private}
}

// keysOf makes the tenant's keys, one for each holder.
func (r *rig) keysOf(tx *store.Tx, t testing.TB, tenant string, holders ...access.Principal) error {
	set := decision.KeySet{Tenant: tenant, Version: 1}
	for _, p := range holders {
		k := newKey(t, p.ID)
		r.keys[p.ID] = k
		set.Keys = append(set.Keys, k.Key)
	}
	return tx.InsertKeySet(&store.KeySet{KeySet: set, CreatedAt: start, By: holders[0].Actor()})
}

// standing is what the book asks of people.
type standing struct{ *rig }

func (s standing) Standing(tx *store.Tx, id string) (access.Principal, bool, error) {
	p, err := s.rig.Standing(tx, id)
	return p, err == nil, nil
}

var (
	eva   = access.Principal{ID: "p-eva", Name: "Eva", Role: access.ProviderOperator, Kind: access.Person, MFA: true}
	sam   = access.Principal{ID: "p-sam", Name: "Sam", Role: access.ProviderSecurity, Kind: access.Person, MFA: true}
	root  = access.Principal{ID: "p-root", Name: "Root", Role: access.ProviderAdministrator, Kind: access.Person, MFA: true}
	rita  = access.Principal{ID: "p-rita", Name: "Rita", Role: access.ProviderAdministrator, Kind: access.Person, MFA: true}
	anna  = access.Principal{ID: "p-anna", Name: "Anna", Role: access.CustomerApprover, Tenant: "t-acme", Kind: access.Person, MFA: true}
	otto  = access.Principal{ID: "p-otto", Name: "Otto", Role: access.CustomerOwner, Tenant: "t-acme", Kind: access.Person, MFA: true}
	vera  = access.Principal{ID: "p-vera", Name: "Vera", Role: access.CustomerViewer, Tenant: "t-acme", Kind: access.Person, MFA: true}
	olga  = access.Principal{ID: "p-olga", Name: "Olga", Role: access.CustomerOwner, Tenant: "t-other", Kind: access.Person, MFA: true}
	shell = []access.Ability{{Do: "shell", Target: "hv-1"}, {Do: "sftp", Target: "hv-1"}}
)

const acme = "t-acme"

func newRig(t testing.TB) *rig {
	t.Helper()
	return rigOn(t, storetest.Open(t, storetest.SQLite(t)))
}

func rigOn(t testing.TB, s *store.Store) *rig {
	t.Helper()
	policy, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		store: s, policy: policy, time: start, people: map[string]access.Principal{}, twins: map[string]string{},
		keys: map[string]key{},
	}
	for _, p := range []access.Principal{eva, sam, root, rita, anna, otto, vera, olga} {
		r.people[p.ID] = p
	}
	r.book = &consent.Book{Store: s, Ledger: r, Policy: policy, People: standing{r}, Now: r.Now, Log: slog.New(slog.DiscardHandler)}
	r.Grants = r.server(t)
	r.book.On(decision.AccessApproval, r.Approved)
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		for _, x := range []estate.Tenant{{ID: acme, Name: "acme"}, {ID: "t-other", Name: "other"}, {ID: "t-local", Name: "local", Own: true}} {
			x.CreatedAt = start
			if err := tx.InsertTenant(&x); err != nil {
				return err
			}
		}
		if err := r.keysOf(tx, t, "t-local", root, rita); err != nil {
			return err
		}
		return r.keysOf(tx, t, acme, anna, otto, vera)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// server is one more server of the installation.
func (r *rig) server(t testing.TB) *grant.Grants {
	t.Helper()
	return grant.New(grant.Config{
		Store: r.store, Ledger: r, Judge: r, Policy: r.policy, People: r, Consent: r.book, Now: r.Now, Log: slog.New(slog.DiscardHandler),
	})
}

func ask(minutes int) grant.Request {
	return grant.Request{Ticket: "INC-7", Purpose: "replace the disk of hv-1", Scope: shell, Duration: time.Duration(minutes) * time.Minute}
}

func (r *rig) request(t testing.TB, q grant.Request) store.Grant {
	t.Helper()
	x, err := r.Request(t.Context(), eva, acme, q)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// propose approves without signing.
func (r *rig) propose(t testing.TB, by access.Principal, id string, terms grant.Terms) string {
	t.Helper()
	_, d, err := r.Approve(t.Context(), by, acme, id, terms)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// grant makes a grant in force.
func (r *rig) grant(t testing.TB, minutes int) store.Grant {
	t.Helper()
	x := r.request(t, ask(minutes))
	if err := r.sign(t, anna, r.propose(t, anna, x.ID, grant.Terms{})); err != nil {
		t.Fatal(err)
	}
	return r.get(t, x.ID)
}

func (r *rig) get(t testing.TB, id string) store.Grant {
	t.Helper()
	x, _, err := r.Get(t.Context(), "", id)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (r *rig) step(t testing.TB) {
	t.Helper()
	if err := r.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) is(t testing.TB, id string, want access.GrantState) {
	t.Helper()
	if x := r.get(t, id); x.State != want {
		t.Errorf("it is %s, want %s", x.State, want)
	}
}

// what is the history of a grant in words of the ledger.
func (r *rig) what(t testing.TB, id string) string {
	t.Helper()
	_, history, err := r.Get(t.Context(), "", id)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, e := range history {
		if e.Number != int64(i+1) {
			t.Errorf("event %d has the number %d", i+1, e.Number)
		}
		out = append(out, e.What)
	}
	return strings.Join(out, " ")
}

// ledgerOf is what the ledger says of a grant.
func (r *rig) ledgerOf(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.entries {
		if e.Subject == "grant/"+id {
			out = append(out, strings.TrimPrefix(e.Action, "grant."))
		}
	}
	return strings.Join(out, " ")
}

// refused checks that err is of that class and says how to mend it.
func refused(t testing.TB, what string, err, class error, says string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: %v, want %v", what, err, class)
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%s says %q, which has no %q", what, err, says)
	}
}
