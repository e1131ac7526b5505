package identity_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
)

func slowed(err error) time.Duration {
	if s, ok := errors.AsType[*identity.Slowed](err); ok {
		return s.After
	}
	return 0
}

// TestGuessingSlows: failures at one account from one place wait longer and
// longer, up to a limit, also where the account is not there.
func TestGuessingSlows(t *testing.T) {
	for _, login := range []string{"ada@example.org", "nobody@example.org"} {
		ids, _, now := setUp(t)
		withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
		var waits []time.Duration
		for len(waits) < 14 {
			_, err := ids.SignInWithPassword(t.Context(), here, login, "not the password")
			if w := slowed(err); w > 0 {
				waits = append(waits, w)
				now.now = now.now.Add(w)
			} else if !errors.Is(err, identity.ErrSignIn) {
				t.Fatal(err)
			}
		}
		for n, w := range waits {
			if want := min(time.Second<<n, 15*time.Minute); w != want {
				t.Errorf("%s: wait %d is %s, want %s", login, n, w, want)
			}
		}
	}
}

// TestNobodyIsLockedOut: an attacker who guesses at an account from many
// places does not keep its person out: not with a passkey, not from a device
// that signed in before, and from a new device not for more than half a minute.
func TestNobodyIsLockedOut(t *testing.T) {
	ids, _, now := setUp(t)
	ctx := t.Context()
	tenantWithKey(t, ids, "t-1")
	withPassword(t, ids, access.CustomerOwner, "t-1", "Ona")
	known, err := ids.SignInWithPassword(ctx, here, "ona@example.org", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	for n := 0; n < 60; n++ {
		v := identity.Visit{From: fmt.Sprintf("198.51.100.%d:1", n)}
		for range 3 {
			_, err := ids.SignInWithPassword(ctx, v, "ona@example.org", "not the password")
			now.now = now.now.Add(slowed(err))
		}
	}
	// The attacker sits even in the same house.
	for range 30 {
		_, err := ids.SignInWithPassword(ctx, here, "ona@example.org", "not the password")
		if w := slowed(err); w > 15*time.Minute {
			t.Fatalf("wait %s", w)
		}
	}
	at := here
	at.Device = known.Device
	if _, err := ids.SignInWithPassword(ctx, at, "ona@example.org", goodPassword); err != nil {
		t.Errorf("from a device that signed in before: %v", err)
	}
	c := begin(t, ids)
	if _, err := ids.SignInWithPasskey(ctx, here, c.Ceremony, key.get(t, c)); err != nil {
		t.Errorf("with a passkey: %v", err)
	}
	fresh := identity.Visit{From: "203.0.113.9:1"}
	_, err = ids.SignInWithPassword(ctx, fresh, "ona@example.org", goodPassword)
	if w := slowed(err); err != nil && (w == 0 || w > 30*time.Second) {
		t.Errorf("from a new device: %v", err)
	}
	now.now = now.now.Add(slowed(err))
	if _, err := ids.SignInWithPassword(ctx, fresh, "ona@example.org", goodPassword); err != nil {
		t.Errorf("from a new device, after the wait: %v", err)
	}
	// A device is known to its own person, and cannot be made up.
	for what, cookie := range map[string]string{"cut": known.Device[:len(known.Device)-1], "made up": known.Person.ID + ".x.1.y", "empty": "..."} {
		v := here
		v.Device = cookie
		if _, err := ids.SignInWithPassword(ctx, v, "ona@example.org", goodPassword); slowed(err) == 0 {
			t.Errorf("a device cookie, %s: %v", what, err)
		}
	}
}

// TestGuessingAtOnce: tries at once are counted like tries in turn.
func TestGuessingAtOnce(t *testing.T) {
	ids, _, _ := setUp(t)
	withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	var tried, waited atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			_, err := ids.SignInWithPassword(t.Context(), here, "ada@example.org", "not the password")
			switch {
			case slowed(err) > 0:
				waited.Add(1)
			case errors.Is(err, identity.ErrSignIn):
				tried.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if tried.Load() > 5 || tried.Load()+waited.Load() != 100 {
		t.Errorf("%d tried, %d waited", tried.Load(), waited.Load())
	}
}

// TestSourceSlows: guessing at many accounts from one place slows that place;
// IPv6 addresses of one network are one place.
func TestSourceSlows(t *testing.T) {
	for _, place := range []string{"192.0.2.7:%d", "[2001:db8:1:2::%d]:1", "[::ffff:192.0.2.7]:%d"} {
		ids, _, _ := setUp(t)
		n := 0
		for ; n < 40; n++ {
			v := identity.Visit{From: fmt.Sprintf(place, n+1)}
			if _, err := ids.SignInWithPassword(t.Context(), v, fmt.Sprintf("user%d@example.org", n), "not the password"); slowed(err) > 0 {
				break
			}
		}
		if n != 20 {
			t.Errorf("%s: slowed after %d tries", place, n)
		}
		if _, err := ids.SignInWithPassword(t.Context(), identity.Visit{From: "[2001:db8:9:9::1]:1"}, "other@example.org", "not the password"); slowed(err) > 0 {
			t.Errorf("another place waits: %v", err)
		}
	}
}

// TestClockJumpsSlowNobody: a clock that jumps ahead and back leaves no wait
// that would not have been.
func TestClockJumpsSlowNobody(t *testing.T) {
	ids, _, now := setUp(t)
	withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	try := func() error {
		_, err := ids.SignInWithPassword(t.Context(), here, "ada@example.org", "not the password")
		return err
	}
	now.now = now.now.Add(365 * 24 * time.Hour)
	for range 12 {
		now.now = now.now.Add(slowed(try()))
	}
	now.now = now.now.Add(-365 * 24 * time.Hour)
	if err := try(); slowed(err) > 0 {
		t.Errorf("a year to wait: %v", err)
	}
	if w := slowed(try()); w > 15*time.Minute {
		t.Errorf("wait %s", w)
	}
	now.now = now.now.Add(25 * time.Hour)
	if err := try(); slowed(err) > 0 {
		t.Errorf("a day later: %v", err)
	}
}

// TestGuessingCodes: who knows the password cannot try all codes of the app.
func TestGuessingCodes(t *testing.T) {
	ids, _, now := setUp(t)
	by, _ := withPassword(t, ids, access.ProviderAdministrator, "", "Ada")
	withTOTP(t, ids, by)
	tried := 0
	for began := now.now; now.now.Sub(began) < 24*time.Hour; {
		e, err := ids.SignInWithPassword(t.Context(), here, "ada@example.org", goodPassword)
		if w := slowed(err); w > 0 {
			now.now = now.now.Add(w)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = ids.SignInWithTOTP(t.Context(), here, e.Ceremony, "12345x")
		if w := slowed(err); w > 0 {
			now.now = now.now.Add(w)
		} else {
			tried++
		}
		if tried > 200 {
			break
		}
	}
	if tried > 120 {
		t.Errorf("%d codes in a day", tried)
	}
}

// TestGuessingIsRecorded: a tenant's people read in their log that somebody
// guesses at an account, once for a flood, and nothing of accounts that are not
// there.
func TestGuessingIsRecorded(t *testing.T) {
	ids, b, _ := setUp(t)
	tenantWithKey(t, ids, "t-1")
	withPassword(t, ids, access.CustomerOwner, "t-1", "Ona")
	for _, login := range []string{"ona@example.org", "nobody@example.org"} {
		for range 40 {
			ids.SignInWithPassword(t.Context(), identity.Visit{From: "203.0.113.1:1"}, login, "not the password")
		}
	}
	before := len(b.entries)
	b.fail = errors.New("the ledger is away")
	if err := ids.RecordGuesses(t.Context()); err == nil {
		t.Error("what was not recorded is taken for recorded")
	}
	b.fail, b.entries = nil, b.entries[:before]
	for range 2 {
		if err := ids.RecordGuesses(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.entries[before:]; len(got) != 1 || got[0].Action != "sign-in.refuse" || got[0].Tenant != "t-1" || got[0].Actor != "system/sign-in" {
		t.Errorf("recorded: %+v", got)
	}
}
