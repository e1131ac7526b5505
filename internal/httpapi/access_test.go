package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
)

// operation is one operation of the description with its rule.
type operation struct {
	*huma.Operation
	action access.Action
	scope  string
}

// operations returns every operation, and fails where one has no rule.
func operations(t *testing.T, r *rig) []operation {
	t.Helper()
	var out []operation
	for path, item := range r.API().OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{
			http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
		} {
			if op == nil {
				continue
			}
			rule, _ := op.Metadata[httpapi.RuleKey].(string)
			word, scope, _ := strings.Cut(rule, " ")
			action := access.Action(word)
			switch {
			case rule == "agent":
				action, scope = "", "agent"
			case rule == "open":
				action, scope = "", "open"
			case !slices.Contains(access.Actions, action), !slices.Contains([]string{"tenant", "provider", "any", "self"}, scope):
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

// callers are one of every role and of every kind of credential.
func callers(t *testing.T, r *rig, w world) []caller {
	t.Helper()
	ctx := t.Context()
	var all []caller
	add := func(name string, p access.Principal) caller {
		if p.Role.Side() == access.CustomerSide {
			p.Tenant = w.tenant.ID
		}
		p.Name = name
		made := r.issue(t, p)
		p.ID = made.ID
		all = append(all, caller{name: name, by: p, token: made.Token})
		return all[len(all)-1]
	}
	for _, role := range access.Roles {
		p := access.Principal{Role: role, Kind: access.Person, MFA: role.Side() == access.ProviderSide}
		add(string(role), p)
		if p.MFA {
			p.MFA = false
			add(string(role)+" without a second factor", p)
		}
	}
	add("customer-owner, a service", access.Principal{Role: access.CustomerOwner, Kind: access.Service})
	add("provider-administrator, a service", access.Principal{Role: access.ProviderAdministrator, Kind: access.Service, MFA: true})
	add("customer-owner, narrowed", access.Principal{Role: access.CustomerOwner, Kind: access.Person, Scope: []access.Action{access.ManageEstate}})
	add("provider-administrator, narrowed to nothing", access.Principal{Role: access.ProviderAdministrator, Kind: access.Person, MFA: true, Scope: []access.Action{}})
	all = append(all, caller{name: "set-up", by: access.Principal{Role: access.ProviderAdministrator, Kind: access.Setup}, token: r.setup})

	past := time.Now().Add(-time.Minute)
	_, expired, err := r.Identities().Issue(ctx, r.actor(access.ProviderAdministrator, ""), access.Principal{Name: "expired", Role: access.ProviderAdministrator, MFA: true}, &past)
	if err != nil {
		t.Fatal(err)
	}
	revoked := r.issue(t, access.Principal{Name: "revoked", Role: access.ProviderAdministrator, MFA: true})
	if _, err := r.Identities().Revoke(ctx, r.actor(access.ProviderAdministrator, ""), revoked.ID); err != nil {
		t.Fatal(err)
	}
	session, err := r.Identities().SignIn(ctx, w.owner.Token)
	if err != nil {
		t.Fatal(err)
	}
	cookie := httpapi.SessionCookie + "=" + session
	owner := access.Principal{ID: w.owner.ID, Role: access.CustomerOwner, Tenant: w.tenant.ID, Kind: access.Person}
	return append(all,
		caller{name: "nobody"},
		caller{name: "expired", token: expired},
		caller{name: "revoked", token: revoked.Token},
		caller{name: "garbage", token: "dmt_xyz_garbage"},
		caller{name: "basic", header: map[string]string{"Authorization": "Basic cm9vdDpyb290"}},
		caller{name: "session, own page", by: owner, header: map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}},
		caller{name: "session, other page", by: owner, header: map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}, readsOnly: true},
		caller{name: "session, old browser", by: owner, header: map[string]string{"Cookie": cookie}, readsOnly: true},
	)
}

// want is what the rule says about a call that concerns a tenant: 0 for any
// success. known tells whether the tenant is there.
func (c caller) want(op operation, of place, known bool, settled bool) int {
	switch {
	case op.scope == "open" && op.Method != http.MethodGet && c.header["Sec-Fetch-Site"] == "cross-site":
		return http.StatusForbidden
	case op.scope == "open":
		return 0
	case op.scope == "agent":
		return http.StatusUnauthorized
	case c.by.Role == "", c.readsOnly && op.Method != http.MethodGet:
		return http.StatusUnauthorized
	case op.scope == "self":
		return 0
	case c.by.OfProvider() && !c.by.MFA && c.by.Kind != access.Setup:
		return http.StatusForbidden // whatever it is, and whether it is there or not
	case op.scope == "any":
		return 0
	case op.scope == "provider":
		return allowed(may(c.by, op.action, place{}, settled))
	case !known, !may(c.by, access.Look, of, settled):
		return http.StatusNotFound
	}
	return allowed(may(c.by, op.action, of, settled))
}

func allowed(ok bool) int {
	if ok {
		return 0
	}
	return http.StatusForbidden
}

// matrix is one pass over all operations: the customer's own tenant, another's
// and one of the provider's own hosts, and everybody who calls.
type matrix struct {
	r                  *rig
	own, foreign, home world
	callers            []caller
	settled            bool
}

// TestEveryOperationForEveryCaller calls each operation of the description as
// everybody, about the own, a foreign, the provider's own and no tenant, and
// holds the answer against the operation's rule. Nothing of the foreign tenant
// may show.
func TestEveryOperationForEveryCaller(t *testing.T) {
	m := matrix{r: shared, own: newWorld(t, shared, "ownmark"), foreign: newWorld(t, shared, "alienmark"), home: shared.world(t, "homemark", true), settled: true}
	m.callers = callers(t, shared, m.own)
	m.run(t)
}

// TestEveryOperationBeforeTheSetUpIsFinished is the same for the first start's
// credential while the provider has no administrator with a second factor.
func TestEveryOperationBeforeTheSetUpIsFinished(t *testing.T) {
	r, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}()
	m := matrix{r: r, own: newWorld(t, r, "ownsetup"), foreign: newWorld(t, r, "aliensetup"), home: r.world(t, "homesetup", true)}
	m.callers = []caller{{name: "set-up", by: access.Principal{Role: access.ProviderAdministrator, Kind: access.Setup}, token: r.setup}}
	m.run(t)
}

func (m matrix) run(t *testing.T) {
	for _, w := range []*world{&m.own, &m.foreign, &m.home} {
		w.person, w.invitation, w.provider = w.newPerson(t, m.r), w.newInvitation(t, m.r), w.newProvider(t, m.r)
		w.target = newTarget(t, m.r, m.r.name("hv"))
		w.recording = w.newRecording(t, m.r)
	}
	hostThere(t, m.r)
	all := operations(t, m.r)
	if len(all) < 50 {
		t.Fatalf("the description has %d operations", len(all))
	}
	for _, op := range all {
		if op.OperationID == "watch" || op.OperationID == "sign-out" || op.OperationID == "sign-out-everywhere" {
			continue // it does not end: TestWatch; it ends the caller: TestSignOut
		}
		t.Run(op.OperationID, func(t *testing.T) {
			for _, c := range m.callers {
				m.call(t, op, c)
			}
		})
	}
}

const ghostTenant = "t-nosuchtenantatall"

func (m matrix) call(t *testing.T, op operation, c caller) {
	t.Helper()
	ask := func(what string, w world, known bool) (response, string) {
		ref, of := w.tenant.ID, place{tenant: w.tenant.ID, own: w.tenant.Own}
		if !known {
			ref = ghostTenant
		}
		want := c.want(op, of, known, m.settled)
		if own, ok := ownRules[op.OperationID]; ok && want == 0 {
			want = own(c.by, of, m.settled)
		}
		g := generator{t: t, r: m.r, op: op, by: c, succeeds: want == 0}
		a := m.r.call(g.request(w, ref), c)
		check(t, op, c, what, a, want)
		return a, ref
	}
	// Of agents' operations nobody's credentials count but the token's.
	answer, _ := ask("own", m.own, true)
	stranger := c.by.Role.Side() != access.ProviderSide
	if stranger {
		noMark(t, op, c, answer, m.foreign.marks())
	}
	if c.by.Role == "" || op.scope == "agent" || op.scope == "open" {
		return
	}
	if op.scope == "tenant" {
		theirs, ref := ask("foreign", m.foreign, true)
		none, ghost := ask("missing", m.foreign, false)
		if stranger {
			same(t, op, c, theirs, ref, none, ghost)
		} else {
			ask("the provider's own", m.home, true)
		}
	}
	if stranger && !c.readsOnly {
		strangers(t, generator{t: t, r: m.r, op: op, by: c}, m.own, m.foreign)
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
	switch {
	case want == 0 && a.status >= 200 && a.status < 300:
	case want == 0 && slices.Contains(alsoFine[op.OperationID], a.status):
	case want == 0 && op.OperationID == "create-attestation" && c.by.OfProvider() && whose != "the provider's own" && a.status == http.StatusUnprocessableEntity:
		// It may attest what it answers for, and the duty is the customer's.
	case want == 0 && ofPeople(op) && slices.Contains([]int{401, 404, 409, 422, 429}, a.status) && a.header.Get("WWW-Authenticate") == "":
	case want != 0 && a.status == want:
	default:
		t.Errorf("%s as %s, %s tenant: %d, want %d (0 is success): %s", op.OperationID, c.name, whose, a.status, want, clip(a.body))
	}
	// A browser comes back from an identity provider to a page.
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" && op.OperationID != "finish-oidc-sign-in" {
		t.Errorf("%s as %s, %s tenant: an error as %q", op.OperationID, c.name, whose, a.header.Get("Content-Type"))
	}
}

// ownRules are those of operations that decide by what the request holds: a
// principal is the provider's matter or its tenant's.
var ownRules = map[string]func(by access.Principal, of place, settled bool) int{
	"certify": holdsGrant, "open-console": holdsGrant,
	"create-principal": managesPeople,
	"revoke-principal": managesPeople, "invite": managesPeople, "revoke-invitation": managesPeople, "remove-person": managesPeople, "change-role": managesPeople,
	"add-identity-provider": managesPeople, "remove-identity-provider": managesPeople,
}

// ofPeople reports whether the operation is about signing in, or about what a
// person signs in with: it refuses what is made up, and tokens, whatever the
// caller may do. Tests of signing in call these for real.
func ofPeople(op operation) bool {
	return op.scope == "open" || (op.scope == "self" && op.OperationID != "whoami")
}

// holdsGrant: a grant is used by its holder alone, while it is in force. Whoever
// may take access in an emergency holds one here.
func holdsGrant(by access.Principal, of place, settled bool) int {
	if may(by, access.BreakGlass, of, settled) {
		return 0
	}
	return http.StatusConflict // the grant that is there is another's, and not in force
}

func managesPeople(by access.Principal, of place, settled bool) int {
	return allowed(may(by, access.ManagePeople, of, settled))
}

// alsoFine are answers that say that the caller may, but that it cannot be now,
// or not with what was made up here.
var alsoFine = map[string][]int{
	"get-catalogue": {http.StatusNotFound},
	"sign-decision": {http.StatusUnprocessableEntity}, // the signature is made up
	"extend-grant":  {http.StatusConflict},            // it is not in force
	"approve-grant": {http.StatusConflict},            // there are no keys to sign it with

	"open-console": {http.StatusUnprocessableEntity}, // there is no proxy, or the grant names no console

	"sign-off-review": {http.StatusUnprocessableEntity}, "sign-off-provider-review": {http.StatusUnprocessableEntity}, // nothing was looked at
	"add-identity-provider": {http.StatusUnprocessableEntity}, // nobody answers at the issuer
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
