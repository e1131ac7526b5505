package httpapi_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/cli"
	"github.com/demarc/demarc/internal/role/verify"
)

// TestBundleVerifiesOffline takes a tenant's entries as a customer does and
// verifies them without the server.
func TestBundleVerifiesOffline(t *testing.T) {
	r := shared
	w := newWorld(t, r, "bundle")
	a := r.do(request{path: "/v1/ledger/bundle", token: w.viewer.Token})
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	state := must[api.LedgerState](t, r, 200, request{path: "/v1/ledger", token: w.viewer.Token})
	if len(state.Keys) == 0 {
		t.Fatal("the ledger tells no key")
	}
	whole, err := verify.Bundle(t.Context(), strings.NewReader(a.body), cli.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Trusted || len(whole.Keys) != 1 || !slices.Contains(state.Keys, whole.Keys[0]) || len(whole.NotProven) == 0 || len(whole.Proven) == 0 {
		t.Errorf("without a key: %+v; the ledger tells %v", whole, state.Keys)
	}
	pinned, err := verify.Bundle(t.Context(), strings.NewReader(a.body), cli.Trust{Keys: state.Keys})
	if err != nil || !pinned.Trusted || pinned.Entries == 0 || pinned.Tenant != w.tenant.ID || len(pinned.Proven) <= len(whole.Proven) {
		t.Errorf("with the key: %+v, %v", pinned, err)
	}
	if _, err := verify.Bundle(t.Context(), strings.NewReader(a.body), cli.Trust{Keys: []string{"other+1a2b3c4d+AAAA"}}); err == nil {
		t.Error("it verifies with a key that did not sign it")
	}
	bad := strings.Replace(a.body, `"index":`, `"index": `, 1)
	if _, err := verify.Bundle(t.Context(), strings.NewReader(bad), cli.Trust{}); err == nil {
		t.Error("a changed bundle verifies")
	}
}

// TestAuthorityFile: the certificate that demarc login --ca asks for is the one
// that agents are given.
func TestAuthorityFile(t *testing.T) {
	r := shared
	w := newWorld(t, r, "authority")
	tok := w.newToken(t, r, "ca-vm")
	id := must[struct{ CA string }](t, r, 200, request{method: "POST", path: "/v1/enrol", token: tok.Token, body: enrolment(t)})
	file, err := os.ReadFile(filepath.Join(r.dir, "ca.pem"))
	if err != nil || string(file) != id.CA || !strings.HasPrefix(id.CA, "-----BEGIN CERTIFICATE-----") {
		t.Errorf("%v; %q", err, file)
	}
}

// TestAgentsOfATenant lists an agent with what became of its records, revokes
// it, and refuses a renewal that nobody signed.
func TestAgentsOfATenant(t *testing.T) {
	r := shared
	w := newWorld(t, r, "fleet")
	list := must[api.List[api.Agent]](t, r, 200, request{path: w.path("/agents"), token: w.viewer.Token})
	if len(list.Items) != 1 || list.Items[0].ID != w.agent || list.Items[0].Lost != 0 || list.Items[0].Rejection != nil {
		t.Errorf("%+v", list.Items)
	}
	gone := must[api.Agent](t, r, 200, request{method: "POST", path: w.path("/agents/" + w.agent + "/revoke"), token: w.admin.Token})
	if gone.RevokedAt == nil || gone.ID != w.agent {
		t.Errorf("%+v", gone)
	}
	renewal := map[string]any{"agent": w.agent, "time": time.Now(), "nonce": "n", "signature": "AAAA"}
	if a := r.do(request{method: "POST", path: "/v1/renew", body: renewal}); a.status != 401 {
		t.Errorf("a renewal without a signature: %d %s", a.status, a.body)
	}
}
