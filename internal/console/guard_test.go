package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/console"
)

func TestHeaders(t *testing.T) {
	h := newConsole(t, newFakeAPI(t, 1, moment))
	for _, path := range append(allPages, "/login", "/nowhere") {
		got := open(h, "admin", path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, got.Get(name))
			}
		}
	}
}

func TestAssetsMayBeKept(t *testing.T) {
	h := newConsole(t, newFakeAPI(t, 1, moment))
	page := open(h, "", "/login").Body.String()
	n := 0
	for _, part := range strings.Split(page, `"/static/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		w := open(h, "", "/static/"+name)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() == 0 {
			t.Errorf("%s: status %d, %q", name, w.Code, w.Header().Get("Cache-Control"))
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d assets, want style, two scripts and icon", n)
	}
	if w := open(h, "", "/static/console.css"); w.Code != http.StatusNotFound {
		t.Errorf("a name without its hash: status %d", w.Code)
	}
}

func TestSignIn(t *testing.T) {
	h := newConsole(t, newFakeAPI(t, 1, moment))
	w := submit(h, "", "/login", "same-origin", url.Values{"token": {" token-admin\n"}, "next": {"/tenants/globex?at=2026-01-10"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/tenants/globex?at=2026-01-10" {
		t.Fatalf("status %d, location %q", w.Code, w.Header().Get("Location"))
	}
	c := w.Result().Cookies()[0]
	if c.Name != "demarc_session" || c.Value != "admin" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	for token, want := range map[string]int{"": 401, "wrong": 401, strings.Repeat("x", 60000): 401, "broken": 503} {
		w := submit(h, "", "/login", "same-origin", url.Values{"token": {token}})
		page := w.Body.String()
		if w.Code != want || len(w.Result().Cookies()) > 0 || !strings.Contains(page, `role="alert"`) || strings.Contains(page, "/var/lib") || token != "" && strings.Contains(page, token) {
			t.Errorf("token %.10q: status %d, page %.200q", token, w.Code, page)
		}
	}
}

func TestSignOutForgets(t *testing.T) {
	h := newConsole(t, newFakeAPI(t, 1, moment))
	w := submit(h, "admin", "/logout", "same-origin", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("status %d, %v", w.Code, w.Result().Cookies())
	}
}

func TestRedirectsStayHere(t *testing.T) {
	h := newConsole(t, newFakeAPI(t, 1, moment))
	for _, next := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, `\/evil.example`, "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example",
		"evil", "", "///evil.example", "http:/evil.example", "/login", "/logout?x", "%2f%2fevil.example", "/%zz",
	} {
		w := submit(h, "", "/login", "same-origin", url.Values{"token": {"token-admin"}, "next": {next}})
		if got := w.Header().Get("Location"); got != "/" {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	form := url.Values{"type": {"waiver"}, "text": {"I accept it"}, "expires": {"2026-04-01"}, "service": {"backup"}, "token": {"token-admin"}}
	for _, path := range []string{"/login", "/logout", sshDuty + "?vm=web-01", "/tenants/globex/subscriptions", "/tenants/globex/subscriptions/s-1", "/tenants/globex/vms/web-01"} {
		for _, site := range []string{"cross-site", "same-site", "none", ""} {
			w := submit(h, "admin", path, site, form)
			if w.Code != http.StatusForbidden || len(w.Result().Cookies()) > 0 {
				t.Errorf("%s from %q: status %d", path, site, w.Code)
			}
		}
	}
	if len(f.statements)+len(f.bought)+len(f.ended) > 0 {
		t.Error("a foreign form had an effect")
	}
	for origin, want := range map[string]int{"http://example.com": 303, "https://example.com": 303, "https://evil.example": 403, "null": 403, "http://example.com.evil.example": 403} {
		r := httptest.NewRequest(http.MethodPost, "http://example.com/tenants/globex/vms/web-01", nil)
		r.Header.Set("Origin", origin)
		r.AddCookie(&http.Cookie{Name: console.SessionCookie, Value: "admin"})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("origin %s: status %d, want %d", origin, w.Code, want)
		}
	}
	for _, site := range f.sites {
		if site != "same-origin" {
			t.Errorf("the API was told Sec-Fetch-Site %q", site)
		}
	}
}

func TestHostileTextIsShownAsText(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1) ' {{.Me}}`
	f := newFakeAPI(t, 3, moment)
	f.tenant.Name = "globex"
	f.reason = hostile
	f.duties[0].Title, f.titles[f.duties[0].Control] = hostile, hostile
	f.vms[1].Name, f.vms[1].Declared.Role = hostile, "javascript:alert(1)"
	f.people["admin"] = api.Principal{ID: "p", Name: hostile, Role: "provider-administrator"}
	f.facts[0].Data = []byte(`{"x":"</pre><script>alert(1)</script>"}`)
	h := newConsole(t, f)
	pages := append([]string{"/tenants/globex/vms/" + url.PathEscape(hostile), "/tenants/globex?q=" + url.QueryEscape(hostile), "/?q=" + url.QueryEscape(hostile), "/login?next=" + url.QueryEscape(hostile), "/ledger?action=" + url.QueryEscape(hostile)}, allPages...)
	for _, path := range pages {
		page := open(h, "admin", path).Body.String()
		checkHTML(t, path, page)
		if strings.Contains(page, "<script>") || strings.Contains(page, "<img") || strings.Contains(page, `="javascript:alert`) && !strings.Contains(page, `value="javascript`) {
			t.Errorf("%s lets markup through", path)
		}
	}
}

func TestProblemsBecomePages(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	for _, c := range []struct {
		problem api.Problem
		status  int
		shows   string
		hides   string
	}{
		{api.Problem{Status: 403, Title: "Forbidden", Detail: "your role may look only"}, 403, "your role may look only", ""},
		{api.Problem{Status: 422, Title: "Unprocessable Entity", Detail: "bad", Errors: []api.ProblemError{{Location: "query.at", Message: "expected a date"}}}, 422, "expected a date", ""},
		{api.Problem{Status: 500, Title: "Internal", Detail: "pq: relation secrets does not exist"}, 500, "The server failed", "relation"},
		{api.Problem{Status: 503, Title: "Unavailable", Detail: "the state store cannot be reached"}, 503, "state store cannot be reached", ""},
	} {
		f.down = &c.problem
		w := open(h, "admin", "/tenants/globex")
		page := w.Body.String()
		checkHTML(t, c.problem.Title, page)
		if w.Code != c.status || !strings.Contains(page, c.shows) || c.hides != "" && strings.Contains(page, c.hides) {
			t.Errorf("%d: status %d, page %s", c.problem.Status, w.Code, page)
		}
	}
	f.down = nil
	for path, want := range map[string]int{
		"/nowhere": 404, "/tenants/initech": 404, "/tenants/globex/vms/ghost": 404, "/tenants/globex/duties/CLD.1/X": 404,
		sshDuty + "?vm=ghost": 404, "/ledger?before=x": 400, "/ledger?before=9999": 404, "/tenants/%2e%2e": 500,
	} {
		if w := open(h, "admin", path); w.Code != want && path != "/tenants/%2e%2e" {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

func TestStatements(t *testing.T) {
	f := newFakeAPI(t, 3, moment)
	h := newConsole(t, f)
	path := sshDuty + "?vm=web-01"
	w := submit(h, "owner", path, "same-origin", url.Values{"type": {"waiver"}, "text": {" replaced in April "}, "expires": {"2026-04-30"}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/tenants/globex/decisions/d-3" {
		t.Fatalf("status %d, location %q", w.Code, w.Header().Get("Location"))
	}
	got := f.statements[0]
	if got.Duty != "CLD.12.1.5/C-5.4b" || got.VM != "web-01" || got.Text != "replaced in April" || got.Expires.Format("2006-01-02T15:04:05Z") != "2026-04-30T23:59:59Z" {
		t.Errorf("statement %+v", got)
	}
	w = submit(h, "owner", path, "same-origin", url.Values{"type": {"waiver"}, "text": {"keep me"}, "expires": {"soon"}})
	if w.Code != 422 || !strings.Contains(w.Body.String(), "keep me") || !strings.Contains(w.Body.String(), `role="alert"`) {
		t.Errorf("malformed date: status %d", w.Code)
	}
	if w := submit(h, "owner", path, "same-origin", url.Values{"type": {"waiver"}, "withdraw": {"w-7"}}); w.Code != http.StatusSeeOther || len(f.ended) != 1 || f.ended[0] != "w-7" {
		t.Errorf("withdraw: status %d, %v", w.Code, f.ended)
	}
	f.refuse = &api.Problem{Status: 422, Title: "Unprocessable Entity", Detail: "it may last 366 days at most; give an earlier expiry"}
	w = submit(h, "owner", path, "same-origin", url.Values{"type": {"waiver"}, "text": {"keep <me>"}, "expires": {"2029-04-30"}})
	if w.Code != 422 || !strings.Contains(w.Body.String(), "keep &lt;me&gt;") || !strings.Contains(w.Body.String(), "366 days") {
		t.Errorf("refused: status %d", w.Code)
	}
	if w := submit(h, "customer", path, "same-origin", url.Values{"type": {"waiver"}, "text": {"mine"}, "expires": {"2026-04-30"}}); w.Code != http.StatusForbidden {
		t.Errorf("an administrator waives: status %d", w.Code)
	}
	if w := submit(h, "viewer", path, "same-origin", url.Values{"type": {"waiver"}}); w.Code != http.StatusForbidden {
		t.Errorf("a viewer: status %d", w.Code)
	}
}

func TestSubscriptions(t *testing.T) {
	f := newFakeAPI(t, 3, moment)
	h := newConsole(t, f)
	const path = "/tenants/globex/subscriptions"
	w := submit(h, "customer", path, "same-origin", url.Values{"service": {"encryption"}, "covers": {"vm:v-2"}, "from": {"2026-03-20"}, "to": {"2026-12-31"}})
	if w.Code != http.StatusSeeOther || f.bought[0].VM != "v-2" || f.bought[0].From != nil || f.bought[0].To.Format("2006-01-02") != "2026-12-31" {
		t.Errorf("status %d, %+v", w.Code, f.bought)
	}
	submit(h, "customer", path, "same-origin", url.Values{"service": {"encryption"}, "covers": {"all"}, "from": {"2026-04-01"}})
	if got := f.bought[1]; got.VM != "" || got.VDC != "" || got.From.Format("2006-01-02T15:04:05") != "2026-04-01T00:00:00" {
		t.Errorf("%+v", got)
	}
	if w := submit(h, "customer", path+"/s-1", "same-origin", nil); w.Code != http.StatusSeeOther || f.ended[0] != "s-1" {
		t.Errorf("end: status %d, %v", w.Code, f.ended)
	}
	f.refuse = &api.Problem{Status: 409, Title: "Conflict", Detail: "it is covered already by s-2"}
	if w := submit(h, "customer", path, "same-origin", url.Values{"service": {"backup"}, "covers": {"all"}}); w.Code != 409 || !strings.Contains(w.Body.String(), "covered already") {
		t.Errorf("refused: status %d", w.Code)
	}
}
