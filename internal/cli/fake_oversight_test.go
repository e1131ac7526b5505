package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

const (
	reviewID   = "rv-01kjt5c2m8r6zv0q4y9w3x7d8"
	incidentID = "in-01kjt5c2m8r6zv0q4y9w3x7d9"
)

var cannedReview = api.Review{
	ID: reviewID, Tenant: "t1", Kind: "logs", State: "overdue", OpenedAt: ago(9 * 24 * time.Hour), DueAt: ago(2 * 24 * time.Hour), EveryDays: 30, Through: 41, Entries: 40,
	Items: []api.ReviewItem{
		{ID: "entries/grant.break-glass", Title: "1 entry of grant.break-glass", Unusual: "emergency access", Count: 1, From: index(7), To: index(7),
			Lines: []string{"provider-security/p-7: 1, last 2026-03-01 02:14:00"}, Digest: "sha256:" + strings.Repeat("a1", 32)},
		{ID: "logins/" + web1ID, Title: "2 logins on web-1 in the 24 hours before 2026-03-03 13:59:00, 3 failed", Count: 2,
			Lines: []string{"2026-03-03 08:00:00 ana from 198.51.100.7\x1b[2J"}, Digest: "sha256:" + strings.Repeat("b2", 32)},
	},
}

func index(i int64) *int64 { return &i }

var cannedIncident = api.Incident{
	ID: incidentID, Tenant: "t1", Kind: "guest-login", VM: web1ID, VMName: "web-1", State: "open", At: ago(time.Hour), OpenedAt: ago(59 * time.Minute),
	Words: "login as opsanna from 198.51.100.77 at 2026-03-03T13:00:00Z by an identity of the provider: account opsanna", Evidence: map[string]string{},
}

var cannedActs = []api.Activity{
	{Index: 31, Time: ago(time.Minute), Tenant: "t1", Actor: "provider-support/p-7", Action: "grant.request", Subject: "grant/gr-1",
		Words: "Provider support (p-7) asked for access for ticket 4711", Proof: "/v1/ledger/bundle?tenant=t1"},
	{Index: 12, Time: ago(time.Hour), Tenant: "t1", Actor: "provider-support/p-7", Action: "contact.read", Subject: "tenant/t1",
		Words: "Provider support (p-7) read contacts in clear", Proof: "/v1/ledger/bundle?tenant=t1"},
}

// cannedAudit is of a tenant with one session whose approval holds; verifying
// that of another grant fails.
func cannedAudit() api.SessionAudit {
	ended := ago(time.Hour)
	return api.SessionAudit{
		Tenant: "t1", At: instant, Since: ago(30 * 24 * time.Hour), Explained: 1,
		Sessions: []api.AuditedSession{{ID: "rec-1", Tenant: "t1", Grant: "gr-1", Holder: "p-7", Target: "hv-1", Kind: "shell", State: "complete",
			StartedAt: ago(2 * time.Hour), EndedAt: &ended, Ticket: "4711", ApprovedBy: "p-1", Decision: "d-1", Recording: "verified"}},
		Logins: []api.AuditedLogin{}, Approvals: []api.AuditApproval{{Grant: "gr-1", Digest: "sha256:good"}},
		Sources: []api.AuditSource{{Name: "sessions", Seen: true, Note: "1 recorded by the gateway"}, {Name: "platform events", Note: "no platform driver is connected"}},
	}
}

// approvalWord takes an approval for good if it is of the canned grant.
func approvalWord(grant, holder string, proof api.AuditApproval) error {
	if grant != "gr-1" || holder != "p-7" || proof.Digest != "sha256:good" {
		return errors.New("no key of the customer made the signature")
	}
	return nil
}

func (f *fake) oversight() {
	m := f.mux
	m.HandleFunc("GET /v1/tenants/t1/reviews", answer(page1(cannedReview)))
	m.HandleFunc("GET /v1/tenants/t1/reviews/"+reviewID, answer(cannedReview))
	m.HandleFunc("POST /v1/tenants/t1/reviews/"+reviewID+"/sign-off", func(w http.ResponseWriter, r *http.Request) {
		var in api.ReviewSignOff
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Through != 41 || len(in.LookedAt) == 0 {
			refuse(w, 422, "name what was looked at")
			return
		}
		done := cannedReview
		done.State, done.SignedAt, done.SignedBy, done.Outcome, done.Notes = "signed", &instant, "customer-owner/p1", in.Outcome, in.Notes
		send(w, 200, done)
	})
	plan := api.ReviewPlan{Kind: "logs", EveryDays: 30, Least: 1, Most: 90, DueAt: ago(2 * 24 * time.Hour)}
	m.HandleFunc("GET /v1/tenants/t1/review-plans", answer(page1(plan)))
	m.HandleFunc("PUT /v1/tenants/t1/review-plans/logs", func(w http.ResponseWriter, r *http.Request) {
		var in api.ReviewInterval
		json.NewDecoder(r.Body).Decode(&in)
		changed := plan
		changed.EveryDays = in.EveryDays
		send(w, 200, changed)
	})
	m.HandleFunc("GET /v1/tenants/t1/activity", answer(page1(cannedActs...)))
	m.HandleFunc("GET /v1/tenants/t1/incidents", answer(page1(cannedIncident)))
	m.HandleFunc("POST /v1/tenants/t1/incidents/"+incidentID+"/close", func(w http.ResponseWriter, r *http.Request) {
		var in api.CloseIncident
		json.NewDecoder(r.Body).Decode(&in)
		closed := cannedIncident
		closed.State, closed.ClosedAt, closed.ClosedBy, closed.Note = "closed", &instant, "customer-owner/p1", in.Note
		send(w, 200, closed)
	})
	m.HandleFunc("GET /v1/tenants/t1/privileges", answer(api.Privileges{
		UnusedDays: 90, Unused: []api.UnusedPrivilege{{Who: "ana on web-1", Why: "may administer the VM and did not log in for 90 days"}},
		Wide: []api.WideRole{{Who: "customer-administrator/p-3", Name: "Ben", Role: "customer-administrator", Suffices: "customer-approver", Unused: []string{"manage-estate", "subscribe"}}},
	}))
	m.HandleFunc("GET /v1/provider/identities", answer(page1(api.ProviderIdentity{ID: "pi-1", Kind: "account", Value: "opsanna", AddedAt: ago(time.Hour), AddedBy: "provider-administrator/p-0"})))
	m.HandleFunc("GET /v1/tenants/t1/session-audit", answer(cannedAudit()))
	bad := cannedAudit()
	bad.Tenant, bad.Unexplained = "", 1
	bad.Sessions[0].Grant = "gr-2"
	bad.Approvals[0].Grant = "gr-2"
	bad.Logins = []api.AuditedLogin{{Host: "hv-1", At: ago(time.Hour), Account: "root", From: "192.0.2.9", Why: "it was no session of the gateway: as root from 192.0.2.9 by password"}}
	m.HandleFunc("GET /v1/provider/session-audit", answer(bad))
}
