package httpapi_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/decision"
)

// signing is a key that a customer signs decisions with.
type signing struct {
	id      string
	private ed25519.PrivateKey
}

func newPublic(t testing.TB) (public []byte, private ed25519.PrivateKey) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if public, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return public, private
}

// newKey makes the tenant's first key, held by its owner.
func (w world) newKey(t testing.TB, r *rig) signing {
	t.Helper()
	public, private := newPublic(t)
	made := must[api.KeysChanged](t, r, 201, request{method: "POST", path: w.path("/keys"), token: w.owner.Token, body: api.ChangeKeys{
		Add: []api.NewKey{{Name: "owner's", Algorithm: "ed25519", Public: public}},
	}})
	return signing{made.KeySet.Keys[0].ID, private}
}

// sign gives the decision the owner's signature.
func (w world) sign(t testing.TB, r *rig, d api.Decision) api.Decision {
	t.Helper()
	return must[api.Decision](t, r, 200, request{method: "POST", path: w.path("/decisions/" + d.ID + "/signatures"), token: w.owner.Token, body: w.signature(d)})
}

// signature is the owner's.
func (w world) signature(d api.Decision) api.NewSignature {
	return api.NewSignature{Key: w.key.id, Algorithm: "ed25519", Signature: ed25519.Sign(w.key.private, decision.Message(d.Canonical))}
}

// propose proposes a waiver, which nobody has signed yet.
func (w world) propose(t testing.TB, r *rig, mark string) api.Decision {
	t.Helper()
	return must[api.Decision](t, r, 202, request{method: "POST", path: w.path("/waivers"), token: w.owner.Token, body: api.NewStatement{
		Duty: waivedDuty, Text: "stated by " + mark, Expires: time.Now().Add(24 * time.Hour),
	}})
}

// newWaiver proposes and signs a waiver.
func (w world) newWaiver(t testing.TB, r *rig, mark string) api.Statement {
	t.Helper()
	if d := w.sign(t, r, w.propose(t, r, mark)); d.State != "signed" {
		t.Fatalf("the waiver is %s", d.State)
	}
	var last api.Statement
	for _, s := range must[api.List[api.Statement]](t, r, 200, request{path: w.path("/waivers?limit=1000"), token: w.owner.Token}).Items {
		if !s.CreatedAt.Before(last.CreatedAt) {
			last = s
		}
	}
	return last
}

var hostAccess = []api.Ability{{Do: "shell", Target: "hv-1"}}

// newGrant asks for access as the holder of the token.
func (w world) newGrant(t testing.TB, r *rig, token string) api.Grant {
	t.Helper()
	return must[api.Grant](t, r, 201, request{method: "POST", path: w.path("/grants"), token: token, body: api.NewGrant{
		Ticket: "INC-1", Purpose: "look at a disk", Scope: hostAccess, Minutes: 30,
	}})
}

// emergency takes access as the holder of the token, and tells of it if told is set.
func (w world) emergency(t testing.TB, r *rig, token string, told bool) api.Grant {
	t.Helper()
	g := must[api.Grant](t, r, 201, request{method: "POST", path: w.path("/grants/break-glass"), token: token, body: api.BreakGlass{
		Reason: "the storage burns", Scope: hostAccess, Minutes: 10, Ticket: "INC-2",
	}})
	if told {
		return must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + g.ID + "/notice"), token: token, body: api.GrantNotice{Words: "it was put out"}})
	}
	return g
}

// act does something to a grant with words.
func (w world) act(t testing.TB, r *rig, token, grant, what string) {
	t.Helper()
	must[api.Grant](t, r, 200, request{method: "POST", path: w.path("/grants/" + grant + "/" + what), token: token, body: api.Words{Words: "in a test"}})
}
