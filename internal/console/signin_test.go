package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
)

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func cookies(w *httptest.ResponseRecorder) map[string]string {
	out := map[string]string{}
	for _, c := range w.Result().Cookies() {
		out[c.Name] = c.Path
	}
	return out
}

// last is what was sent to an address last.
func (f *fakeAPI) last(t *testing.T, path string) map[string]any {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.access.sent[path]
	if len(all) == 0 {
		t.Fatalf("nothing was sent to %s; there is %v", path, f.access.sent)
	}
	return all[len(all)-1]
}

func TestSignInSteps(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	f.access.signIn = func(path string, body map[string]any) (int, any) {
		switch {
		case path == "/v1/sign-in/password" && body["login"] == "olga":
			return 200, api.SignedIn{Next: api.NextSecondFactor}
		case path == "/v1/sign-in/password" && body["login"] == "new":
			return 200, api.SignedIn{Next: api.NextEnrol}
		case path == "/v1/sign-in/totp" && body["code"] == "123456", path == "/v1/sign-in/recovery" && body["code"] == "aaaa-bbbb", path == "/v1/sign-in/passkey/finish" && body["credential"] != nil:
			return 200, api.SignedIn{Next: api.NextDone}
		case body["code"] == "slow":
			return 429, api.Problem{Status: 429, Title: "Too Many Requests", Detail: "too many failed sign-ins; try again in 8s, or sign in with a passkey"}
		case path == "/v1/sign-in/passkey/begin":
			return 200, api.PasskeyOptions{Options: json.RawMessage(`{"publicKey":{"challenge":"AAAA"}}`)}
		}
		return 401, api.Problem{Status: 401, Title: "Unauthorized", Detail: "this does not sign you in"}
	}
	for _, c := range []struct {
		name, shows, to string
		send            url.Values
		code            int
	}{
		{"password", "Your second factor", "", form("step", "password", "login", " olga ", "password", "x", "next", "/ledger"), 200},
		{"password without second factor", "", "/account", form("step", "password", "login", "new", "password", "x"), 303},
		{"unknown account", "This does not sign you in.", "", form("step", "password", "login", "nobody", "password", "x"), 401},
		{"wrong password", "This does not sign you in.", "", form("step", "password", "login", "carl", "password", "x"), 401},
		{"code", "", "/ledger", form("step", "totp", "code", "123 456", "next", "/ledger"), 303},
		{"wrong code", "Your second factor", "", form("step", "totp", "code", "000000"), 401},
		{"too often", "Too many failed sign-ins; try again in 8s", "", form("step", "totp", "code", "slow"), 429},
		{"recovery code", "", "/", form("step", "recovery", "code", " aaaa-bbbb "), 303},
		{"passkey", "", "/", form("step", "passkey", "credential", `{"id":"x"}`), 303},
		{"passkey that is none", "This does not sign you in.", "", form("step", "passkey", "credential", "{"), 401},
	} {
		w := submit(h, "", "/login", "same-origin", c.send)
		page := w.Body.String()
		if w.Code != c.code || w.Header().Get("Location") != c.to || !strings.Contains(page, c.shows) {
			t.Errorf("%s: status %d to %q: %.600s", c.name, w.Code, w.Header().Get("Location"), page)
		}
		if c.code == 200 || c.code == 303 {
			if got := cookies(w); got["demarc_ceremony"] != "/" || (c.code == 303) != (got["demarc_session"] == "/") {
				t.Errorf("%s: cookies %v", c.name, got)
			}
		}
		if strings.Contains(page, "000000") || strings.Contains(page, `value="x"`) {
			t.Errorf("%s: a secret comes back in the page", c.name)
		}
		if page != "" && c.code != 303 {
			checkHTML(t, c.name, page)
		}
	}
	if w := submit(h, "", "/login/begin", "same-origin", nil); w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), "challenge") || cookies(w)["demarc_ceremony"] != "/" {
		t.Errorf("begin: status %d %s", w.Code, w.Body)
	}
	f.down = &api.Problem{Status: 503, Title: "Service Unavailable", Detail: "the state store cannot be reached"}
	if w := submit(h, "", "/login", "same-origin", form("step", "password", "login", "olga")); w.Code != 503 || !strings.Contains(w.Body.String(), "Nobody can sign in at present") {
		t.Errorf("no store: status %d", w.Code)
	}
}

// TestSameWordsForEveryRefusal: the page is the same whether the account is
// missing or the password wrong, but for the name that was typed.
func TestSameWordsForEveryRefusal(t *testing.T) {
	h := newConsole(t, newFakeAPI(t, 1, moment))
	one := submit(h, "", "/login", "same-origin", form("step", "password", "login", "olga", "password", "1")).Body.String()
	two := submit(h, "", "/login", "same-origin", form("step", "password", "login", "nobody", "password", "2")).Body.String()
	if strings.ReplaceAll(one, "olga", "*") != strings.ReplaceAll(two, "nobody", "*") {
		t.Error("the refusals differ")
	}
}

func TestProvidersSignInIsALink(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	if page := open(h, "", "/login?next=/ledger").Body.String(); !strings.Contains(page, `href="/login/with/ip-1?next=%2fledger"`) || !strings.Contains(page, "Globex &amp; Sons") {
		t.Error("no link to the provider")
	}
	f.access.signIn = func(path string, body map[string]any) (int, any) {
		if path != "/v1/sign-in/oidc/begin" || body["provider"] != "ip-1" || body["return"] != "/" {
			return 404, api.Problem{Status: 404, Title: "Not Found", Detail: "there is no such provider"}
		}
		return 200, api.Redirection{URL: "https://idp.example/authorize?state=x"}
	}
	if got := cookies(open(h, "", "/login/with/ip-1")); got["demarc_journey"] != "/v1/sign-in/oidc/" || got["foreign"] != "" {
		t.Errorf("cookies of the journey: %v", got)
	}
	if w := open(h, "", "/login/with/ip-1?next=//evil.example"); w.Code != 303 || w.Header().Get("Location") != "https://idp.example/authorize?state=x" {
		t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := open(h, "", "/login/with/other"); w.Code != 404 || !strings.Contains(w.Body.String(), "There is no such provider.") {
		t.Errorf("another provider: status %d", w.Code)
	}
}

func TestJoin(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	f.access.signIn = func(path string, body map[string]any) (int, any) {
		switch {
		case body["invitation"] != "dmi_right" && path != "/v1/sign-in/oidc/begin":
			return 404, api.Problem{Status: 404, Title: "Not Found", Detail: "this invitation does not count"}
		case path == "/v1/join/look":
			return 200, api.Invited{Name: "Ivo <b>Invited</b>", Mail: "ivo@globex.example", Role: "provider-security", NeedsMFA: true}
		case path == "/v1/join/passkey/begin":
			return 200, api.PasskeyOptions{Options: json.RawMessage(`{"publicKey":{}}`)}
		case path == "/v1/join/password" && len(body["password"].(string)) < 12:
			return 422, api.Problem{Status: 422, Title: "Unprocessable Entity", Detail: "a password has 12 characters at least"}
		case path == "/v1/sign-in/oidc/begin":
			return 200, api.Redirection{URL: "https://idp.example/authorize"}
		}
		return 200, api.SignedIn{Next: api.NextEnrol}
	}
	w := submit(h, "", "/join", "same-origin", form("step", "look", "invitation", "dmi_right"))
	page := w.Body.String()
	checkHTML(t, "/join", page)
	if w.Code != 200 || !strings.Contains(page, "Ivo &lt;b&gt;Invited") || !strings.Contains(page, "always sign in with a second factor") || !strings.Contains(page, "provider security") {
		t.Errorf("look: status %d", w.Code)
	}
	if w := submit(h, "", "/join", "same-origin", form("invitation", "dmi_wrong")); w.Code != 404 || !strings.Contains(w.Body.String(), "This invitation does not count.") {
		t.Errorf("wrong invitation: status %d", w.Code)
	}
	w = submit(h, "", "/join", "same-origin", form("step", "password", "invitation", "dmi_right", "login", "ivo", "password", "short"))
	if w.Code != 422 || !strings.Contains(w.Body.String(), "12 characters at least") || !strings.Contains(w.Body.String(), `value="ivo"`) || strings.Contains(w.Body.String(), "short") {
		t.Errorf("short password: status %d", w.Code)
	}
	for _, step := range []url.Values{form("step", "password", "invitation", "dmi_right", "password", "long enough words"), form("step", "passkey", "invitation", "dmi_right", "credential", `{"id":"x"}`)} {
		if w := submit(h, "", "/join", "same-origin", step); w.Code != 303 || w.Header().Get("Location") != "/account?joined=enrol" || cookies(w)["demarc_session"] != "/" {
			t.Errorf("%s: status %d, %v", step.Get("step"), w.Code, cookies(w))
		}
	}
	if w := submit(h, "", "/join", "same-origin", form("step", "oidc", "invitation", "dmi_right", "provider", "ip-1")); w.Code != 200 || !strings.Contains(w.Body.String(), `href="https://idp.example/authorize"`) {
		t.Errorf("provider: status %d", w.Code)
	}
	r := httptest.NewRequest(http.MethodPost, "/join/begin", strings.NewReader(`{"invitation":"dmi_right"}`))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), "publicKey") {
		t.Errorf("begin: status %d %s", rec.Code, rec.Body)
	}
	r = httptest.NewRequest(http.MethodPost, "/join/begin", strings.NewReader(`{"invitation":`))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != 422 || !strings.Contains(rec.Body.String(), "Open the link") {
		t.Errorf("malformed begin: status %d %s", rec.Code, rec.Body)
	}
}

func TestAccount(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	for _, c := range []struct {
		send url.Values
		path string
		has  map[string]any
		code int
		// shows is on the page; empty where the browser is led back to it.
		shows string
	}{
		{form("do", "add-passkey", "credential", `{"id":"x"}`, "label", "red key"), "/v1/account/passkeys/finish", map[string]any{"label": "red key"}, 200, "The passkey is added."},
		{form("do", "remove-authenticator", "id", "au-1"), "/v1/account/authenticators/au-1/remove", nil, 303, ""},
		{form("do", "password", "login", "olga", "new", " with spaces "), "/v1/account/password", map[string]any{"login": "olga", "password": " with spaces "}, 303, ""},
		{form("do", "begin-totp"), "/v1/account/totp/begin", nil, 200, "ABCD EFGH IJKL MNOP"},
		{form("do", "confirm-totp", "code", "123 456"), "/v1/account/totp/finish", map[string]any{"code": "123456"}, 200, "aaaa-bbbb"},
		{form("do", "recovery-codes"), "/v1/account/recovery-codes", nil, 200, "eeee-ffff"},
		{form("do", "end-session", "id", "se-2"), "/v1/account/sessions/se-2/end", nil, 303, ""},
		{form("do", "revoke-token", "id", "to-1"), "/v1/account/tokens/to-1/revoke", nil, 303, ""},
		{form("do", "make-token", "name", "nightly", "days", "7", "scope", "review"), "/v1/account/tokens", map[string]any{"name": "nightly", "days": 7.0}, 200, "dmp_secret"},
		{form("do", "sign-out-everywhere"), "/v1/account/sign-out-everywhere", nil, 303, ""},
	} {
		w := submit(h, "owner", "/account", "same-origin", c.send)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.shows) {
			t.Errorf("%s: status %d: %.300s", c.send.Get("do"), w.Code, w.Body)
		}
		if c.code == 200 {
			checkHTML(t, c.send.Get("do"), w.Body.String())
		}
		got := f.last(t, c.path)
		for k, want := range c.has {
			if got[k] != want {
				t.Errorf("%s: %s is %v, want %v", c.send.Get("do"), k, got[k], want)
			}
		}
	}
	if page := submit(h, "owner", "/account", "same-origin", form("do", "begin-totp")).Body.String(); !strings.Contains(page, `src="data:image/png;base64,iVBORw0KGgpyZXN0"`) {
		t.Error("no QR code")
	}
	if scope, _ := json.Marshal(f.last(t, "/v1/account/tokens")["scope"]); string(scope) != `["look","review"]` {
		t.Errorf("the token may %s", scope)
	}
	page := open(h, "owner", "/account").Body.String()
	for _, secret := range []string{"dmp_secret", "aaaa-bbbb", "ABCD EFGH"} {
		if strings.Contains(page, secret) {
			t.Errorf("%s is shown again", secret)
		}
	}
	if w := submit(h, "owner", "/account", "same-origin", form("do", "make-token", "name", "keep me", "days", "soon")); w.Code != 422 || !strings.Contains(w.Body.String(), "keep me") {
		t.Errorf("malformed days: status %d", w.Code)
	}
	if w := submit(h, "owner", "/account", "same-origin", form("do", "nothing")); w.Code != 400 {
		t.Errorf("unknown form: status %d", w.Code)
	}
	// A code that is not accepted ends no session.
	f.refuse = &api.Problem{Status: 401, Title: "Unauthorized", Detail: "the code is wrong"}
	if w := submit(h, "owner", "/account", "same-origin", form("do", "confirm-totp", "code", "1")); w.Code != 422 || !strings.Contains(w.Body.String(), "The code is wrong.") || len(w.Result().Cookies()) > 0 {
		t.Errorf("wrong code: status %d", w.Code)
	}
	f.refuse = nil
	f.access.account.MustEnrol = true
	if page := open(h, "admin", "/account").Body.String(); !strings.Contains(page, "Add a second factor to go on") {
		t.Error("it is not said that a second factor is missing")
	}
	f.access.account = nil
	if page := open(h, "admin", "/account").Body.String(); !strings.Contains(page, "invite yourself") || strings.Contains(page, "data-passkey") {
		t.Error("the first start's credential has an account")
	}
}

// TestNothingWithoutSecondFactor leads people of the provider to their account.
func TestNothingWithoutSecondFactor(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	f.people["bare"] = api.Principal{ID: "p-20", Name: "Bea", Role: "provider-administrator", Kind: "person"}
	h := newConsole(t, f)
	for _, path := range []string{"/", "/ledger", "/tenants/globex", "/people"} {
		if w := open(h, "bare", path); w.Code != 303 || w.Header().Get("Location") != "/account" {
			t.Errorf("%s: status %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
	if w := open(h, "bare", "/account"); w.Code != 200 {
		t.Errorf("account: status %d", w.Code)
	}
}

func TestDevice(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	w := submit(h, "owner", "/device", "same-origin", form("do", "show", "code", "bcdf ghjk"))
	page := w.Body.String()
	checkHTML(t, "/device", page)
	if w.Code != 200 || !strings.Contains(page, "BCDF-GHJK") || !strings.Contains(page, "demarc on &lt;laptop&gt;") || f.last(t, "/v1/device/look")["code"] != "bcdf ghjk" {
		t.Errorf("status %d: %s", w.Code, page)
	}
	for do, want := range map[string]string{"confirm": "is signed in as you", "deny": "gets nothing"} {
		if w := submit(h, "owner", "/device", "same-origin", form("do", do, "code", "BCDF-GHJK")); !strings.Contains(w.Body.String(), want) || f.last(t, "/v1/device/confirm")["confirm"] != (do == "confirm") {
			t.Errorf("%s: status %d", do, w.Code)
		}
	}
	f.refuse = &api.Problem{Status: 404, Title: "Not Found", Detail: "the sign-in was refused, or took longer than ten minutes"}
	if w := submit(h, "owner", "/device", "same-origin", form("do", "show", "code", "x")); w.Code != 404 || !strings.Contains(w.Body.String(), "ten minutes") || !strings.Contains(w.Body.String(), `id="code"`) {
		t.Errorf("too late: status %d", w.Code)
	}
}

func TestPeople(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	const path = "/tenants/globex/people"
	page := open(h, "owner", path).Body.String()
	for _, want := range []string{"Olga Owner", "dormant", "no second factor", "Ivo Invited", ">you<"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(page, "p-9") {
		t.Error("somebody who was removed is listed")
	}
	w := submit(h, "owner", path, "same-origin", form("do", "invite", "name", " Nina New ", "mail", "nina@globex.example", "role", "customer-viewer"))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "https://demarc.example/join#dmi_secret") {
		t.Errorf("invite: status %d", w.Code)
	}
	if got := f.last(t, "/v1/people/invitations"); got["name"] != "Nina New" || got["tenant"] != "globex" || got["role"] != "customer-viewer" {
		t.Errorf("invited %v", got)
	}
	if strings.Contains(open(h, "owner", path).Body.String(), "dmi_secret") {
		t.Error("the link is shown again")
	}
	for do, to := range map[string]string{"remove": "/v1/people/p-6/remove", "role": "/v1/people/p-6/role"} {
		if w := submit(h, "owner", path, "same-origin", form("do", do, "id", "p-6", "role", "customer-viewer")); w.Code != 303 {
			t.Errorf("%s: status %d", do, w.Code)
		}
		f.last(t, to)
	}
	submit(h, "owner", path, "same-origin", form("do", "withdraw", "id", "i-1"))
	f.last(t, "/v1/people/invitations/i-1/revoke")
	f.refuse = &api.Problem{Status: 409, Title: "Conflict", Detail: "the tenant would have no owner"}
	if w := submit(h, "owner", path, "same-origin", form("do", "invite", "name", "Keep Me", "role", "customer-owner")); w.Code != 409 || !strings.Contains(w.Body.String(), "Keep Me") || !strings.Contains(w.Body.String(), "no owner") {
		t.Errorf("refused: status %d", w.Code)
	}
	f.refuse = nil
	admin := open(h, "admin", path).Body.String()
	if !strings.Contains(admin, "Invite the first owner") || strings.Contains(admin, "customer-viewer") || strings.Contains(admin, `value="remove"`) {
		t.Error("the provider can invite more than the first owner, or change people of a customer")
	}
	if viewer := open(h, "viewer", path).Body.String(); strings.Count(viewer, `method="post"`) != 1 {
		t.Error("a viewer is offered more than to sign out")
	}
	if page := open(h, "admin", "/people").Body.String(); !strings.Contains(page, "provider-security") {
		t.Error("nobody can be invited to the provider")
	}
}
