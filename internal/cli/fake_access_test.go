package cli

import (
	"net/http"
	"time"

	"github.com/demarc/demarc/api"
)

const grantID = "gr-01kjt5c2m8r6zv0q4y9w3x7d5a"

// access answers about one request for access to acme, and one grant.
func (f *fake) access() {
	m := f.mux
	asked := api.Grant{
		ID: grantID, Tenant: "t1", TenantName: "acme", Holder: "p1", HolderName: "ana", Ticket: "INC-7", Purpose: "replace the disk\x1b[2J of hv-1",
		State: "requested", Scope: []api.Ability{{Do: "shell", Target: "hv-1"}, {Do: "sftp", Target: "hv-1"}}, Minutes: 120,
		RequestedAt: instant, LapsesAt: instant.Add(72 * time.Hour), Next: "waits for acme's approvers until Fri 14:00 UTC", Version: 1,
	}
	live := asked
	from, until := instant, instant.Add(2*time.Hour)
	live.ID, live.State, live.Granted, live.From, live.Until = grantID[:len(grantID)-1]+"b", "active", asked.Scope[:1], &from, &until
	live.ApprovedBy, live.Decision, live.Next = "p-otto", "d-01", "can be used until Tue 16:00 UTC"
	m.HandleFunc("GET /v1/grants", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("state") == "open" {
			send(w, 200, page1(asked))
			return
		}
		send(w, 200, page1(live, asked))
	})
	m.HandleFunc("GET /v1/tenants/{t}/grants", answer(page1(live)))
	m.HandleFunc("GET /v1/grants/{g}", answer(asked))
	m.HandleFunc("GET /v1/tenants/{t}/grants/{g}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("g") != grantID {
			refuse(w, 404, "there is no grant "+r.PathValue("g")+" of this tenant")
			return
		}
		x := asked
		x.History = []api.GrantEvent{
			{At: instant, Actor: "provider-operator/p1", What: "request", To: "requested"},
			{At: instant.Add(time.Minute), Actor: "customer-approver/p-otto", What: "ask", From: "requested", To: "in-review", Words: "why not\x1b]0;x\x07 on Sunday?"},
			{At: instant.Add(time.Minute), Actor: "customer-approver/p-otto", What: "propose", From: "in-review", To: "in-review", Decision: "d-7"},
		}
		send(w, 200, x)
	})
	m.HandleFunc("POST /v1/tenants/{t}/grants", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewGrant](w, r); ok {
			x := asked
			x.Ticket, x.Purpose, x.Scope, x.Minutes, x.Wanted = in.Ticket, in.Purpose, in.Scope, in.Minutes, in.From
			send(w, 201, x)
		}
	})
	m.HandleFunc("POST /v1/tenants/{t}/grants/break-glass", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.BreakGlass](w, r); ok {
			x := live
			x.BreakGlass, x.Notice, x.Purpose, x.Minutes, x.Next = true, "owed", in.Reason, in.Minutes, "acme must be told what was done by Wed 14:00 UTC"
			send(w, 201, x)
		}
	})
	m.HandleFunc("POST /v1/tenants/{t}/grants/{g}/approve", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := receive[api.ApproveGrant](w, r); ok {
			send(w, 202, api.GrantProposal{Grant: r.PathValue("g"), Decision: "d-01kjt"})
		}
	})
	m.HandleFunc("POST /v1/tenants/{t}/grants/{g}/extend", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.ExtendGrant](w, r); ok {
			x := asked
			x.Extends, x.Minutes = r.PathValue("g"), in.Minutes
			send(w, 201, x)
		}
	})
	m.HandleFunc("POST /v1/tenants/{t}/grants/{g}/notice", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.GrantNotice](w, r); ok {
			x := live
			x.BreakGlass, x.Notice, x.Ticket = true, "given", in.Ticket
			send(w, 200, x)
		}
	})
	for act, state := range map[api.GrantAct]string{
		api.AskGrant: "in-review", api.AnswerGrant: "requested", api.RefuseGrant: "refused", api.RevokeGrant: "revoked", api.CloseGrant: "closed",
		api.AcknowledgeGrant: "expired", api.DisputeGrant: "expired",
	} {
		m.HandleFunc("POST /v1/tenants/{t}/grants/{g}/"+string(act), func(w http.ResponseWriter, r *http.Request) {
			if _, ok := receive[api.Words](w, r); ok {
				x := live
				x.State, x.Next = state, state+" at Tue 14:00 UTC"
				send(w, 200, x)
			}
		})
	}
}
