package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// fakeAccess is the part of fakeAPI about people, access and signatures. It is
// guarded by the fakeAPI's mu.
type fakeAccess struct {
	grants      []api.Grant
	decisions   []api.Decision
	keys        api.KeySet
	sessions    []api.Session
	cast        string
	castFault   *api.Problem
	watched     int
	verdict     api.SessionVerification
	activity    []api.Activity
	incidents   []api.Incident
	reviews     []api.Review
	privileges  api.Privileges
	persons     []api.Person
	invitations []api.Invitation
	targets     []api.Target
	account     *api.Account
	signIn      func(path string, body map[string]any) (int, any)
	// sent are the bodies of POST requests by path, newest last.
	sent map[string][]map[string]any
}

const grantPurpose = "The nightly backup of the VDC fails: the snapshot of volume 7 on hv-1 hangs. I want to look at the storage daemon and restart it."

func (f *fakeAPI) grant(id, state string, change func(*api.Grant)) api.Grant {
	g := api.Grant{
		ID: id, Tenant: "t-1", TenantName: "globex", Holder: "p-5", HolderName: "Sam Support", Ticket: "INC-4711", Purpose: grantPurpose, State: state,
		Scope: []api.Ability{{Do: "shell", Target: "hv-1"}, {Do: "sftp", Target: "hv-1"}}, Minutes: 90,
		RequestedAt: f.now.Add(-40 * time.Minute), LapsesAt: f.now.Add(70 * time.Hour), Next: "the customer's approvers decide", Version: 1,
		History: []api.GrantEvent{{At: f.now.Add(-40 * time.Minute), Actor: "provider-support/p-5", What: "request", To: "requested"}},
	}
	if change != nil {
		change(&g)
	}
	return g
}

func (f *fakeAPI) inForce(g *api.Grant) {
	from, until := f.now.Add(-20*time.Minute), f.now.Add(70*time.Minute)
	g.From, g.Until, g.Granted, g.ApprovedBy, g.Decision = &from, &until, g.Scope[:1], "p-6", "d-2"
	g.Next = "ends at " + until.Format("15:04")
	g.History = append(g.History,
		api.GrantEvent{At: f.now.Add(-35 * time.Minute), Actor: "customer-approver/p-6", What: "ask", From: "requested", To: "in-review", Words: "Which data can you see while you do that?"},
		api.GrantEvent{At: f.now.Add(-30 * time.Minute), Actor: "provider-support/p-5", What: "answer", From: "in-review", To: "requested", Words: "The names of volumes. Nothing of what is in them."},
		api.GrantEvent{At: from, Actor: "customer-approver/p-6", What: "approve", From: "requested", To: "active", Decision: "d-2"})
}

func (f *fakeAPI) broken(g *api.Grant) {
	f.inForce(g)
	due := f.now.Add(23 * time.Hour)
	g.Holder, g.HolderName, g.Ticket = "p-7", "Selma Security", ""
	g.BreakGlass, g.Notice, g.NoticeDue, g.ApprovedBy, g.Decision = true, "owed", &due, "", ""
	g.Purpose = "The storage of your VDC runs full within minutes and all machines would stop."
	g.History = []api.GrantEvent{{At: f.now.Add(-20 * time.Minute), Actor: "provider-security/p-7", What: "break-glass", To: "active", Words: g.Purpose}}
}

// decision makes one with its canonical form and digest.
func (f *fakeAPI) decision(id, kind, state, subject, content string) api.Decision {
	d := api.Decision{
		ID: id, Kind: kind, Tenant: "t-1", Subject: subject, State: state, IssuedAt: f.now.Add(-10 * time.Minute), ExpiresAt: f.now.Add(72 * time.Hour),
		ProposedBy: "customer-approver/p-6", Content: json.RawMessage(content), Needs: 1, Acts: true, Signatures: []api.DecisionSignature{},
	}
	d.Canonical = []byte(`{"content":` + content + `,"id":"` + id + `","kind":"` + kind + `","subject":"` + subject + `","tenant":"t-1"}`)
	sum := sha256.Sum256(d.Canonical)
	d.Digest = "sha256:" + hex.EncodeToString(sum[:])
	if state == "signed" {
		at := f.now.Add(-5 * time.Minute)
		d.DecidedAt = &at
		d.Signatures = append(d.Signatures, api.DecisionSignature{Key: "k-0011223344556677", Algorithm: "webauthn", By: "customer-approver/p-6", At: at})
	}
	return d
}

const approvalContent = `{"grant":"gr-1","holder":"p-5","holder_name":"Sam Support","purpose":"The nightly backup of the VDC fails.","scope":[{"do":"shell","target":"hv-1"}],"seconds":5400,"ticket":"INC-4711"}`

func (f *fakeAPI) fillAccess() {
	ago := func(d time.Duration) time.Time { return f.now.Add(-d) }
	at := func(d time.Duration) *time.Time { t := ago(d); return &t }
	a := &f.access
	a.sent = map[string][]map[string]any{}
	a.grants = []api.Grant{
		f.grant("gr-1", "requested", nil),
		f.grant("gr-2", "active", f.inForce),
		f.grant("gr-3", "active", f.broken),
		f.grant("gr-4", "in-review", func(g *api.Grant) {
			g.History = append(g.History, api.GrantEvent{At: ago(time.Minute), Actor: "customer-approver/p-6", What: "ask", To: "in-review", Words: "Why so long?"})
		}),
		f.grant("gr-5", "approved", func(g *api.Grant) {
			f.inForce(g)
			from := f.now.Add(5 * time.Hour)
			until := from.Add(time.Hour)
			g.From, g.Until = &from, &until
		}),
		f.grant("gr-6", "refused", nil), f.grant("gr-7", "lapsed", nil), f.grant("gr-8", "revoked", f.inForce), f.grant("gr-9", "expired", f.inForce), f.grant("gr-10", "closed", f.inForce),
	}
	a.decisions = []api.Decision{
		f.decision("d-1", "access-approval", "pending", "grant/gr-1", approvalContent),
		f.decision("d-2", "access-approval", "signed", "grant/gr-2", approvalContent),
		f.decision("d-3", "agent-policy", "pending", "tenant/t-1", `{"document":{"baseline":"debian-level-1"},"service":"hardening"}`),
		f.decision("d-4", "waiver", "withdrawn", "vm/v-1", `{"duty":"CLD.12.1.5/C-5.4b","effective":"2026-03-20T09:00:00Z","expires":"2026-04-20T09:00:00Z","reason":"The bastion is replaced in April.","scope":"vm","subject_id":"v-1"}`),
		f.decision("d-5", "key-change", "expired", "tenant/t-1", `{"key_set":{"keys":[{"algorithm":"webauthn","holder":"p-6","id":"k-0011223344556677","name":"blue key"},{"algorithm":"ed25519","holder":"p-3","id":"k-8899aabbccddeeff"}],"recovery":[{"algorithm":"ed25519","id":"k-ffff"}],"required":{"erase":2},"tenant":"t-1","threshold":1,"version":2},"previous":"sha256:00"}`),
		f.decision("d-6", "termination", "expired", "tenant/t-1", `{"at":"2026-09-01T00:00:00Z","contract":"c-1","return":"disk images"}`),
	}
	a.decisions[2].SubjectName, a.decisions[3].SubjectName = "globex", "web-01"
	a.keys = api.KeySet{
		Tenant: "t-1", Version: 1, Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Threshold: 0, Recovery: []api.Key{},
		Keys: []api.Key{{ID: "k-0011223344556677", Name: "blue key", Holder: "p-6", Algorithm: "webauthn", Credential: []byte("credential-1"), RPID: "example.com", Origins: []string{"http://example.com"}}},
	}
	a.sessions = []api.Session{
		{ID: "s-1", Grant: "gr-2", Holder: "p-5", HolderName: "Sam Support", Target: "tg-1", TargetName: "hv-1", Kind: "shell", State: "complete", Started: ago(18 * time.Minute), Ended: at(12 * time.Minute), Segments: 7, Bytes: 5120, Seconds: 343, Chain: "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"},
		{ID: "s-2", Grant: "gr-2", Holder: "p-5", HolderName: "Sam Support", Target: "tg-1", TargetName: "hv-1", Kind: "exec", State: "open", Started: ago(2 * time.Minute)},
		{ID: "s-3", Grant: "gr-9", Holder: "p-5", Target: "tg-1", TargetName: "hv-1", Kind: "sftp", State: "cut", Reason: "the server ended", Started: ago(50 * time.Hour), Ended: at(49 * time.Hour)},
	}
	a.verdict = api.SessionVerification{Whole: true, Segments: 7, Bytes: 5120, Seconds: 343}
	a.cast = sampleCast
	for i, w := range []string{"Sam Support opened a shell at hv-1", "Sam Support's access for INC-4711 began", "Selma Security broke the glass: took access without approval", "Ada Administrator renamed the tenant"} {
		action := []string{"session.open", "grant.approve", "grant.break-glass", "tenant.change"}[i]
		a.activity = append(a.activity, api.Activity{Index: int64(341 - i), Time: ago(time.Duration(i) * time.Hour), Tenant: "t-1", Actor: "provider-support/p-5", Action: action, Subject: []string{"session/s-1", "grant/gr-2", "grant/gr-3", "tenant/t-1"}[i], Words: w, Proof: "/v1/ledger/bundle?tenant=t-1"})
	}
	a.incidents = []api.Incident{
		{ID: "in-1", Tenant: "t-1", Kind: "guest-login", VM: "v-1", VMName: "web-01", State: "open", At: ago(30 * time.Minute), OpenedAt: ago(29 * time.Minute), Words: "root logged in to web-01 from 192.0.2.7, which is an address of the provider's people.", Evidence: map[string]string{"login": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}},
		{ID: "in-2", Tenant: "t-1", Kind: "guest-login", VM: "v-1", VMName: "web-01", State: "closed", At: ago(300 * time.Hour), Words: "x", ClosedAt: at(290 * time.Hour), ClosedBy: "customer-owner/p-8", Note: "Our own jump host has that address."},
	}
	a.reviews = []api.Review{
		{ID: "rv-1", Tenant: "t-1", Kind: "logs", State: "open", OpenedAt: ago(48 * time.Hour), DueAt: f.now.Add(120 * time.Hour), EveryDays: 30, Through: 341, Entries: 42, Items: []api.ReviewItem{
			{ID: "entries/grant.break-glass", Title: "Glass was broken", Unusual: "access without approval", Count: 1, Lines: []string{"Selma Security, gr-3"}, From: new(int64), To: new(int64), Digest: "sha256:aa11"},
			{ID: "entries/session.start", Title: "People signed in", Count: 12, Lines: []string{"Ada Administrator 8", "Sam Support 4"}, Digest: "sha256:bb22"},
		}},
		{ID: "rv-2", Tenant: "t-1", Kind: "network", State: "overdue", OpenedAt: ago(800 * time.Hour), DueAt: ago(20 * time.Hour)},
		{ID: "rv-3", Tenant: "t-1", Kind: "logs", State: "signed", OpenedAt: ago(1500 * time.Hour), DueAt: ago(800 * time.Hour), SignedAt: at(810 * time.Hour), SignedBy: "customer-owner/p-8", Outcome: "fine", Notes: "Nothing unusual."},
	}
	a.privileges = api.Privileges{UnusedDays: 90, Unused: []api.UnusedPrivilege{{Who: "customer-administrator/p-3", Name: "Carla Customer", Why: "has not signed in since", Since: at(2400 * time.Hour)}, {Who: "deploy on web-02", Why: "the account may use sudo and never does"}},
		Wide: []api.WideRole{{Who: "customer-owner/p-8", Name: "Olga Owner", Role: "customer-owner", Suffices: "customer-viewer", Unused: []string{"manage-keys", "waive"}}}}
	a.persons = []api.Person{
		{ID: "p-8", Name: "Olga Owner", Mail: "olga@globex.example", Role: "customer-owner", Tenant: "t-1", CreatedAt: ago(2000 * time.Hour), Methods: []string{"passkey"}, MFA: true, SeenAt: at(time.Hour)},
		{ID: "p-6", Name: "Anna Approver", Role: "customer-approver", Tenant: "t-1", CreatedAt: ago(2000 * time.Hour), Methods: []string{"password"}, SeenAt: at(1600 * time.Hour)},
		{ID: "p-9", Name: "", Role: "customer-viewer", Tenant: "t-1", CreatedAt: ago(2000 * time.Hour), RemovedAt: at(time.Hour)},
	}
	a.invitations = []api.Invitation{{ID: "i-1", Name: "Ivo Invited", Role: "customer-viewer", Tenant: "t-1", By: "customer-owner/p-8", CreatedAt: ago(time.Hour), Expires: f.now.Add(160 * time.Hour)}}
	a.targets = []api.Target{{ID: "tg-1", Name: "hv-1", Kind: "host", Address: "192.0.2.10:22", User: "root", Fingerprints: []string{"SHA256:abc"}}, {ID: "tg-2", Name: "vcenter", Kind: "web", Address: "https://192.0.2.11/"}}
	a.account = &api.Account{
		Person: api.Person{ID: "p-8", Name: "Olga Owner", Role: "customer-owner", Tenant: "t-1"}, Login: "olga@globex.example", MFA: true, RecoveryCodes: 7, Session: "se-1",
		Authenticators: []api.Authenticator{{ID: "au-1", Kind: "passkey", Label: "blue key", CreatedAt: ago(900 * time.Hour), UsedAt: at(time.Hour)}, {ID: "au-2", Kind: "password", Label: "olga@globex.example", CreatedAt: ago(900 * time.Hour)}},
	}
}

var sampleCast = strings.Join([]string{
	`{"version":2,"width":80,"height":20,"timestamp":1774000000,"env":{"TERM":"xterm-256color"}}`,
	`[0.1,"o","\u001b[1;32mroot@hv-1\u001b[0m:\u001b[34m~\u001b[0m# "]`,
	`[1.2,"i","systemctl status storaged\r"]`,
	`[1.3,"o","systemctl status storaged\r\n\u001b[32m●\u001b[0m storaged.service - Storage daemon\r\n     Loaded: loaded (/lib/systemd/system/storaged.service; enabled)\r\n     Active: \u001b[1;31mfailed\u001b[0m (Result: timeout)\r\n"]`,
	`[1.5,"o","\u001b[1;32mroot@hv-1\u001b[0m:\u001b[34m~\u001b[0m# "]`,
	`[9.0,"i","systemctl restart storaged\r"]`,
	`[9.1,"o","systemctl restart storaged\r\n"]`,
	`[11.0,"o","\u001b[1;32mroot@hv-1\u001b[0m:\u001b[34m~\u001b[0m# "]`,
	`[14.0,"i","exit\r"]`,
	`[14.1,"o","exit\r\nlogout\r\n"]`,
}, "\n") + "\n"

func (f *fakeAPI) routeAccess() {
	a := &f.access
	a.signIn = func(string, map[string]any) (int, any) {
		return 401, api.Problem{Status: 401, Title: "Unauthorized", Detail: "this does not sign you in: name, password, passkey or code is wrong"}
	}
	f.fillAccess()
	show := func(pattern string, answer func(r *http.Request) any) {
		f.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			v := answer(r)
			f.mu.Unlock()
			if v == nil {
				reply(w, 404, api.Problem{Title: "Not Found", Status: 404, Detail: "there is nothing of this name"})
				return
			}
			reply(w, 200, v)
		})
	}
	grants := func(r *http.Request) any {
		out := []api.Grant{}
		for _, g := range a.grants {
			state, open := r.FormValue("state"), g.State == "requested" || g.State == "in-review"
			if (state == "" || state == g.State || state == "open" && open) && (r.FormValue("holder") == "" || r.FormValue("holder") == g.Holder) {
				out = append(out, g)
			}
		}
		return listOf(out)
	}
	show("/v1/tenants/{tenant}/grants", grants)
	show("/v1/grants", grants)
	show("/v1/tenants/{tenant}/grants/{id}", func(r *http.Request) any { return find(a.grants, r, func(g api.Grant) string { return g.ID }) })
	show("/v1/tenants/{tenant}/decisions", func(r *http.Request) any {
		out := []api.Decision{}
		for _, d := range a.decisions {
			if s := r.FormValue("state"); s == "" || s == d.State {
				out = append(out, d)
			}
		}
		return listOf(out)
	})
	show("/v1/tenants/{tenant}/decisions/{id}", func(r *http.Request) any {
		return find(a.decisions, r, func(d api.Decision) string { return d.ID })
	})
	show("/v1/tenants/{tenant}/keys", func(*http.Request) any { return a.keys })
	show("/v1/tenants/{tenant}/sessions", func(r *http.Request) any {
		out := []api.Session{}
		for _, s := range a.sessions {
			if g := r.FormValue("grant"); g == "" || g == s.Grant {
				out = append(out, s)
			}
		}
		return listOf(out)
	})
	show("/v1/tenants/{tenant}/sessions/{id}", func(r *http.Request) any {
		return find(a.sessions, r, func(s api.Session) string { return s.ID })
	})
	show("/v1/tenants/{tenant}/sessions/{id}/verification", func(*http.Request) any { return a.verdict })
	f.mux.HandleFunc("GET /v1/tenants/{tenant}/sessions/{id}/cast", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		a.watched++
		if a.castFault != nil {
			reply(w, a.castFault.Status, a.castFault)
			return
		}
		w.Header().Set("Content-Type", "application/x-asciicast")
		fmt.Fprint(w, a.cast)
	})
	show("/v1/tenants/{tenant}/activity", func(*http.Request) any { return listOf(a.activity) })
	show("/v1/tenants/{tenant}/incidents", func(*http.Request) any { return listOf(a.incidents) })
	for _, of := range []string{"/v1/tenants/{tenant}", "/v1/provider"} {
		show(of+"/reviews", func(*http.Request) any { return listOf(a.reviews) })
		show(of+"/reviews/{id}", func(r *http.Request) any { return find(a.reviews, r, func(x api.Review) string { return x.ID }) })
		show(of+"/review-plans", func(*http.Request) any {
			return listOf([]api.ReviewPlan{{Kind: "logs", EveryDays: 30, Least: 1, Most: 92, DueAt: f.now}})
		})
		show(of+"/privileges", func(*http.Request) any { return a.privileges })
	}
	show("/v1/people", func(*http.Request) any { return listOf(a.persons) })
	show("/v1/people/invitations", func(*http.Request) any { return listOf(a.invitations) })
	show("/v1/targets", func(*http.Request) any { return listOf(a.targets) })
	show("/v1/targets/ca", func(*http.Request) any {
		return api.GatewayKeys{TrustedUserCA: "ssh-ed25519 AAAAC3Nz demarc", Fingerprint: "SHA256:gateway", Address: "192.0.2.1:7427"}
	})
	show("/v1/account", func(*http.Request) any {
		if a.account == nil {
			return nil
		}
		return *a.account
	})
	show("/v1/account/sessions", func(*http.Request) any {
		return listOf([]api.OwnSession{{ID: "se-1", Method: "passkey", Client: "Firefox on Linux", MFA: true, Present: true, CreatedAt: f.now.Add(-time.Hour), SeenAt: f.now, Expires: f.now.Add(time.Hour)}, {ID: "se-2", Method: "password", Client: "Safari on iPhone", CreatedAt: f.now.Add(-time.Hour), SeenAt: f.now.Add(-time.Hour), Expires: f.now.Add(time.Hour)}})
	})
	show("/v1/account/tokens", func(*http.Request) any {
		return listOf([]api.Token{{ID: "to-1", Name: "nightly report", Scope: []string{"look"}, CreatedAt: f.now.Add(-time.Hour), Expires: f.now.Add(240 * time.Hour)}})
	})
	f.routeActs()
}

func find[T any](all []T, r *http.Request, id func(T) string) any {
	for _, x := range all {
		if id(x) == r.PathValue("id") {
			return x
		}
	}
	return nil
}

// routeActs takes what the pages send.
func (f *fakeAPI) routeActs() {
	a := &f.access
	take := func(pattern string, code int, answer any) {
		f.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body := map[string]any{}
			_ = json.NewDecoder(r.Body).Decode(&body)
			f.mu.Lock()
			a.sent[r.URL.Path] = append(a.sent[r.URL.Path], body)
			f.mu.Unlock()
			if answer == nil {
				w.WriteHeader(code)
				return
			}
			reply(w, code, answer)
		})
	}
	g := f.grant("gr-20", "requested", nil)
	take("POST /v1/tenants/{tenant}/grants", 201, g)
	take("POST /v1/tenants/{tenant}/grants/break-glass", 201, f.grant("gr-21", "active", f.broken))
	take("POST /v1/tenants/{tenant}/grants/{id}/approve", 202, api.GrantProposal{Grant: "gr-1", Decision: "d-1"})
	take("POST /v1/tenants/{tenant}/grants/{id}/{act}", 200, g)
	take("POST /v1/grants/{id}/console", 201, api.ConsoleTicket{URL: "https://192.0.2.1:7428/open#x", Expires: f.now.Add(time.Minute)})
	take("POST /v1/tenants/{tenant}/decisions/{id}/signatures", 200, f.decision("d-1", "access-approval", "signed", "grant/gr-1", approvalContent))
	take("POST /v1/tenants/{tenant}/decisions/{id}/withdraw", 200, f.decision("d-1", "access-approval", "withdrawn", "grant/gr-1", approvalContent))
	d := f.decision("d-9", "key-change", "pending", "tenant/t-1", `{}`)
	take("POST /v1/tenants/{tenant}/keys", 202, api.KeysChanged{Decision: &d})
	take("POST /v1/tenants/{tenant}/incidents/{id}/close", 200, api.Incident{ID: "in-1"})
	take("POST /v1/tenants/{tenant}/reviews/{id}/sign-off", 200, api.Review{ID: "rv-1"})
	take("POST /v1/provider/reviews/{id}/sign-off", 200, api.Review{ID: "rv-1"})
	take("PUT /v1/tenants/{tenant}/review-plans/{kind}", 200, api.ReviewPlan{Kind: "logs"})
	take("PUT /v1/provider/review-plans/{kind}", 200, api.ReviewPlan{Kind: "logs"})
	take("POST /v1/people/invitations", 201, api.Invitation{ID: "i-2", Name: "Nina New", Role: "customer-viewer", Expires: f.now.Add(time.Hour), Link: "https://demarc.example/join#dmi_secret"})
	take("POST /v1/people/invitations/{id}/revoke", 200, api.Invitation{ID: "i-1"})
	take("POST /v1/people/{id}/remove", 200, api.Person{ID: "p-6"})
	take("POST /v1/people/{id}/role", 200, api.Person{ID: "p-6"})
	take("POST /v1/targets", 201, api.Target{ID: "tg-3"})
	take("DELETE /v1/targets/{id}", 204, nil)
	take("POST /v1/account/passkeys/begin", 200, api.PasskeyOptions{Options: json.RawMessage(`{"publicKey":{"challenge":"AAAA"}}`)})
	take("POST /v1/account/passkeys/finish", 200, struct{}{})
	take("POST /v1/account/password", 200, struct{}{})
	take("POST /v1/account/totp/begin", 200, api.TOTPSecret{Secret: "ABCDEFGHIJKLMNOP", URI: "otpauth://totp/demarc:olga?secret=ABCDEFGHIJKLMNOP&issuer=demarc", QR: []byte("\x89PNG\r\n\x1a\nrest")})
	take("POST /v1/account/totp/finish", 200, api.RecoveryCodes{Codes: []string{"aaaa-bbbb", "cccc-dddd"}})
	take("POST /v1/account/recovery-codes", 200, api.RecoveryCodes{Codes: []string{"eeee-ffff"}})
	take("POST /v1/account/authenticators/{id}/remove", 204, nil)
	take("POST /v1/account/sessions/{id}/end", 204, nil)
	take("POST /v1/account/sign-out-everywhere", 200, struct{}{})
	take("POST /v1/account/tokens", 201, api.Token{ID: "to-2", Name: "x", Token: "dmp_secret"})
	take("POST /v1/account/tokens/{id}/revoke", 200, api.Token{ID: "to-1"})
	take("POST /v1/device/look", 200, api.DeviceWaiting{Code: "BCDF-GHJK", Client: "demarc on <laptop>", CreatedAt: f.now, Expires: f.now.Add(time.Minute)})
	take("POST /v1/device/confirm", 204, nil)
	f.mux.HandleFunc("/v1/sign-in", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, api.SignInMethods{Passkeys: true, Providers: []api.SignInProvider{{ID: "ip-1", Name: "Globex & Sons"}}})
	})
	for _, open := range []string{"/v1/sign-in/", "/v1/join/"} {
		f.mux.HandleFunc("POST "+open, func(w http.ResponseWriter, r *http.Request) {
			body := map[string]any{}
			_ = json.NewDecoder(r.Body).Decode(&body)
			f.mu.Lock()
			a.sent[r.URL.Path] = append(a.sent[r.URL.Path], body)
			code, out := a.signIn(r.URL.Path, body)
			f.mu.Unlock()
			if code < 300 {
				http.SetCookie(w, &http.Cookie{Name: "demarc_journey", Value: "j", Path: "/v1/sign-in/oidc/", HttpOnly: true})
				http.SetCookie(w, &http.Cookie{Name: "foreign", Value: "f", Path: "/"})
				http.SetCookie(w, &http.Cookie{Name: "demarc_ceremony", Value: "cer", Path: "/v1/", HttpOnly: true})
				if s, ok := out.(api.SignedIn); ok && s.Next != api.NextSecondFactor {
					http.SetCookie(w, &http.Cookie{Name: "demarc_session", Value: "owner", Path: "/", HttpOnly: true})
				}
			}
			reply(w, code, out)
		})
	}
}
