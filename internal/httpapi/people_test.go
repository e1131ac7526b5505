package httpapi_test

import (
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
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

// TestAnswersEndWithTheRole: whoever may do less than before does not get an
// answer of before by its Idempotency-Key.
func TestAnswersEndWithTheRole(t *testing.T) {
	r := shared
	w := newWorld(t, r, "lessrole")
	_, secret, err := r.Identities().Invite(t.Context(), r.actor(access.CustomerOwner, w.tenant.ID), identity.Invitation{
		Name: "somebody", Mail: r.name("somebody") + "@example.org", Role: access.CustomerAdministrator, Tenant: w.tenant.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.Identities().JoinWithPassword(t.Context(), identity.Visit{From: "127.0.0.1:1"}, secret, "", "a long and plain sentence")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() response {
		q := keyed(request{method: "POST", path: w.path("/enrolment-tokens"), body: api.NewEnrolmentToken{VDC: w.vdc.ID}}, "of-the-role")
		q.header["Cookie"], q.header["Sec-Fetch-Site"] = httpapi.SessionCookie+"="+in.Secret, "same-origin"
		return r.do(q)
	}
	first := ask()
	if again := ask(); first.status != 201 || again.body != first.body {
		t.Fatalf("%d %s, again %d %s", first.status, clip(first.body), again.status, clip(again.body))
	}
	must[any](t, r, 200, request{method: "POST", path: "/v1/people/" + in.Person.ID + "/role", token: w.owner.Token, body: api.ChangeRole{Role: "customer-viewer"}})
	if a := ask(); a.status < 400 || strings.Contains(a.body, decode[api.EnrolmentToken](t, first).Token) {
		t.Errorf("with less of a role: %d %s", a.status, clip(a.body))
	}
}
