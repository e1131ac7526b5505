package httpapi_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// assertion has a virtual authenticator sign a decision for a page.
func assertion(t testing.TB, d api.Decision, key string, credential virtualwebauthn.Credential, rp virtualwebauthn.RelyingParty) api.NewSignature {
	t.Helper()
	challenge, err := hex.DecodeString(strings.TrimPrefix(d.Digest, "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Response struct{ AuthenticatorData, ClientDataJSON, Signature string }
	}
	text := virtualwebauthn.CreateAssertionResponse(rp, virtualwebauthn.NewAuthenticator(), credential, virtualwebauthn.AssertionOptions{Challenge: challenge, RelyingPartyID: rp.ID})
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	part := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return api.NewSignature{
		Key: key, Algorithm: "webauthn", Signature: part(got.Response.Signature),
		AuthenticatorData: part(got.Response.AuthenticatorData), ClientData: part(got.Response.ClientDataJSON),
	}
}

// TestPasskeySigns adds a passkey to a tenant's keys and signs with it.
func TestPasskeySigns(t *testing.T) {
	r := shared
	w := newWorld(t, r, "passkey")
	rp := virtualwebauthn.RelyingParty{ID: "demarc.example", Name: "demarc", Origin: "https://demarc.example"}
	credential := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	private, err := x509.ParsePKCS8PrivateKey(credential.Key.Data)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	change := func(status int, k api.NewKey) api.KeysChanged {
		t.Helper()
		return must[api.KeysChanged](t, r, status, request{method: "POST", path: w.path("/keys"), token: w.owner.Token, body: api.ChangeKeys{Add: []api.NewKey{k}}})
	}
	key := api.NewKey{Name: "telephone", Algorithm: "webauthn", Public: public, Credential: credential.ID, RPID: rp.ID, Origins: []string{rp.Origin}}
	elsewhere := key
	elsewhere.Origins = []string{"https://evil.example"}
	change(422, elsewhere)
	added := w.sign(t, r, *change(202, key).Decision)
	set := must[api.KeySet](t, r, 200, request{path: w.path("/keys"), token: w.viewer.Token})
	if added.State != "signed" || set.Version != 2 || len(set.Keys) != 2 {
		t.Fatalf("%s, version %d with %d keys", added.State, set.Version, len(set.Keys))
	}

	d, other := w.propose(t, r, "passkey"), w.propose(t, r, "other")
	id := api.KeyID(public)
	hand := func(status int, s api.NewSignature) api.Decision {
		t.Helper()
		return must[api.Decision](t, r, status, request{method: "POST", path: w.path("/decisions/" + d.ID + "/signatures"), token: w.owner.Token, body: s})
	}
	hand(422, assertion(t, other, id, credential, rp)) // made for another decision
	hand(422, assertion(t, d, id, credential, virtualwebauthn.RelyingParty{ID: rp.ID, Origin: "https://demarc.example.evil.example"}))
	hand(422, assertion(t, d, id, credential, virtualwebauthn.RelyingParty{ID: "evil.example", Origin: rp.Origin}))
	hand(422, assertion(t, d, id, virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2), rp))
	good := assertion(t, d, id, credential, rp)
	for range 2 { // the second time changes nothing
		if got := hand(200, good); got.State != "signed" || len(got.Signatures) != 1 {
			t.Fatalf("%s with %d signatures", got.State, len(got.Signatures))
		}
	}
	if pending := must[api.List[api.Decision]](t, r, 200, request{path: w.path("/decisions?state=pending"), token: w.viewer.Token}); len(pending.Items) == 0 || pending.Items[0].State != "pending" {
		t.Errorf("%d decisions are pending", len(pending.Items))
	}
}

// TestAgentPolicies: only the agent's own key is told the policies of its
// machine, and what it is told proves itself.
func TestAgentPolicies(t *testing.T) {
	r := shared
	w := newWorld(t, r, "policies")
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	tok := w.newToken(t, r, "obeys")
	parsed, err := wire.ParseToken(tok.Token)
	if err != nil {
		t.Fatal(err)
	}
	set := must[api.KeySet](t, r, 200, request{path: w.path("/keys"), token: w.owner.Token})
	if "sha256:"+hex.EncodeToString(parsed.Keys[:]) != set.Digest {
		t.Errorf("the token does not name the key set %s", set.Digest)
	}
	me := must[wire.Identity](t, r, 200, request{method: "POST", path: "/v1/enrol", token: tok.Token, body: map[string]string{"public_key": public, "hostname": "h", "machine_id": "m", "software": "test"}})
	var h decision.History
	if err := json.Unmarshal(me.Keys, &h); err != nil {
		t.Fatal(err)
	}
	pinned, err := h.Find(set.Digest)
	if err != nil {
		t.Fatal(err)
	}

	must[struct{}](t, r, 422, request{method: "PUT", path: w.path("/policies/hardening"), token: w.owner.Token, body: `{"vm":"obeys","document":{"level":1,"level":2}}`})
	must[struct{}](t, r, 422, request{method: "PUT", path: w.path("/policies/hardening"), token: w.owner.Token, body: `{"vm":"obeys","document":{"level":1},"until":"2001-01-01T00:00:00Z"}`})
	set2 := func(vm string) api.Decision {
		return must[api.Decision](t, r, 202, request{method: "PUT", path: w.path("/policies/hardening"), token: w.owner.Token, body: api.NewPolicy{VM: vm, Document: json.RawMessage(`{"level":2}`)}})
	}
	first, second := set2("obeys"), set2("obeys")
	w.sign(t, r, first)
	// Both are the first version: the second came too late.
	res := r.do(request{method: "POST", path: w.path("/decisions/" + second.ID + "/signatures"), token: w.owner.Token, body: w.signature(second)})
	if res.status != 409 || !strings.Contains(res.body, "in force already") {
		t.Errorf("two first versions: %d %s", res.status, res.body)
	}
	w.sign(t, r, set2(w.vm.Name)) // another machine's

	ask := func(agent string, by nkeys.KeyPair, at time.Time, status int) wire.Policies {
		t.Helper()
		req := wire.PoliciesRequest{Agent: agent, Time: at, Nonce: "n"}
		if err := req.Sign(by); err != nil {
			t.Fatal(err)
		}
		return must[wire.Policies](t, r, status, request{method: "POST", path: "/v1/agent/policies", body: req})
	}
	now := time.Now()
	ask(w.agent, key, now, 401)
	ask("a-nobody", key, now, 401)
	ask(me.Agent, key, now.Add(-48*time.Hour), 401)
	got := ask(me.Agent, key, now, 200)
	if len(got.Policies) != 1 {
		t.Fatalf("%d policies", len(got.Policies))
	}
	var s decision.Signed
	if err := json.Unmarshal(got.Policies[0], &s); err != nil {
		t.Fatal(err)
	}
	if _, err := pinned.Verify(s, s.Decision.IssuedAt); err != nil || s.Decision.ID != first.ID {
		t.Errorf("%s: %v", s.Decision.ID, err)
	}
}

// TestSignInPasskeySigns: the passkey that somebody signs in with can become one
// of the tenant's keys, by its id; another's cannot.
func TestSignInPasskeySigns(t *testing.T) {
	r := shared
	w := newWorld(t, r, "signin")
	ids := r.Identities()
	_, secret, err := ids.Invite(t.Context(), r.actor(access.CustomerOwner, w.tenant.ID), identity.Invitation{
		Name: "second owner", Mail: r.name("second") + "@example.org", Role: access.CustomerOwner, Tenant: w.tenant.ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ids.BeginJoinWithPasskey(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	options, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	rp := virtualwebauthn.RelyingParty{ID: ids.Site.RPID, Name: "demarc", Origin: ids.Site.Origins[0]}
	authenticator, credential := virtualwebauthn.NewAuthenticator(), virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)
	authenticator.Options.UserHandle = []byte(options.UserID)
	made := virtualwebauthn.CreateAttestationResponse(rp, authenticator, credential, *options)
	in, err := ids.JoinWithPasskey(t.Context(), identity.Visit{From: "127.0.0.1:1"}, secret, c.Ceremony, []byte(made), "Laptop")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"Cookie": httpapi.SessionCookie + "=" + in.Secret, "Sec-Fetch-Site": "same-origin"}
	account := must[api.Account](t, r, 200, request{path: "/v1/account", header: own})
	add := api.ChangeKeys{Add: []api.NewKey{{Algorithm: "webauthn", Passkey: account.Authenticators[0].ID}}}
	// It is the second owner's: the first has no such passkey.
	must[struct{}](t, r, 404, request{method: "POST", path: w.path("/keys"), token: w.owner.Token, body: add})
	changed := must[api.KeysChanged](t, r, 202, request{method: "POST", path: w.path("/keys"), header: own, body: add})
	w.sign(t, r, *changed.Decision)
	set := must[api.KeySet](t, r, 200, request{path: w.path("/keys"), header: own})
	k := set.Keys[len(set.Keys)-1]
	if k.Name != "Laptop" || k.Holder != account.Person.ID || k.RPID != rp.ID {
		t.Fatalf("the key is %+v", k)
	}
	d := w.propose(t, r, "signin")
	hand := request{method: "POST", path: w.path("/decisions/" + d.ID + "/signatures"), header: own, body: assertion(t, d, k.ID, credential, rp)}
	refused := hand
	refused.header, refused.token = nil, w.owner.Token
	must[struct{}](t, r, 422, refused) // another's key
	if got := must[api.Decision](t, r, 200, hand); got.State != "signed" {
		t.Errorf("it is %s", got.State)
	}
}

// TestKeyOfOneWhoLeft: a key outlives its holder's place in the tenant until it
// is removed, which whoever looks at the keys is told.
func TestKeyOfOneWhoLeft(t *testing.T) {
	r := shared
	w := newWorld(t, r, "leaving")
	gone := r.issue(t, access.Principal{Name: "gone", Role: access.CustomerOwner, Tenant: w.tenant.ID, Kind: access.Person})
	public, _ := newPublic(t)
	changed := must[api.KeysChanged](t, r, 202, request{method: "POST", path: w.path("/keys"), token: w.owner.Token, body: api.ChangeKeys{
		Add: []api.NewKey{{Algorithm: "ed25519", Public: public, Holder: gone.ID}},
	}})
	w.sign(t, r, *changed.Decision)
	left := func() []string {
		return must[api.KeySet](t, r, 200, request{path: w.path("/keys"), token: w.viewer.Token}).Left
	}
	if l := left(); len(l) != 0 {
		t.Errorf("%v have left while they stand", l)
	}
	if err := r.Store().Write(t.Context(), func(tx *store.Tx) error { return tx.RevokePrincipal(gone.ID, time.Now()) }); err != nil {
		t.Fatal(err)
	}
	if l := left(); len(l) != 1 || l[0] != api.KeyID(public) {
		t.Errorf("%v have left, want the key of %s", l, gone.ID)
	}
}
