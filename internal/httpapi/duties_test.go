package httpapi_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/rights"
)

// expect waits until a duty stands as it should: about the provider, or about a
// VM of the world if one is given.
func (r *rig) expect(t *testing.T, token, duty, verdict, says string, vm ...string) {
	t.Helper()
	q := url.Values{"duty": {duty}}
	if len(vm) > 0 {
		q.Set("vm", vm[0])
	}
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for last := ""; ; {
		for _, v := range must[api.List[api.Verdict]](t, r, 200, request{path: "/v1/posture?" + q.Encode(), token: token}).Items {
			if v.Verdict == verdict && strings.Contains(v.Reason, says) {
				return
			}
			last = v.Verdict + ": " + v.Reason
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s is not %s (%s), but %s", duty, verdict, says, last)
		}
	}
}

// TestSecondFactorOfAdministrators starts a server, whose first credential is
// an administrator without a second factor, and finishes the set-up.
//
//demarc:duty CLD.12.1.5/P-5.1c
//demarc:duty CLD.6.3.1/P-1.2b
//demarc:duty CLD.6.3.1/P-1.2c
func TestSecondFactorOfAdministrators(t *testing.T) {
	r, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}()
	for _, duty := range []string{"CLD.12.1.5/P-5.1c", "CLD.6.3.1/P-1.2c"} {
		r.expect(t, r.setup, duty, "not-met", rights.Unfinished)
	}
	r.expect(t, r.setup, "CLD.6.3.1/P-1.2b", "met", "")
	must[api.Tenant](t, r, 201, request{method: "POST", path: "/v1/tenants", token: r.setup, body: api.NewTenant{Name: "before"}})
	// An administrator who has shown no second factor does not finish it.
	bare := r.issue(t, access.Principal{Name: "bare", Role: access.ProviderAdministrator, Kind: access.Person})
	if a := r.do(request{path: "/v1/tenants", token: bare.Token}); a.status != 403 || !strings.Contains(a.body, "second factor") {
		t.Errorf("without a second factor: %d %s", a.status, a.body)
	}

	if err := r.settle(); err != nil {
		t.Fatal(err)
	}
	for _, duty := range []string{"CLD.12.1.5/P-5.1c", "CLD.6.3.1/P-1.2b", "CLD.6.3.1/P-1.2c"} {
		r.expect(t, r.root, duty, "met", "")
	}
	if a := r.do(request{method: "POST", path: "/v1/tenants", token: r.setup, body: api.NewTenant{Name: "after"}}); a.status != 403 || !strings.Contains(a.body, "setting up") {
		t.Errorf("the first start's credential afterwards: %d %s", a.status, a.body)
	}
	must[any](t, r, 200, request{path: "/v1/tenants", token: r.setup})
}

// TestMachinesAreTheCustomers: nobody of the provider's may change a customer's
// VM or get into it, and the duties say so.
//
//demarc:duty PII/C-8k
//demarc:duty PII/C-8l
func TestMachinesAreTheCustomers(t *testing.T) {
	r := shared
	w := newWorld(t, r, "machines")
	for _, role := range access.Roles {
		if role.Side() != access.ProviderSide {
			continue
		}
		p := r.issue(t, access.Principal{Name: string(role), Role: role, Kind: access.Person, MFA: true})
		for _, q := range []request{
			{method: "PATCH", path: w.path("/vms/" + w.vm.ID), body: api.ChangeVM{Declared: api.Declaration{Role: "taken"}}},
			{method: "POST", path: w.path("/vms"), body: api.NewVM{VDC: w.vdc.ID, Name: "taken"}},
			{method: "POST", path: w.path("/enrolment-tokens"), body: api.NewEnrolmentToken{VDC: w.vdc.ID, VMName: w.vm.Name}},
			{method: "PUT", path: w.path("/policies/hardening"), body: `{"document":{}}`},
			{method: "POST", path: w.path("/subscriptions"), body: api.NewSubscription{Service: "backup"}},
			{method: "POST", path: w.path("/vms/" + w.vm.ID + "/refresh")},
			{method: "POST", path: "/v1/principals", body: api.NewPrincipal{Name: "own", Role: "customer-owner", Tenant: w.tenant.ID}},
		} {
			q.token = p.Token
			if a := r.do(q); a.status != 403 || !strings.Contains(a.body, "customer-owner") {
				t.Errorf("%s %s as %s: %d %s", q.method, q.path, role, a.status, a.body)
			}
		}
	}
	r.expect(t, w.owner.Token, "PII/C-8k", "met", "", w.vm.ID)
	r.expect(t, w.owner.Token, "PII/C-8l", "met", "", w.vm.ID)
	free := must[api.VM](t, r, 201, request{method: "POST", path: w.path("/vms"), token: w.owner.Token, body: api.NewVM{VDC: w.vdc.ID, Name: "nobodys"}})
	r.expect(t, w.owner.Token, "PII/C-8k", "not-met", "nobody is named", free.ID)
}
