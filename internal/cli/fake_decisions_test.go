package cli

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/decision"
)

// decisions are those of the fake: they are checked as the server checks them.
type decisions struct {
	set decision.KeySet
	all []decision.Signed
}

func (f *fake) proposing(kind decision.Kind, subject string, version int64, content any) api.Decision {
	raw, err := decision.Encode(content)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decisions.all = append(f.decisions.all, decision.Signed{Decision: decision.Decision{
		ID: fmt.Sprintf("d-%04d", len(f.decisions.all)+1), Kind: kind, Tenant: "t1", Subject: subject, Version: version,
		IssuedAt: instant, ExpiresAt: instant.Add(14 * 24 * time.Hour), Content: raw,
	}})
	return f.shown(len(f.decisions.all) - 1)
}

// shown is a decision as the API shows it; f.mu is held.
func (f *fake) shown(i int) api.Decision {
	s := f.decisions.all[i]
	text, err := s.Decision.Canonical()
	if err != nil {
		panic(err)
	}
	d := s.Decision
	out := api.Decision{
		ID: d.ID, Kind: string(d.Kind), Tenant: d.Tenant, Subject: d.Subject, SubjectName: "web-1", Version: d.Version, State: "pending",
		IssuedAt: d.IssuedAt, ExpiresAt: d.ExpiresAt, ProposedBy: "customer-owner/p1", Content: d.Content, Canonical: text,
		Digest: api.Digest(text), Needs: 1, Acts: true, Signatures: []api.DecisionSignature{},
	}
	for _, g := range s.Signatures {
		out.State = "signed"
		out.Signatures = append(out.Signatures, api.DecisionSignature{Key: g.Key, Algorithm: g.Algorithm, By: "customer-owner/p1", At: instant})
	}
	return out
}

func (f *fake) decide() {
	m := f.mux
	find := func(w http.ResponseWriter, r *http.Request) int {
		for i, d := range f.decisions.all {
			if d.Decision.ID == r.PathValue("d") {
				return i
			}
		}
		refuse(w, 404, "there is no such decision")
		return -1
	}
	m.HandleFunc("PUT /v1/tenants/{t}/policies/{s}", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewPolicy](w, r); ok {
			doc := in.Document
			if in.VM == "lying" {
				doc = json.RawMessage(`{"level":0}`)
			}
			send(w, 202, f.proposing(decision.AgentPolicy, "vm/"+web1ID, 1, decision.PolicyContent{Service: r.PathValue("s"), Document: doc, Until: in.Until}))
		}
	})
	m.HandleFunc("POST /v1/tenants/{t}/waivers", func(w http.ResponseWriter, r *http.Request) {
		if in, ok := receive[api.NewStatement](w, r); ok {
			send(w, 202, f.proposing(decision.WaiverKind, "vm/"+web1ID, 0, decision.WaiverContent{
				Duty: in.Duty, Scope: "vm", SubjectID: web1ID, Reason: in.Text, Effective: instant, Expires: in.Expires,
			}))
		}
	})
	m.HandleFunc("GET /v1/tenants/{t}/decisions", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		out := []api.Decision{}
		for i := range f.decisions.all {
			if d := f.shown(i); r.URL.Query().Get("state") == "" || d.State == r.URL.Query().Get("state") {
				out = append(out, d)
			}
		}
		send(w, 200, page1(out...))
	})
	m.HandleFunc("GET /v1/tenants/{t}/decisions/{d}", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.PathValue("d") == "d-lying" { // the bytes of another decision
			d := f.shown(0)
			d.ID = "d-lying"
			send(w, 200, d)
			return
		}
		if i := find(w, r); i >= 0 {
			send(w, 200, f.shown(i))
		}
	})
	m.HandleFunc("POST /v1/tenants/{t}/decisions/{d}/signatures", func(w http.ResponseWriter, r *http.Request) {
		in, ok := receive[api.NewSignature](w, r)
		if !ok {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		i := find(w, r)
		if i < 0 {
			return
		}
		s := f.decisions.all[i]
		s.Signatures = append(s.Signatures, decision.Signature(in))
		if s.Decision.Kind == decision.KeyChange {
			next, err := f.decisions.set.Next(s, instant)
			if err != nil {
				refuse(w, 422, err.Error())
				return
			}
			f.decisions.set = next
		} else if _, err := f.decisions.set.Verify(s, instant); err != nil {
			refuse(w, 422, err.Error())
			return
		}
		f.decisions.all[i] = s
		send(w, 200, f.shown(i))
	})
	m.HandleFunc("GET /v1/tenants/{t}/keys", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		send(w, 200, f.keySet())
	})
	m.HandleFunc("POST /v1/tenants/{t}/keys", f.changeKeys)
}

// keySet is the key set as the API shows it; f.mu is held.
func (f *fake) keySet() api.KeySet {
	s := f.decisions.set
	if s.Version == 0 {
		return api.KeySet{Tenant: "t1"}
	}
	text, err := s.Canonical()
	if err != nil {
		panic(err)
	}
	return api.KeySet{Tenant: "t1", Version: s.Version, Digest: api.Digest(text), Canonical: text}
}

func (f *fake) changeKeys(w http.ResponseWriter, r *http.Request) {
	in, ok := receive[api.ChangeKeys](w, r)
	if !ok {
		return
	}
	f.mu.Lock()
	next := f.decisions.set
	next.Tenant, next.Version = "t1", next.Version+1
	var keys []decision.Key
	for _, k := range next.Keys {
		gone := false
		for _, id := range in.Remove {
			gone = gone || k.ID == id
		}
		if !gone {
			keys = append(keys, k)
		}
	}
	add := func(k api.NewKey, holder string) decision.Key {
		if p, err := x509.ParsePKIXPublicKey(k.Public); err != nil || len(p.(ed25519.PublicKey)) != ed25519.PublicKeySize {
			panic("the command line sent no Ed25519 key")
		}
		return decision.Key{ID: decision.KeyID(k.Public), Name: k.Name, Holder: holder, Algorithm: k.Algorithm, Public: k.Public}
	}
	for _, k := range in.Add {
		keys = append(keys, add(k, "p1"))
	}
	next.Keys = keys
	if in.Recovery != nil {
		next.Recovery, next.Threshold = nil, in.Threshold
		for _, k := range *in.Recovery {
			next.Recovery = append(next.Recovery, add(k, ""))
		}
	}
	if err := next.Check(); err != nil {
		f.mu.Unlock()
		refuse(w, 422, err.Error())
		return
	}
	if f.decisions.set.Version == 0 {
		f.decisions.set = next
		set := f.keySet()
		f.mu.Unlock()
		send(w, 201, api.KeysChanged{KeySet: &set})
		return
	}
	digest, err := f.decisions.set.Digest()
	if err != nil {
		panic(err)
	}
	f.mu.Unlock()
	d := f.proposing(decision.KeyChange, "tenant/t1", next.Version, decision.KeyChangeContent{Previous: digest, KeySet: next})
	send(w, 202, api.KeysChanged{Decision: &d})
}
