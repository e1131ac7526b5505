package grant_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// run runs a server's timer until the test ends.
func run(t *testing.T, g *grant.Grants) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
}

// The timer itself: each moment is met to the millisecond, on the server that
// made the grant and on another one.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.ticks = true
		began := r.Now()
		until := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))); synctest.Wait() }
		other := r.server(t)
		run(t, r.Grants)
		run(t, other)
		x := r.request(t, ask(60))
		if err := r.sign(t, anna, r.propose(t, anna, x.ID, grant.Terms{From: began.Add(10 * time.Minute)})); err != nil {
			t.Fatal(err)
		}
		soon := ask(60)
		soon.From = began.Add(40 * time.Minute)
		y := r.request(t, soon)

		until(10*time.Minute - time.Millisecond)
		if r.Granted(eva.ID, acme) {
			t.Error("granted before its time")
		}
		until(10*time.Minute + time.Millisecond)
		if !r.Granted(eva.ID, acme) {
			t.Error("not granted at its time")
		}
		until(10*time.Minute + 501*time.Millisecond)
		if !other.Granted(eva.ID, acme) {
			t.Error("not granted on the other server")
		}
		ended, cancel := other.Ended()
		defer cancel()
		until(20 * time.Minute)
		if _, err := r.Revoke(t.Context(), sam, acme, x.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		until(20*time.Minute + 501*time.Millisecond)
		select {
		case id := <-ended:
			if id != x.ID {
				t.Errorf("%s ended", id)
			}
		default:
			t.Error("half a second later the other server does not know")
		}
		if other.Granted(eva.ID, acme) {
			t.Error("granted on the other server")
		}
		until(40*time.Minute - time.Millisecond)
		r.is(t, y.ID, access.Requested)
		until(40*time.Minute + time.Millisecond)
		r.is(t, y.ID, access.Lapsed)
		if w := r.what(t, x.ID); w != "request propose approve begin revoke" {
			t.Error(w)
		}
		if w := r.what(t, y.ID); w != "request lapse" {
			t.Error(w)
		}
	})
}

// Many servers, both databases: what is due happens once.
func TestFiresOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := rigOn(t, s)
		var ids []string
		for range 10 {
			ids = append(ids, r.grant(t, 60).ID)
		}
		lapsing := r.request(t, ask(60))
		r.pass(73 * time.Hour)
		var wg sync.WaitGroup
		for range 4 {
			other := r.server(t)
			wg.Go(func() {
				if err := other.Step(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if w := r.what(t, id); w != "request propose approve expire" {
				t.Error(w)
			}
		}
		if w := r.what(t, lapsing.ID); w != "request lapse" {
			t.Error(w)
		}
	})
}

// The clock a year ahead ends everything, once, in an order that makes sense;
// back again, nothing comes back.
func TestClockJumps(t *testing.T) {
	r := newRig(t)
	live, open := r.grant(t, 60), r.request(t, ask(60))
	later := r.request(t, ask(60))
	if err := r.sign(t, anna, r.propose(t, anna, later.ID, grant.Terms{From: start.Add(time.Hour)})); err != nil {
		t.Fatal(err)
	}
	broken := r.breakGlass(t, "INC-9")
	r.at(start.AddDate(1, 0, 0))
	r.step(t)
	check := func() {
		t.Helper()
		for id, want := range map[string]string{
			live.ID: "request propose approve expire", open.ID: "request lapse", later.ID: "request propose approve expire",
			broken.ID: "break-glass expire notice-overdue",
		} {
			if w := r.what(t, id); w != want {
				t.Errorf("%q, want %q", w, want)
			}
		}
		if r.Granted(eva.ID, acme) || r.Granted(sam.ID, acme) {
			t.Error("granted")
		}
	}
	check()
	r.at(start.Add(time.Minute))
	r.step(t)
	check()
	// A grant made a year ahead is not in force where the clock is right again.
	r.at(start.AddDate(1, 0, 0))
	odd := r.grant(t, 60)
	r.at(start)
	r.step(t)
	if r.Granted(eva.ID, acme) {
		t.Error("granted by a clock that was wrong")
	}
	if _, err := r.Revoke(t.Context(), sam, acme, odd.ID, "made by a wrong clock"); err != nil {
		t.Error(err)
	}
}

// A server that was not there comes up to what happened meanwhile.
func TestRestart(t *testing.T) {
	r := newRig(t)
	x := r.grant(t, 60)
	again := r.server(t)
	if again.Granted(eva.ID, acme) {
		t.Error("known before it was loaded")
	}
	if err := again.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !again.Granted(eva.ID, acme) {
		t.Error("not known after it was loaded")
	}
	r.at(x.Until.Add(time.Hour))
	third := r.server(t)
	if err := third.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.is(t, x.ID, access.Expired)
	if _, err := third.Close(t.Context(), eva, acme, x.ID, "was done"); err == nil {
		t.Error("closed after its end")
	}
}
