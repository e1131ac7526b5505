package api

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
)

func drain[T any](list iter.Seq2[T, error]) error {
	_, err := Collect(list)
	return err
}

func only[T any](_ T, err error) error { return err }

// Each method asks its route.
func TestRoutes(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.RequestURI()
		fmt.Fprint(w, `{}`)
	})
	for want, do := range map[string]func(context.Context) error{
		"GET /v1/whoami":                   func(x context.Context) error { return only(c.Whoami(x)) },
		"GET /v1/overview?tenant=t":        func(x context.Context) error { return only(c.Overview(x, "t")) },
		"GET /v1/tenants":                  func(x context.Context) error { return drain(c.Tenants(x)) },
		"POST /v1/tenants":                 func(x context.Context) error { return only(c.CreateTenant(x, NewTenant{})) },
		"GET /v1/tenants/t":                func(x context.Context) error { return only(c.Tenant(x, "t")) },
		"PATCH /v1/tenants/t":              func(x context.Context) error { return only(c.ChangeTenant(x, "t", 1, NewTenant{})) },
		"GET /v1/tenants/t/vdcs":           func(x context.Context) error { return drain(c.VDCs(x, "t")) },
		"POST /v1/tenants/t/vdcs":          func(x context.Context) error { return only(c.CreateVDC(x, "t", NewVDC{})) },
		"GET /v1/tenants/t/vms":            func(x context.Context) error { return drain(c.VMs(x, "t")) },
		"POST /v1/tenants/t/vms":           func(x context.Context) error { return only(c.CreateVM(x, "t", NewVM{})) },
		"GET /v1/tenants/t/vms/v":          func(x context.Context) error { return only(c.VM(x, "t", "v")) },
		"PATCH /v1/tenants/t/vms/v":        func(x context.Context) error { return only(c.ChangeVM(x, "t", "v", 1, ChangeVM{})) },
		"GET /v1/tenants/t/vms/v/facts":    func(x context.Context) error { return drain(c.Facts(x, "t", "v")) },
		"GET /v1/tenants/t/vms/v/facts/k":  func(x context.Context) error { return only(c.Fact(x, "t", "v", "k")) },
		"POST /v1/tenants/t/vms/v/refresh": func(x context.Context) error { return c.Refresh(x, "t", "v") },
		"GET /v1/tenants/t/contacts":       func(x context.Context) error { return drain(c.Contacts(x, "t")) },
		"POST /v1/tenants/t/contacts":      func(x context.Context) error { return only(c.CreateContact(x, "t", NewContact{})) },
		"GET /v1/tenants/t/contacts/c":     func(x context.Context) error { return only(c.Contact(x, "t", "c")) },
		"PUT /v1/tenants/t/contacts/c":     func(x context.Context) error { return only(c.ReplaceContact(x, "t", "c", 1, NewContact{})) },
		"DELETE /v1/tenants/t/contacts/c":  func(x context.Context) error { return c.DeleteContact(x, "t", "c") },
		"POST /v1/tenants/t/contacts/c/verify": func(x context.Context) error {
			return only(c.VerifyContact(x, "t", "c"))
		},
		"GET /v1/tenants/t/subscriptions":  func(x context.Context) error { return drain(c.Subscriptions(x, "t")) },
		"POST /v1/tenants/t/subscriptions": func(x context.Context) error { return only(c.CreateSubscription(x, "t", NewSubscription{})) },
		"POST /v1/tenants/t/subscriptions/s/end": func(x context.Context) error {
			return only(c.EndSubscription(x, "t", "s", EndSubscription{}))
		},
		"GET /v1/tenants/t/attestations": func(x context.Context) error { return drain(c.Statements(x, "t", Attestations)) },
		"POST /v1/tenants/t/waivers":     func(x context.Context) error { return only(c.CreateStatement(x, "t", Waivers, NewStatement{})) },
		"POST /v1/tenants/t/waivers/w/withdraw": func(x context.Context) error {
			return c.WithdrawStatement(x, "t", Waivers, "w")
		},
		"GET /v1/tenants/t/matrix?at=2026-03-03": func(x context.Context) error { return only(c.Matrix(x, "t", "2026-03-03")) },
		"PUT /v1/tenants/t/policies/hardening":   func(x context.Context) error { return only(c.SetPolicy(x, "t", "hardening", NewPolicy{})) },
		"GET /v1/tenants/t/enrolment-tokens":     func(x context.Context) error { return drain(c.EnrolmentTokens(x, "t")) },
		"POST /v1/tenants/t/enrolment-tokens": func(x context.Context) error {
			return only(c.CreateEnrolmentToken(x, "t", NewEnrolmentToken{}))
		},
		"GET /v1/tenants/t/agents":           func(x context.Context) error { return drain(c.Agents(x, "t")) },
		"POST /v1/tenants/t/agents/a/revoke": func(x context.Context) error { return only(c.RevokeAgent(x, "t", "a")) },
		"GET /v1/posture?control=c&limit=500&party=provider&verdict=met": func(x context.Context) error {
			return drain(c.Posture(x, PostureFilter{Control: "c", Party: "provider", Verdict: "met"}))
		},
		"GET /v1/explain?duty=d&tenant=t&vdc=x": func(x context.Context) error { return only(c.Explain(x, "d", "t", "x", "")) },
		"GET /v1/duties?control=c&limit=500":    func(x context.Context) error { return drain(c.Duties(x, "c")) },
		"GET /v1/catalogues":                    func(x context.Context) error { return drain(c.Catalogues(x)) },
		"GET /v1/catalogues/n/1.0":              func(x context.Context) error { return only(c.CatalogueSource(x, "n", "1.0")) },
		"POST /v1/catalogues":                   func(x context.Context) error { return only(c.LoadCatalogue(x, CatalogueSource{})) },
		"POST /v1/catalogues/validate":          func(x context.Context) error { return only(c.ValidateCatalogue(x, CatalogueSource{})) },
		"POST /v1/catalogues/import-oscal":      func(x context.Context) error { return only(c.ImportOSCAL(x, CatalogueSource{})) },
		"GET /v1/services":                      func(x context.Context) error { return drain(c.Services(x)) },
		"GET /v1/fact-kinds":                    func(x context.Context) error { return drain(c.FactKinds(x)) },
		"GET /v1/principals?tenant=t":           func(x context.Context) error { return drain(c.Principals(x, "t")) },
		"POST /v1/principals":                   func(x context.Context) error { return only(c.CreatePrincipal(x, NewPrincipal{})) },
		"POST /v1/principals/p/revoke":          func(x context.Context) error { return only(c.RevokePrincipal(x, "p")) },
		"GET /v1/ledger":                        func(x context.Context) error { return only(c.LedgerState(x)) },
		"GET /v1/ledger/entries?action=a":       func(x context.Context) error { return drain(c.LedgerEntries(x, LedgerFilter{Action: "a"})) },
		"GET /v1/ledger/entries/7":              func(x context.Context) error { return only(c.LedgerEntry(x, 7)) },
		"POST /v1/ledger/verify":                func(x context.Context) error { return only(c.VerifyLedger(x)) },
		"GET /v1/ledger/bundle?tenant=t":        func(x context.Context) error { return c.LedgerBundle(x, io.Discard, "t") },
		"GET /v1/tenants/t/reviews":             func(x context.Context) error { return drain(c.Reviews(x, "t")) },
		"GET /v1/provider/reviews/r":            func(x context.Context) error { return only(c.Review(x, "", "r")) },
		"POST /v1/tenants/t/reviews/r/sign-off": func(x context.Context) error { return only(c.SignOffReview(x, "t", "r", ReviewSignOff{})) },
		"GET /v1/tenants/t/review-plans":        func(x context.Context) error { return drain(c.ReviewPlans(x, "t")) },
		"PUT /v1/provider/review-plans/logs":    func(x context.Context) error { return only(c.SetReviewInterval(x, "", "logs", ReviewInterval{})) },
		"GET /v1/tenants/t/activity?since=s":    func(x context.Context) error { return drain(c.Activity(x, "t", "s")) },
		"GET /v1/tenants/t/incidents":           func(x context.Context) error { return drain(c.Incidents(x, "t")) },
		"POST /v1/tenants/t/incidents/i/close":  func(x context.Context) error { return only(c.CloseIncident(x, "t", "i", "note")) },
		"GET /v1/provider/identities":           func(x context.Context) error { return drain(c.ProviderIdentities(x)) },
		"POST /v1/provider/identities":          func(x context.Context) error { return only(c.CreateProviderIdentity(x, NewProviderIdentity{})) },
		"POST /v1/provider/identities/i/remove": func(x context.Context) error { return c.RemoveProviderIdentity(x, "i") },
		"GET /v1/provider/privileges":           func(x context.Context) error { return only(c.Privileges(x, "")) },
		"GET /v1/tenants/t/session-audit":       func(x context.Context) error { return only(c.SessionAudit(x, "t", "")) },
		"GET /v1/exports/oscal-component":       func(x context.Context) error { return c.ExportComponent(x, io.Discard) },
		"GET /v1/exports/oscal-provider-ssp":    func(x context.Context) error { return c.ExportProviderSSP(x, io.Discard) },
		"GET /v1/tenants/t/exports/crm.xlsx":    func(x context.Context) error { return c.Export(x, io.Discard, "t", "crm.xlsx") },
	} {
		if err := do(t.Context()); err != nil || got != want {
			t.Errorf("asked %s, want %s, error %v", got, want, err)
		}
	}
}

// A token that cannot be a header is refused without being shown.
func TestTokenThatCannotBeSent(t *testing.T) {
	c := &Client{Base: "https://127.0.0.1:1", Token: secret + "\n" + secret}
	_, err := c.Whoami(t.Context())
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}
