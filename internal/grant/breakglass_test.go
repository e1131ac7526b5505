package grant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
)

func (r *rig) breakGlass(t testing.TB, ticket string) store.Grant {
	t.Helper()
	x, err := r.BreakGlass(t.Context(), sam, acme, grant.Emergency{Reason: "the hypervisor burns", Scope: shell, Duration: time.Hour, Ticket: ticket})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestBreakGlass(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	x := r.breakGlass(t, "")
	if x.State != access.InForce || !r.Granted(sam.ID, acme) || !x.NoticeDue.Equal(start.Add(24*time.Hour)) || x.Notice != store.NoticeOwed {
		t.Fatalf("%+v", x)
	}
	_, err := r.Extend(ctx, sam, acme, x.ID, time.Hour, "")
	refused(t, "extended", err, store.ErrConflict, "ask for access")
	_, err = r.Acknowledge(ctx, anna, acme, x.ID, "")
	refused(t, "acknowledged before the notice", err, store.ErrConflict, "has not given notice")
	_, err = r.Notify(ctx, sam, acme, x.ID, "put the fire out", "")
	refused(t, "notice without ticket", err, estate.ErrInvalid, "ticket")
	if _, err := r.Notify(ctx, sam, acme, x.ID, "put the fire out", "INC-9"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Notify(ctx, sam, acme, x.ID, "once more", "INC-9")
	refused(t, "notice twice", err, store.ErrConflict, "was given")
	if _, err := r.Dispute(ctx, anna, acme, x.ID, "it was a candle"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Acknowledge(ctx, otto, acme, x.ID, "it was a fire after all"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Dispute(ctx, anna, acme, x.ID, "no, a candle")
	refused(t, "disputed after acknowledgement", err, store.ErrConflict, "already")
	r.pass(time.Hour)
	r.step(t)
	got := r.get(t, x.ID)
	if got.State != access.Expired || got.Ticket != "INC-9" || got.Notice != store.NoticeAcknowledged || r.Granted(sam.ID, acme) {
		t.Errorf("%+v", got)
	}
	const want = "break-glass notice dispute acknowledge expire"
	if r.what(t, x.ID) != want || r.ledgerOf(x.ID) != want {
		t.Errorf("%q, ledger %q", r.what(t, x.ID), r.ledgerOf(x.ID))
	}
}

func TestBreakGlassRefuses(t *testing.T) {
	r := newRig(t)
	for what, e := range map[string]grant.Emergency{
		"no reason": {Scope: shell, Duration: time.Hour}, "too long": {Reason: "the hypervisor burns", Scope: shell, Duration: 61 * time.Minute},
		"no scope": {Reason: "the hypervisor burns", Duration: time.Hour}, "odd ticket": {Reason: "it burns", Scope: shell, Duration: time.Hour, Ticket: "a b"},
	} {
		_, err := r.BreakGlass(t.Context(), sam, acme, e)
		refused(t, what, err, estate.ErrInvalid, "")
	}
	x := r.grant(t, 60)
	_, err := r.Notify(t.Context(), eva, acme, x.ID, "nothing to tell", "")
	refused(t, "notice of an approved one", err, store.ErrConflict, "no notice is owed")
}

// A notice that does not come is a breach from its deadline on, is noted once,
// and can still be given.
func TestNoticeOverdue(t *testing.T) {
	r := newRig(t)
	x := r.breakGlass(t, "")
	r.pass(24 * time.Hour)
	r.step(t)
	r.step(t)
	got := r.get(t, x.ID)
	if got.Notice != store.NoticeOverdue || got.State != access.Expired {
		t.Errorf("%+v", got)
	}
	if w := r.what(t, x.ID); w != "break-glass expire notice-overdue" {
		t.Error(w)
	}
	if e := r.environment(t); len(e.Unapproved) != 1 || !strings.Contains(e.Unapproved[0], "notice was due at 2026-03-04 12:00") || len(e.WithoutTicket) != 1 {
		t.Errorf("%+v", e)
	}
	if n := grant.Next(got, "acme", r.Now()); !strings.Contains(n, "acme should have been told") {
		t.Error(n)
	}
	if _, err := r.Notify(t.Context(), root, acme, x.ID, "sam put the fire out", "INC-9"); err != nil {
		t.Fatal(err)
	}
	if e := r.environment(t); len(e.Unapproved) != 0 || len(e.WithoutTicket) != 0 {
		t.Errorf("%+v", e)
	}
}
