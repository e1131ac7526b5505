package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func begin(t testing.TB, ids *identity.Identities) identity.Challenge {
	t.Helper()
	c, err := ids.BeginSignInWithPasskey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPasskey(t *testing.T) {
	ids, b, _ := setUp(t)
	settled := 0
	ids.Settled = func() { settled++ }
	d, joined := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	if !joined.MFA || joined.MustEnrol || joined.Secret == "" || settled == 0 {
		t.Errorf("joined %+v, settled %d", joined, settled)
	}
	c := begin(t, ids)
	if !strings.Contains(string(c.Options), `"userVerification":"required"`) || strings.Contains(string(c.Options), "allowCredentials") {
		t.Errorf("a browser is asked %s", c.Options)
	}
	e, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, d.get(t, c))
	if err != nil {
		t.Fatal(err)
	}
	p := acting(t, ids, e.Secret)
	if p.ID != joined.Person.ID || !p.MFA || p.Kind != access.Person || p.Session == "" || !p.Authenticated.Equal(ids.Now()) || p.Name != "" {
		t.Errorf("%+v", p)
	}
	if e.Secret == joined.Secret {
		t.Error("two sign-ins share a session")
	}
	if got := b.actions(); strings.Contains(got, "Ada") || !strings.Contains(got, "invitation.accept session.start session.start") {
		t.Error(got)
	}
}

// TestSyncedPasskey: a passkey that is kept in an account of its maker counts
// nothing, and signs in again and again.
func TestSyncedPasskey(t *testing.T) {
	ids, _, _ := setUp(t)
	inv := invited(t, ids, access.ProviderOperator, "", "Oto")
	c, err := ids.BeginJoinWithPasskey(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(virtualwebauthn.KeyTypeEC2)
	d.auth.Options.BackupEligible, d.auth.Options.BackupState = true, true
	if _, err := ids.JoinWithPasskey(t.Context(), here, inv, c.Ceremony, d.create(t, c), ""); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c := begin(t, ids)
		d.key.Counter = ^uint32(0) // get raises it to 0
		if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, d.get(t, c)); err != nil {
			t.Error(err)
		}
	}
}

// TestPasskeyForgeries: each answer is right but for one thing.
func TestPasskeyForgeries(t *testing.T) {
	ids, b, now := setUp(t)
	d, _ := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	stranger, _ := withPasskey(t, ids, access.ProviderOperator, "", "Eve")
	for what, forge := range map[string]func(c identity.Challenge) (string, []byte){
		"another origin": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.rp.Origin = "https://demarc.example.attacker.test"
			return c.Ceremony, f.get(t, c)
		},
		"plain http": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.rp.Origin = "http://demarc.example"
			return c.Ceremony, f.get(t, c)
		},
		"another RP id": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.rp.ID = "attacker.test"
			return c.Ceremony, f.get(t, c)
		},
		"no user verification": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.auth.Options.UserNotVerified = true
			return c.Ceremony, f.get(t, c)
		},
		"nobody present": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.auth.Options.UserNotPresent = true
			return c.Ceremony, f.get(t, c)
		},
		"another key": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.key.Key = stranger.key.Key
			return c.Ceremony, f.get(t, c)
		},
		"another's handle": func(c identity.Challenge) (string, []byte) {
			f := *d
			f.auth.Options.UserHandle = stranger.auth.Options.UserHandle
			return c.Ceremony, f.get(t, c)
		},
		"an unknown credential": func(c identity.Challenge) (string, []byte) {
			f := *newDevice(virtualwebauthn.KeyTypeEC2)
			f.auth.Options.UserHandle = d.auth.Options.UserHandle
			return c.Ceremony, f.get(t, c)
		},
		"a challenge of another browser": func(c identity.Challenge) (string, []byte) {
			return begin(t, ids).Ceremony, d.get(t, c)
		},
		"no ceremony":   func(c identity.Challenge) (string, []byte) { return "", d.get(t, c) },
		"garbage":       func(c identity.Challenge) (string, []byte) { return c.Ceremony, []byte(`{"id":"x"}`) },
		"nothing":       func(c identity.Challenge) (string, []byte) { return c.Ceremony, nil },
		"far too large": func(c identity.Challenge) (string, []byte) { return c.Ceremony, make([]byte, 1<<20) },
		"a flipped bit of the signature": func(c identity.Challenge) (string, []byte) {
			var m map[string]any
			if err := json.Unmarshal(d.get(t, c), &m); err != nil {
				t.Fatal(err)
			}
			r := m["response"].(map[string]any)
			sig, _ := base64.RawURLEncoding.DecodeString(r["signature"].(string))
			sig[len(sig)-1] ^= 1
			r["signature"] = base64.RawURLEncoding.EncodeToString(sig)
			out, _ := json.Marshal(m)
			return c.Ceremony, out
		},
		"too late": func(c identity.Challenge) (string, []byte) {
			now.now = now.now.Add(identity.CeremonyLength)
			return c.Ceremony, d.get(t, c)
		},
		"a clock that was set back": func(c identity.Challenge) (string, []byte) {
			now.now = now.now.Add(-time.Hour)
			return c.Ceremony, d.get(t, c)
		},
	} {
		c := begin(t, ids)
		ceremony, answer := forge(c)
		e, err := ids.SignInWithPasskey(t.Context(), here, ceremony, answer)
		if !errors.Is(err, identity.ErrSignIn) && !errors.Is(err, identity.ErrCeremony) || e.Secret != "" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
		// Whatever was wrong, the challenge is spent.
		if what != "a challenge of another browser" && what != "no ceremony" && what != "a clock that was set back" && what != "too late" {
			if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, d.get(t, c)); !errors.Is(err, identity.ErrCeremony) {
				t.Errorf("%s: the challenge was answered again: %v", what, err)
			}
		}
	}
	if got := strings.Count(b.actions(), "session.start"); got != 2 {
		t.Errorf("%d sessions began", got)
	}
}

func TestPasskeyReplay(t *testing.T) {
	ids, _, _ := setUp(t)
	d, _ := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	c := begin(t, ids)
	answer := d.get(t, c)
	if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, answer); !errors.Is(err, identity.ErrCeremony) {
		t.Errorf("replayed: %v", err)
	}
	if _, err := ids.SignInWithPasskey(t.Context(), here, begin(t, ids).Ceremony, answer); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("replayed to another challenge: %v", err)
	}
}

// TestCounterGoesBack: a copy of a key shows by its counter, and is recorded.
func TestCounterGoesBack(t *testing.T) {
	ids, b, _ := setUp(t)
	d, _ := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	clone := *d
	for range 3 {
		c := begin(t, ids)
		if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, d.get(t, c)); err != nil {
			t.Fatal(err)
		}
	}
	c := begin(t, ids)
	if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, clone.get(t, c)); !errors.Is(err, identity.ErrSignIn) {
		t.Errorf("a counter of 1 after 3: %v", err)
	}
	if !strings.HasSuffix(b.actions(), "passkey.counter-back") {
		t.Error(b.actions())
	}
	c = begin(t, ids)
	if _, err := ids.SignInWithPasskey(t.Context(), here, c.Ceremony, d.get(t, c)); err != nil {
		t.Errorf("the key itself afterwards: %v", err)
	}
}

// TestPasskeyAsSigningKey: the public key of a passkey verifies what it signed,
// with the standard library alone.
func TestPasskeyAsSigningKey(t *testing.T) {
	for kind, want := range map[virtualwebauthn.KeyType]any{virtualwebauthn.KeyTypeEC2: &ecdsa.PublicKey{}, virtualwebauthn.KeyTypeRSA: &rsa.PublicKey{}} {
		ids, _, _ := setUp(t)
		tenantWithKey(t, ids, "t-1")
		inv := invited(t, ids, access.CustomerOwner, "t-1", "Ona")
		c, err := ids.BeginJoinWithPasskey(t.Context(), inv)
		if err != nil {
			t.Fatal(err)
		}
		d := newDevice(kind)
		e, err := ids.JoinWithPasskey(t.Context(), here, inv, c.Ceremony, d.create(t, c), "Key")
		if err != nil {
			t.Fatal(err)
		}
		err = ids.Store.Read(t.Context(), func(tx *store.Tx) error {
			ks, err := ids.Passkeys(tx, e.Person.ID)
			if err != nil || len(ks) != 1 {
				t.Fatalf("%+v, %v", ks, err)
			}
			k := ks[0]
			pub, err := x509.ParsePKIXPublicKey(k.Public)
			if err != nil {
				t.Fatal(err)
			}
			switch pub := pub.(type) {
			case *ecdsa.PublicKey:
				if _, ok := want.(*ecdsa.PublicKey); !ok || pub.Curve.Params().BitSize != 256 {
					t.Errorf("%T", pub)
				}
			case *rsa.PublicKey:
				if _, ok := want.(*rsa.PublicKey); !ok || pub.N.BitLen() < 2048 {
					t.Errorf("%T of %d bits", pub, pub.N.BitLen())
				}
			}
			if k.Label != "Key" || k.RPID != "demarc.example" || !bytes.Equal(k.Credential, d.key.ID) {
				t.Errorf("%+v", k)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnotherPasskey: it is added in a session of the person, for this person.
func TestAnotherPasskey(t *testing.T) {
	ids, _, now := setUp(t)
	_, ada := withPasskey(t, ids, access.ProviderAdministrator, "", "Ada")
	_, eve := withPasskey(t, ids, access.ProviderOperator, "", "Eve")
	by := acting(t, ids, ada.Secret)
	c, err := ids.BeginPasskey(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	second := newDevice(virtualwebauthn.KeyTypeEC2)
	answer := second.create(t, c)
	if _, err := ids.FinishPasskey(t.Context(), acting(t, ids, eve.Secret), c.Ceremony, answer, "x"); !errors.Is(err, identity.ErrCeremony) {
		t.Errorf("added by another: %v", err)
	}
	if c, err = ids.BeginPasskey(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	session, err := ids.FinishPasskey(t.Context(), by, c.Ceremony, second.create(t, c), "Phone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids.Session(t.Context(), ada.Secret); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the session's former secret: %v", err)
	}
	by = acting(t, ids, session)
	in := begin(t, ids)
	if e, err := ids.SignInWithPasskey(t.Context(), here, in.Ceremony, second.get(t, in)); err != nil || e.Person.ID != by.ID {
		t.Errorf("%+v, %v", e, err)
	}
	now.now = now.now.Add(16 * time.Minute)
	if _, err := ids.BeginPasskey(t.Context(), acting(t, ids, session)); !errors.Is(err, identity.ErrAgain) {
		t.Errorf("long after signing in: %v", err)
	}
}
