package grant_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/canonical"
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

	mu        sync.Mutex
	time      time.Time
	ticks     bool // the time is that of the test's bubble
	entries   []ledger.Entry
	judged    int
	failing   error
	people    map[string]access.Principal
	twins     map[string]string // principals of one person
	decisions map[string]grant.Signed
	expires   map[string]time.Time
	told      []store.Grant
	live      []grant.Session
	forged    map[string]bool
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

func (r *rig) Propose(_ *store.Tx, by access.Principal, m grant.Matter) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := fmt.Sprintf("d-%d", len(r.decisions))
	r.decisions[id] = grant.Signed{ID: id, Tenant: m.Tenant, Subject: m.Subject, Content: m.Content, Digest: canonical.Digest(m.Content)}
	r.expires[id] = m.Expires
	return id, nil
}

func (r *rig) Verified(_ *store.Tx, _, _, id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.decisions[id]
	return ok && !r.forged[id], nil
}

func (r *rig) Live(*store.Tx, string) ([]grant.Session, error) { return r.live, nil }

// sign signs the decision as the book of consent does: within the transaction
// that gives effect to it.
func (r *rig) sign(t testing.TB, by access.Principal, id string) error {
	r.mu.Lock()
	s := r.decisions[id]
	r.mu.Unlock()
	s.Holders = []string{by.ID}
	return r.store.Write(t.Context(), func(tx *store.Tx) error { return r.Approved(tx, by, s) })
}

var (
	eva   = access.Principal{ID: "p-eva", Name: "Eva", Role: access.ProviderOperator, Kind: access.Person, MFA: true}
	sam   = access.Principal{ID: "p-sam", Name: "Sam", Role: access.ProviderSecurity, Kind: access.Person, MFA: true}
	root  = access.Principal{ID: "p-root", Name: "Root", Role: access.ProviderAdministrator, Kind: access.Person, MFA: true}
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
		decisions: map[string]grant.Signed{}, expires: map[string]time.Time{}, forged: map[string]bool{},
	}
	for _, p := range []access.Principal{eva, sam, root, anna, otto, vera, olga} {
		r.people[p.ID] = p
	}
	r.Grants = r.server(t)
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		for _, x := range []estate.Tenant{{ID: acme, Name: "acme"}, {ID: "t-other", Name: "other"}, {ID: "t-local", Name: "local", Own: true}} {
			x.CreatedAt = start
			if err := tx.InsertTenant(&x); err != nil {
				return err
			}
		}
		return nil
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
		Store: r.store, Ledger: r, Judge: r, Policy: r.policy, People: r, Consent: r, Now: r.Now, Log: slog.New(slog.DiscardHandler),
		Told: func(x store.Grant) { r.mu.Lock(); defer r.mu.Unlock(); r.told = append(r.told, x) },
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
