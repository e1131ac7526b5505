package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
)

// operation is one operation of the description with its rule.
type operation struct {
	*huma.Operation
	action, scope string
}

// operations returns every operation, and fails where one has no rule.
func operations(t *testing.T) []operation {
	t.Helper()
	var out []operation
	for path, item := range shared.API().OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
		} {
			if op == nil {
				continue
			}
			rule, _ := op.Metadata[httpapi.RuleKey].(string)
			action, scope, _ := strings.Cut(rule, " ")
			switch {
			case rule == "agent":
				action, scope = "", "agent"
			case action != "read" && action != "write", scope != "tenant" && scope != "provider" && scope != "any":
				t.Fatalf("%s %s has the rule %q, which says nothing", method, path, rule)
			case scope == "tenant" != strings.Contains(path, "{tenant}"):
				t.Fatalf("%s %s has scope %s", method, path, scope)
			}
			op.Method, op.Path = method, path
			out = append(out, operation{op, action, scope})
		}
	}
	return out
}

// caller is who calls, and how.
type caller struct {
	name   string
	by     access.Principal // zero: nobody
	token  string
	header map[string]string
	// readsOnly: a cookie without the browser's word that it is our own page.
	readsOnly bool
}

func callers(t *testing.T, r *rig, w world) []caller {
	t.Helper()
	ctx := t.Context()
	past := time.Now().Add(-time.Minute)
	_, expired, err := r.Identities().Issue(ctx, r.actor(access.ProviderAdministrator, ""), access.Principal{Name: "expired", Role: access.ProviderAdministrator}, &past)
	if err != nil {
		t.Fatal(err)
	}
	revoked := r.principal(t, "", access.ProviderAdministrator, "revoked")
	if _, err := r.Identities().Revoke(ctx, r.actor(access.ProviderAdministrator, ""), revoked.ID); err != nil {
		t.Fatal(err)
	}
	session, err := r.Identities().SignIn(ctx, w.admin.Token)
	if err != nil {
		t.Fatal(err)
	}
	cookie := httpapi.SessionCookie + "=" + session
	of := func(p api.Principal) access.Principal {
		return access.Principal{ID: p.ID, Name: p.Name, Role: access.Role(p.Role), Tenant: p.Tenant}
	}
	auditor := r.principal(t, "", access.ProviderAuditor, "auditor")
	return []caller{
		{name: "provider-administrator", by: access.Principal{Role: access.ProviderAdministrator}, token: r.root},
		{name: "provider-auditor", by: of(auditor), token: auditor.Token},
		{name: "customer-administrator", by: of(w.admin), token: w.admin.Token},
		{name: "customer-viewer", by: of(w.viewer), token: w.viewer.Token},
		{name: "nobody"},
		{name: "expired", token: expired},
		{name: "revoked", token: revoked.Token},
		{name: "garbage", token: "dmt_xyz_garbage"},
		{name: "basic", header: map[string]string{"Authorization": "Basic cm9vdDpyb290"}},
		{name: "session, own page", by: of(w.admin), header: map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}},
		{name: "session, other page", by: of(w.admin), header: map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}, readsOnly: true},
		{name: "session, old browser", by: of(w.admin), header: map[string]string{"Cookie": cookie}, readsOnly: true},
	}
}

// want is what the rule says about a call: 0 for any success.
func (c caller) want(op operation, tenant string, known bool) int {
	reads := op.Method == http.MethodGet
	switch {
	case op.scope == "agent":
		return http.StatusUnauthorized
	case c.by.Role == "", c.readsOnly && !reads:
		return http.StatusUnauthorized
	case op.scope == "any":
		return 0
	case op.scope == "provider" && !access.Permits(c.by, access.Action(op.action), ""):
		return http.StatusForbidden
	case op.scope == "provider":
		return 0
	case !known, !access.Permits(c.by, access.Read, tenant):
		return http.StatusNotFound
	case !access.Permits(c.by, access.Action(op.action), tenant):
		return http.StatusForbidden
	}
	return 0
}

// TestEveryOperationForEveryCaller calls each operation of the description as
// everybody, about the own, a foreign and no tenant, and holds the answer
// against the operation's rule. Nothing of the foreign tenant may show.
func TestEveryOperationForEveryCaller(t *testing.T) {
	r := shared
	own, foreign := newWorld(t, r, "ownmark"), newWorld(t, r, "alienmark")
	marks := foreign.marks()
	who := callers(t, r, own)
	const ghost = "t-nosuchtenantatall"
	done := map[string]bool{}
	for _, op := range operations(t) {
		if op.OperationID == "watch" {
			done[op.OperationID] = true // it does not end; TestWatch
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			for _, c := range who {
				g := generator{t: t, r: r, op: op, by: c}
				// Of agents' operations nobody's credentials count but the token's.
				answer := r.call(g.request(own, own.tenant.ID), c)
				check(t, op, c, "own", answer, c.want(op, own.tenant.ID, true))
				if !c.by.OfProvider() {
					noMark(t, op, c, answer, marks)
				}
				if c.by.Role == "" || op.scope == "agent" {
					continue
				}
				if op.scope == "tenant" {
					theirs := r.call(g.request(foreign, foreign.tenant.ID), c)
					check(t, op, c, "foreign", theirs, c.want(op, foreign.tenant.ID, true))
					none := r.call(g.request(foreign, ghost), c)
					check(t, op, c, "missing", none, c.want(op, ghost, false))
					if !c.by.OfProvider() {
						same(t, op, c, theirs, foreign.tenant.ID, none, ghost)
					}
				}
				if !c.by.OfProvider() && !c.readsOnly {
					strangers(t, g, own, foreign)
				}
			}
		})
		done[op.OperationID] = true
	}
	for _, op := range operations(t) {
		if !done[op.OperationID] {
			t.Errorf("%s was not called", op.OperationID)
		}
	}
}

func (r *rig) call(q request, c caller) response {
	if c.token != "" {
		q.token = c.token
	}
	for k, v := range c.header {
		if q.header == nil {
			q.header = map[string]string{}
		}
		q.header[k] = v
	}
	return r.do(q)
}

func check(t *testing.T, op operation, c caller, whose string, a response, want int) {
	t.Helper()
	if own, ok := ownRules[op.OperationID]; ok && want == 0 {
		want = own(c.by)
	}
	switch {
	case want == 0 && a.status >= 200 && a.status < 300:
	case want == 0 && a.status == alsoFine[op.OperationID]:
	case want != 0 && a.status == want:
	default:
		t.Errorf("%s as %s, %s tenant: %d, want %d (0 is success): %s", op.OperationID, c.name, whose, a.status, want, clip(a.body))
	}
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s as %s, %s tenant: an error as %q", op.OperationID, c.name, whose, a.header.Get("Content-Type"))
	}
}

// ownRules are those of operations that decide by what the request holds: a
// principal is the provider's matter or its tenant's.
var ownRules = map[string]func(access.Principal) int{
	"create-principal": writes,
	"revoke-principal": writes,
}

func writes(p access.Principal) int {
	if p.Role == access.ProviderAdministrator || p.Role == access.CustomerAdministrator {
		return 0
	}
	return http.StatusForbidden
}

// alsoFine is an answer that says the caller may, but that it cannot be now.
var alsoFine = map[string]int{
	"get-catalogue": http.StatusNotFound,
}

func same(t *testing.T, op operation, c caller, a response, aRef string, b response, bRef string) {
	t.Helper()
	x, y := strings.ReplaceAll(a.body, aRef, "REF"), strings.ReplaceAll(b.body, bRef, "REF")
	if a.status != b.status || x != y {
		t.Errorf("%s as %s: what is another's can be told from what is not there:\n%d %s\n%d %s", op.OperationID, c.name, a.status, x, b.status, y)
	}
}

// strangers names, in the caller's own tenant, an object of another tenant and
// one that never was: in the path and in the query.
func strangers(t *testing.T, g generator, own, foreign world) {
	t.Helper()
	op, c := g.op, g.by
	for _, p := range op.Parameters {
		alien, ok := foreign.refs()[p.Name]
		if !ok || (p.Name == "tenant" && p.In == "path") {
			continue
		}
		const ghost = "x-nosuchobjectatall"
		ask := func(ref string) response {
			h := g
			h.set = map[string]string{p.Name: ref}
			return g.r.call(h.request(own, own.tenant.ID), c)
		}
		a, b := ask(alien), ask(ghost)
		same(t, op, c, a, alien, b, ghost)
		if a.status < 400 && p.In == "path" {
			t.Errorf("%s as %s: reached another tenant's %s %s", op.OperationID, c.name, p.Name, alien)
		}
		a.body = strings.ReplaceAll(a.body, alien, "REF")
		noMark(t, op, c, a, foreign.marks())
	}
}

func clip(s string) string {
	if len(s) > 600 {
		return s[:600] + "..."
	}
	return s
}

func noMark(t *testing.T, op operation, c caller, a response, marks []string) {
	t.Helper()
	text := everything(t, a.body)
	for _, m := range marks {
		if i := strings.Index(text, m); i >= 0 {
			t.Errorf("%s as %s shows %q of another tenant: ...%s...", op.OperationID, c.name, m, text[max(0, i-80):min(len(text), i+80)])
		}
	}
	for _, h := range a.header {
		for _, m := range marks {
			if strings.Contains(fmt.Sprint(h), m) {
				t.Errorf("%s as %s shows %q of another tenant in a header", op.OperationID, c.name, m)
			}
		}
	}
}
