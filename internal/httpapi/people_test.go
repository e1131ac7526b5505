package httpapi_test

import (
	"testing"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
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
