package grant_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// Nobody approves a request of their own, whatever roles they have.
func TestOwnRequest(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	// A person with roles on both sides: another principal, the same person.
	x := r.request(t, ask(60))
	r.twins[otto.ID] = eva.ID
	_, _, err := r.Approve(ctx, otto, acme, x.ID, grant.Terms{})
	refused(t, "the other role of the requester proposes", err, store.ErrConflict, "request of their own")
	for what, do := range map[string]func() error{
		"asks":    func() error { _, err := r.Ask(ctx, otto, acme, x.ID, "why though?"); return err },
		"refuses": func() error { _, err := r.Refuse(ctx, otto, acme, x.ID, "never mind"); return err },
	} {
		refused(t, what, do(), store.ErrConflict, "request of their own")
	}
	d := r.propose(t, anna, x.ID, grant.Terms{})
	refused(t, "the other role of the requester signs", r.sign(t, otto, d), store.ErrConflict, "request of their own")

	// In the provider's own tenant its administrators are the customer.
	y, err := r.Request(ctx, root, "t-local", ask(60))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Approve(ctx, root, "t-local", y.ID, grant.Terms{})
	refused(t, "own tenant", err, store.ErrConflict, "request of their own")
	_, d, err = r.Approve(ctx, rita, "t-local", y.ID, grant.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "signs in the own tenant", r.sign(t, root, d), consent.ErrForbidden, "own request")
	refused(t, "approves in the own tenant", r.effect(t, root, d), store.ErrConflict, "request of their own")
	if err := r.sign(t, rita, d); err != nil {
		t.Errorf("another administrator: %v", err)
	}
}

// An approval counts only if all who brought it about may still decide when it
// is signed.
func TestRemovedApprover(t *testing.T) {
	r := newRig(t)
	propose := func() (id, d string) {
		x := r.request(t, ask(60))
		return x.ID, r.propose(t, anna, x.ID, grant.Terms{})
	}
	id, d := propose()
	viewer := anna
	viewer.Role = access.CustomerViewer
	refused(t, "signs as viewer", r.effect(t, viewer, d), store.ErrConflict, "no longer")
	refused(t, "signs as viewer, at the book", r.sign(t, vera, d), consent.ErrForbidden, "may not")
	refused(t, "viewer", r.effect(t, vera, d), store.ErrConflict, "may not decide")
	refused(t, "another tenant's owner", r.effect(t, olga, d), store.ErrConflict, "may not decide")
	refused(t, "the provider", r.effect(t, root, d), store.ErrConflict, "may not decide")
	r.people[anna.ID] = viewer
	refused(t, "proposed by somebody who became a viewer", r.sign(t, otto, d), store.ErrConflict, "no longer")
	delete(r.people, anna.ID)
	refused(t, "proposed by somebody who was removed", r.sign(t, otto, d), store.ErrConflict, "approve anew")
	r.is(t, id, access.Requested)
	if err := r.sign(t, otto, r.propose(t, otto, id, grant.Terms{})); err != nil {
		t.Errorf("approved anew: %v", err)
	}
}

// A decision has effect on the grant that it was proposed for, and on no other.
func TestForeignDecision(t *testing.T) {
	r := newRig(t)
	x, y := r.request(t, ask(60)), r.request(t, ask(30))
	d, other := r.propose(t, anna, x.ID, grant.Terms{}), r.propose(t, anna, y.ID, grant.Terms{})
	read := func(id string) (s decision.Signed) {
		err := r.store.Read(t.Context(), func(tx *store.Tx) (err error) {
			s, err = tx.SignedDecision(id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	wider := strings.Replace(string(read(d).Decision.Content), `"sftp"`, `"exec"`, 1)
	for what, forge := range map[string]func(*decision.Decision){
		"another subject": func(d *decision.Decision) { d.Subject = "grant/" + y.ID },
		"another tenant":  func(d *decision.Decision) { d.Tenant = "t-other" },
		"another id":      func(d *decision.Decision) { d.ID = other },
		"another kind":    func(d *decision.Decision) { d.Kind = decision.Erase },
		"no content":      func(d *decision.Decision) { d.Content = []byte("{}") },
		"no JSON":         func(d *decision.Decision) { d.Content = []byte("approve") },
		"a wider scope":   func(d *decision.Decision) { d.Content = []byte(wider) },
		"another's terms": func(d *decision.Decision) { d.Content, d.Subject = read(other).Decision.Content, "grant/"+y.ID },
	} {
		f := read(d)
		forge(&f.Decision)
		err := r.store.Write(t.Context(), func(tx *store.Tx) error { return r.Approved(tx, anna, f) })
		if !errors.Is(err, estate.ErrInvalid) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.is(t, x.ID, access.Requested)
	r.is(t, y.ID, access.Requested)
}

// Of two approvals one wins, and the other is told by whom.
func TestTwoApprovals(t *testing.T) {
	r := newRig(t)
	x := r.request(t, ask(60))
	first, second := r.propose(t, anna, x.ID, grant.Terms{}), r.propose(t, otto, x.ID, grant.Terms{Duration: 10 * time.Minute})
	if err := r.sign(t, anna, first); err != nil {
		t.Fatal(err)
	}
	refused(t, "the second", r.sign(t, otto, second), store.ErrConflict, "withdrawn")
	refused(t, "the second, past the book", r.effect(t, otto, second), store.ErrConflict, "approved already, by "+anna.ID)
	if err := r.sign(t, anna, first); err != nil || r.what(t, x.ID) != "request propose propose approve" {
		t.Errorf("the first again: %v, %s", err, r.what(t, x.ID))
	}
	_, _, err := r.Approve(t.Context(), otto, acme, x.ID, grant.Terms{})
	refused(t, "a third", err, store.ErrConflict, "approved already")
}

// The same at once, on both databases; and a grant that is revoked while its
// holder closes it and its time runs out ends once.
func TestRaces(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := rigOn(t, s)
		for range 5 {
			x := r.request(t, ask(60))
			ds := []string{r.propose(t, anna, x.ID, grant.Terms{}), r.propose(t, otto, x.ID, grant.Terms{})}
			won := atOnce(func() error { return r.sign(t, anna, ds[0]) }, func() error { return r.sign(t, otto, ds[1]) },
				func() error { _, err := r.Refuse(t.Context(), otto, acme, x.ID, "not now"); return err })
			if won != 1 {
				t.Errorf("%d of two approvals and a refusal had effect", won)
			}
		}
		for range 5 {
			x := r.grant(t, 60)
			other := r.server(t)
			won := atOnce(
				func() error { _, err := r.Revoke(t.Context(), anna, acme, x.ID, "enough"); return err },
				func() error { _, err := other.Revoke(t.Context(), sam, acme, x.ID, "enough"); return err },
				func() error { _, err := r.Close(t.Context(), eva, acme, x.ID, "done"); return err },
			)
			if _, h, _ := r.Get(t.Context(), "", x.ID); won != 1 || !r.get(t, x.ID).State.Over() || len(h) != 4 {
				t.Errorf("%d ended it; %s", won, r.what(t, x.ID))
			}
		}
	})
}

// atOnce runs all at once and returns how many had effect; those without must
// have been told of a conflict.
func atOnce(fs ...func() error) (won int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, f := range fs {
		wg.Go(func() {
			err := f()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrConflict) {
				won += 100
			}
		})
	}
	wg.Wait()
	return won
}

// A grant that is approved while it is asked for anew, in any order with its
// revocation, is in force or over, never both.
func TestGrantRacesRevocation(t *testing.T) {
	r := newRig(t)
	x := r.request(t, ask(60))
	d := r.propose(t, anna, x.ID, grant.Terms{})
	ended, cancel := r.Ended()
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.sign(t, anna, d); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		for {
			_, err := r.Revoke(t.Context(), sam, acme, x.ID, "changed our mind")
			if err == nil {
				return
			}
			if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	r.is(t, x.ID, access.Revoked)
	if id := <-ended; id != x.ID || r.Granted(eva.ID, acme) {
		t.Errorf("granted after its revocation")
	}
}
