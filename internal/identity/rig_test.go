package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

const goodPassword = "several plain words make one"

var here = identity.Visit{From: "192.0.2.1:4711", Client: "Firefox on Linux"}

// tenantWithKey adds a tenant that people can belong to.
func tenantWithKey(t testing.TB, ids *identity.Identities, id string) {
	t.Helper()
	wrapped, err := ids.Keys.NewDataKey("tenant/" + id)
	if err != nil {
		t.Fatal(err)
	}
	err = ids.Store.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: id, Name: "name-" + id, CreatedAt: ids.Now()}); err != nil {
			return err
		}
		return tx.InsertTenantKey(id, wrapped)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// invited returns the secret of an invitation.
func invited(t testing.TB, ids *identity.Identities, role access.Role, tenant, name string) string {
	t.Helper()
	_, secret, err := ids.Invite(t.Context(), root, identity.Invitation{Name: name, Mail: strings.ToLower(name) + "@example.org", Role: role, Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// withPassword makes a person who has a password and nothing else.
func withPassword(t testing.TB, ids *identity.Identities, role access.Role, tenant, name string) (access.Principal, string) {
	t.Helper()
	e, err := ids.JoinWithPassword(t.Context(), here, invited(t, ids, role, tenant, name), "", goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	return acting(t, ids, e.Secret), e.Secret
}

// acting is who acts in the session.
func acting(t testing.TB, ids *identity.Identities, session string) access.Principal {
	t.Helper()
	p, err := ids.Session(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withTOTP adds an authenticator app; codes are the recovery codes.
func withTOTP(t testing.TB, ids *identity.Identities, by access.Principal) (secret, session string, codes []string) {
	t.Helper()
	n, err := ids.BeginTOTP(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	session, codes, err = ids.FinishTOTP(t.Context(), by, n.Ceremony, code(n.Secret, ids.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return n.Secret, session, codes
}

// code is RFC 6238, written anew.
func code(secret string, at time.Time) string {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		panic(err)
	}
	var msg [8]byte
	binary.BigEndian.PutUint64(msg[:], uint64(at.Unix()/30))
	h := hmac.New(sha1.New, key)
	h.Write(msg[:])
	sum := h.Sum(nil)
	at4 := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at4:])&0x7fffffff)%1000000)
}

// device is a browser with an authenticator that holds one passkey.
type device struct {
	rp   virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	key  virtualwebauthn.Credential
}

func newDevice(kind virtualwebauthn.KeyType) *device {
	return &device{
		rp:   virtualwebauthn.RelyingParty{ID: "demarc.example", Name: "demarc", Origin: "https://demarc.example"},
		auth: virtualwebauthn.NewAuthenticator(), key: newKey(kind),
	}
}

// newKey makes a key. The virtual authenticator writes coordinates that begin
// with a zero byte too short, which no real one does.
func newKey(kind virtualwebauthn.KeyType) virtualwebauthn.Credential {
	for kind == virtualwebauthn.KeyTypeEC2 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		if k.X.BitLen() <= 248 || k.Y.BitLen() <= 248 {
			continue
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			panic(err)
		}
		return virtualwebauthn.NewCredentialWithImportedKey(kind, der)
	}
	return virtualwebauthn.NewCredential(kind)
}

// create answers the options of a registration.
func (d *device) create(t testing.TB, c identity.Challenge) []byte {
	t.Helper()
	opts, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	d.auth.Options.UserHandle = []byte(opts.UserID)
	return []byte(virtualwebauthn.CreateAttestationResponse(d.rp, d.auth, d.key, *opts))
}

// get answers the options of a sign-in. The counter rises by one.
func (d *device) get(t testing.TB, c identity.Challenge) []byte {
	t.Helper()
	opts, err := virtualwebauthn.ParseAssertionOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	d.key.Counter++
	return []byte(virtualwebauthn.CreateAssertionResponse(d.rp, d.auth, d.key, *opts))
}

// withPasskey makes a person who has a passkey.
func withPasskey(t testing.TB, ids *identity.Identities, role access.Role, tenant, name string) (*device, identity.Entry) {
	t.Helper()
	inv := invited(t, ids, role, tenant, name)
	c, err := ids.BeginJoinWithPasskey(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(virtualwebauthn.KeyTypeEC2)
	e, err := ids.JoinWithPasskey(t.Context(), here, inv, c.Ceremony, d.create(t, c), "Laptop")
	if err != nil {
		t.Fatal(err)
	}
	return d, e
}
