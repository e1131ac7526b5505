package consent_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

func TestSign(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st)
		owner, approver := r.person("p-owner", access.CustomerOwner), r.person("p-approver", access.CustomerApprover)
		d := r.policy(owner)
		_, err := r.sign(owner, d)
		want(t, "without keys", err, decision.ErrKey)
		r.keys(owner, approver)

		// A failing effect leaves nothing.
		r.fail = errors.New("the disk is gone")
		if _, err = r.sign(owner, d); !errors.Is(err, r.fail) {
			t.Errorf("a failing effect: %v", err)
		}
		r.fail = nil
		if got := r.state(d.ID); got.State != store.DecisionPending || r.entries("decision.sign") != 0 {
			t.Errorf("after a failing effect: %s, %d entries", got.State, r.entries("decision.sign"))
		}

		// Of concurrent signatures one has the effect.
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				who := owner
				if i%2 == 1 {
					who = approver
				}
				if _, err := r.Sign(t.Context(), who.Principal, d.ID, who.sign(t, d)); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("signed at once: %v", err)
				}
			})
		}
		all.Wait()
		if got := r.state(d.ID); got.State != store.DecisionSigned || len(r.acted) != 1 || r.entries("decision.sign") != 1 {
			t.Errorf("signed at once: %s, %d effects, %d entries", got.State, len(r.acted), r.entries("decision.sign"))
		}
		_, err = r.Withdraw(t.Context(), owner.Principal, tenant, d.ID)
		want(t, "withdrawn after it was signed", err, store.ErrConflict)
	})
}

func TestWhoSigns(t *testing.T) {
	r := newRig(t, storetest.Open(t, storetest.SQLite(t)))
	owner, approver := r.person("p-owner", access.CustomerOwner), r.person("p-approver", access.CustomerApprover)
	admin, viewer := r.person("p-admin", access.CustomerAdministrator), r.person("p-viewer", access.CustomerViewer)
	provider := r.person("p-provider", access.ProviderAdministrator)
	provider.MFA = true
	_, _, err := r.ChangeKeys(t.Context(), owner.Principal, tenant, consent.KeyChange{Add: []decision.Key{owner.key, {Holder: viewer.ID, Algorithm: decision.Ed25519, Public: viewer.key.Public}}})
	want(t, "a key for a viewer", err, estate.ErrInvalid)
	r.keys(owner, approver, admin)

	waiver := decision.WaiverContent{Duty: "D", Scope: "tenant", SubjectID: tenant, Reason: "because", Effective: r.now, Expires: r.now.Add(time.Hour)}
	approval := decision.ApprovalContent{Grant: "g-1", Holder: provider.ID, Ticket: "T-1", Purpose: "repair", Scope: []decision.Ability{{Do: "shell", Target: "hv-1"}}, Seconds: 60}
	own := approval
	own.Holder = approver.ID
	for _, c := range []struct {
		name    string
		by      person
		kind    decision.Kind
		content any
		want    error
	}{
		{"an administrator accepts a risk", admin, decision.WaiverKind, waiver, consent.ErrForbidden},
		{"an approver accepts a risk", approver, decision.WaiverKind, waiver, nil},
		{"an administrator lets somebody in", admin, decision.AccessApproval, approval, consent.ErrForbidden},
		{"an approver lets somebody in", approver, decision.AccessApproval, approval, nil},
		{"an approver lets itself in", approver, decision.AccessApproval, own, consent.ErrForbidden},
		{"somebody without a key", viewer, decision.WaiverKind, waiver, decision.ErrKey},
		{"the provider", provider, decision.WaiverKind, waiver, decision.ErrKey},
	} {
		_, err := r.sign(c.by, r.propose(owner, c.kind, c.content))
		want(t, c.name, err, c.want)
	}

	d := r.policy(owner)
	_, err = r.Sign(t.Context(), approver.Principal, d.ID, owner.sign(t, d))
	want(t, "with another's key", err, decision.ErrKey)
	_, err = r.Sign(t.Context(), provider.Principal, d.ID, owner.sign(t, d))
	want(t, "the provider with the owner's signature", err, decision.ErrKey)
	other := r.policy(owner)
	_, err = r.Sign(t.Context(), owner.Principal, d.ID, owner.sign(t, other))
	want(t, "a signature of another decision", err, decision.ErrSignature)
	_, err = r.Sign(t.Context(), owner.Principal, "d-nothing", owner.sign(t, d))
	want(t, "a decision that is not there", err, store.ErrNotFound)
	_, err = r.Withdraw(t.Context(), owner.Principal, "t-2", d.ID)
	want(t, "another tenant's decision", err, store.ErrNotFound)
	if r.state(d.ID).State != store.DecisionPending {
		t.Error("a refused signature changed the decision")
	}
}

func TestExpiry(t *testing.T) {
	r := newRig(t, storetest.Open(t, storetest.SQLite(t)))
	owner := r.person("p-owner", access.CustomerOwner)
	r.keys(owner)
	d, w := r.policy(owner), r.policy(owner)
	if _, err := r.Withdraw(t.Context(), owner.Principal, tenant, w.ID); err != nil {
		t.Fatal(err)
	}
	_, err := r.sign(owner, w)
	want(t, "signed after it was withdrawn", err, store.ErrConflict)
	start := r.now
	r.now = start.Add(-time.Hour)
	_, err = r.sign(owner, d)
	want(t, "signed by a clock that jumped back", err, decision.ErrExpired)
	r.now = d.ExpiresAt
	_, err = r.sign(owner, d)
	want(t, "signed too late", err, store.ErrConflict)
	for range 2 { // the second finds nothing
		if err := r.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.state(d.ID); got.State != store.DecisionExpired || r.entries("decision.expire") != 1 {
		t.Errorf("%s, %d entries", got.State, r.entries("decision.expire"))
	}
	r.now = start // a clock that jumps back does not revive it
	_, err = r.sign(owner, d)
	want(t, "signed after it expired", err, store.ErrConflict)
}

func TestSeveralSigners(t *testing.T) {
	r := newRig(t, storetest.Open(t, storetest.SQLite(t)))
	owner, approver := r.person("p-owner", access.CustomerOwner), r.person("p-approver", access.CustomerApprover)
	second := r.person("p-second", access.CustomerOwner)
	k := approver.key
	k.Holder = approver.ID
	s := second.key
	s.Holder = second.ID
	_, _, err := r.ChangeKeys(t.Context(), owner.Principal, tenant, consent.KeyChange{
		Add: []decision.Key{owner.key, k, s}, Required: map[decision.Kind]int{decision.AgentPolicy: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := r.policy(owner)
	for range 2 { // the same signature again changes nothing
		if got, err := r.sign(owner, d); err != nil || got.State != store.DecisionPending {
			t.Fatalf("one of two: %s, %v", got.State, err)
		}
	}
	if got, err := r.sign(approver, d); err != nil || got.State != store.DecisionSigned || len(r.acted) != 1 {
		t.Fatalf("two of two: %s, %v, %d effects", got.State, err, len(r.acted))
	}
	// Who was removed before the last one signed does not count.
	d = r.policy(owner)
	if _, err := r.sign(approver, d); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	delete(r.people, approver.ID)
	r.mu.Unlock()
	_, err = r.sign(owner, d)
	want(t, "beside somebody who was removed", err, store.ErrConflict)
}

func TestKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st)
		owner := r.person("p-owner", access.CustomerOwner)
		r1, p1 := newKey(t)
		r2, p2 := newKey(t)
		r3, _ := newKey(t)
		first, _, err := r.ChangeKeys(t.Context(), owner.Principal, tenant, consent.KeyChange{
			Add: []decision.Key{owner.key}, Recovery: []decision.Key{r1, r2, r3}, Threshold: 2,
		})
		if err != nil || r.entries("key-set.first") != 1 {
			t.Fatal(err)
		}
		fresh, freshPrivate := newKey(t)
		rotate := func(c consent.KeyChange) decision.Decision {
			t.Helper()
			set, pending, err := r.ChangeKeys(t.Context(), owner.Principal, tenant, c)
			if err != nil || set != nil {
				t.Fatalf("%v, %v", set, err)
			}
			return pending.Decision
		}
		change := consent.KeyChange{Add: []decision.Key{fresh}, Remove: []string{first.Keys[0].ID}}
		a, b := rotate(change), rotate(change)
		// Two rotations at once: one counts.
		var all sync.WaitGroup
		var mu sync.Mutex
		good := 0
		for _, d := range []decision.Decision{a, b} {
			all.Go(func() {
				_, err := r.Sign(t.Context(), owner.Principal, d.ID, owner.sign(t, d))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				} else if decision.Reason(err) == "" {
					t.Errorf("the other rotation: %v", err)
				}
			})
		}
		all.Wait()
		if good != 1 || r.entries("key-set.change") != 1 {
			t.Fatalf("%d rotations counted, %d entries", good, r.entries("key-set.change"))
		}
		d := r.policy(owner)
		_, err = r.sign(owner, d)
		want(t, "the removed key", err, decision.ErrKey)
		if _, err := r.Sign(t.Context(), owner.Principal, d.ID, signWith(t, fresh, freshPrivate, d)); err != nil {
			t.Errorf("the new key: %v", err)
		}

		// Every key is lost: two recovery keys put another in their place.
		again, _ := newKey(t)
		lost := rotate(consent.KeyChange{Add: []decision.Key{again}, Remove: []string{fresh.ID}})
		got, err := r.Sign(t.Context(), owner.Principal, lost.ID, signWith(t, r1, p1, lost))
		if err != nil || got.State != store.DecisionPending {
			t.Fatalf("one of two recovery keys: %s, %v", got.State, err)
		}
		got, err = r.Sign(t.Context(), owner.Principal, lost.ID, signWith(t, r1, p1, lost))
		if err != nil || got.State != store.DecisionPending {
			t.Fatalf("the same recovery key: %s, %v", got.State, err)
		}
		if got, err = r.Sign(t.Context(), owner.Principal, lost.ID, signWith(t, r2, p2, lost)); err != nil || got.State != store.DecisionSigned {
			t.Fatalf("two of two recovery keys: %s, %v", got.State, err)
		}
		// What was signed by keys that are gone stays proved by the sets of its time.
		r.write(func(tx *store.Tx) error {
			sets, err := tx.KeySets(tenant)
			if err != nil || len(sets) != 3 {
				t.Fatalf("%d key sets, %v", len(sets), err)
			}
			s, err := tx.SignedDecision(d.ID)
			if err != nil {
				return err
			}
			if _, err := sets[1].Verify(s, d.IssuedAt); err != nil {
				t.Errorf("by the set of its time: %v", err)
			}
			if _, err := sets[2].Verify(s, d.IssuedAt); !errors.Is(err, decision.ErrKey) {
				t.Errorf("by the set of today: %v", err)
			}
			return nil
		})
	})
}

// TestGuards asks the database itself for what may never be.
func TestGuards(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st)
		owner := r.person("p-owner", access.CustomerOwner)
		r.keys(owner)
		d := r.policy(owner)
		refused := func(what string, f func(tx *store.Tx) error) {
			t.Helper()
			want(t, what, st.Write(t.Context(), f), store.ErrConflict)
		}
		refused("signed without a signature", func(tx *store.Tx) error { return tx.Decide(d.ID, store.DecisionSigned, r.now) })
		if _, err := r.sign(owner, d); err != nil {
			t.Fatal(err)
		}
		refused("withdrawn after it was signed", func(tx *store.Tx) error { return tx.Decide(d.ID, store.DecisionWithdrawn, r.now) })
		refused("a signature too late", func(tx *store.Tx) error {
			return tx.InsertSignature(d.ID, store.GivenSignature{Signature: decision.Signature{Key: "k-late"}, At: r.now})
		})
		refused("a key set that leaves one out", func(tx *store.Tx) error {
			s, err := tx.KeySet(tenant)
			s.Version += 2
			return errors.Join(err, tx.InsertKeySet(&s))
		})
		refused("a second first key set", func(tx *store.Tx) error {
			s, err := tx.KeySet(tenant)
			return errors.Join(err, tx.InsertKeySet(&s))
		})
	})
}
