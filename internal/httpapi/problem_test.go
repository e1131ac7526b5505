package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
)

// internals are what a caller must never read: SQL, Go types, places in the code.
var internals = regexp.MustCompile(`(?i)\bselect\b.+\bfrom\b|insert into|sqlite|constraint|pgx|goroutine|\.go:\d|\bstruct\b|runtime error|Go value|map\[|\*(?-i:store|httpapi|estate|api)\.|/internal/`)

func TestProblems(t *testing.T) {
	r := shared
	w := newWorld(t, r, "problem")
	other := must[api.VDC](t, r, 201, request{method: "POST", path: w.path("/vdcs"), token: r.root, body: api.NewVDC{Name: "second"}})
	long := strings.Repeat("x", httpapi.MaxBodyBytes+1)
	for name, c := range map[string]struct {
		request
		status int
		says   string
	}{
		"no such path":       {request{path: "/v1/nothing"}, 404, "openapi.json"},
		"no such method":     {request{method: "DELETE", path: "/v1/tenants"}, 405, "GET"},
		"bad JSON":           {request{method: "POST", path: "/v1/tenants", body: `{"name":`}, 400, ""},
		"no JSON object":     {request{method: "POST", path: "/v1/tenants", body: `[1]`}, 422, ""},
		"no body":            {request{method: "POST", path: "/v1/tenants", body: ""}, 400, "body"},
		"wrong type":         {request{method: "POST", path: "/v1/tenants", body: `{"name":7}`}, 422, "body.name"},
		"unknown member":     {request{method: "POST", path: "/v1/tenants", body: `{"name":"fine","colour":"red"}`}, 422, "colour"},
		"missing member":     {request{method: "POST", path: "/v1/tenants", body: `{}`}, 422, "name"},
		"bad name":           {request{method: "POST", path: "/v1/tenants", body: `{"name":"Not Fine"}`}, 422, "lower-case"},
		"name taken":         {request{method: "POST", path: "/v1/tenants", body: api.NewTenant{Name: w.tenant.Name}}, 409, ""},
		"VDC name taken":     {request{method: "POST", path: w.path("/vdcs"), body: api.NewVDC{Name: other.Name}}, 409, ""},
		"no such VDC":        {request{token: w.owner.Token, method: "POST", path: w.path("/vms"), body: api.NewVM{VDC: "nowhere", Name: "a"}}, 404, "nowhere"},
		"too large":          {request{method: "POST", path: "/v1/tenants", body: `{"name":"` + long + `"}`}, 413, ""},
		"too large, keyed":   {request{method: "POST", path: "/v1/tenants", body: `{"name":"` + long + `"}`, header: map[string]string{"Idempotency-Key": "large"}}, 413, ""},
		"unknown parameter":  {request{path: "/v1/tenants?colour=red"}, 422, "colour"},
		"bad limit":          {request{path: "/v1/tenants?limit=0"}, 422, "limit"},
		"bad cursor":         {request{path: "/v1/tenants?cursor=%21%21"}, 422, "cursor"},
		"foreign cursor":     {request{path: "/v1/posture?cursor=eHg"}, 422, "cursor"},
		"cursor of no duty":  {request{path: "/v1/duties?cursor=eHg"}, 422, "cursor"},
		"bad ledger cursor":  {request{path: "/v1/ledger/entries?cursor=%21"}, 422, "cursor"},
		"bad moment":         {request{path: w.path("/matrix?at=yesterday")}, 422, "2026-03-03"},
		"bad index":          {request{path: "/v1/ledger/entries/minus"}, 422, "index"},
		"entry not there":    {request{path: "/v1/ledger/entries/99999999"}, 404, ""},
		"no such tile":       {request{path: "/v1/ledger/tiles?path=..%2F..%2Fetc%2Fpasswd"}, 404, ""},
		"no such duty":       {request{path: "/v1/explain?duty=CLD.1/C-1"}, 404, "catalogue"},
		"duty without a VM":  {request{path: "/v1/explain?duty=" + waivedDuty}, 422, "VM"},
		"no service":         {request{token: w.owner.Token, method: "POST", path: w.path("/subscriptions"), body: api.NewSubscription{Service: "nonesuch"}}, 422, "backup"},
		"bad policy":         {request{token: w.owner.Token, method: "PUT", path: w.path("/policies/hardening"), body: `{"document":{"colour":"red"}}`}, 422, "colour"},
		"bad catalogue":      {request{method: "POST", path: "/v1/catalogues", body: api.CatalogueSource{File: "x.yaml", Source: "name: [\n"}}, 422, "x.yaml"},
		"bad If-Match":       {request{method: "PATCH", path: w.path(""), body: api.NewTenant{Name: w.tenant.Name}, header: map[string]string{"If-Match": "yesterday"}}, 422, "ETag"},
		"token of an agent":  {request{method: "POST", path: "/v1/enrol", token: "demarc1.x.y.z", body: enrolment(t)}, 401, "token"},
		"long key":           {request{method: "POST", path: "/v1/tenants", body: api.NewTenant{Name: "a"}, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 201)}}, 422, "200"},
		"a digit in a name":  {request{method: "POST", path: w.path("/contacts"), body: api.NewContact{Role: "billing", Name: "Eva 1234-56", Mail: "eva@example.org"}}, 422, "identity documents"},
		"NUL in a reference": {request{path: "/v1/tenants/a%00b"}, 422, "NUL"},
		"NUL in a query":     {request{path: "/v1/posture?duty=a%00b"}, 422, "NUL"},
		"NUL in a body":      {request{token: w.owner.Token, method: "POST", path: w.path("/vms"), body: `{"vdc":"a\u0000b","name":"a"}`}, 404, ""},
		"NUL in a statement": {request{token: w.owner.Token, method: "POST", path: w.path("/waivers"), body: `{"duty":"` + waivedDuty + `","text":"because\u0000of","expires":"2999-01-01T00:00:00Z"}`}, 422, "control"},
		"text not UTF-8":     {request{path: "/v1/tenants/a%ffb"}, 422, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.token == "" {
				c.token = r.root
			}
			a := r.do(c.request)
			var p api.Problem
			if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("no problem details: %d %s %s", a.status, a.header.Get("Content-Type"), clip(a.body))
			}
			if a.status != c.status || p.Status != c.status || p.Title == "" {
				t.Errorf("%d %s, want %d", a.status, clip(a.body), c.status)
			}
			if !strings.Contains(p.Error(), c.says) {
				t.Errorf("it does not say %q: %s", c.says, clip(p.Error()))
			}
			if m := internals.FindString(a.body); m != "" {
				t.Errorf("it shows %q: %s", m, clip(a.body))
			}
		})
	}
}

// TestOpenAddresses asks for every address without credentials.
func TestOpenAddresses(t *testing.T) {
	r := shared
	for _, op := range operations(t, r) {
		path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(op.Path, "x")
		a := r.do(request{method: op.Method, path: path, body: map[bool]any{true: "{}", false: nil}[op.RequestBody != nil]})
		if op.scope == "agent" || op.scope == "open" {
			if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s asks agents for an API token", op.OperationID)
			}
			continue
		}
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s without credentials: %d %s", op.OperationID, a.status, clip(a.body))
		}
	}
	for path, want := range map[string]int{"/openapi.json": 200, "/openapi.yaml": 0, "/healthz": 200, "/v1/nothing": 401, "/v1": 0, "/docs": 0, "/schemas/VM.json": 0} {
		a := r.do(request{path: path})
		switch {
		case want != 0 && a.status != want:
			t.Errorf("%s: %d, want %d", path, a.status, want)
		case want == 0 && a.status == http.StatusOK:
			t.Errorf("%s is open: %s", path, clip(a.body))
		}
	}
}

func TestIfMatch(t *testing.T) {
	r := shared
	w := newWorld(t, r, "match")
	for what, c := range map[string]struct {
		path   string
		method string
		body   any
		token  string
	}{
		"tenant":  {w.path(""), "PATCH", api.NewTenant{Name: w.tenant.Name}, r.root},
		"VM":      {w.path("/vms/" + w.vm.ID), "PATCH", api.ChangeVM{Declared: api.Declaration{Role: "web"}}, w.admin.Token},
		"contact": {w.path("/contacts/" + w.contact.ID), "PUT", api.NewContact{Role: "security", Name: "Other Person", Mail: "o@example.org"}, w.admin.Token},
	} {
		t.Run(what, func(t *testing.T) {
			tag := r.do(request{path: c.path, token: c.token}).header.Get("ETag")
			if tag == "" {
				t.Fatal("no ETag")
			}
			change := func(match string) response {
				return r.do(request{method: c.method, path: c.path, token: c.token, body: c.body, header: map[string]string{"If-Match": match}})
			}
			first := change(tag)
			if first.status != 200 || first.header.Get("ETag") == tag || first.header.Get("ETag") == "" {
				t.Fatalf("%d with ETag %q after %q: %s", first.status, first.header.Get("ETag"), tag, first.body)
			}
			if a := change(tag); a.status != http.StatusPreconditionFailed {
				t.Errorf("a stale If-Match: %d %s", a.status, a.body)
			}
			if a := change("*"); a.status != 200 {
				t.Errorf("If-Match *: %d %s", a.status, a.body)
			}
			if now := r.do(request{path: c.path, token: c.token}); now.header.Get("ETag") != `"`+plus(first.header.Get("ETag"))+`"` {
				t.Errorf("a refused change raised the version: %s after %s", now.header.Get("ETag"), first.header.Get("ETag"))
			}
		})
	}
	free := w.newContact(t, r, "free")
	a := r.do(request{method: "DELETE", path: w.path("/contacts/" + free.ID), token: w.admin.Token, header: map[string]string{"If-Match": `"7"`}})
	if a.status != http.StatusPreconditionFailed {
		t.Errorf("deleting another version: %d %s", a.status, a.body)
	}
}

// plus is the next version's number.
func plus(etag string) string {
	n := 0
	for _, c := range strings.Trim(etag, `"`) {
		n = n*10 + int(c-'0')
	}
	b, _ := json.Marshal(n + 1)
	return string(b)
}

func TestAccountableContact(t *testing.T) {
	r := shared
	w := newWorld(t, r, "accountable")
	a := r.do(request{method: "DELETE", path: w.path("/contacts/" + w.contact.ID), token: w.admin.Token})
	if a.status != http.StatusConflict || !strings.Contains(a.body, w.vm.Name) {
		t.Fatalf("deleting the contact of a VM: %d %s", a.status, a.body)
	}
	next := w.newContact(t, r, "next")
	changed := must[api.VM](t, r, 200, request{method: "PATCH", path: w.path("/vms/" + w.vm.ID), token: w.admin.Token, body: api.ChangeVM{Declared: api.Declaration{Accountable: next.ID}}})
	got := must[api.VM](t, r, 200, request{path: w.path("/vms/" + w.vm.ID), token: w.admin.Token})
	if changed.Verdicts != got.Verdicts || changed.Verdicts == (api.Counts{}) {
		t.Errorf("a change answers %+v, a read %+v", changed.Verdicts, got.Verdicts)
	}
	must[any](t, r, 204, request{method: "DELETE", path: w.path("/contacts/" + w.contact.ID), token: w.admin.Token})
	for _, q := range []request{
		{method: "PATCH", path: w.path("/vms/" + w.vm.ID), body: api.ChangeVM{Declared: api.Declaration{Accountable: w.contact.ID}}},
		{method: "POST", path: w.path("/vms"), body: api.NewVM{VDC: w.vdc.ID, Name: "late", Declared: api.Declaration{Accountable: w.contact.ID}}},
	} {
		q.token = w.admin.Token
		if a := r.do(q); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s with a contact that is gone: %d %s", q.method, a.status, a.body)
		}
	}
}

// TestWaiverOfARule: a single rule of a service can be waived, one that is not
// there cannot.
func TestWaiverOfARule(t *testing.T) {
	r := shared
	w := newWorld(t, r, "rule")
	waive := func(duty string) request {
		return request{method: "POST", path: w.path("/waivers"), token: w.owner.Token, body: api.NewStatement{
			Duty: duty, VM: w.vm.ID, Text: "until the move", Expires: time.Now().Add(time.Hour),
		}}
	}
	if got := w.sign(t, r, must[api.Decision](t, r, 202, waive("hardening/ssh-no-x11"))); got.State != "signed" || got.SubjectName != w.vm.Name {
		t.Errorf("%+v", got)
	}
	for _, duty := range []string{"hardening/nonesuch", "nonesuch/ssh-no-x11", "telemetry/x"} {
		if a := r.do(waive(duty)); a.status != 404 {
			t.Errorf("%s: %d %s", duty, a.status, a.body)
		}
	}
}

// TestPrincipalsOfATenant: whoever runs a tenant cannot make himself more.
func TestPrincipalsOfATenant(t *testing.T) {
	r := shared
	w, other := newWorld(t, r, "people"), newWorld(t, r, "others")
	for _, c := range []struct {
		role   access.Role
		tenant string
		status int
	}{
		{access.CustomerViewer, w.tenant.ID, 201}, {access.CustomerAdministrator, w.tenant.Name, 201},
		{access.ProviderAdministrator, w.tenant.ID, 422}, {access.ProviderAdministrator, "", 403},
		{access.CustomerViewer, other.tenant.ID, 404}, {access.CustomerViewer, "", 403},
	} {
		a := r.do(request{method: "POST", path: "/v1/principals", token: w.owner.Token, body: api.NewPrincipal{Name: "n", Role: string(c.role), Tenant: c.tenant}})
		if a.status != c.status {
			t.Errorf("%s of %q: %d, want %d: %s", c.role, c.tenant, a.status, c.status, a.body)
		}
	}
}

// TestNameThatIsAnotherTenantsID: a tenant that is given another's id as its name
// does not come between that tenant and its principals.
func TestNameThatIsAnotherTenantsID(t *testing.T) {
	r := shared
	victim, thief := newWorld(t, r, "victim"), newWorld(t, r, "thief")
	must[api.Tenant](t, r, 200, request{method: "PATCH", path: thief.path(""), token: r.root, body: api.NewTenant{Name: victim.tenant.ID}})
	for _, token := range []string{victim.admin.Token, r.root} {
		if got := must[api.Tenant](t, r, 200, request{path: victim.path(""), token: token}); got.ID != victim.tenant.ID {
			t.Errorf("%s answers for %s", got.ID, victim.tenant.ID)
		}
	}
	if a := r.do(request{path: victim.path("/vms"), token: thief.admin.Token}); a.status != 404 {
		t.Errorf("the thief reads %s: %d", victim.tenant.ID, a.status)
	}
}
