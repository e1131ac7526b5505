package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func TestPasswordAndTOTP(t *testing.T) {
	ids, b, now := setUp(t)
	ctx := t.Context()
	by, session := withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	if by.MFA {
		t.Error("a password alone is a second factor")
	}
	settled := 0
	ids.Settled = func() { settled++ }
	secret, elevated, codes := withTOTP(t, ids, by)
	if settled == 0 || len(codes) != 10 {
		t.Errorf("settled %d, codes %v", settled, codes)
	}
	refusedSession(t, ids, "the secret before it was elevated", session)
	if p := acting(t, ids, elevated); !p.MFA || p.Session != by.Session {
		t.Errorf("%+v", p)
	}
	in := func() identity.Entry {
		t.Helper()
		e, err := ids.SignInWithPassword(ctx, here, " ADA@example.org ", goodPassword)
		if err != nil || e.Secret != "" || e.Ceremony == "" {
			t.Fatalf("the password opened a session, or nothing: %+v, %v", e, err)
		}
		return e
	}
	e := in()
	// The code that the enrolment took does not count again.
	if _, err := ids.SignInWithTOTP(ctx, here, e.Ceremony, code(secret, now.now)); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("replayed in its window: %v", err)
	}
	now.now = now.now.Add(30 * time.Second)
	good := code(secret, now.now)
	if _, err := ids.SignInWithTOTP(ctx, here, e.Ceremony, "000000"); good != "000000" && !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("a wrong code: %v", err)
	}
	done, err := ids.SignInWithTOTP(ctx, here, e.Ceremony, good[:3]+" "+good[3:])
	if err != nil || !done.MFA || !acting(t, ids, done.Secret).MFA {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := ids.SignInWithTOTP(ctx, here, e.Ceremony, code(secret, now.now.Add(30*time.Second))); !errors.Is(err, identity.ErrCeremony) {
		t.Errorf("a second session from one password: %v", err)
	}
	e = in()
	for what, at := range map[string]time.Duration{"the same code again": 0, "the one before it": -30 * time.Second, "two minutes old": -2 * time.Minute, "two minutes early": 2 * time.Minute} {
		if _, err := ids.SignInWithTOTP(ctx, here, e.Ceremony, code(secret, now.now.Add(at))); !errors.Is(err, identity.ErrSignIn) {
			t.Errorf("%s: %v", what, err)
		}
	}
	now.now = now.now.Add(time.Minute) // waits for what was slowed, too
	if _, err := ids.SignInWithTOTP(ctx, here, in().Ceremony, code(secret, now.now.Add(-29*time.Second))); err != nil {
		t.Errorf("a clock half a minute behind: %v", err)
	}
	for _, entry := range b.entries {
		if text := entry.Action + entry.Subject + entry.Actor; strings.Contains(text, "Ada") || strings.Contains(text, "example.org") {
			t.Errorf("the ledger names a person: %+v", entry)
		}
	}
}

func TestRecoveryCodes(t *testing.T) {
	ids, b, now := setUp(t)
	ctx := t.Context()
	by, _ := withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	_, session, codes := withTOTP(t, ids, by)
	in := func(c string) error {
		e, err := ids.SignInWithPassword(ctx, here, "ada@example.org", goodPassword)
		if err != nil {
			t.Fatal(err)
		}
		done, err := ids.SignInWithRecoveryCode(ctx, here, e.Ceremony, c)
		if err == nil && !done.MFA {
			t.Error("no second factor")
		}
		return err
	}
	if err := in(strings.ToUpper(strings.ReplaceAll(codes[0], "-", " "))); err != nil {
		t.Fatal(err)
	}
	if err := in(codes[0]); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("a code twice: %v", err)
	}
	acc, err := ids.Account(ctx, by)
	if err != nil || acc.RecoveryCodes != 9 {
		t.Errorf("%d left, %v", acc.RecoveryCodes, err)
	}
	again, err := ids.RenewRecoveryCodes(ctx, acting(t, ids, session))
	if err != nil {
		t.Fatal(err)
	}
	if err := in(codes[1]); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("a replaced code: %v", err)
	}
	now.now = now.now.Add(366 * 24 * time.Hour)
	if err := in(again[0]); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("an expired code: %v", err)
	}
	if !strings.Contains(b.actions(), "recovery-code.use") {
		t.Error(b.actions())
	}
}

// TestPasswordAloneReplacesNothing: who knows the password of a person with a
// second factor cannot enrol another one.
func TestPasswordAloneReplacesNothing(t *testing.T) {
	ids, _, now := setUp(t)
	tenantWithKey(t, ids, "t-1")
	ctx := t.Context()
	before, _ := withPassword(t, ids, access.CustomerOwner, "t-1", "Ona")
	now.now = now.now.Add(time.Second)
	e, err := ids.SignInWithPassword(ctx, here, "ona@example.org", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	withTOTP(t, ids, acting(t, ids, e.Secret))
	// The first session has shown the password only, from before there was more.
	if _, err := ids.BeginTOTP(ctx, before); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("another app: %v", err)
	}
	if _, err := ids.BeginPasskey(ctx, before); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("a passkey: %v", err)
	}
	if _, err := ids.SetPassword(ctx, before, "", "another good password"); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("another password: %v", err)
	}
	if _, err := ids.RenewRecoveryCodes(ctx, before); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("recovery codes: %v", err)
	}
}

func TestSecondFactorStays(t *testing.T) {
	ids, _, _ := setUp(t)
	ctx := t.Context()
	by, _ := withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	_, session, _ := withTOTP(t, ids, by)
	by = acting(t, ids, session)
	acc, err := ids.Account(ctx, by)
	if err != nil || len(acc.Authenticators) != 2 || acc.Login != "ada@example.org" {
		t.Fatalf("%+v, %v", acc, err)
	}
	for _, a := range acc.Authenticators {
		if err := ids.RemoveAuthenticator(ctx, by, a.ID); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s was removed: %v", a.Kind, err)
		}
	}
	tenantWithKey(t, ids, "t-1")
	owner, _ := withPassword(t, ids, access.CustomerOwner, "t-1", "Ona")
	_, session, _ = withTOTP(t, ids, owner)
	owner = acting(t, ids, session)
	if acc, err = ids.Account(ctx, owner); err != nil {
		t.Fatal(err)
	}
	for _, a := range acc.Authenticators {
		err := ids.RemoveAuthenticator(ctx, owner, a.ID)
		if last := a.Kind == "password"; errors.Is(err, store.ErrConflict) != last || (!last && err != nil) {
			t.Errorf("a customer's %s: %v", a.Kind, err)
		}
		if err := ids.RemoveAuthenticator(ctx, by, a.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another's %s: %v", a.Kind, err)
		}
	}
}

func TestPasswordRules(t *testing.T) {
	ids, _, _ := setUp(t)
	inv := invited(t, ids, access.ProviderOperator, "", "Oto")
	for what, p := range map[string]string{
		"short": "elevencharz", "common": "Password1234", "one letter": strings.Repeat("z", 20), "a piece again and again": "abcabcabcabcabc",
		"the sign-in name": "oto@example.org", "long": strings.Repeat("word ", 60), "no UTF-8": "good long \xff password", "empty": "",
	} {
		if _, err := ids.JoinWithPassword(t.Context(), here, inv, "", p); !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, login := range map[string]string{"short": "ab", "control character": "a\nbcd", "long": strings.Repeat("x", 300)} {
		if _, err := ids.JoinWithPassword(t.Context(), here, inv, login, goodPassword); !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("sign-in name, %s: %v", what, err)
		}
	}
	// No rule about kinds of characters, and one form of what can be typed in two.
	if _, err := ids.JoinWithPassword(t.Context(), here, inv, "", "ohne jede ziffer, u\u0308berall"); err != nil {
		t.Fatal(err)
	}
	if e, err := ids.SignInWithPassword(t.Context(), here, "oto@example.org", "ohne jede ziffer, \u00fcberall"); err != nil || !e.MustEnrol {
		t.Errorf("%+v, %v", e, err)
	}
	other := invited(t, ids, access.ProviderOperator, "", "Other")
	if _, err := ids.JoinWithPassword(t.Context(), here, other, "OTO@example.org", goodPassword); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a sign-in name that is taken: %v", err)
	}
	if _, err := ids.Invited(t.Context(), other); err != nil {
		t.Errorf("the invitation was used up by it: %v", err)
	}
}

func TestChangedPasswordEndsOtherSessions(t *testing.T) {
	ids, _, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	by, first := withPassword(t, ids, access.CustomerOwner, "t-1", "Ona")
	other, err := ids.SignInWithPassword(t.Context(), here, "ona@example.org", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.SetPassword(t.Context(), by, "", "now quite another one"); err != nil {
		t.Fatal(err)
	}
	refusedSession(t, ids, "another session", other.Secret)
	acting(t, ids, first)
	if _, err := ids.SignInWithPassword(t.Context(), here, "ona@example.org", goodPassword); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("the former password: %v", err)
	}
}
