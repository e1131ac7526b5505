package identity_test

import (
	"errors"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
)

func refusedSession(t *testing.T, ids *identity.Identities, what, secret string) {
	t.Helper()
	if _, err := ids.Session(t.Context(), secret); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestSessionLimits(t *testing.T) {
	ids, _, now := setUp(t)
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	_, idle := withPasskey(t, ids, access.ProviderOperator, "", "Ida")
	began := now.now
	for now.now.Sub(began) < identity.SessionLength-identity.SessionIdle {
		now.now = now.now.Add(identity.SessionIdle)
		if _, err := ids.Session(t.Context(), e.Secret); err != nil {
			t.Fatalf("after %s: %v", now.now.Sub(began), err)
		}
	}
	refusedSession(t, ids, "unused for hours", idle.Secret)
	now.now = began.Add(identity.SessionLength)
	refusedSession(t, ids, "after twelve hours", e.Secret)
}

// TestLookingKeepsNoSessionAlive: an open page's stream is no use of a session.
func TestLookingKeepsNoSessionAlive(t *testing.T) {
	ids, _, now := setUp(t)
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	for range 6 {
		now.now = now.now.Add(5 * time.Minute)
		if _, err := ids.Peek(t.Context(), e.Secret); err != nil {
			t.Fatal(err)
		}
	}
	now.now = now.now.Add(time.Minute)
	refusedSession(t, ids, "looked at only", e.Secret)
}

func TestRotation(t *testing.T) {
	ids, _, now := setUp(t)
	ctx := t.Context()
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	if next, err := ids.Rotate(ctx, e.Secret); err != nil || next != "" {
		t.Errorf("at once: %q, %v", next, err)
	}
	now.now = now.now.Add(15 * time.Minute)
	next, err := ids.Rotate(ctx, e.Secret)
	if err != nil || next == "" || next == e.Secret {
		t.Fatalf("%q, %v", next, err)
	}
	if again, err := ids.Rotate(ctx, e.Secret); err != nil || again != "" {
		t.Errorf("a request beside it: %q, %v", again, err)
	}
	// The answer with the new secret may be lost: the former one goes on.
	now.now = now.now.Add(14 * time.Minute)
	before := acting(t, ids, e.Secret)
	if got := acting(t, ids, next); got.Session != before.Session {
		t.Errorf("another session: %+v", got)
	}
	// Once the new one came, the former has a minute.
	now.now = now.now.Add(59 * time.Second)
	acting(t, ids, e.Secret)
	now.now = now.now.Add(time.Second)
	refusedSession(t, ids, "the former secret a minute later", e.Secret)
	acting(t, ids, next)
	if err := ids.SignOut(ctx, next); err != nil {
		t.Fatal(err)
	}
	refusedSession(t, ids, "signed out", next)
}

// TestLostRotation: a browser whose new secret never came rotates from the
// former one, and the lost secret ends.
func TestLostRotation(t *testing.T) {
	ids, _, now := setUp(t)
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	now.now = now.now.Add(15 * time.Minute)
	lost, err := ids.Rotate(t.Context(), e.Secret)
	if err != nil {
		t.Fatal(err)
	}
	now.now = now.now.Add(15 * time.Minute)
	next, err := ids.Rotate(t.Context(), e.Secret)
	if err != nil || next == "" {
		t.Fatalf("%q, %v", next, err)
	}
	refusedSession(t, ids, "the lost secret", lost)
	acting(t, ids, next)
}

// TestClockSetBack: sessions live on, and end.
func TestClockSetBack(t *testing.T) {
	ids, _, now := setUp(t)
	_, e := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	now.now = now.now.Add(-3 * time.Hour)
	acting(t, ids, e.Secret)
	now.now = now.now.Add(identity.SessionIdle + time.Minute)
	refusedSession(t, ids, "unused since the clock was set back", e.Secret)
}

func TestOwnSessions(t *testing.T) {
	ids, _, now := setUp(t)
	ctx := t.Context()
	d, first := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	_, eve := withPasskey(t, ids, access.ProviderOperator, "", "Eve")
	sign := func() string {
		c := begin(t, ids)
		e, err := ids.SignInWithPasskey(ctx, here, c.Ceremony, d.get(t, c))
		if err != nil {
			t.Fatal(err)
		}
		return e.Secret
	}
	second, third := sign(), sign()
	by := acting(t, ids, first.Secret)
	all, err := ids.Sessions(ctx, by)
	if err != nil || len(all) != 3 || all[0].Client != "Firefox on Linux" {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := ids.EndSession(ctx, acting(t, ids, eve.Secret), by.Session); err == nil {
		t.Error("another ended it")
	}
	if err := ids.EndSession(ctx, by, acting(t, ids, second).Session); err != nil {
		t.Fatal(err)
	}
	refusedSession(t, ids, "ended", second)
	tok, token, err := ids.AddToken(ctx, by, identity.Wanted{Name: "ci", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := ids.SignOutEverywhere(ctx, by); err != nil {
		t.Fatal(err)
	}
	refusedSession(t, ids, "signed out everywhere", third)
	refusedSession(t, ids, "signed out everywhere, here", first.Secret)
	if _, err := ids.Authenticate(ctx, token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a token after signing out everywhere: %v", err)
	}
	acting(t, ids, eve.Secret)
	now.now = now.now.Add(time.Second)
	if tok.Name != "ci" {
		t.Error(tok.Name)
	}
}
