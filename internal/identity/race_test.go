package identity_test

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// TestAtOnce: what counts once does so on either database, when many try at
// the same moment.
func TestAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		keys, err := keyring.Open(filepath.Join(t.TempDir(), "master.key"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		ids := &identity.Identities{
			Store: s, Ledger: &book{}, Now: func() time.Time { return now }, Keys: keys, Cost: identity.Cost{Memory: 8, Time: 1, Threads: 1},
			Site: identity.Site{URL: "https://demarc.example", RPID: "demarc.example", Origins: []string{"https://demarc.example"}},
		}
		tenantWithKey(t, ids, "t-1")
		at := func(n int, f func(n int) error) (done int64) {
			var ok atomic.Int64
			var all sync.WaitGroup
			gate := make(chan struct{})
			for i := range n {
				all.Go(func() {
					<-gate
					if f(i) == nil {
						ok.Add(1)
					}
				})
			}
			close(gate)
			all.Wait()
			return ok.Load()
		}
		join := func(secret string) func(int) error {
			return func(int) error {
				_, err := ids.JoinWithPassword(t.Context(), here, secret, "", goodPassword)
				return err
			}
		}
		if n := at(40, join(invited(t, ids, access.CustomerViewer, "t-1", "Vi"))); n != 1 {
			t.Errorf("%d joined by one invitation", n)
		}
		var firsts []string
		for _, name := range []string{"One", "Two", "Three"} {
			_, secret, err := ids.Invite(t.Context(), root, identity.Invitation{Name: name, Mail: name + "@example.org", Role: access.CustomerOwner, Tenant: "t-1", FirstOwner: true})
			if err != nil {
				t.Fatal(err)
			}
			firsts = append(firsts, secret)
		}
		if n := at(len(firsts), func(i int) error { return join(firsts[i])(i) }); n != 1 {
			t.Errorf("%d first owners", n)
		}

		var admins []access.Principal
		for _, name := range []string{"Ada", "Eva", "Ida"} {
			_, e := withPasskey(t, ids, access.ProviderAdministrator, "", name)
			admins = append(admins, e.Person)
		}
		if n := at(len(admins), func(i int) error {
			_, err := ids.Remove(t.Context(), admins[(i+1)%3], admins[i].ID)
			return err
		}); n != 2 {
			t.Errorf("%d of 3 administrators were removed", n)
		}

		by, _ := withPassword(t, ids, access.ProviderOperator, "", "Oto")
		secret, _, codes := withTOTP(t, ids, by)
		now = now.Add(time.Minute)
		ceremony := func() string {
			e, err := ids.SignInWithPassword(t.Context(), here, "oto@example.org", goodPassword)
			if err != nil {
				t.Fatal(err)
			}
			return e.Ceremony
		}
		for what, second := range map[string]func(string) (identity.Entry, error){
			"TOTP code": func(c string) (identity.Entry, error) {
				return ids.SignInWithTOTP(t.Context(), here, c, code(secret, now))
			},
			"recovery code": func(c string) (identity.Entry, error) {
				return ids.SignInWithRecoveryCode(t.Context(), here, c, codes[0])
			},
		} {
			cs := []string{ceremony(), ceremony(), ceremony(), ceremony()}
			if n := at(len(cs), func(i int) error { _, err := second(cs[i]); return err }); n != 1 {
				t.Errorf("a %s counted %d times", what, n)
			}
			now = now.Add(time.Hour)
		}

		var tried atomic.Int64
		at(60, func(int) error {
			_, err := ids.SignInWithPassword(t.Context(), identity.Visit{From: "198.51.100.1:1"}, "oto@example.org", "not the password")
			if errors.Is(err, identity.ErrSignIn) {
				tried.Add(1)
			} else if slowed(err) == 0 {
				t.Error(err)
			}
			return err
		})
		if tried.Load() > 5 {
			t.Errorf("%d of 60 guesses were tried", tried.Load())
		}
	})
}
