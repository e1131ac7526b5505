package console_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
)

// forms lists the values of the hidden fields "do" of a page: what it offers.
func forms(page string) (out []string) {
	for _, m := range regexp.MustCompile(`name="do" value="([a-z-]+)"`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}

// TestWhoIsOfferedWhat: what a page of an access offers, by state and role.
func TestWhoIsOfferedWhat(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	given := f.grant("gr-30", "expired", f.broken)
	given.Notice = "given"
	f.access.grants = append(f.access.grants, given)
	h := newConsole(t, f)
	for _, c := range []struct{ grant, who, want string }{
		{"gr-1", "approver", "approve ask refuse"},
		{"gr-1", "owner", "approve ask refuse"},
		{"gr-1", "customer", ""},
		{"gr-1", "viewer", ""},
		{"gr-1", "support", "close"},
		{"gr-1", "security", ""},
		{"gr-4", "support", "answer close"},
		{"gr-2", "support", "close extend"},
		{"gr-2", "customer", "revoke"},
		{"gr-2", "admin", "revoke"},
		{"gr-2", "viewer", ""},
		{"gr-5", "approver", "revoke"},
		{"gr-3", "security", "close notice revoke"},
		{"gr-3", "approver", "revoke"},
		{"gr-30", "approver", "acknowledge dispute"},
		{"gr-30", "viewer", ""},
		{"gr-6", "approver", ""}, {"gr-7", "approver", ""}, {"gr-8", "support", ""}, {"gr-9", "support", ""}, {"gr-10", "owner", ""},
	} {
		page := open(h, c.who, "/tenants/globex/access/"+c.grant).Body.String()
		if got := strings.Join(forms(page), " "); got != c.want {
			t.Errorf("%s is offered %q about %s, want %q", c.who, got, c.grant, c.want)
		}
	}
}

func TestAccessIsAskedFor(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	send := form("do", "request", "tenant", "globex", "ticket", " INC-1 ", "purpose", "look at <it>", "minutes", "45", "from", "2026-03-21T08:30", "scope", "shell hv-1", "scope", "console vcenter")
	w := submit(h, "support", "/access", "same-origin", send)
	if w.Code != 303 || w.Header().Get("Location") != "/tenants/globex/access/gr-20" {
		t.Fatalf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	got, _ := json.Marshal(f.last(t, "/v1/tenants/globex/grants"))
	if want := `{"from":"2026-03-21T08:30:00Z","minutes":45,"purpose":"look at \u003cit\u003e","scope":[{"do":"shell","target":"hv-1"},{"do":"console","target":"vcenter"}],"ticket":"INC-1"}`; string(got) != want {
		t.Errorf("sent %s", got)
	}
	f.refuse = &api.Problem{Status: 422, Title: "Unprocessable Entity", Detail: "name the ticket"}
	for name, c := range map[string]struct {
		send  url.Values
		shows string
	}{
		"refused":   {send, "name the ticket"},
		"no scope":  {form("do", "request", "tenant", "globex", "ticket", "INC-1", "purpose", "look at <it>", "minutes", "45"), "Choose at least one"},
		"no number": {form("do", "request", "tenant", "globex", "ticket", "INC-1", "purpose", "look at <it>", "minutes", "many", "scope", "shell hv-1"), "whole number"},
		"no moment": {form("do", "request", "tenant", "globex", "ticket", "INC-1", "purpose", "look at <it>", "minutes", "45", "from", "soon", "scope", "shell hv-1"), "2026-03-31T14:30"},
	} {
		for _, path := range []string{"/access", "/tenants/globex/access"} {
			w := submit(h, "support", path, "same-origin", c.send)
			page := w.Body.String()
			if w.Code != 422 || !strings.Contains(page, c.shows) || !strings.Contains(page, "look at &lt;it&gt;</textarea>") || !strings.Contains(page, `value="INC-1"`) {
				t.Errorf("%s at %s: status %d", name, path, w.Code)
			}
			checkHTML(t, name, page)
		}
	}
	f.refuse = nil
	if w := submit(h, "security", "/tenants/globex/access", "same-origin", form("do", "break-glass", "purpose", "fire", "minutes", "30", "scope", "shell hv-1")); w.Code != 303 || f.last(t, "/v1/tenants/globex/grants/break-glass")["reason"] != "fire" {
		t.Errorf("break-glass: status %d", w.Code)
	}
	if page := open(h, "support", "/access").Body.String(); strings.Contains(page, "break-glass\" value") || !strings.Contains(page, "demarc access ssh") {
		t.Error("support is offered break-glass, or not told how to connect")
	}
}

func TestAccessIsDecided(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	const path, sent = "/tenants/globex/access/gr-1", "/v1/tenants/globex/grants/gr-1"
	w := submit(h, "approver", path, "same-origin", form("do", "approve", "scope", "shell hv-1", "minutes", "30", "from", ""))
	if w.Code != 303 || w.Header().Get("Location") != "/tenants/globex/decisions/d-1" {
		t.Errorf("approve: status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if got, _ := json.Marshal(f.last(t, sent+"/approve")); string(got) != `{"minutes":30,"scope":[{"do":"shell","target":"hv-1"}]}` {
		t.Errorf("approved %s", got)
	}
	for _, act := range []string{"ask", "refuse", "revoke", "close", "answer", "acknowledge", "dispute"} {
		if w := submit(h, "approver", path, "same-origin", form("do", act, "text", " why ")); w.Code != 303 || f.last(t, sent+"/"+act)["words"] != "why" {
			t.Errorf("%s: status %d", act, w.Code)
		}
	}
	if w := submit(h, "support", path, "same-origin", form("do", "extend", "minutes", "20", "text", "not done")); w.Code != 303 || w.Header().Get("Location") != "/tenants/globex/access/gr-20" {
		t.Errorf("extend: status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := submit(h, "security", path, "same-origin", form("do", "notice", "ticket", "INC-9", "text", "restarted it")); w.Code != 303 || f.last(t, sent+"/notice")["ticket"] != "INC-9" {
		t.Errorf("notice: status %d", w.Code)
	}
	if w := submit(h, "support", path, "same-origin", form("do", "console", "target", "vcenter")); w.Code != 200 || !strings.Contains(w.Body.String(), `href="https://192.0.2.1:7428/open#x"`) {
		t.Errorf("console: status %d", w.Code)
	}
	w = submit(h, "approver", path, "same-origin", form("do", "approve", "minutes", "30"))
	if w.Code != 422 || !strings.Contains(w.Body.String(), "Tick what you grant") {
		t.Errorf("nothing ticked: status %d", w.Code)
	}
	f.refuse = &api.Problem{Status: 403, Title: "Forbidden", Detail: "nobody decides about their own request"}
	if w := submit(h, "approver", path, "same-origin", form("do", "approve", "scope", "shell hv-1", "minutes", "17")); w.Code != 403 || !strings.Contains(w.Body.String(), "their own request") || !strings.Contains(w.Body.String(), `value="17"`) {
		t.Errorf("one's own: status %d", w.Code)
	}
	if w := open(h, "approver", "/tenants/globex/access/gr-99"); w.Code != 404 {
		t.Errorf("unknown access: status %d", w.Code)
	}
}

func TestBrokenGlassIsLoud(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	for path, want := range map[string]string{
		"/tenants/globex/access": "Selma Security took access", "/tenants/globex/access/gr-3": "nobody approved this access", "/tenants/globex/activity": `class="loud"`,
	} {
		if page := open(h, "viewer", path).Body.String(); !strings.Contains(page, want) || path != "/tenants/globex/activity" && !strings.Contains(page, `class="alarm" role="alert"`) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	if page := open(h, "security", "/access").Body.String(); !strings.Contains(page, "You owe a notice") {
		t.Error("whoever broke the glass is not reminded")
	}
}

// TestWhatWaits: the first page of each side says what waits for the visitor.
func TestWhatWaits(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	for who, want := range map[string][]string{
		"approver": {"request to decide", "decisions to sign", "reviews to sign off", "open incident"},
		"customer": {"decisions to sign", "reviews to sign off"},
		"viewer":   {"open incident"},
	} {
		page := open(h, who, "/tenants/globex").Body.String()
		for _, w := range want {
			if !strings.Contains(page, "</span>"+w+"</a>") {
				t.Errorf("%s is not told of %q", who, w)
			}
		}
	}
	if page := open(h, "viewer", "/tenants/globex").Body.String(); strings.Contains(page, "to decide") || strings.Contains(page, "to sign") {
		t.Error("a viewer is told of what others decide")
	}
	for who, want := range map[string]string{"security": "break-glass notice that you owe", "support": "question to answer", "admin": "reviews to sign off"} {
		if page := open(h, who, "/").Body.String(); !strings.Contains(page, want) {
			t.Errorf("%s is not told of %q", who, want)
		}
	}
	if page := open(h, "admin", "/").Body.String(); !strings.Contains(page, "The set-up is not finished") {
		t.Error("nobody says that the provider has no administrator")
	}
	f.access.persons = append(f.access.persons, api.Person{ID: "p-1", Name: "Ada", Role: "provider-administrator", MFA: true})
	f.waiting = []api.Waiting{{Store: "event store", Since: moment.Add(-time.Hour)}}
	f.access.keys = api.KeySet{Tenant: "t-1"}
	if page := open(h, "admin", "/").Body.String(); strings.Contains(page, "The set-up is not finished") || !strings.Contains(page, "Records wait for the event store") {
		t.Error("the set-up, or the store that records wait for, is told wrongly")
	}
	if page := open(h, "owner", "/tenants/globex").Body.String(); !strings.Contains(page, "Records wait for the event store") || !strings.Contains(page, "Make the first key") {
		t.Error("an owner is not told of the store or the missing key")
	}
	if page := open(h, "approver", "/tenants/globex").Body.String(); strings.Contains(page, "Make the first key") {
		t.Error("an approver is told to make a key")
	}
}

func TestDecisionsInWords(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	f.access.decisions = append(f.access.decisions,
		f.decision("d-20", "something-new", "pending", "tenant/t-1", `{"what":"x"}`), f.decision("d-21", "waiver", "pending", "tenant/t-1", `["no","object"]`))
	h := newConsole(t, f)
	for id, want := range map[string][]string{
		"d-1":  {"Access for Sam Support", "INC-4711", "shell at hv-1", "1 hour 30 minutes", "the moment of your signature", "The nightly backup"},
		"d-3":  {"Policy of hardening for all VMs of globex", "debian-level-1"},
		"d-4":  {"Waiver of CLD.12.1.5/C-5.4b for web-01", "The bastion is replaced", "20 Apr 2026"},
		"d-5":  {"Change of the signing keys", "blue key, passkey of Anna Approver", "unnamed, ed25519 of p-3", "1 of 1 recovery keys", "2 signatures"},
		"d-6":  {"End of the contract", "disk images", "1 Sep 2026"},
		"d-20": {"something new"}, "d-21": {"Read the canonical form below"},
	} {
		w := open(h, "owner", "/tenants/globex/decisions/"+id)
		page := w.Body.String()
		checkHTML(t, id, page)
		for _, s := range want {
			if !strings.Contains(page, s) {
				t.Errorf("%s does not say %q", id, s)
			}
		}
		for _, d := range f.access.decisions {
			if d.ID == id && !strings.Contains(page, d.Digest) {
				t.Errorf("%s does not show its digest", id)
			}
		}
	}
	if page := open(h, "viewer", "/tenants/globex/decisions/d-1").Body.String(); strings.Contains(page, "data-passkey") || strings.Contains(page, "demarc sign") {
		t.Error("a viewer is offered to sign")
	}
}

func TestDecisionIsSigned(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	const path = "/tenants/globex/decisions/d-1"
	page := open(h, "approver", path).Body.String()
	_, options, _ := strings.Cut(page, `data-options="`)
	options, _, _ = strings.Cut(options, `"`)
	options = strings.ReplaceAll(options, "&#34;", `"`)
	var o struct {
		Challenge, RPID, UserVerification string
		AllowCredentials                  []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatalf("options %q: %v", options, err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(o.Challenge)
	if "sha256:"+hexOf(raw) != f.access.decisions[0].Digest || o.RPID != "example.com" || o.UserVerification != "required" || len(o.AllowCredentials) != 1 || o.AllowCredentials[0].ID != b64("credential-1") {
		t.Errorf("options %+v", o)
	}
	if strings.Contains(open(h, "owner", path).Body.String(), "data-passkey") {
		t.Error("somebody is asked for the passkey of another")
	}
	f.access.keys.Keys[0].RPID = "other.example"
	if strings.Contains(open(h, "approver", path).Body.String(), "data-passkey") {
		t.Error("a passkey of another name is asked for")
	}
	answer := `{"id":"` + b64("credential-1") + `","response":{"clientDataJSON":"` + b64("client") + `","authenticatorData":"` + b64("data") + `","signature":"` + b64("sig") + `"}}`
	w := submit(h, "approver", path, "same-origin", form("do", "sign", "credential", answer))
	if w.Code != 303 || w.Header().Get("Location") != "/tenants/globex/access/gr-1" {
		t.Errorf("sign: status %d to %q", w.Code, w.Header().Get("Location"))
	}
	got := f.last(t, "/v1/tenants/globex/decisions/d-1/signatures")
	if got["key"] != "k-0011223344556677" || got["algorithm"] != "webauthn" || got["client_data"] != base64.StdEncoding.EncodeToString([]byte("client")) {
		t.Errorf("signature %v", got)
	}
	for _, bad := range []string{"", "{", `{"id":"!!"}`, `{"id":"` + b64("another") + `","response":{"clientDataJSON":"","authenticatorData":"","signature":"` + b64("s") + `"}}`} {
		if w := submit(h, "approver", path, "same-origin", form("do", "sign", "credential", bad)); w.Code != 422 || !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("credential %q: status %d", bad, w.Code)
		}
	}
	if w := submit(h, "approver", path, "same-origin", form("do", "withdraw")); w.Code != 303 {
		t.Errorf("withdraw: status %d", w.Code)
	}
	f.refuse = &api.Problem{Status: 409, Title: "Conflict", Detail: "it has expired"}
	if w := submit(h, "approver", path, "same-origin", form("do", "sign", "credential", answer)); w.Code != 409 || !strings.Contains(w.Body.String(), "it has expired") {
		t.Errorf("expired: status %d", w.Code)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

const pemKey = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"

func TestKeys(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	const path, sent = "/tenants/globex/keys", "/v1/tenants/globex/keys"
	if page := open(h, "owner", path).Body.String(); !strings.Contains(page, "There is one key and no recovery") || !strings.Contains(page, "--customer-key sha256:9f86d0") {
		t.Error("the page does not warn, or does not say what to pin")
	}
	if page := open(h, "approver", path).Body.String(); strings.Contains(page, `method="post" data`) || strings.Contains(page, "ed25519\"") {
		t.Error("an approver is offered to change keys")
	}
	want := base64.StdEncoding.EncodeToString(append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, make([]byte, ed25519.PublicKeySize)...))
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), make([]byte, 32)...)
	w := submit(h, "owner", path, "same-origin", form("do", "ed25519", "name", "laptop", "public", "ssh-ed25519 "+base64.StdEncoding.EncodeToString(blob)+" olga@laptop"))
	if w.Code != 303 || w.Header().Get("Location") != "/tenants/globex/decisions/d-9" {
		t.Errorf("ed25519: status %d to %q", w.Code, w.Header().Get("Location"))
	}
	add := f.last(t, sent)["add"].([]any)[0].(map[string]any)
	if add["public"] != want || add["name"] != "laptop" || add["algorithm"] != "ed25519" {
		t.Errorf("added %v", add)
	}
	submit(h, "owner", path, "same-origin", form("do", "ed25519", "public", pemKey, "recovery", "yes"))
	if got := f.last(t, sent); len(got["recovery"].([]any)) != 1 || got["threshold"] != 1.0 || got["add"] != nil {
		t.Errorf("recovery %v", got)
	}
	submit(h, "owner", path, "same-origin", form("do", "remove", "key", "k-0011223344556677"))
	if got := f.last(t, sent)["remove"].([]any); len(got) != 1 || got[0] != "k-0011223344556677" {
		t.Errorf("removed %v", got)
	}
	made := `{"id":"` + b64("new") + `","response":{"clientDataJSON":"` + b64(`{"origin":"https://example.com"}`) + `","publicKey":"` + b64("spki") + `"}}`
	submit(h, "owner", path, "same-origin", form("do", "passkey", "name", "blue", "credential", made))
	add = f.last(t, sent)["add"].([]any)[0].(map[string]any)
	if add["rp_id"] != "example.com" || add["origins"].([]any)[0] != "https://example.com" || add["credential"] != base64.StdEncoding.EncodeToString([]byte("new")) {
		t.Errorf("passkey %v", add)
	}
	n := len(f.access.sent[sent])
	for name, c := range map[string]struct {
		send  url.Values
		shows string
	}{
		"private key":  {form("do", "ed25519", "public", "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----"), "must never leave its owner"},
		"other kind":   {form("do", "ed25519", "public", "ssh-rsa AAAA"), "begins with ssh-ed25519"},
		"cut":          {form("do", "ed25519", "public", "ssh-ed25519 AAAAC3Nz"), "not whole"},
		"no passkey":   {form("do", "passkey", "credential", "{}"), "cannot be read"},
		"unknown form": {form("do", "x"), "not known"},
	} {
		w := submit(h, "owner", path, "same-origin", c.send)
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), c.shows) {
			t.Errorf("%s: status %d", name, w.Code)
		}
		if name == "private key" && strings.Contains(w.Body.String(), "MC4C") {
			t.Error("a private key comes back in the page")
		}
	}
	if len(f.access.sent[sent]) != n {
		t.Error("something malformed was sent on")
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

func TestSessions(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	list := open(h, "viewer", "/tenants/globex/sessions").Body.String()
	for _, want := range []string{"recorded", "running", "cut", "hv-1", "one command"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	page := open(h, "owner", "/tenants/globex/sessions/s-1").Body.String()
	if !strings.Contains(page, "Your viewing is recorded") || !strings.Contains(page, `data-cast="/v1/tenants/t-1/sessions/s-1/cast"`) || !strings.Contains(page, "7 parts") {
		t.Error("the replay page is not whole")
	}
	if f.access.watched > 0 {
		t.Error("a recording was fetched before anybody asked for it")
	}
	if page := open(h, "viewer", "/tenants/globex/sessions/s-1").Body.String(); strings.Contains(page, "data-cast") {
		t.Error("a viewer is offered a recording")
	}
	f.access.verdict = api.SessionVerification{Fault: "part 3 was changed", Segment: 3, From: 61, To: 90}
	if page := open(h, "owner", "/tenants/globex/sessions/s-1").Body.String(); !strings.Contains(page, "part 3 was changed") || !strings.Contains(page, "01:01") || strings.Contains(page, "st-good\">whole") {
		t.Error("a recording that was changed is not said to be")
	}
	f.access.sessions = nil
	if page := open(h, "owner", "/tenants/globex/sessions").Body.String(); !strings.Contains(page, "demarc audit sessions --tenant globex") {
		t.Error("an empty list does not say how that is proved")
	}
}

func TestReviewsAndIncidents(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	page := open(h, "owner", "/tenants/globex/reviews").Body.String()
	if strings.Index(page, "Network review") > strings.Index(page, "Log review") || !strings.Contains(page, "overdue") {
		t.Error("what is overdue does not come first")
	}
	const path = "/tenants/globex/reviews/rv-1"
	send := form("through", "341", "outcome", "follow-up", "notes", " ask <Selma> ", "looked", "sha256:aa11 entries/grant.break-glass")
	if w := submit(h, "owner", path, "same-origin", send); w.Code != 303 || w.Header().Get("Location") != "/tenants/globex/reviews" {
		t.Errorf("sign off: status %d", w.Code)
	}
	if got, _ := json.Marshal(f.last(t, "/v1/tenants/globex/reviews/rv-1/sign-off")); string(got) != `{"looked_at":[{"digest":"sha256:aa11","item":"entries/grant.break-glass"}],"notes":"ask \u003cSelma\u003e","outcome":"follow-up","through":341}` {
		t.Errorf("sent %s", got)
	}
	if w := submit(h, "admin", "/reviews/rv-1", "same-origin", send); w.Code != 303 || w.Header().Get("Location") != "/reviews" {
		t.Errorf("the provider's: status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := submit(h, "owner", "/tenants/globex/reviews", "same-origin", form("kind", "logs", "days", "14")); w.Code != 303 || f.last(t, "/v1/tenants/globex/review-plans/logs")["every_days"] != 14.0 {
		t.Errorf("schedule: status %d", w.Code)
	}
	if w := submit(h, "admin", "/reviews", "same-origin", form("kind", "logs", "days", "often")); w.Code != 422 || !strings.Contains(w.Body.String(), "whole number") {
		t.Errorf("schedule by no number: status %d", w.Code)
	}
	if page := open(h, "approver", "/tenants/globex/reviews").Body.String(); strings.Contains(page, `name="days"`) {
		t.Error("an approver is offered to schedule reviews")
	}
	f.refuse = &api.Problem{Status: 409, Title: "Conflict", Detail: "it has changed since"}
	w := submit(h, "owner", path, "same-origin", send)
	if w.Code != 409 || !strings.Contains(w.Body.String(), "ask &lt;Selma&gt;") || strings.Count(w.Body.String(), " checked") != 2 {
		t.Errorf("changed since: status %d, %d ticked", w.Code, strings.Count(w.Body.String(), " checked"))
	}
	if w := submit(h, "owner", "/tenants/globex/incidents", "same-origin", form("id", "in-1", "text", "keep <me>")); w.Code != 409 || !strings.Contains(w.Body.String(), "keep &lt;me&gt;") {
		t.Errorf("incident refused: status %d", w.Code)
	}
	f.refuse = nil
	if w := submit(h, "owner", "/tenants/globex/incidents", "same-origin", form("id", "in-1", "text", "our own jump host")); w.Code != 303 || f.last(t, "/v1/tenants/globex/incidents/in-1/close")["note"] != "our own jump host" {
		t.Errorf("close: status %d", w.Code)
	}
	for _, path := range []string{path, "/tenants/globex/incidents"} {
		if page := open(h, "viewer", path).Body.String(); strings.Count(page, "<textarea") > 0 {
			t.Errorf("%s offers a viewer to write", path)
		}
	}
}

func TestTargets(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	if page := open(h, "admin", "/targets").Body.String(); !strings.Contains(page, "TrustedUserCAKeys") || !strings.Contains(page, "SHA256:gateway") {
		t.Error("the page does not say what a host has to trust")
	}
	submit(h, "admin", "/targets", "same-origin", form("do", "add", "name", "hv-2", "kind", "host", "address", "192.0.2.12", "user", "root", "trust", "ssh-ed25519 A\r\n\r\nssh-ed25519 B"))
	if got, _ := json.Marshal(f.last(t, "/v1/targets")); !strings.Contains(string(got), `"host_keys":["ssh-ed25519 A","ssh-ed25519 B"]`) {
		t.Errorf("sent %s", got)
	}
	submit(h, "admin", "/targets", "same-origin", form("do", "add", "name", "vc", "kind", "web", "address", "https://192.0.2.12", "trust", "sha256:aa"))
	if got := f.last(t, "/v1/targets"); got["pin"] != "sha256:aa" || got["host_keys"] != nil {
		t.Errorf("sent %v", got)
	}
	if w := submit(h, "admin", "/targets", "same-origin", form("do", "remove", "id", "tg-1")); w.Code != 303 {
		t.Errorf("remove: status %d", w.Code)
	}
	if page := open(h, "support", "/targets").Body.String(); strings.Contains(page, `value="add"`) {
		t.Error("support is offered to register targets")
	}
	if w := open(h, "owner", "/targets"); w.Code != 403 {
		t.Errorf("a customer: status %d", w.Code)
	}
}

// TestEmptyListsSaySo draws every page where there is nothing yet.
func TestEmptyListsSaySo(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	sent := f.access.sent
	f.access = fakeAccess{sent: sent, signIn: f.access.signIn, keys: api.KeySet{Tenant: "t-1"}}
	h := newConsole(t, f)
	for path, want := range map[string]string{
		"/access": "asked for nothing", "/targets": "No target is registered", "/reviews": "No review is due", "/people": "Invite yourself", "/privileges": "Everybody uses",
		"/tenants/globex/access": "can reach the environment now", "/tenants/globex/sessions": "has opened a session", "/tenants/globex/decisions": "Nothing waits for a signature",
		"/tenants/globex/keys": "No key yet", "/tenants/globex/activity": "has done nothing here", "/tenants/globex/incidents": "No incident is open",
		"/tenants/globex/reviews": "No review is due", "/tenants/globex/people": "Invite the first owner",
	} {
		w := open(h, "admin", path)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, without %q", path, w.Code, want)
		}
		checkHTML(t, path, w.Body.String())
	}
}

// TestHostileNamesInAccess fills everything that people choose with markup.
func TestHostileNamesInAccess(t *testing.T) {
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>javascript:alert(1)' {{.}}`
	f := newFakeAPI(t, 1, moment)
	a := &f.access
	for i := range a.grants {
		g := &a.grants[i]
		g.HolderName, g.Ticket, g.Purpose, g.Next, g.Scope[0].Target = hostile, hostile, hostile, hostile, hostile
		for j := range g.History {
			g.History[j].Words, g.History[j].Actor, g.History[j].What = hostile, hostile, hostile
		}
	}
	quoted, _ := json.Marshal(hostile)
	for i := range a.decisions {
		d := &a.decisions[i]
		d.SubjectName, d.ProposedBy = hostile, hostile
		d.Content = json.RawMessage(strings.NewReplacer(`"INC-4711"`, string(quoted), `"Sam Support"`, string(quoted), `"blue key"`, string(quoted), `"hardening"`, string(quoted)).Replace(string(d.Content)))
		d.Canonical = d.Content
	}
	a.keys.Keys[0].Name, a.keys.Keys[0].ID = hostile, hostile
	for i := range a.sessions {
		a.sessions[i].HolderName, a.sessions[i].TargetName, a.sessions[i].Reason = hostile, hostile, hostile
	}
	for i := range a.activity {
		a.activity[i].Words, a.activity[i].Proof, a.activity[i].Subject = hostile, "javascript:alert(1)", "grant/"+hostile
	}
	for i := range a.incidents {
		a.incidents[i].Words, a.incidents[i].VMName, a.incidents[i].Note, a.incidents[i].Kind = hostile, hostile, hostile, hostile
	}
	for i := range a.reviews {
		a.reviews[i].Notes, a.reviews[i].Kind = hostile, hostile
		for j := range a.reviews[i].Items {
			x := &a.reviews[i].Items[j]
			x.Title, x.Lines, x.ID = hostile, []string{hostile}, hostile
		}
	}
	a.privileges.Unused[0].Name, a.privileges.Wide[0].Unused = hostile, []string{hostile}
	for i := range a.persons {
		a.persons[i].Name, a.persons[i].Mail = hostile, hostile
	}
	a.invitations[0].Name, a.targets[0].Name, a.targets[0].Address = hostile, hostile, hostile
	a.account.Authenticators[0].Label, a.account.Login, a.account.Person.Name = hostile, hostile, hostile
	h := newConsole(t, f)
	for _, who := range []string{"admin", "owner", "support"} {
		for _, path := range append([]string{"/", "/tenants/globex", "/login?with=" + url.QueryEscape(hostile)}, accessPages...) {
			w := open(h, who, path)
			if w.Code == 303 {
				continue
			}
			page := w.Body.String()
			checkHTML(t, path, strings.ReplaceAll(page, `"#ZgotmplZ"`, `"#"`))
			if strings.Contains(page, "<script>") || strings.Contains(page, "<img") || strings.Contains(page, `="javascript:`) {
				t.Errorf("%s lets markup through to %s", path, who)
			}
		}
	}
}

// TestForeignFormsAboutAccess: no form of another site has an effect.
func TestForeignFormsAboutAccess(t *testing.T) {
	f := newFakeAPI(t, 1, moment)
	h := newConsole(t, f)
	all := form("do", "approve", "scope", "shell hv-1", "minutes", "10", "text", "because", "id", "p-6", "name", "x", "role", "customer-owner", "credential", "{}", "key", "k", "step", "token", "token", "token-admin", "through", "1", "invitation", "x")
	for _, path := range []string{
		"/login", "/login/begin", "/join", "/join/begin", "/account", "/account/begin", "/device", "/people", "/access", "/targets", "/reviews", "/reviews/rv-1", "/tenants/globex/reviews", "/tenants/globex/people", "/tenants/globex/access",
		"/tenants/globex/access/gr-1", "/tenants/globex/decisions/d-1", "/tenants/globex/keys", "/tenants/globex/incidents", "/tenants/globex/reviews/rv-1",
	} {
		for _, site := range []string{"cross-site", "same-site", "none", ""} {
			if w := submit(h, "owner", path, site, all); w.Code != 403 || len(w.Result().Cookies()) > 0 {
				t.Errorf("%s from %q: status %d", path, site, w.Code)
			}
		}
	}
	if len(f.access.sent) > 0 {
		t.Errorf("a foreign form had an effect: %v", f.access.sent)
	}
}
