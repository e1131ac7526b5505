package grant_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
)

// The way that most grants go: asked for, asked about, answered, signed, used,
// closed with the task.
func TestLife(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	x := r.request(t, ask(60))
	if x.State != access.Requested || !x.LapsesAt.Equal(start.Add(72*time.Hour)) || r.Granted(eva.ID, acme) {
		t.Fatalf("%+v", x)
	}
	if _, err := r.Ask(ctx, anna, acme, x.ID, "why not on Sunday?"); err != nil {
		t.Fatal(err)
	}
	r.is(t, x.ID, access.InReview)
	if _, err := r.Answer(ctx, eva, acme, x.ID, "the array degrades"); err != nil {
		t.Fatal(err)
	}
	d := r.propose(t, anna, x.ID, grant.Terms{Duration: 30 * time.Minute, Scope: shell[:1]})
	r.is(t, x.ID, access.Requested) // a proposal grants nothing
	if r.Granted(eva.ID, acme) {
		t.Error("granted before the signature")
	}
	r.pass(10 * time.Minute) // the clock runs from the signature
	if err := r.sign(t, anna, d); err != nil {
		t.Fatal(err)
	}
	got := r.get(t, x.ID)
	signed := start.Add(10 * time.Minute)
	if got.State != access.InForce || !got.From.Equal(signed) || !got.Until.Equal(signed.Add(30*time.Minute)) || len(got.Granted) != 1 ||
		len(got.Scope) != 2 || got.ApprovedBy != anna.ID || got.Decision != d {
		t.Errorf("%+v", got)
	}
	if !r.Granted(eva.ID, acme) || r.Granted(eva.ID, "t-other") || r.Granted(sam.ID, acme) {
		t.Error("who is granted what")
	}
	if _, err := r.Close(ctx, sam, acme, x.ID, "did it for her"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("closed by another: %v", err)
	}
	ended, cancel := r.Ended()
	defer cancel()
	if _, err := r.Close(ctx, eva, acme, x.ID, "disk replaced"); err != nil {
		t.Fatal(err)
	}
	if id := <-ended; id != x.ID || r.Granted(eva.ID, acme) {
		t.Errorf("%s ended", id)
	}
	const want = "request ask answer propose approve close"
	if r.what(t, x.ID) != want || r.ledgerOf(x.ID) != want {
		t.Errorf("history %q, ledger %q", r.what(t, x.ID), r.ledgerOf(x.ID))
	}
	if r.judged != 2*6 {
		t.Errorf("%d subjects judged", r.judged)
	}
	for _, e := range r.entries {
		if strings.Contains(fmt.Sprint(e), "disk") || e.Tenant != acme {
			t.Errorf("the ledger holds words: %+v", e)
		}
	}
}

func TestRequestRefuses(t *testing.T) {
	r := newRig(t)
	err := r.store.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertVDC(&estate.VDC{ID: "vdc-1", Tenant: acme, Name: "main", CreatedAt: start}); err != nil {
			return err
		}
		return tx.InsertVM(&estate.VM{ID: "vm-1", Tenant: acme, VDC: "vdc-1", Name: "web-1", State: "active", CreatedAt: start})
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		change func(*grant.Request)
		says   string
	}{
		"no ticket":     {func(q *grant.Request) { q.Ticket = "" }, "INC-1234"},
		"odd ticket":    {func(q *grant.Request) { q.Ticket = "a b\n" }, "ticket"},
		"no purpose":    {func(q *grant.Request) { q.Purpose = " x " }, "purpose"},
		"control":       {func(q *grant.Request) { q.Purpose = "look\x1b[2J" }, "control"},
		"right-to-left": {func(q *grant.Request) { q.Purpose = "look \u202egnp" }, "control"},
		"not UTF-8":     {func(q *grant.Request) { q.Purpose = "look \xff at" }, "plain text"},
		"no scope":      {func(q *grant.Request) { q.Scope = nil }, "1 to 50"},
		"guest":         {func(q *grant.Request) { q.Scope = []access.Ability{{Do: "guest", Target: "web-1"}} }, "one of"},
		"VM by name":    {func(q *grant.Request) { q.Scope = []access.Ability{{Do: "shell", Target: "web-1"}} }, "guest cannot be granted"},
		"VM by id":      {func(q *grant.Request) { q.Scope = []access.Ability{{Do: "console", Target: "vm-1"}} }, "guest cannot be granted"},
		"twice":         {func(q *grant.Request) { q.Scope = append(q.Scope, q.Scope[0]) }, "twice"},
		"too long":      {func(q *grant.Request) { q.Duration = 12*time.Hour + time.Minute }, "12 hours"},
		"no time":       {func(q *grant.Request) { q.Duration = 0 }, "one minute"},
		"seconds":       {func(q *grant.Request) { q.Duration = 90 * time.Second }, "whole minutes"},
		"past":          {func(q *grant.Request) { q.From = start.Add(-time.Hour) }, "past"},
		"too far":       {func(q *grant.Request) { q.From = start.AddDate(0, 0, 31) }, "30 days"},
	} {
		q := ask(60)
		c.change(&q)
		_, err := r.Request(t.Context(), eva, acme, q)
		refused(t, what, err, estate.ErrInvalid, c.says)
	}
	if len(r.entries) != 0 {
		t.Errorf("recorded %+v", r.entries)
	}
	for range 20 {
		r.request(t, ask(1))
	}
	_, err = r.Request(t.Context(), eva, acme, ask(1))
	refused(t, "too many", err, store.ErrConflict, "withdraw")
}

// What the ledger does not take did not happen.
func TestLedgerFails(t *testing.T) {
	r := newRig(t)
	x := r.request(t, ask(60))
	d := r.propose(t, anna, x.ID, grant.Terms{})
	r.failing = errors.New("no room")
	if err := r.sign(t, anna, d); !errors.Is(err, r.failing) {
		t.Error(err)
	}
	r.is(t, x.ID, access.Requested)
	if r.Granted(eva.ID, acme) || r.what(t, x.ID) != "request propose" {
		t.Errorf("granted, or written: %s", r.what(t, x.ID))
	}
}

func TestApproveForLater(t *testing.T) {
	r := newRig(t)
	from := start.Add(48 * time.Hour)
	x := r.request(t, ask(60))
	d := r.propose(t, anna, x.ID, grant.Terms{From: from})
	if err := r.sign(t, anna, d); err != nil {
		t.Fatal(err)
	}
	r.is(t, x.ID, access.Approved)
	r.at(from.Add(-time.Microsecond))
	r.step(t)
	if r.Granted(eva.ID, acme) {
		t.Error("granted before its time")
	}
	r.at(from)
	r.step(t)
	r.is(t, x.ID, access.InForce)
	if !r.Granted(eva.ID, acme) {
		t.Error("not granted at its time")
	}
	r.at(from.Add(time.Hour - time.Microsecond))
	r.step(t)
	if !r.Granted(eva.ID, acme) {
		t.Error("not granted just before its end")
	}
	r.at(from.Add(time.Hour))
	if r.Granted(eva.ID, acme) {
		t.Error("granted at its end, before the timer")
	}
	r.step(t)
	r.is(t, x.ID, access.Expired)
	if got := r.what(t, x.ID); got != "request propose approve begin expire" {
		t.Error(got)
	}
}

func TestTermsRefused(t *testing.T) {
	r := newRig(t)
	x := r.request(t, ask(60))
	for what, c := range map[string]struct {
		terms grant.Terms
		says  string
	}{
		"longer":  {grant.Terms{Duration: 61 * time.Minute}, "shortened"},
		"wider":   {grant.Terms{Scope: []access.Ability{{Do: "shell", Target: "hv-2"}}}, "not more"},
		"nothing": {grant.Terms{Scope: []access.Ability{}}, "1 to 50"},
		"past":    {grant.Terms{From: start.Add(-time.Hour)}, "past"},
		"too far": {grant.Terms{From: start.AddDate(0, 0, 31)}, "30 days"},
	} {
		_, _, err := r.Approve(t.Context(), anna, acme, x.ID, c.terms)
		refused(t, what, err, estate.ErrInvalid, c.says)
	}
	if r.what(t, x.ID) != "request" {
		t.Error(r.what(t, x.ID))
	}
}

func TestLapse(t *testing.T) {
	r := newRig(t)
	x := r.request(t, ask(60))
	d := r.propose(t, anna, x.ID, grant.Terms{})
	soon := ask(60)
	soon.From = start.Add(3 * time.Hour)
	y := r.request(t, soon)
	r.at(start.Add(3 * time.Hour))
	r.step(t)
	r.is(t, y.ID, access.Lapsed)
	r.is(t, x.ID, access.Requested)
	r.at(start.Add(72 * time.Hour))
	// Before the timer comes: the time counts, not the timer.
	refused(t, "signed after lapse", r.sign(t, anna, d), store.ErrConflict, "had to be signed before")
	refused(t, "approved after lapse", r.effect(t, anna, d), store.ErrConflict, "lapsed")
	_, _, err := r.Approve(t.Context(), anna, acme, x.ID, grant.Terms{})
	refused(t, "proposed after lapse", err, store.ErrConflict, "asked for anew")
	r.step(t)
	r.is(t, x.ID, access.Lapsed)
	refused(t, "signed when lapsed", r.sign(t, anna, d), store.ErrConflict, "withdrawn")
	refused(t, "approved when lapsed", r.effect(t, anna, d), store.ErrConflict, "asked for anew")
}

func TestRefuseRevokeWithdraw(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	x := r.request(t, ask(60))
	d := r.propose(t, anna, x.ID, grant.Terms{})
	_, err := r.Revoke(ctx, sam, acme, x.ID, "not yet")
	refused(t, "revoked before approval", err, store.ErrConflict, "refuse it")
	if _, err := r.Refuse(ctx, otto, acme, x.ID, "not this week"); err != nil {
		t.Fatal(err)
	}
	refused(t, "signed after refusal", r.sign(t, anna, d), store.ErrConflict, "withdrawn")
	refused(t, "approved after refusal", r.effect(t, anna, d), store.ErrConflict, "refused")
	_, err = r.Answer(ctx, eva, acme, x.ID, "but please")
	refused(t, "answered without question", err, store.ErrConflict, "no question")

	y := r.grant(t, 60)
	_, err = r.Refuse(ctx, anna, acme, y.ID, "too late")
	refused(t, "refused in force", err, store.ErrConflict, "revoke")
	_, err = r.Ask(ctx, anna, acme, y.ID, "what are you doing?")
	refused(t, "asked in force", err, store.ErrConflict, "nothing left to ask")
	if _, err := r.Revoke(ctx, sam, acme, y.ID, "no"); !errors.Is(err, estate.ErrInvalid) {
		t.Errorf("a reason of two letters: %v", err)
	}
	if _, err := r.Revoke(ctx, sam, acme, y.ID, "her laptop was stolen"); err != nil {
		t.Fatal(err)
	}
	if r.Granted(eva.ID, acme) {
		t.Error("granted after revocation")
	}
	_, err = r.Revoke(ctx, anna, acme, y.ID, "me too")
	refused(t, "revoked twice", err, store.ErrConflict, "over already")

	z := r.request(t, ask(60))
	if _, err := r.Close(ctx, eva, acme, z.ID, "no longer needed"); err != nil {
		t.Fatal(err)
	}
	if got := r.what(t, z.ID); got != "request withdraw" {
		t.Error(got)
	}
	if _, err := r.Ask(ctx, olga, "t-other", z.ID, "whose is it?"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant's grant: %v", err)
	}
}

func TestExtend(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	x := r.grant(t, 60)
	if _, err := r.Extend(ctx, sam, acme, x.ID, time.Hour, ""); !errors.Is(err, store.ErrConflict) {
		t.Errorf("extended by another: %v", err)
	}
	y, err := r.Extend(ctx, eva, acme, x.ID, 2*time.Hour, "")
	if err != nil {
		t.Fatal(err)
	}
	if y.Extends != x.ID || y.State != access.Requested || y.Ticket != x.Ticket || !y.LapsesAt.Equal(x.Until) {
		t.Errorf("%+v", y)
	}
	if err := r.sign(t, otto, r.propose(t, otto, y.ID, grant.Terms{})); err != nil {
		t.Fatal(err)
	}
	if got := r.get(t, y.ID); got.State != access.Approved || !got.From.Equal(x.Until) || !got.Until.Equal(x.Until.Add(2*time.Hour)) {
		t.Errorf("%+v", got)
	}
	r.is(t, x.ID, access.InForce) // it goes on till its end
	r.at(x.Until)
	r.step(t)
	r.is(t, x.ID, access.Expired)
	r.is(t, y.ID, access.InForce)
	if !r.Granted(eva.ID, acme) {
		t.Error("a gap between the two")
	}
	_, err = r.Extend(ctx, eva, acme, x.ID, time.Hour, "")
	refused(t, "extended after its end", err, store.ErrConflict, "ask for another")
}

func TestActive(t *testing.T) {
	r := newRig(t)
	check := func(id, says string) {
		t.Helper()
		err := r.store.Read(t.Context(), func(tx *store.Tx) error {
			_, err := r.Active(tx, id, r.Now())
			return err
		})
		if says == "" {
			if err != nil {
				t.Error(err)
			}
			return
		}
		refused(t, id, err, store.ErrConflict, says)
	}
	x := r.request(t, ask(60))
	check(x.ID, "waits for the customer")
	if err := r.sign(t, anna, r.propose(t, anna, x.ID, grant.Terms{From: start.Add(time.Hour)})); err != nil {
		t.Fatal(err)
	}
	check(x.ID, "begins at")
	r.at(start.Add(time.Hour))
	r.step(t)
	check(x.ID, "")
	r.at(start) // the clock went back
	check(x.ID, "clock")
	r.at(start.Add(2 * time.Hour))
	check(x.ID, "ended at") // before the timer comes
	r.step(t)
	check(x.ID, "ended at")
	y := r.grant(t, 10)
	if _, err := r.Revoke(t.Context(), anna, acme, y.ID, "enough"); err != nil {
		t.Fatal(err)
	}
	check(y.ID, "revoked")
}

// Who is removed loses all at once, in the transaction of the removal.
func TestDismiss(t *testing.T) {
	r := newRig(t)
	x, y := r.grant(t, 60), r.request(t, ask(60))
	if err := r.store.Write(t.Context(), func(tx *store.Tx) error { return r.Dismiss(tx, root, eva.ID) }); err != nil {
		t.Fatal(err)
	}
	r.is(t, x.ID, access.Revoked)
	r.is(t, y.ID, access.Closed)
	if r.Granted(eva.ID, acme) {
		t.Error("granted to somebody who was removed")
	}
}
