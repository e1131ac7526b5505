package cli

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

func vmSubject(id, name string) api.Subject {
	return api.Subject{Scope: "vm", Tenant: "t1", ID: id, Name: name}
}

var cannedVerdicts = []api.Verdict{
	{Duty: "CLD.9.5.2/C-4.1b", Control: "CLD.9.5.2", Title: "Disable unneeded services, ports and accounts.", Level: "must",
		Subject: vmSubject(web1ID, "web-1"), Party: "customer", Verdict: "not-met",
		Reason: "tcp/25 is offered by exim4 and not declared; 伺服器 still runs a mail service that its role, web, does not call for.",
		Since:  ago(3 * time.Hour), EvaluatedAt: ago(30 * time.Second),
		Evidence: []api.Reference{{Type: "fact", Ref: "listeners", Digest: "sha256:" + strings.Repeat("ab", 32), At: ago(30 * time.Second), Source: "agent:a1"}}},
	{Duty: "CLD.6.3.1/C-1.2a", Control: "CLD.6.3.1", Title: "Keep operating systems and installed software at the latest security patches.", Level: "must",
		Subject: vmSubject(web1ID, "web-1"), Party: "provider", Verdict: "met", Reason: "no security update is pending",
		Since: ago(20 * 24 * time.Hour), EvaluatedAt: ago(time.Minute)},
	{Duty: "CLD.6.3.1/C-1.2a", Control: "CLD.6.3.1", Title: "Keep operating systems and installed software at the latest security patches.", Level: "must",
		Subject: vmSubject(db1ID, "db-1"), Party: "customer", Verdict: "unknown", Reason: "the last fact, packages, is 26 h old; it counts for 24 h",
		Since: ago(2 * time.Hour), EvaluatedAt: ago(time.Minute)},
	{Duty: "CLD.6.3.1/C-1.3b", Control: "CLD.6.3.1", Title: "Keep backups, unless the provider's backup service was bought.", Level: "must",
		Subject: vmSubject(web1ID, "web-1"), Party: "customer", Verdict: "waived", Reason: "waived by ana until 2026-06-01: \x1b[31mrebuilt from\nsource\u202e, nothing to keep",
		Since: ago(10 * time.Minute), EvaluatedAt: ago(time.Minute)},
	{Duty: "CLD.9.5.1/C-3.2b", Control: "CLD.9.5.1", Title: "File-system and database encryption.", Level: "should",
		Subject: vmSubject(web1ID, "web-1"), Party: "customer", Verdict: "not-applicable", Reason: "no database runs here",
		Since: ago(30 * 24 * time.Hour), EvaluatedAt: ago(time.Minute)},
}

var cannedDuties = []api.Duty{
	{ID: "CLD.6.3.1/C-1.2a", Control: "CLD.6.3.1", Party: "customer", Scope: "vm", Level: "must", Mode: []string{"assessed"},
		Title:    "Keep operating systems and installed software at the latest security patches.",
		Services: []string{"vulnerability-management"}, Evidence: "pending security updates", Reads: []string{"packages"}, Missing: []string{}},
	{ID: "CLD.6.3.1/P-1.4a", Control: "CLD.6.3.1", Party: "provider", Scope: "tenant", Level: "must", Mode: []string{"enforced", "assessed"},
		Title: "Answer faults and incidents that come in by ticket or helpline.", Services: []string{}, Reads: []string{}, Missing: []string{}},
	{ID: "CLD.9.5.2/C-4.1b", Control: "CLD.9.5.2", Party: "customer", Scope: "vm", Level: "must", Mode: []string{"assessed"},
		Title: "Disable unneeded services, ports and accounts.", Services: []string{}, Evidence: "services, listeners and accounts",
		Reads: []string{"listeners", "accounts"}, Missing: []string{"accounts"}, Remedy: "Stop the service, or declare it."},
}

func (f *fake) contract() {
	m := f.mux
	m.HandleFunc("GET /v1/posture", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		list := slices.DeleteFunc(slices.Clone(cannedVerdicts), func(v api.Verdict) bool {
			return q.Get("vm") != "" && q.Get("vm") != v.Subject.Name || q.Get("verdict") != "" && q.Get("verdict") != v.Verdict ||
				q.Get("party") != "" && q.Get("party") != v.Party || q.Get("control") != "" && q.Get("control") != v.Control
		})
		send(w, 200, page1(list...))
	})
	m.HandleFunc("GET /v1/overview", answer(api.Overview{
		Controls: []api.ControlState{{Control: "CLD.6.3.1", Title: "Shared roles and responsibilities"}, {Control: "CLD.9.5.2", Title: "Virtual machine hardening"}},
		Counts:   api.Counts{Met: 1, NotMet: 1, Unknown: 1, Waived: 1, NotApplicable: 1},
	}))
	m.HandleFunc("GET /v1/explain", f.explain)
	m.HandleFunc("GET /v1/duties", answer(page1(cannedDuties...)))
	m.HandleFunc("GET /v1/catalogues", answer(page1(api.Catalogue{Name: "cld", Version: "1.0.0", Title: "Built-in", Duties: 145, Digest: "sha256:01", From: ago(40 * 24 * time.Hour), InForce: true})))
	m.HandleFunc("GET /v1/catalogues/{n}/{v}", answer(api.CatalogueSource{File: "cld.yaml", Source: "name: cld\n"}))
	m.HandleFunc("POST /v1/catalogues", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.CatalogueSource](w, r)
		if !ok {
			return
		}
		if strings.Contains(in.Source, "bogus") {
			refuse(w, 422, "the catalogue has 2 faults",
				api.ProblemError{Location: in.File + ":2:1", Message: `unknown key "bogus"`},
				api.ProblemError{Location: in.File + ":4:7", Message: "duty X/C-1 is there twice"})
			return
		}
		send(w, 201, api.Catalogue{Name: "mine", Version: "1", Title: "Mine", Duties: 2, Digest: "sha256:02", From: instant, InForce: true})
	})
	m.HandleFunc("POST /v1/catalogues/import-oscal", answer(api.CatalogueSource{File: "c.yaml", Source: "name: imported\n"}))
	m.HandleFunc("GET /v1/services", answer(page1(api.Service{Name: "hardening", Title: "Baseline hardening", Standard: true, Kinds: []string{"hardening"}, Duties: []string{}},
		api.Service{Name: "vulnerability-management", Title: "Vulnerability management", Kinds: []string{"scan"}, Duties: []string{"CLD.6.3.1/C-1.2a", "CLD.9.5.2/C-4.2a"}})))
	m.HandleFunc("GET /v1/tenants/{t}/matrix", f.matrix)

	end := ago(24 * time.Hour)
	subs := []api.Subscription{
		{ID: subID + "1", Tenant: "t1", Service: "vulnerability-management", Covers: api.Coverage{VM: web1ID}, From: ago(20 * 24 * time.Hour), Active: true},
		{ID: subID + "0", Tenant: "t1", Service: "backup", Covers: api.Coverage{All: true}, From: ago(50 * 24 * time.Hour), To: &end},
	}
	m.HandleFunc("GET /v1/tenants/{t}/subscriptions", answer(page1(subs...)))
	m.HandleFunc("POST /v1/tenants/{t}/subscriptions", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.NewSubscription](w, r)
		if !ok {
			return
		}
		from := instant
		if in.From != nil {
			from = *in.From
		}
		send(w, 201, api.Subscription{ID: "s2", Tenant: "t1", Service: in.Service, Covers: api.Coverage{All: in.VM == "" && in.VDC == "", VM: in.VM, VDC: in.VDC}, From: from, To: in.To, Active: true})
	})
	m.HandleFunc("POST /v1/tenants/{t}/subscriptions/{s}/end", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.EndSubscription](w, r); ok {
			s, at := subs[0], instant
			if in.At != nil {
				at = *in.At
			}
			s.To, s.Active = &at, false
			send(w, 200, s)
		}
	})
	for _, of := range []string{"attestation", "waiver"} {
		m.HandleFunc("GET /v1/tenants/{t}/"+of+"s", answer(page1[api.Statement]()))
		m.HandleFunc("POST /v1/tenants/{t}/"+of+"s/{id}/withdraw", func(w http.ResponseWriter, r *http.Request) {
			if id := r.PathValue("id"); (id == "w1") != (of == "waiver") {
				refuse(w, 404, "there is no "+of+" "+id)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
		if of == "waiver" {
			continue // one of a tenant is proposed
		}
		m.HandleFunc("POST /v1/tenants/{t}/"+of+"s", func(w http.ResponseWriter, r *http.Request) {
			if in, ok := receive[api.NewStatement](w, r); ok {
				send(w, 201, api.Statement{ID: "x1", Type: of, Duty: in.Duty, Subject: api.Subject{Scope: "vm", ID: in.VM, Name: in.VM},
					By: "ana", Text: in.Text, Attachments: in.Attachments, CreatedAt: instant, Effective: instant, Expires: in.Expires, InForce: true})
			}
		})
	}
}

func (f *fake) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("duty") != "CLD.9.5.2/C-4.1b" || q.Get("vm") != "web-1" {
		refuse(w, 404, "there is no duty "+q.Get("duty")+" for that subject")
		return
	}
	since, due := ago(20*24*time.Hour), instant.Add(time.Hour)
	v := cannedVerdicts[0]
	v.DueAt = &due
	send(w, 200, api.Explanation{
		Verdict: v, Duty: cannedDuties[2],
		Assignment: api.Assignment{Party: "customer", Since: &since, Subscription: subID + "0", Service: "backup"},
		Applies:    "true", Met: "listeners.all(l, l in declared.listeners)", StaleAfter: "24h",
		Facts: []api.Fact{{Kind: "listeners", Digest: "sha256:" + strings.Repeat("ab", 32), ObservedAt: ago(30 * time.Second),
			ChangedAt: ago(3 * time.Hour), Source: "agent:a1", Data: []byte(`{}`)}},
		WouldChange: []string{"exim4 no longer offers tcp/25", "tcp/25 is declared with `demarc vm declare web-1 --listener tcp/25`"},
		Statements: []api.Statement{{ID: "w1", Type: "waiver", Duty: v.Duty, By: "ana", Text: "until the move",
			Effective: ago(90 * 24 * time.Hour), Expires: ago(30 * 24 * time.Hour)}},
		History: []api.PastVerdict{{Verdict: "met", Party: "customer", Reason: "all listeners are declared", From: ago(48 * time.Hour), Until: ago(3 * time.Hour)}},
	})
}

func (f *fake) matrix(w http.ResponseWriter, r *http.Request) {
	since := ago(20 * 24 * time.Hour)
	at := instant
	if text := r.URL.Query().Get("at"); text != "" {
		t, err := time.Parse(time.DateOnly, text) // the end of that day
		t = t.Add(24*time.Hour - time.Second)
		if err != nil {
			refuse(w, 422, "at is not a time")
			return
		}
		at = t
	}
	all := []api.Share{{Subject: api.Subject{Scope: "tenant", Tenant: "t1", ID: "t1", Name: "acme"}}}
	split := api.MatrixRow{Duty: cannedDuties[0].ID, Control: "CLD.6.3.1", Title: cannedDuties[0].Title, Scope: "vm", Level: "must",
		Services: cannedDuties[0].Services, Worst: "unknown", Customer: all}
	if at.After(since) {
		split.Customer = []api.Share{{Subject: vmSubject(db1ID, "db-1")}}
		split.Provider = []api.Share{{Subject: vmSubject(web1ID, "web-1"), Since: &since, Service: "vulnerability-management"}}
	}
	send(w, 200, api.Matrix{Tenant: f.tenant(), At: at, Catalogue: "cld 1.0.0", Rows: []api.MatrixRow{
		split,
		{Duty: cannedDuties[1].ID, Control: "CLD.6.3.1", Title: cannedDuties[1].Title, Scope: "tenant", Level: "must", Provider: all, Customer: []api.Share{}},
		{Duty: cannedDuties[2].ID, Control: "CLD.9.5.2", Title: cannedDuties[2].Title, Scope: "vm", Level: "must", Customer: all, Provider: []api.Share{}, Worst: "not-met"},
	}})
}

func (f *fake) audit() {
	m := f.mux
	entries := []api.LedgerEntry{
		{Index: 1, Time: ago(time.Hour), Tenant: "t1", Actor: "principal:p1", Action: "tenant.create", Subject: "tenant:t1", Digests: map[string]string{"after": "sha256:02"}},
		{Index: 0, Time: ago(2 * time.Hour), Actor: "system", Action: "ledger.start", Subject: "ledger"},
	}
	state := api.LedgerState{Entries: 2, Checkpoint: "demarc.example\n2\nAAAA\n", Keys: []string{"demarc.example+1a2b3c4d+AbCd"}, VerifiedAt: instant}
	m.HandleFunc("GET /v1/ledger", answer(state))
	m.HandleFunc("GET /v1/ledger/entries", answer(page1(entries...)))
	m.HandleFunc("GET /v1/ledger/entries/{i}", answer(entries[0]))
	m.HandleFunc("POST /v1/ledger/verify", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Host, "localhost") { // the scripts' way to ask for a fault
			broken := state
			broken.Fault = "entry 1 does not hash to its leaf"
			send(w, 200, broken)
			return
		}
		send(w, 200, state)
	})
	document := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	m.HandleFunc("GET /v1/ledger/bundle", document("good bundle"))
	m.HandleFunc("GET /v1/exports/oscal-component", document(`{"component-definition":{}}`))
	m.HandleFunc("GET /v1/tenants/{t}/exports/{what}", func(w http.ResponseWriter, r *http.Request) {
		document(r.PathValue("what")+" of "+r.PathValue("t")).ServeHTTP(w, r)
	})
	expires := instant.Add(90 * 24 * time.Hour)
	m.HandleFunc("GET /v1/principals", answer(page1(api.Principal{ID: "p1", Name: "ana", Role: "provider-administrator", Expires: &expires})))
	m.HandleFunc("POST /v1/principals", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewPrincipal](w, r); ok {
			send(w, 201, api.Principal{ID: "p3", Name: in.Name, Role: in.Role, Tenant: in.Tenant, Expires: &expires, Token: "fresh-secret"})
		}
	})
	m.HandleFunc("POST /v1/principals/{id}/revoke", func(w http.ResponseWriter, r *http.Request) {
		now := instant
		send(w, 200, api.Principal{ID: r.PathValue("id"), Name: "ana", Role: "provider-administrator", RevokedAt: &now})
	})
}
