package consent_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

const tenant = "t-1"

// rig is a book on a real store and a real ledger.
type rig struct {
	*consent.Book
	t   *testing.T
	now time.Time

	mu     sync.Mutex
	people map[string]access.Principal // those who stand
	acted  []string                    // decisions that had their effect
	fail   error                       // of the effect
}

func newRig(t *testing.T, st *store.Store) *rig {
	t.Helper()
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, now: time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC), people: map[string]access.Principal{}}
	now := func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now }
	log, err := ledger.New(ledger.Config{Store: st, Origin: "test/ledger", Keyring: keys, Logger: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	r.Book = &consent.Book{Store: st, Ledger: log, Policy: policy, People: r, Now: now, Log: slog.New(slog.DiscardHandler)}
	r.On(decision.AgentPolicy, r.act)
	r.On(decision.AccessApproval, r.act)
	r.On(decision.WaiverKind, r.act)
	r.write(func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: tenant, Name: "acme", CreatedAt: r.now}); err != nil {
			return err
		}
		return tx.InsertTenant(&estate.Tenant{ID: "t-2", Name: "other", CreatedAt: r.now})
	})
	return r
}

func (r *rig) act(tx *store.Tx, by access.Principal, s decision.Signed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	tx.OnCommit(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.acted = append(r.acted, s.Decision.ID)
	})
	return nil
}

func (r *rig) Standing(_ *store.Tx, id string) (access.Principal, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.people[id]
	return p, ok, nil
}

func (r *rig) write(f func(tx *store.Tx) error) {
	r.t.Helper()
	if err := r.Store.Write(r.t.Context(), f); err != nil {
		r.t.Fatal(err)
	}
}

// person is somebody with a key.
type person struct {
	access.Principal
	key     decision.Key
	private ed25519.PrivateKey
}

func (r *rig) person(id string, role access.Role) person {
	p := person{Principal: access.Principal{ID: id, Name: id, Role: role, Tenant: tenant, Kind: access.Person}}
	if role.Side() == access.ProviderSide {
		p.Tenant = ""
	}
	r.mu.Lock()
	r.people[id] = p.Principal
	r.mu.Unlock()
	p.key, p.private = newKey(r.t)
	return p
}

func newKey(t *testing.T) (decision.Key, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return decision.Key{ID: decision.KeyID(der), Algorithm: decision.Ed25519, Public: der}, private
}

func (p person) sign(t *testing.T, d decision.Decision) decision.Signature {
	return signWith(t, p.key, p.private, d)
}

func signWith(t *testing.T, k decision.Key, private ed25519.PrivateKey, d decision.Decision) decision.Signature {
	t.Helper()
	text, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return decision.Signature{Key: k.ID, Algorithm: decision.Ed25519, Signature: ed25519.Sign(private, decision.Message(text))}
}

// keys makes the first key set of these people.
func (r *rig) keys(owner person, more ...person) store.KeySet {
	r.t.Helper()
	c := consent.KeyChange{Add: []decision.Key{owner.key}}
	for _, p := range more {
		k := p.key
		k.Holder = p.ID
		c.Add = append(c.Add, k)
	}
	first, pending, err := r.ChangeKeys(r.t.Context(), owner.Principal, tenant, c)
	if err != nil || first == nil || pending != nil {
		r.t.Fatalf("the first keys: %v, %v, %v", first, pending, err)
	}
	return *first
}

func (r *rig) propose(by person, kind decision.Kind, content any) decision.Decision {
	r.t.Helper()
	raw, err := decision.Encode(content)
	if err != nil {
		r.t.Fatal(err)
	}
	var d decision.Decision
	r.write(func(tx *store.Tx) (err error) {
		d, err = r.Propose(tx, by.Principal, decision.Decision{Kind: kind, Tenant: tenant, Subject: "vm/vm-1", Version: 1, Content: raw})
		return err
	})
	return d
}

func (r *rig) policy(by person) decision.Decision {
	return r.propose(by, decision.AgentPolicy, decision.PolicyContent{Service: "hardening", Document: json.RawMessage(`{}`)})
}

func (r *rig) sign(by person, d decision.Decision) (store.Decision, error) {
	return r.Sign(r.t.Context(), by.Principal, d.ID, by.sign(r.t, d))
}

func (r *rig) state(id string) store.Decision {
	r.t.Helper()
	var d store.Decision
	r.write(func(tx *store.Tx) (err error) {
		d, err = tx.DecisionByID(id)
		return err
	})
	return d
}

// entries counts the ledger's entries of an action.
func (r *rig) entries(action string) (n int) {
	r.t.Helper()
	r.write(func(tx *store.Tx) error {
		all, err := tx.LedgerEntries(0, 1000)
		for _, e := range all {
			if e.Action == action {
				n++
			}
		}
		return err
	})
	return n
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if target == nil && err != nil || target != nil && !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}
