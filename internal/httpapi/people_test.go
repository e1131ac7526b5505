package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// newPerson makes a person of the tenant, who joins with a password.
func (w world) newPerson(t testing.TB, r *rig) string {
	t.Helper()
	_, secret, err := r.Identities().Invite(t.Context(), r.actor(access.CustomerOwner, w.tenant.ID), identity.Invitation{
		Name: "person of " + w.vdc.Name, Mail: r.name("person") + "@example.org", Role: access.CustomerViewer, Tenant: w.tenant.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.Identities().JoinWithPassword(t.Context(), identity.Visit{From: "127.0.0.1:1"}, secret, "", "a long and plain sentence")
	if err != nil {
		t.Fatal(err)
	}
	return in.Person.ID
}

// newInvitation invites somebody to the tenant.
func (w world) newInvitation(t testing.TB, r *rig) string {
	t.Helper()
	v, _, err := r.Identities().Invite(t.Context(), r.actor(access.CustomerOwner, w.tenant.ID), identity.Invitation{
		Name: "invited to " + w.vdc.Name, Role: access.CustomerViewer, Tenant: w.tenant.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.ID
}

// newProvider gives the tenant an identity provider, past asking it.
func (w world) newProvider(t testing.TB, r *rig) string {
	t.Helper()
	p := store.IdentityProvider{ID: ident.New("op"), Tenant: w.tenant.ID, Name: "own of " + w.vdc.Name, Issuer: "https://" + ident.New("op") + ".example", ClientID: "demarc", Sealed: []byte{}, CreatedAt: time.Now()}
	if err := r.Store().Write(t.Context(), func(tx *store.Tx) error { return tx.InsertIdentityProvider(p) }); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// age makes the session of that secret as old as if it had last been rotated
// that long ago.
func (r *rig) age(t testing.TB, secret string, by time.Duration) {
	t.Helper()
	sum := sha256.Sum256([]byte(secret))
	err := r.Store().Write(t.Context(), func(tx *store.Tx) error {
		s, err := tx.SessionBySecret(hex.EncodeToString(sum[:]))
		if err != nil {
			return err
		}
		s.Rotated = s.Rotated.Add(-by)
		return tx.UpdateSession(s, s.SecretHash)
	})
	if err != nil {
		t.Fatal(err)
	}
}
