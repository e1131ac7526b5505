package httpapi_test

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/store"
)

// customer is a tenant with an owner who has a key to sign with.
func (r *rig) customer(t testing.TB, mark string) world {
	t.Helper()
	var w world
	w.tenant = must[api.Tenant](t, r, 201, request{method: "POST", path: "/v1/tenants", token: r.root, body: api.NewTenant{Name: r.name(mark)}})
	w.owner = r.issue(t, access.Principal{Name: mark + " owner", Role: access.CustomerOwner, Tenant: w.tenant.ID, Kind: access.Person})
	w.key = w.newKey(t, r)
	return w
}

// providerPerson is somebody of the provider who has shown a second factor.
func (r *rig) providerPerson(t testing.TB, role access.Role) api.Principal {
	t.Helper()
	return r.issue(t, access.Principal{Name: string(role), Role: role, Kind: access.Person, MFA: true})
}

// grantTo has access approved and signed.
func (w world) grantTo(t testing.TB, r *rig, token string) api.Grant {
	t.Helper()
	g := w.newGrant(t, r, token)
	w.approve(t, r, g.ID)
	return must[api.Grant](t, r, 200, request{path: w.path("/grants/" + g.ID), token: token})
}

// TestOnlyWithApproval: nobody of the provider is let into a customer's
// environment but by a grant that the customer signed and that ends, or in an
// emergency that the customer is told of.
//
//demarc:duty CLD.9.5.1/P-3.3b
func TestOnlyWithApproval(t *testing.T) {
	const duty = "CLD.9.5.1/P-3.3b"
	r := shared
	w := r.customer(t, "approval")
	eva := r.providerPerson(t, access.ProviderOperator)
	r.expectOf(t, w, duty, "met", "")
	g := w.newGrant(t, r, eva.Token)
	if r.granted(eva.ID, w.tenant.ID) {
		t.Error("granted by asking")
	}
	for _, token := range []string{eva.Token, r.root} {
		if a := r.do(request{method: "POST", path: w.path("/grants/" + g.ID + "/approve"), token: token, body: api.ApproveGrant{}}); a.status != http.StatusForbidden {
			t.Errorf("approved by the provider: %d %s", a.status, a.body)
		}
	}
	live := w.grantTo(t, r, eva.Token)
	if live.State != "active" || live.Until == nil || live.Until.Sub(*live.From) != 30*time.Minute || !r.granted(eva.ID, w.tenant.ID) {
		t.Errorf("%+v", live)
	}
	r.expectOf(t, w, duty, "met", "")
	must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + live.ID + "/revoke"), token: w.owner.Token, body: api.Words{Words: "enough"}})
	if r.granted(eva.ID, w.tenant.ID) {
		t.Error("granted after its revocation")
	}

	// A session under a grant that nobody approved, as a server would leave it
	// that was tampered with.
	r.session(t, w, g.ID, "sr-"+g.ID)
	r.judge(t, w)
	r.expectOf(t, w, duty, "not-met", "sr-"+g.ID)
	r.endSession(t, "sr-"+g.ID)
	r.judge(t, w)
	r.expectOf(t, w, duty, "met", "")

	// An emergency whose notice the customer disputes.
	sam := r.providerPerson(t, access.ProviderSecurity)
	e := w.emergency(t, r, sam.Token, true)
	r.expectOf(t, w, duty, "met", "")
	must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + e.ID + "/dispute"), token: w.owner.Token, body: api.Words{Words: "nothing burnt"}})
	r.expectOf(t, w, duty, "not-met", e.ID)
	must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + e.ID + "/acknowledge"), token: w.owner.Token, body: api.Words{Words: "it did burn"}})
	r.expectOf(t, w, duty, "met", "")
}

// TestForSupportOnly: no access without a ticket.
//
//demarc:duty CLD.12.1.5/P-5.1b
func TestForSupportOnly(t *testing.T) {
	const duty = "CLD.12.1.5/P-5.1b"
	r := shared
	w := r.customer(t, "ticket")
	eva := r.providerPerson(t, access.ProviderSupport)
	a := r.do(request{method: "POST", path: w.path("/grants"), token: eva.Token, body: api.NewGrant{Purpose: "have a look", Scope: hostAccess, Minutes: 30}})
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "ticket") {
		t.Errorf("without a ticket: %d %s", a.status, a.body)
	}
	if g := w.grantTo(t, r, eva.Token); g.Ticket != "INC-1" {
		t.Errorf("%+v", g)
	}
	r.expectOf(t, w, duty, "met", "")
	r.session(t, w, "gr-none", "sr-"+w.tenant.ID)
	r.judge(t, w)
	r.expectOf(t, w, duty, "not-met", "sr-"+w.tenant.ID)
	r.endSession(t, "sr-"+w.tenant.ID)
}

// TestPrivilegedAccess: access of the provider's people is just in time and
// recorded; nobody has it standing.
//
//demarc:duty CLD.9.5.1/P-3.3a
//demarc:duty CLD.12.1.5/P-5.1a
func TestPrivilegedAccess(t *testing.T) {
	r := shared
	w := r.customer(t, "privileged")
	eva := r.providerPerson(t, access.ProviderOperator)
	for _, minutes := range []int{0, 721, 1 << 40} {
		a := r.do(request{method: "POST", path: w.path("/grants"), token: eva.Token, body: api.NewGrant{Ticket: "INC-1", Purpose: "stay", Scope: hostAccess, Minutes: minutes}})
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("%d minutes: %d %s", minutes, a.status, a.body)
		}
	}
	w.grantTo(t, r, eva.Token)
	for _, duty := range []string{"CLD.9.5.1/P-3.3a", "CLD.12.1.5/P-5.1a"} {
		r.expect(t, r.root, duty, "met", "")
	}
	// A session of which nothing was recorded.
	id := "sr-dark-" + w.tenant.ID
	r.session(t, w, "gr-none", id)
	r.judge(t, w)
	for _, duty := range []string{"CLD.9.5.1/P-3.3a", "CLD.12.1.5/P-5.1a"} {
		r.expect(t, r.root, duty, "not-met", id)
	}
	r.endSession(t, id)
	r.judge(t, w)
	r.expect(t, r.root, "CLD.9.5.1/P-3.3a", "met", "")
}

// TestWrongSignature: what is not signed by the customer's key has no effect.
func TestWrongSignature(t *testing.T) {
	r := shared
	w := r.customer(t, "forged")
	eva := r.providerPerson(t, access.ProviderOperator)
	g := w.newGrant(t, r, eva.Token)
	p := must[api.GrantProposal](t, r, 202, request{method: "POST", path: w.path("/grants/" + g.ID + "/approve"), token: w.owner.Token, body: api.ApproveGrant{Minutes: 5}})
	d := must[api.Decision](t, r, 200, request{path: w.path("/decisions/" + p.Decision), token: w.owner.Token})
	_, other := newPublic(t)
	a := r.do(request{method: "POST", path: w.path("/decisions/" + d.ID + "/signatures"), token: w.owner.Token, body: api.NewSignature{
		Key: w.key.id, Algorithm: "ed25519", Signature: ed25519.Sign(other, decision.Message(d.Canonical)),
	}})
	if a.status < 400 {
		t.Errorf("another key: %d %s", a.status, a.body)
	}
	if got := must[api.Grant](t, r, 200, request{path: w.path("/grants/" + g.ID), token: eva.Token}); got.State != "requested" || len(got.History) != 2 {
		t.Errorf("%+v", got)
	}
	w.act(t, r, w.owner.Token, g.ID, "refuse")
	if d = must[api.Decision](t, r, 200, request{path: w.path("/decisions/" + d.ID), token: w.owner.Token}); d.State != "withdrawn" {
		t.Errorf("the approval of a refused request is %s", d.State)
	}
	list := must[api.List[api.Grant]](t, r, 200, request{path: w.path("/grants?state=refused"), token: w.owner.Token})
	if len(list.Items) != 1 || list.Items[0].HolderName != string(access.ProviderOperator) || list.Items[0].Next == "" {
		t.Errorf("%+v", list)
	}
}

// TestApprovalToCertificate: a second after the signature at the latest the
// holder has a certificate that the gateway takes, and after the revocation
// gets none.
func TestApprovalToCertificate(t *testing.T) {
	r := shared
	w := r.customer(t, "certificate")
	eva, sam := r.providerPerson(t, access.ProviderOperator), r.providerPerson(t, access.ProviderSecurity)
	hv := must[api.Target](t, r, 201, request{method: "POST", path: "/v1/targets", token: r.root, body: api.NewTarget{
		Name: r.name("hv"), Kind: "host", Address: "127.0.0.1:22", User: "root", HostKeys: []string{sshPublicKey(t)},
	}})
	g := must[api.Grant](t, r, 201, request{method: "POST", path: w.path("/grants"), token: eva.Token, body: api.NewGrant{
		Ticket: "INC-1", Purpose: "look at a disk", Scope: []api.Ability{{Do: "shell", Target: hv.Name}}, Minutes: 30,
	}})
	p := must[api.GrantProposal](t, r, 202, request{method: "POST", path: w.path("/grants/" + g.ID + "/approve"), token: w.owner.Token, body: api.ApproveGrant{}})
	d := must[api.Decision](t, r, 200, request{path: w.path("/decisions/" + p.Decision), token: w.owner.Token})
	key := sshPublicKey(t)
	certify := func(token string) response {
		return r.do(request{method: "POST", path: "/v1/grants/" + g.ID + "/certificate", token: token, body: api.NewCertificate{PublicKey: key}})
	}
	if a := certify(eva.Token); a.status < 400 {
		t.Errorf("before the approval: %d", a.status)
	}
	began := time.Now()
	w.sign(t, r, d)
	a := certify(eva.Token)
	took := time.Since(began)
	if a.status >= 300 || took > time.Second {
		t.Errorf("after %s: %d %s", took, a.status, a.body)
	}
	t.Logf("from the signature's request to the certificate: %s", took)
	if a := certify(sam.Token); a.status < 400 {
		t.Errorf("for somebody else: %d", a.status)
	}
	must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + g.ID + "/revoke"), token: w.owner.Token, body: api.Words{Words: "enough"}})
	if a := certify(eva.Token); a.status < 400 {
		t.Errorf("after the revocation: %d", a.status)
	}
}

// TestApproversAreTold: whoever of the customer is watching hears of a request
// at once, and nobody else's.
func TestApproversAreTold(t *testing.T) {
	r := shared
	w, other := r.customer(t, "told"), r.customer(t, "untold")
	eva := r.providerPerson(t, access.ProviderOperator)
	approver := w.principal(t, r, access.CustomerApprover, "approver")
	mine, theirs := watch(t, r, approver.Token, ""), watch(t, r, other.owner.Token, "")
	began := time.Now()
	g := w.newGrant(t, r, eva.Token)
	heard := func(s *stream, id string) bool {
		for {
			select {
			case e := <-s.events:
				if e[0] == "activity" && strings.Contains(e[1], "grant/"+id) {
					return true
				}
			case <-time.After(3 * time.Second):
				return false
			}
		}
	}
	if !heard(mine, g.ID) {
		t.Error("the approver was not told")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the approver was told after %s", took)
	}
	own := other.newGrant(t, r, eva.Token)
	for e := range theirs.events {
		if strings.Contains(e[1], g.ID) {
			t.Fatal("another customer was told")
		}
		if strings.Contains(e[1], own.ID) {
			break
		}
	}
}

// TestRemovedHolder: who is ended loses what it holds, with its credential.
func TestRemovedHolder(t *testing.T) {
	r := shared
	w := r.customer(t, "removed")
	eva := r.providerPerson(t, access.ProviderOperator)
	live, open := w.grantTo(t, r, eva.Token), w.newGrant(t, r, eva.Token)
	if _, err := r.Identities().Revoke(t.Context(), r.actor(access.ProviderAdministrator, ""), eva.ID); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{live.ID: "revoked", open.ID: "closed"} {
		if g := must[api.Grant](t, r, 200, request{path: w.path("/grants/" + id), token: w.owner.Token}); g.State != want {
			t.Errorf("it is %s, want %s", g.State, want)
		}
	}
	if r.granted(eva.ID, w.tenant.ID) {
		t.Error("granted to somebody who was ended")
	}
}

func sshPublicKey(t testing.TB) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

func (r *rig) granted(principal, tenant string) bool { return r.Grants().Granted(principal, tenant) }

// expectOf is expect about a tenant.
func (r *rig) expectOf(t *testing.T, w world, duty, verdict, says string) {
	t.Helper()
	all := must[api.List[api.Verdict]](t, r, 200, request{path: "/v1/posture?tenant=" + w.tenant.ID + "&duty=" + duty, token: w.owner.Token}).Items
	if len(all) != 1 || all[0].Verdict != verdict || !strings.Contains(all[0].Reason, says) {
		t.Errorf("%s is not %s (%s): %+v", duty, verdict, says, all)
	}
}

// session leaves an open recording, as of a session that began a minute ago.
func (r *rig) session(t *testing.T, w world, grant, id string) {
	t.Helper()
	err := r.Store().Write(t.Context(), func(tx *store.Tx) error {
		target := store.Target{ID: "tg-" + id, Name: "hv-" + id, Kind: "host", Address: "127.0.0.1:22", Login: "root", CreatedAt: time.Now()}
		if err := tx.InsertTarget(target); err != nil {
			return err
		}
		return tx.InsertRecording(store.Recording{ID: id, Tenant: w.tenant.ID, Grant: grant, Holder: "p-x", Target: target.ID, Kind: "shell", Server: "gone", State: "open", Started: time.Now().Add(-time.Minute)})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) endSession(t *testing.T, id string) {
	t.Helper()
	if err := r.Store().Write(t.Context(), func(tx *store.Tx) error { return tx.EndRecording(id, "complete", "left", time.Now(), 0) }); err != nil {
		t.Fatal(err)
	}
}

// judge has the tenant and the provider judged now, as the timer does every minute.
func (r *rig) judge(t *testing.T, w world) {
	t.Helper()
	must[api.Grant](t, r, 201, request{method: "POST", path: w.path("/grants"), token: r.support, body: api.NewGrant{Ticket: "INC-9", Purpose: "have it judged", Scope: hostAccess, Minutes: 1}})
}
