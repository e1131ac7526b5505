package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/httpapi"
)

// TestWhoamiTellsWhatYouMay holds what the API tells each caller of its rights
// against the table written by hand.
func TestWhoamiTellsWhatYouMay(t *testing.T) {
	r := shared
	own, foreign, home := newWorld(t, r, "mine"), newWorld(t, r, "theirs"), r.world(t, "mayhome", true)
	for _, c := range callers(t, r, own) {
		if c.by.Role == "" {
			continue
		}
		side := place{tenant: c.by.Tenant}
		for ref, at := range map[string]place{
			"": side, own.tenant.ID: {tenant: own.tenant.ID}, foreign.tenant.Name: {tenant: foreign.tenant.ID}, home.tenant.ID: {tenant: home.tenant.ID, own: true},
		} {
			a := r.call(request{path: "/v1/whoami?tenant=" + ref}, c)
			if ref != "" && !may(c.by, access.Look, at, true) {
				if a.status != http.StatusNotFound {
					t.Errorf("%s in %s: %d %s", c.name, ref, a.status, a.body)
				}
				continue
			}
			got := decode[api.Principal](t, a)
			for _, action := range access.Actions {
				if want := may(c.by, action, at, true); want != slices.Contains(got.May, string(action)) {
					t.Errorf("%s in %q: %s is told as %t", c.name, ref, action, !want)
				}
			}
		}
	}
}

// TestPagesAreDecidedAboutByTheAPI opens pages of the console as every role:
// what the API refuses no page shows, and no form does.
func TestPagesAreDecidedAboutByTheAPI(t *testing.T) {
	r := shared
	own, foreign := newWorld(t, r, "pagesmine"), newWorld(t, r, "pagestheirs")
	for _, c := range callers(t, r, own) {
		if c.token == "" || c.by.Role == "" {
			continue
		}
		session, err := r.Identities().SignIn(t.Context(), c.token)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		visit := func(method, path, form string) response {
			q := request{method: method, path: path, header: map[string]string{
				"Cookie": httpapi.SessionCookie + "=" + session, "Sec-Fetch-Site": "same-origin", "Accept": "text/html",
			}}
			if form != "" {
				q.body, q.header["Content-Type"] = form, "application/x-www-form-urlencoded"
			}
			return r.do(q)
		}
		stands := may(c.by, access.Look, place{tenant: c.by.Tenant}, true)
		for _, page := range []string{"", "/vms", "/vms/%s", "/subscriptions", "/ledger", "/duties/" + waivedDuty} {
			for _, w := range []world{own, foreign} {
				path := "/tenants/" + w.tenant.ID + strings.ReplaceAll(page, "%s", w.vm.ID)
				a := visit("GET", path, "")
				if seen := may(c.by, access.Look, place{tenant: w.tenant.ID}, true); seen != (a.status == http.StatusOK) || !stands && !sentAway(a) {
					t.Errorf("%s opens %s: %d", c.name, path, a.status)
				} else if !seen {
					noMark(t, operation{Operation: &huma.Operation{OperationID: path}}, c, a, []string{w.tenant.Name, w.vm.Name, w.vdc.Name})
				}
			}
		}
		a := visit("POST", "/tenants/"+own.tenant.ID+"/subscriptions", "service=backup&covers=vm:"+own.vm.ID)
		if done := a.status == http.StatusSeeOther && !sentAway(a) || a.status == http.StatusConflict; done != may(c.by, access.Subscribe, place{tenant: own.tenant.ID}, true) {
			t.Errorf("%s subscribes by a form: %d", c.name, a.status)
		}
	}
}

// sentAway tells whether the console shows nothing: it refuses, or leads whoever
// lacks a second factor to where one is set up.
func sentAway(a response) bool {
	return a.status == http.StatusForbidden || a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), "/account")
}
