package httpapi_test

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// newPerson makes a person of the tenant, past signing in.
func (w world) newPerson(t testing.TB, r *rig) string {
	t.Helper()
	p := store.SealedPerson{Handle: ident.New("h"), Credential: store.Credential{
		Principal: access.Principal{ID: ident.New("p"), Role: access.CustomerViewer, Tenant: w.tenant.ID, Kind: access.Person}, CreatedAt: time.Now(),
	}}
	if err := r.Store().Write(t.Context(), func(tx *store.Tx) error { return tx.InsertPerson(p) }); err != nil {
		t.Fatal(err)
	}
	return p.ID
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
