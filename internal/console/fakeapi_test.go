package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/console"
	"github.com/demarc/demarc/internal/responsibility/builtin"
)

// moment is when the tests take place, unless a browser needs the real time.
var moment = time.Date(2026, 3, 20, 9, 30, 0, 0, time.UTC)

// fakeAPI answers as the API does, for one tenant with all duties of the
// built-in catalogue and a number of VMs. Its sessions are the keys of people.
type fakeAPI struct {
	now    time.Time
	people map[string]api.Principal
	tenant api.Tenant
	duties []api.Duty
	titles map[string]string
	vms    []api.VM
	facts  []api.Fact
	mux    *http.ServeMux
	access fakeAccess

	mu         sync.Mutex
	verdicts   map[string]map[string]string // guarded by mu; by duty and subject id
	reason     string                       // guarded by mu; of every verdict that is not met
	statements []api.NewStatement           // guarded by mu
	bought     []api.NewSubscription        // guarded by mu
	ended      []string                     // guarded by mu
	waiting    []api.Waiting                // guarded by mu
	refuse     *api.Problem                 // guarded by mu; answers every POST
	down       *api.Problem                 // guarded by mu; answers everything
	sites      []string                     // guarded by mu; Sec-Fetch-Site of every POST
	watchers   map[chan string]bool         // guarded by mu
}

func newFakeAPI(tb testing.TB, vms int, now time.Time) *fakeAPI {
	tb.Helper()
	cat, err := builtin.Catalogue()
	if err != nil {
		tb.Fatal(err)
	}
	f := &fakeAPI{
		now: now, titles: map[string]string{}, verdicts: map[string]map[string]string{}, watchers: map[chan string]bool{},
		tenant: api.Tenant{ID: "t-1", Name: "globex", CreatedAt: now.AddDate(0, -4, 0), Version: 1},
		people: map[string]api.Principal{
			"admin":    {ID: "p-1", Name: "Ada Administrator", Role: "provider-administrator"},
			"auditor":  {ID: "p-2", Name: "Otto Auditor", Role: "provider-auditor"},
			"customer": {ID: "p-3", Name: "Carla Customer", Role: "customer-administrator", Tenant: "t-1"},
			"viewer":   {ID: "p-4", Name: "Vic Viewer", Role: "customer-viewer", Tenant: "t-1"},
			"support":  {ID: "p-5", Name: "Sam Support", Role: "provider-support"},
			"approver": {ID: "p-6", Name: "Anna Approver", Role: "customer-approver", Tenant: "t-1"},
			"security": {ID: "p-7", Name: "Selma Security", Role: "provider-security"},
			"owner":    {ID: "p-8", Name: "Olga Owner", Role: "customer-owner", Tenant: "t-1"},
		},
	}
	for _, ctl := range cat.Controls {
		f.titles[ctl.ID] = ctl.Title
		for _, d := range ctl.Duties {
			out := api.Duty{
				ID: d.ID, Control: d.Control, Party: string(d.Party), Scope: string(d.Scope), Level: string(d.Level), Title: d.Title,
				Services: slices.Clone(d.Services), Evidence: d.Evidence, Reads: []string{"host.sshd"}, Missing: []string{},
			}
			for _, m := range d.Modes {
				out.Mode = append(out.Mode, string(m))
			}
			if d.Assessment != nil {
				out.Remedy = d.Assessment.Remedy
			}
			f.duties = append(f.duties, out)
		}
	}
	f.addVMs(vms)
	f.judge()
	f.facts = cannedFacts(tb, f.vms[0], now)
	f.route()
	f.routeAccess()
	return f
}

func (f *fakeAPI) addVMs(n int) {
	roles := []string{"web", "database", "queue", "build", "bastion"}
	for i := range n {
		seen := f.now.Add(-20 * time.Second)
		if i%17 == 3 {
			seen = f.now.Add(-3 * time.Hour)
		}
		role := roles[i%len(roles)]
		id := fmt.Sprintf("v-%d", i+1)
		f.vms = append(f.vms, api.VM{
			ID: id, Tenant: "t-1", VDC: "d-1", Name: fmt.Sprintf("%s-%02d", role, i/len(roles)+1), State: "active",
			Declared: api.Declaration{Role: role, Environment: "production", Listeners: []string{"tcp/443"}, Administrators: []string{"ada"}, AdminSources: []string{"192.0.2.0/28"}},
			Agents:   []api.Agent{{ID: "a-" + strconv.Itoa(i+1), Tenant: "t-1", VM: id, EnrolledAt: f.now.AddDate(0, -3, 0), SeenAt: &seen, Software: "demarc-agent 0.1.0"}},
		})
	}
}

// judge gives most duties a plausible verdict.
func (f *fakeAPI) judge() {
	words := []string{"met", "met", "met", "unknown", "met", "not-met", "met", "not-applicable", "met", "waived", "met"}
	for i, d := range f.duties {
		f.verdicts[d.ID] = map[string]string{}
		word := words[(i*7+i/5)%len(words)]
		if d.Scope != "vm" {
			f.verdicts[d.ID]["t-1"] = word
			continue
		}
		for j, m := range f.vms {
			w := "met"
			if word != "met" && j%9 == i%9 {
				w = word
			}
			f.verdicts[d.ID][m.ID] = w
		}
	}
	for i := range f.vms {
		f.vms[i].Verdicts = api.Counts{}
		for _, d := range f.duties {
			if w, ok := f.verdicts[d.ID][f.vms[i].ID]; ok {
				tally(&f.vms[i].Verdicts, w)
			}
		}
	}
}

func tally(c *api.Counts, word string) {
	switch word {
	case "met":
		c.Met++
	case "not-met":
		c.NotMet++
	case "waived":
		c.Waived++
	case "not-applicable":
		c.NotApplicable++
	default:
		c.Unknown++
	}
}

// provides reports whether the provider answers for a duty of a VM:
// host-protection was bought for every third VM, backup for all.
func (f *fakeAPI) provides(d api.Duty, vm int) bool {
	return d.Party == "provider" || slices.Contains(d.Services, "backup") || slices.Contains(d.Services, "host-protection") && vm%3 == 0
}

func (f *fakeAPI) verdict(d api.Duty, s api.Subject, party string) api.Verdict {
	v := api.Verdict{
		Duty: d.ID, Control: d.Control, Title: d.Title, Level: d.Level, Subject: s, Party: party, Verdict: f.verdicts[d.ID][s.ID],
		Since: f.now.AddDate(0, 0, -11), EvaluatedAt: f.now.Add(-40 * time.Second), Evidence: []api.Reference{},
	}
	if v.Verdict != "met" {
		v.Reason = orWord(f.reason, "root may log in by SSH with a password from any address; 2 accounts have no second factor")
	}
	return v
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (f *fakeAPI) matrix(at string) api.Matrix {
	m := api.Matrix{Tenant: f.tenant, At: f.now, Catalogue: "iso27017-cld 1.0.0", Rows: []api.MatrixRow{}}
	if at != "" {
		day, _ := time.Parse(time.DateOnly, at)
		m.At = day.Add(24*time.Hour - time.Microsecond)
	}
	moved := f.now.AddDate(0, 0, -17)
	whole := api.Subject{Scope: "tenant", Tenant: "t-1", ID: "t-1", Name: "globex"}
	for _, d := range f.duties {
		r := api.MatrixRow{Duty: d.ID, Control: d.Control, Title: d.Title, Scope: d.Scope, Level: d.Level, Services: d.Services, Customer: []api.Share{}, Provider: []api.Share{}}
		switch {
		case d.Party == "provider":
			r.Provider = append(r.Provider, api.Share{Subject: whole})
		case m.At.Before(moved) || len(d.Services) == 0:
			r.Customer = append(r.Customer, api.Share{Subject: whole})
		case slices.Contains(d.Services, "backup"):
			r.Provider = append(r.Provider, api.Share{Subject: whole, Since: &moved, Service: "backup"})
		case slices.Contains(d.Services, "host-protection"):
			for i, vm := range f.vms {
				s := api.Share{Subject: api.Subject{Scope: "vm", Tenant: "t-1", ID: vm.ID, Name: vm.Name}}
				if f.provides(d, i) {
					s.Since, s.Service = &moved, "host-protection"
					r.Provider = append(r.Provider, s)
				} else {
					r.Customer = append(r.Customer, s)
				}
			}
		default:
			r.Customer = append(r.Customer, api.Share{Subject: whole})
		}
		for id, w := range f.verdicts[d.ID] {
			tally(&r.Verdicts, w)
			i := slices.IndexFunc(f.vms, func(m api.VM) bool { return m.ID == id })
			if len(r.Customer) == 0 || i >= 0 && f.provides(d, i) {
				tally(&r.ProviderVerdicts, w)
			}
		}
		m.Rows = append(m.Rows, r)
	}
	return m
}

func (f *fakeAPI) posture(q func(string) string) []api.Verdict {
	out := []api.Verdict{}
	for _, d := range f.duties {
		if s := q("duty"); s != "" && s != d.ID || d.Scope != "vm" {
			continue
		}
		for i, m := range f.vms {
			party := "customer"
			if f.provides(d, i) {
				party = "provider"
			}
			if s := q("vm"); s != "" && s != m.ID && s != m.Name || q("party") != "" && q("party") != party {
				continue
			}
			out = append(out, f.verdict(d, api.Subject{Scope: "vm", Tenant: "t-1", ID: m.ID, Name: m.Name}, party))
		}
	}
	return out
}

func (f *fakeAPI) overview() api.Overview {
	o := api.Overview{Controls: []api.ControlState{}, Waiting: f.waiting}
	for _, d := range f.duties {
		i := slices.IndexFunc(o.Controls, func(s api.ControlState) bool { return s.Control == d.Control && s.Party == d.Party })
		if i < 0 {
			i = len(o.Controls)
			o.Controls = append(o.Controls, api.ControlState{Control: d.Control, Title: f.titles[d.Control], Party: d.Party})
		}
		for _, w := range f.verdicts[d.ID] {
			tally(&o.Controls[i].Counts, w)
			tally(&o.Counts, w)
		}
	}
	return o
}

func (f *fakeAPI) explanation(d api.Duty, vm string) (api.Explanation, bool) {
	s := api.Subject{Scope: d.Scope, Tenant: "t-1", ID: "t-1", Name: "globex"}
	party := d.Party
	if d.Scope == "vm" {
		i := slices.IndexFunc(f.vms, func(m api.VM) bool { return m.Name == vm || m.ID == vm })
		if i < 0 {
			return api.Explanation{}, false
		}
		s.ID, s.Name = f.vms[i].ID, f.vms[i].Name
		if f.provides(d, i) {
			party = "provider"
		}
	}
	since := f.now.AddDate(0, 0, -17)
	x := api.Explanation{
		Verdict: f.verdict(d, s, party), Duty: d, Assignment: api.Assignment{Party: party},
		Applies: "host.sshd.installed", Met: "host.sshd.permit_root_login == \"no\" &&\n!host.sshd.password_authentication", StaleAfter: "24h0m0s",
		Facts:       f.facts[:2],
		WouldChange: []string{"host.sshd.permit_root_login turning to \"no\"", "a fact older than 24 h: it would be unknown"},
		Statements: []api.Statement{{
			ID: "w-1", Type: "waiver", Duty: d.ID, Subject: s, By: "customer-administrator/p-3", Text: orWord(f.reason, "The bastion is replaced in April."),
			CreatedAt: f.now.AddDate(0, -1, 0), Effective: f.now.AddDate(0, -1, 0), Expires: f.now.AddDate(0, 0, -12),
		}, {
			ID: "w-7", Type: "waiver", Duty: d.ID, Subject: s, By: "customer-administrator/p-3", Text: "Accepted until the audit.",
			CreatedAt: f.now.AddDate(0, 0, -1), Effective: f.now.AddDate(0, 0, -1), Expires: f.now.AddDate(0, 0, 20), InForce: true,
		}},
		History: []api.PastVerdict{
			{Verdict: "unknown", Party: "customer", Reason: "host.sshd was not seen yet", From: f.now.AddDate(0, -3, 0), Until: f.now.AddDate(0, -3, 2)},
			{Verdict: "met", Party: "customer", From: f.now.AddDate(0, -3, 2), Until: f.now.AddDate(0, -1, 0)},
			{Verdict: "waived", Party: "customer", Reason: "The bastion is replaced in April.", From: f.now.AddDate(0, -1, 0), Until: f.now.AddDate(0, 0, -12)},
			{Verdict: "not-met", Party: "provider", Reason: "password logins are accepted", From: f.now.AddDate(0, 0, -12), Until: f.now.AddDate(0, 0, -11)},
		},
	}
	if party != d.Party {
		x.Assignment = api.Assignment{Party: party, Since: &since, Service: "host-protection", Subscription: "s-1"}
	}
	return x, true
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func listOf[T any](items []T) api.List[T] { return api.List[T]{Items: items} }

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(console.SessionCookie)
	who, ok := api.Principal{}, false
	if err == nil {
		who, ok = f.people[cookie.Value]
	}
	f.mu.Lock()
	down := f.down
	refuse := f.refuse
	if r.Method == http.MethodPost {
		f.sites = append(f.sites, r.Header.Get("Sec-Fetch-Site"))
	}
	f.mu.Unlock()
	switch {
	case down != nil:
		reply(w, down.Status, down)
	case r.URL.Path == "/v1/sign-in" || strings.HasPrefix(r.URL.Path, "/v1/sign-in/") || strings.HasPrefix(r.URL.Path, "/v1/join/"):
		f.mux.ServeHTTP(w, r)
	case !ok || r.Header.Get("Authorization") != "":
		reply(w, 401, api.Problem{Title: "Unauthorized", Status: 401, Detail: "not signed in"})
	case r.Method == http.MethodPost && refuse != nil:
		reply(w, refuse.Status, refuse)
	case who.Tenant != "" && strings.HasPrefix(r.URL.Path, "/v1/tenants/") && r.PathValue("") == "" && !strings.HasPrefix(r.URL.Path+"/", "/v1/tenants/globex/") && !strings.HasPrefix(r.URL.Path+"/", "/v1/tenants/t-1/"):
		reply(w, 404, api.Problem{Title: "Not Found", Status: 404, Detail: "there is no tenant of this name that you may see"})
	case who.Tenant != "" && (r.URL.Path == "/v1/ledger" || r.URL.Path == "/v1/principals" || r.URL.Path == "/v1/targets" || r.URL.Path == "/v1/grants" || strings.HasPrefix(r.URL.Path, "/v1/provider/")):
		reply(w, 403, api.Problem{Title: "Forbidden", Status: 403, Detail: "it is the provider's matter"})
	case r.URL.Path == "/v1/whoami":
		reply(w, 200, who)
	default:
		f.mux.ServeHTTP(w, r)
	}
}
