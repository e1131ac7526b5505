package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
)

const goodPassword = "several plain words make one"

// browser calls like a page of the console, with the cookies that it was given.
type browser struct {
	t       testing.TB
	r       *rig
	cookies map[string]*http.Cookie
	header  map[string]string
}

func newBrowser(t testing.TB, r *rig) *browser {
	return &browser{t: t, r: r, cookies: map[string]*http.Cookie{}, header: map[string]string{"Sec-Fetch-Site": "same-origin"}}
}

// post sends body as JSON, get asks; out, if set, takes the answer.
func (b *browser) post(path string, body any, want int, out any) response {
	b.t.Helper()
	return b.call(http.MethodPost, path, body, want, out)
}

func (b *browser) get(path string, want int, out any) response {
	b.t.Helper()
	return b.call(http.MethodGet, path, nil, want, out)
}

func (b *browser) call(method, path string, body any, want int, out any) response {
	b.t.Helper()
	q := request{method: method, path: path, body: body, header: map[string]string{}}
	for k, v := range b.header {
		q.header[k] = v
	}
	var all []string
	for _, c := range b.cookies {
		if strings.HasPrefix(path, c.Path) {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	if len(all) > 0 {
		q.header["Cookie"] = strings.Join(all, "; ")
	}
	res := b.r.do(q)
	for _, c := range (&http.Response{Header: res.header}).Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	if res.status != want {
		b.t.Fatalf("%s %s: %d, want %d: %s", method, path, res.status, want, clip(res.body))
	}
	if out != nil {
		if err := json.Unmarshal([]byte(res.body), out); err != nil {
			b.t.Fatal(err)
		}
	}
	return res
}

func (b *browser) session() string {
	if c := b.cookies[httpapi.SessionCookie]; c != nil {
		return c.Value
	}
	return ""
}

// invite returns the secret of an invitation that token makes.
func (r *rig) invite(t testing.TB, token string, in api.NewInvitation) string {
	t.Helper()
	v := must[api.Invitation](t, r, 201, request{method: "POST", path: "/v1/people/invitations", token: token, body: in})
	_, secret, ok := strings.Cut(v.Link, "/join#")
	if !ok || strings.Contains(v.Link, "?") {
		t.Fatalf("link %q", v.Link)
	}
	return secret
}

// TestJoinAndSignIn is a provider's administrator from the invitation to the
// second sign-in, with a password and an authenticator app.
//
//demarc:duty CLD.12.1.5/P-5.1c
func TestJoinAndSignIn(t *testing.T) {
	r := shared
	mail := r.name("ada") + "@example.org"
	secret := r.invite(t, r.root, api.NewInvitation{Name: "Ada", Mail: mail, Role: string(access.ProviderOperator)})
	b := newBrowser(t, r)
	var seen api.Invited
	b.post("/v1/join/look", api.InvitationSecret{Invitation: secret}, 200, &seen)
	if seen.Name != "Ada" || !seen.NeedsMFA || seen.Role != "provider-operator" {
		t.Errorf("%+v", seen)
	}
	// A secret that somebody put into the browser beforehand is not carried on.
	const fixed = "attacker-knows-this"
	b.cookies[httpapi.SessionCookie] = &http.Cookie{Name: httpapi.SessionCookie, Value: fixed, Path: "/"}
	var in api.SignedIn
	res := b.post("/v1/join/password", api.JoinPassword{Invitation: secret, Password: goodPassword}, 200, &in)
	if in.Next != api.NextEnrol || b.session() == fixed || b.session() == "" || res.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%+v with session %q", in, b.session())
	}
	if c := b.cookies[httpapi.SessionCookie]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure {
		t.Errorf("%+v", c)
	}
	limited := b.session()
	// Until there is a second factor, the session can do nothing else.
	b.get("/v1/tenants", 403, nil)
	b.post("/v1/tenants", api.NewTenant{Name: "never"}, 403, nil)
	b.post("/v1/account/tokens", api.NewToken{Name: "x"}, 403, nil)
	var acc api.Account
	if b.get("/v1/account", 200, &acc); !acc.MustEnrol || acc.MFA || acc.Login != mail {
		t.Errorf("%+v", acc)
	}
	var app api.TOTPSecret
	b.post("/v1/account/totp/begin", nil, 200, &app)
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(app.Secret, at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	b.post("/v1/account/totp/finish", api.SecondFactor{Code: "abcdef"}, 401, nil)
	var codes api.RecoveryCodes
	b.post("/v1/account/totp/finish", api.SecondFactor{Code: code(time.Now())}, 200, &codes)
	if len(codes.Codes) != 10 || b.session() == limited {
		t.Errorf("%d codes; another session secret: %v", len(codes.Codes), b.session() != limited)
	}
	if a := r.do(request{path: "/v1/whoami", header: map[string]string{"Cookie": httpapi.SessionCookie + "=" + limited}}); a.status != 401 {
		t.Errorf("the secret before it was elevated: %d", a.status)
	}
	b.get("/v1/tenants", 200, nil)
	var who api.Principal
	if b.get("/v1/whoami", 200, &who); who.Name != "Ada" || !who.MFA || who.Kind != "person" {
		t.Errorf("%+v", who)
	}

	again := newBrowser(t, r)
	again.post("/v1/sign-in/password", api.PasswordSignIn{Login: mail, Password: "not the password"}, 401, nil)
	in = api.SignedIn{}
	again.post("/v1/sign-in/password", api.PasswordSignIn{Login: mail, Password: goodPassword}, 200, &in)
	if in.Next != api.NextSecondFactor || in.Principal != nil || again.session() != "" {
		t.Fatalf("%+v with session %q", in, again.session())
	}
	again.get("/v1/whoami", 401, nil)
	stolen := newBrowser(t, r)
	stolen.post("/v1/sign-in/totp", api.SecondFactor{Code: code(time.Now().Add(30 * time.Second))}, 401, nil)
	again.post("/v1/sign-in/recovery", api.SecondFactor{Code: codes.Codes[3]}, 200, &in)
	if in.Next != api.NextDone || in.Principal == nil || in.Principal.ID != who.ID {
		t.Errorf("%+v", in)
	}
	again.get("/v1/tenants", 200, nil)
	var all api.List[api.OwnSession]
	if again.get("/v1/account/sessions", 200, &all); len(all.Items) != 2 {
		t.Errorf("%+v", all)
	}
	var tok api.Token
	again.post("/v1/account/tokens", api.NewToken{Name: "look", Scope: []string{"look"}, Days: 7}, 201, &tok)
	if a := r.do(request{path: "/v1/tenants", token: tok.Token}); a.status != 200 {
		t.Errorf("a token: %d %s", a.status, a.body)
	}
	if a := r.do(request{method: "POST", path: "/v1/tenants", token: tok.Token, body: api.NewTenant{Name: "never"}}); a.status != 403 {
		t.Errorf("a token past its scope: %d %s", a.status, a.body)
	}
}

// TestSignOut ends a session, and all of them.
func TestSignOut(t *testing.T) {
	r := shared
	w := newWorld(t, r, "signout")
	mail := r.name("vi") + "@example.org"
	secret := r.invite(t, w.owner.Token, api.NewInvitation{Name: "Vi", Mail: mail, Role: string(access.CustomerViewer), Tenant: w.tenant.Name})
	first, second := newBrowser(t, r), newBrowser(t, r)
	var in api.SignedIn
	if first.post("/v1/join/password", api.JoinPassword{Invitation: secret, Password: goodPassword}, 200, &in); in.Next != api.NextDone {
		t.Errorf("a customer without a second factor: %+v", in)
	}
	second.post("/v1/sign-in/password", api.PasswordSignIn{Login: mail, Password: goodPassword}, 200, nil)
	was := first.session()
	first.post("/v1/sign-out", nil, 204, nil)
	if first.session() != "" {
		t.Error("the cookie stays")
	}
	if a := r.do(request{path: "/v1/whoami", header: map[string]string{"Cookie": httpapi.SessionCookie + "=" + was}}); a.status != 401 {
		t.Errorf("a session that was ended: %d", a.status)
	}
	first.post("/v1/sign-in/password", api.PasswordSignIn{Login: mail, Password: goodPassword}, 200, nil)
	second.post("/v1/account/sign-out-everywhere", nil, 204, nil)
	first.get("/v1/whoami", 401, nil)
	if a := r.do(request{method: "POST", path: "/v1/sign-out", token: w.owner.Token}); a.status != 409 {
		t.Errorf("a token signed out: %d", a.status)
	}
}

// TestSignInFromAnotherSite: another site's page can neither sign its visitor
// in as somebody else nor use the visitor's session.
func TestSignInFromAnotherSite(t *testing.T) {
	r := shared
	w := newWorld(t, r, "crosssite")
	secret := r.invite(t, w.owner.Token, api.NewInvitation{Name: "Vi", Mail: r.name("vi") + "@example.org", Role: string(access.CustomerViewer), Tenant: w.tenant.Name})
	b := newBrowser(t, r)
	b.post("/v1/join/password", api.JoinPassword{Invitation: secret, Password: goodPassword}, 200, nil)
	for what, header := range map[string]map[string]string{
		"cross-site": {"Sec-Fetch-Site": "cross-site"}, "another host of the site": {"Sec-Fetch-Site": "same-site"},
		"an older browser": {"Origin": "https://evil.test"}, "a sandboxed page": {"Origin": "null"},
	} {
		b.header = header
		b.post("/v1/sign-in/password", api.PasswordSignIn{Login: "x", Password: "y"}, 403, nil)
		b.post("/v1/join/look", api.InvitationSecret{Invitation: "x"}, 403, nil)
		b.post("/v1/sign-in/oidc/begin", api.ProviderJourney{Provider: "x"}, 403, nil)
		if a := b.post("/v1/account/sign-out-everywhere", nil, 401, nil); strings.Contains(a.body, "signed out") {
			t.Errorf("%s: %s", what, a.body)
		}
	}
	b.header = map[string]string{"Sec-Fetch-Site": "same-origin"}
	b.get("/v1/whoami", 200, nil)
	// What is no JSON is no sign-in: a form of another site can send nothing else.
	q := httptest.NewRequest("POST", "/v1/sign-in/password", strings.NewReader("login=x&password=y"))
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	r.Handler().ServeHTTP(rec, q)
	if rec.Code < 400 {
		t.Errorf("a form: %d", rec.Code)
	}
}

// TestCookiesUnderTLS are kept to TLS.
func TestCookiesUnderTLS(t *testing.T) {
	r := shared
	q := httptest.NewRequest("POST", "https://localhost/v1/sign-in/passkey/begin", nil)
	rec := httptest.NewRecorder()
	r.Handler().ServeHTTP(rec, q)
	for _, c := range rec.Result().Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.MaxAge != int(identity.CeremonyLength.Seconds()) {
			t.Errorf("%+v", c)
		}
	}
	if len(rec.Result().Cookies()) != 1 {
		t.Errorf("%d: %s", rec.Code, rec.Body)
	}
}

// TestWhoInvitesWhom: the provider's people invite into the provider, and into
// a customer its first owner only.
func TestWhoInvitesWhom(t *testing.T) {
	r := shared
	w := newWorld(t, r, "invites")
	operator := r.issue(t, access.Principal{Name: "op", Role: access.ProviderOperator, MFA: true})
	support := r.issue(t, access.Principal{Name: "sup", Role: access.ProviderSupport, MFA: true})
	fresh := must[api.Tenant](t, r, 201, request{method: "POST", path: "/v1/tenants", token: r.root, body: api.NewTenant{Name: r.name("fresh")}})
	home := must[api.Tenant](t, r, 201, request{method: "POST", path: "/v1/tenants", token: r.root, body: api.NewTenant{Name: r.name("home"), Own: true}})
	for _, c := range []struct {
		who, token string
		role       access.Role
		tenant     string
		want       int
	}{
		{"administrator", r.root, access.ProviderSecurity, "", 201}, {"operator", operator.Token, access.ProviderSecurity, "", 403},
		{"administrator", r.root, access.CustomerOwner, fresh.ID, 201}, {"operator", operator.Token, access.CustomerOwner, fresh.ID, 201},
		{"support", support.Token, access.CustomerOwner, fresh.ID, 403}, {"administrator", r.root, access.CustomerViewer, fresh.ID, 403},
		{"administrator", r.root, access.CustomerOwner, w.tenant.ID, 409}, {"administrator", r.root, access.CustomerApprover, home.ID, 201},
		{"owner", w.owner.Token, access.CustomerOwner, w.tenant.ID, 201}, {"owner", w.owner.Token, access.CustomerAuditor, w.tenant.ID, 201},
		{"owner", w.owner.Token, access.CustomerOwner, fresh.ID, 404}, {"owner", w.owner.Token, access.ProviderAdministrator, "", 403},
		{"owner", w.owner.Token, access.ProviderAdministrator, w.tenant.ID, 422}, {"customer's administrator", w.admin.Token, access.CustomerViewer, w.tenant.ID, 403},
		{"viewer", w.viewer.Token, access.CustomerViewer, w.tenant.ID, 403}, {"administrator", r.root, access.CustomerOwner, "", 422},
	} {
		a := r.do(request{method: "POST", path: "/v1/people/invitations", token: c.token, body: api.NewInvitation{Name: "N", Role: string(c.role), Tenant: c.tenant}})
		if a.status != c.want {
			t.Errorf("%s invites %s of %q: %d, want %d: %s", c.who, c.role, c.tenant, a.status, c.want, clip(a.body))
		}
	}
	// The provider's people do not know a customer's people.
	if a := r.do(request{path: "/v1/people?tenant=" + w.tenant.ID, token: r.root}); a.status != 403 {
		t.Errorf("the provider lists a customer's people: %d %s", a.status, clip(a.body))
	}
}

// TestSessionSecretChanges: a browser gets another session secret from time to
// time, and is not signed out by it.
func TestSessionSecretChanges(t *testing.T) {
	r := shared
	w := newWorld(t, r, "rotates")
	secret := r.invite(t, w.owner.Token, api.NewInvitation{Name: "Vi", Mail: r.name("vi") + "@example.org", Role: string(access.CustomerViewer), Tenant: w.tenant.Name})
	b := newBrowser(t, r)
	b.post("/v1/join/password", api.JoinPassword{Invitation: secret, Password: goodPassword}, 200, nil)
	was := b.session()
	if b.get("/v1/whoami", 200, nil); b.session() != was {
		t.Error("at once")
	}
	r.age(t, was, 16*time.Minute)
	if b.get("/v1/whoami", 200, nil); b.session() == was || b.session() == "" {
		t.Error("the secret stays")
	}
	b.get("/v1/whoami", 200, nil)
}

// TestCommandLineIsConfirmed: a command line gets a token once a person has
// confirmed its code in the console, and no other way.
func TestCommandLineIsConfirmed(t *testing.T) {
	r := shared
	w := newWorld(t, r, "device")
	secret := r.invite(t, w.owner.Token, api.NewInvitation{Name: "Vi", Mail: r.name("vi") + "@example.org", Role: string(access.CustomerAdministrator), Tenant: w.tenant.Name})
	b := newBrowser(t, r)
	b.post("/v1/join/password", api.JoinPassword{Invitation: secret, Password: goodPassword}, 200, nil)
	line := newBrowser(t, r)
	line.header = map[string]string{}
	var wait api.DeviceWait
	line.post("/v1/device/begin", api.DeviceSignIn{Client: "demarc 1.0 on host", Token: &api.NewToken{Name: "nightly", Scope: []string{"look"}, Days: 7}}, 200, &wait)
	line.post("/v1/device/begin", api.DeviceSignIn{Client: "x", Token: &api.NewToken{Name: "nightly", Scope: []string{"guest-login"}}}, 422, nil)
	line.post("/v1/device/begin", api.DeviceSignIn{Client: "x", Token: &api.NewToken{Name: "nightly", Days: 91}}, 422, nil)
	if !strings.HasSuffix(wait.URL, "/device") || strings.Contains(wait.URL, wait.Device) {
		t.Errorf("%+v", wait)
	}
	var got api.DeviceToken
	if line.post("/v1/device/poll", api.DeviceQuestion{Device: wait.Device}, 200, &got); got.State != "pending" || got.Token != "" {
		t.Errorf("%+v", got)
	}
	var waiting api.DeviceWaiting
	b.post("/v1/device/look", api.DeviceCode{Code: strings.ToLower(wait.Code)}, 200, &waiting)
	if waiting.Name != "nightly" || len(waiting.Scope) != 1 || waiting.Hours != 7*24 || waiting.Client != "demarc 1.0 on host" {
		t.Errorf("%+v", waiting)
	}
	if a := r.do(request{method: "POST", path: "/v1/device/confirm", token: w.owner.Token, body: api.DeviceAnswer{Code: wait.Code, Confirm: true}}); a.status != 409 {
		t.Errorf("a token confirmed it: %d %s", a.status, a.body)
	}
	b.post("/v1/device/confirm", api.DeviceAnswer{Code: wait.Code, Confirm: true}, 204, nil)
	if line.post("/v1/device/poll", api.DeviceQuestion{Device: wait.Device}, 200, &got); got.State != "confirmed" || got.Token == "" {
		t.Fatalf("%+v", got)
	}
	line.post("/v1/device/poll", api.DeviceQuestion{Device: wait.Device}, 404, nil)
	if a := r.do(request{path: w.path(""), token: got.Token}); a.status != 200 {
		t.Errorf("it looks: %d %s", a.status, a.body)
	}
	if a := r.do(request{method: "POST", path: w.path("/contacts"), token: got.Token, body: api.NewContact{Role: "security", Name: "N", Mail: "n@example.org"}}); a.status != 403 {
		t.Errorf("past its scope: %d %s", a.status, a.body)
	}
}

// TestComingBackFromAnOpenIDProvider without having left from this browser
// shows a page, and signs nobody in. That the way back works is tested with a
// real provider where sign-in is (internal/identity).
func TestComingBackFromAnOpenIDProvider(t *testing.T) {
	r := shared
	for what, query := range map[string]string{"made up": "?state=x&code=y", "refused there": "?error=access_denied&error_description=%3Cscript%3E&state=x", "nothing": ""} {
		a := r.do(request{path: "/v1/sign-in/oidc/callback" + query})
		if a.status != 401 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.body, "<script") {
			t.Errorf("%s: %d %s %s", what, a.status, a.header.Get("Content-Type"), clip(a.body))
		}
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			if c.Value != "" {
				t.Errorf("%s: it sets %+v", what, c)
			}
		}
	}
	if a := r.do(request{method: "POST", path: "/v1/sign-in/oidc/begin", body: api.ProviderJourney{Provider: "op-none"}}); a.status != 404 {
		t.Errorf("a provider that is not there: %d %s", a.status, a.body)
	}
}
