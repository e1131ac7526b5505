package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/api"
)

// fake is a server with canned answers for one tenant, acme, with VMs web-1 and
// db-1. It keeps only what scripts change.
type fake struct {
	mux *http.ServeMux

	mu        sync.Mutex
	version   int64           // of tenant acme
	vm        api.Declaration // of web-1
	deleted   map[string]bool // contacts
	decisions decisions
}

// Ids are as long as real ones, so that tables are as wide.
const (
	web1ID  = "v-01kjt5c2m8r6zv0q4y9w3x7d1e"
	db1ID   = "v-01kjt5c2m8r6zv0q4y9w3x7d2f"
	subID   = "s-01kjt5c2m8r6zv0q4y9w3x7d3"
	agentID = "a-01kjt5c2m8r6zv0q4y9w3x7d4"
)

func ago(d time.Duration) time.Time { return instant.Add(-d) }

func newFake() *fake {
	f := &fake{mux: http.NewServeMux(), version: 3, deleted: map[string]bool{}}
	f.mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) { send(w, 200, f.who(r)) })
	f.estate()
	f.contract()
	f.audit()
	f.oversight()
	f.access()
	f.sessions()
	f.decide()
	return f
}

// ServeHTTP asks for a token, then answers. Token "viewer-token" may not write.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch f.who(r).Role {
	case "":
		refuse(w, 401, "the token is not valid")
	case "customer-viewer":
		if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, "/v1/ledger") {
			refuse(w, 403, "role customer-viewer may not do this")
			return
		}
		f.mux.ServeHTTP(w, r)
	default:
		f.mux.ServeHTTP(w, r)
	}
}

func (f *fake) who(r *http.Request) api.Principal {
	switch r.Header.Get("Authorization") {
	case "Bearer good-token":
		return api.Principal{ID: "p1", Name: "ana", Role: "provider-administrator", CreatedAt: ago(time.Hour)}
	case "Bearer viewer-token":
		return api.Principal{ID: "p2", Name: "vik", Role: "customer-viewer", Tenant: "t1", CreatedAt: ago(time.Hour)}
	}
	return api.Principal{}
}

func send(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		panic(err)
	}
}

func refuse(w http.ResponseWriter, status int, detail string, faults ...api.ProblemError) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: faults})
}

func receive[T any](w http.ResponseWriter, r *http.Request) (T, bool) {
	var v T
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		refuse(w, 400, err.Error())
		return v, false
	}
	return v, true
}

func answer(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { send(w, 200, value) }
}

func page1[T any](items ...T) api.List[T] { return api.List[T]{Items: items} }

func (f *fake) tenant() api.Tenant {
	return api.Tenant{ID: "t1", Name: "acme", CreatedAt: ago(40 * 24 * time.Hour), Version: f.version}
}

func (f *fake) web1() api.VM {
	seen := ago(20 * time.Second)
	return api.VM{
		ID: web1ID, Tenant: "t1", VDC: "d1", Name: "web-1", State: "active", Declared: f.vm,
		Agents:   []api.Agent{{ID: "a1", VM: web1ID, SeenAt: &seen}},
		Verdicts: api.Counts{Met: 3, NotMet: 1, Unknown: 1}, CreatedAt: ago(30 * 24 * time.Hour), Version: 5,
	}
}

func (f *fake) estate() {
	m := f.mux
	m.HandleFunc("GET /v1/tenants", func(w http.ResponseWriter, r *http.Request) { send(w, 200, page1(f.tenant())) })
	m.HandleFunc("POST /v1/tenants", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.NewTenant](w, r)
		switch {
		case !ok:
		case in.Name == "acme":
			refuse(w, 409, "there is a tenant acme already")
		case strings.ToLower(in.Name) != in.Name:
			refuse(w, 422, "the name cannot be used", api.ProblemError{Location: "body.name", Message: "only lower-case letters"})
		default:
			send(w, 201, api.Tenant{ID: "t2", Name: in.Name, CreatedAt: instant, Version: 1})
		}
	})
	m.HandleFunc("GET /v1/tenants/{t}", func(w http.ResponseWriter, r *http.Request) {
		if t := r.PathValue("t"); t != "acme" && t != "t1" {
			refuse(w, 404, "there is no tenant "+t)
			return
		}
		send(w, 200, f.tenant())
	})
	m.HandleFunc("PATCH /v1/tenants/{t}", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.NewTenant](w, r)
		if !ok {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.Header.Get("If-Match") != fmt.Sprintf("%q", fmt.Sprint(f.version)) || in.Name == "raced" {
			refuse(w, 412, "the tenant was changed since you read it")
			return
		}
		f.version++
		t := f.tenant()
		t.Name = in.Name
		send(w, 200, t)
	})
	m.HandleFunc("GET /v1/tenants/{t}/vdcs", answer(page1(api.VDC{ID: "d1", Tenant: "t1", Name: "main", CreatedAt: ago(time.Hour), Version: 1})))
	m.HandleFunc("POST /v1/tenants/{t}/vdcs", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewVDC](w, r); ok {
			send(w, 201, api.VDC{ID: "d2", Tenant: "t1", Name: in.Name, CreatedAt: instant, Version: 1})
		}
	})
	m.HandleFunc("GET /v1/tenants/{t}/vms", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" { // a list of two pages
			send(w, 200, api.List[api.VM]{Items: []api.VM{f.web1()}, Next: "c1"})
			return
		}
		send(w, 200, page1(api.VM{ID: db1ID, Tenant: "t1", VDC: "d1", Name: "db-1", State: "active", Version: 1}))
	})
	m.HandleFunc("POST /v1/tenants/{t}/vms", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewVM](w, r); ok {
			send(w, 201, api.VM{ID: "v3", Tenant: "t1", VDC: in.VDC, Name: in.Name, State: "active", Declared: in.Declared, CreatedAt: instant, Version: 1})
		}
	})
	m.HandleFunc("GET /v1/tenants/{t}/vms/{vm}", func(w http.ResponseWriter, r *http.Request) {
		if vm := r.PathValue("vm"); vm != "web-1" && vm != web1ID {
			refuse(w, 404, "tenant acme has no VM "+vm)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		send(w, 200, f.web1())
	})
	m.HandleFunc("PATCH /v1/tenants/{t}/vms/{vm}", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.ChangeVM](w, r)
		if !ok {
			return
		}
		if r.Header.Get("If-Match") != `"5"` {
			refuse(w, 412, "no version given")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.vm = in.Declared
		send(w, 200, f.web1())
	})
	fact := api.Fact{
		Subject: api.Subject{Scope: "vm", Tenant: "t1", ID: web1ID, Name: "web-1"}, Kind: "listeners",
		Data:   json.RawMessage(`{"listeners":[{"port":25,"process":"exim4","text":"a\u001bb"}]}`),
		Digest: "sha256:" + strings.Repeat("ab", 32), ObservedAt: ago(30 * time.Second), ChangedAt: ago(3 * time.Hour), Source: "agent:a1",
	}
	m.HandleFunc("GET /v1/tenants/{t}/vms/{vm}/facts", answer(page1(fact)))
	m.HandleFunc("GET /v1/tenants/{t}/vms/{vm}/facts/{kind}", answer(fact))
	state := fact
	state.Kind, state.Data = "agent.state", json.RawMessage(`{"software":"demarc-agent/1","customer_keys":{"pinned":"sha256:aa","digest":"sha256:bb","version":2},
		"policies":[{"service":"hardening","subject":"vm/v","version":3,"decision":"d-1","digest":"sha256:cc"}],
		"refused_policies":[{"service":"hardening","decision":"d-2","class":"key","reason":"nobody\u001b signed"}],"services":[{"name":"telemetry","running":true}]}`)
	m.HandleFunc("GET /v1/tenants/{t}/vms/{vm}/facts/agent.state", answer(state))
	m.HandleFunc("POST /v1/tenants/{t}/vms/{vm}/refresh", answerStatus(202))
	f.people()
}

func answerStatus(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func (f *fake) people() {
	m := f.mux
	contact := api.Contact{ID: "c1", Tenant: "t1", Role: "security", Name: "Ana Lima", Mail: "ana@acme.example", CreatedAt: ago(time.Hour), Version: 2}
	m.HandleFunc("GET /v1/tenants/{t}/contacts", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.deleted["c1"] {
			send(w, 200, page1[api.Contact]())
			return
		}
		send(w, 200, page1(contact))
	})
	m.HandleFunc("POST /v1/tenants/{t}/contacts", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewContact](w, r); ok {
			send(w, 201, api.Contact{ID: "c2", Tenant: "t1", Role: in.Role, Name: in.Name, Mail: in.Mail, CreatedAt: instant, Version: 1})
		}
	})
	m.HandleFunc("GET /v1/tenants/{t}/contacts/{c}", answer(contact))
	m.HandleFunc("PUT /v1/tenants/{t}/contacts/{c}", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewContact](w, r); ok {
			send(w, 200, api.Contact{ID: "c1", Tenant: "t1", Role: in.Role, Name: in.Name, Mail: in.Mail, Version: 3})
		}
	})
	m.HandleFunc("DELETE /v1/tenants/{t}/contacts/{c}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.deleted[r.PathValue("c")] = true
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("POST /v1/tenants/{t}/contacts/{c}/verify", func(w http.ResponseWriter, r *http.Request) {
		v, now := contact, instant
		v.Verified = &now
		send(w, 200, v)
	})
	fresh, old, revoked := ago(20*time.Second), ago(26*time.Hour), ago(time.Hour)
	agents := []api.Agent{
		{ID: agentID + "1", Tenant: "t1", VM: web1ID, EnrolledAt: ago(30 * 24 * time.Hour), SeenAt: &fresh, SkewMillis: 12, Software: "demarc-agent 1.2.3"},
		{ID: agentID + "2", Tenant: "t1", VM: db1ID, EnrolledAt: ago(30 * 24 * time.Hour), SeenAt: &old, Software: "demarc-agent 1.2.2"},
		{ID: agentID + "3", Tenant: "t1", VM: db1ID, EnrolledAt: ago(60 * 24 * time.Hour), RevokedAt: &revoked, Software: "demarc-agent 1.1.0"},
	}
	m.HandleFunc("GET /v1/tenants/{t}/agents", answer(page1(agents...)))
	m.HandleFunc("POST /v1/tenants/{t}/agents/{a}/revoke", func(w http.ResponseWriter, r *http.Request) {
		a, now := agents[0], instant
		a.RevokedAt = &now
		send(w, 200, a)
	})
	m.HandleFunc("POST /v1/tenants/{t}/enrolment-tokens", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewEnrolmentToken](w, r); ok {
			send(w, 201, api.EnrolmentToken{ID: "e1", Tenant: "t1", VDC: in.VDC, VMName: in.VMName,
				Expires: instant.Add(time.Hour), Token: "enrol-secret", Server: "https://demarc.example:8443"})
		}
	})
}
