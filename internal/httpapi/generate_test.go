package httpapi_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
)

// generator makes a valid request of an operation's description.
type generator struct {
	t  *testing.T
	r  *rig
	op operation
	by caller
	// succeeds: the call is expected to, and ends what it is about.
	succeeds bool
	// set overrides parameters by name.
	set map[string]string
}

// refs are the ids of a world by the names that parameters have.
func (w world) refs() map[string]string {
	return map[string]string{
		"tenant": w.tenant.ID, "vdc": w.vdc.ID, "vm": w.vm.ID, "contact": w.contact.ID, "subscription": w.subscription.ID,
		"statement": w.attestation.ID, "agent": w.agent, "principal": w.viewer.ID, "person": w.person, "invitation": w.invitation, "provider": w.provider,
		"decision": w.decision.ID, "grant": w.grant.ID,
		"review": w.review, "incident": w.incident, "target": w.target, "recording": w.recording,
	}
}

// marks are what only this world's objects are called.
func (w world) marks() []string {
	out := []string{w.vdc.Name, w.vm.Name, w.tenant.Name, strings.TrimSuffix(w.vdc.Name, "-vdc"), w.token.ID, w.waiver.ID, w.admin.ID}
	for _, id := range w.refs() {
		out = append(out, id)
	}
	return out
}

// uses tells whether the operation ends what it is about, so that every call
// needs an object of its own.
var uses = map[string]bool{
	"delete-contact": true, "end-subscription": true, "withdraw-attestation": true, "withdraw-waiver": true, "withdraw-provider-attestation": true,
	"withdraw-provider-waiver": true, "revoke-agent": true, "revoke-principal": true, "withdraw-decision": true, "sign-decision": true,
	"approve-grant": true, "extend-grant": true, "notify-grant": true, "ask-grant": true, "answer-grant": true, "refuse-grant": true, "revoke-grant": true,
	"close-grant": true, "acknowledge-grant": true, "dispute-grant": true,
	"remove-person": true, "revoke-invitation": true, "remove-identity-provider": true,
	"close-incident": true, "remove-provider-identity": true, "delete-target": true, "certify": true, "open-console": true,
}

// request makes a request about the world, below the tenant of that reference.
func (g generator) request(w world, tenant string) request {
	g.t.Helper()
	refs := w.refs()
	refs["plan"], refs["identity"] = "logs", "pi-none"
	if strings.HasSuffix(g.op.OperationID, "provider-review") {
		refs["review"] = providerReview(g.t, g.r)
	}
	refs["kind"], refs["service"], refs["index"], refs["name"], refs["version"] = "vm.coverage", "hardening", "0", "iso27017-cld", "1.0.0"
	refs["session"], refs["token"], refs["authenticator"] = "s-none", "k-none", "a-none"
	if g.op.scope == "tenant" {
		refs["session"] = w.recording
	}
	refs["duty"], refs["path"] = "CLD.9.5.2/C-4.4b", "checkpoint"
	if g.op.OperationID == "refresh-vm" {
		refs["vm"] = w.token.VMName // it has an agent
	}
	if g.op.OperationID == "withdraw-waiver" {
		refs["statement"] = w.waiver.ID
	}
	if g.op.OperationID == "get-ledger-entry" {
		refs["index"] = fmt.Sprint(firstEntry(g.t, g.r, w))
	}
	if uses[g.op.OperationID] && g.succeeds {
		g.fresh(w, refs)
	}
	refs["tenant"] = tenant
	for k, v := range g.set {
		refs[k] = v
	}
	path, query := g.op.Path, url.Values{}
	for _, p := range g.op.Parameters {
		v, known := refs[p.Name]
		switch {
		case p.In == "path" && !known:
			g.t.Fatalf("%s: no example for the path parameter %s", g.op.OperationID, p.Name)
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(v))
		case p.In == "query" && (p.Required || g.set[p.Name] != ""):
			query.Set(p.Name, v)
		}
	}
	if g.op.OperationID == "explain" && query.Get("vm") == "" {
		query.Set("vm", refs["vm"])
		if g.by.by.OfProvider() {
			query.Set("tenant", tenant)
		}
	}
	q := request{method: g.op.Method, path: path}
	if len(query) > 0 {
		q.path += "?" + query.Encode()
	}
	if rb := g.op.RequestBody; rb != nil {
		q.body = g.value(rb.Content["application/json"].Schema, "", w)
	}
	return q
}

// fresh puts new objects where the operation will end them.
func (g generator) fresh(w world, refs map[string]string) {
	switch g.op.OperationID {
	case "close-incident":
		refs["incident"] = w.newIncident(g.t, g.r)
	case "remove-provider-identity":
		refs["identity"] = newIdentity(g.t, g.r)
	case "delete-target":
		refs["target"] = newTarget(g.t, g.r, g.r.name("hv"))
	case "certify", "open-console":
		refs["grant"] = w.emergency(g.t, g.r, g.by.token, false).ID
	case "delete-contact":
		refs["contact"] = w.newContact(g.t, g.r, "fresh").ID
	case "end-subscription":
		refs["subscription"] = w.newSubscription(g.t, g.r).ID
	case "withdraw-attestation":
		refs["statement"] = w.newStatement(g.t, g.r, "attestation", "fresh").ID
	case "withdraw-waiver":
		refs["statement"] = w.newStatement(g.t, g.r, "waiver", "fresh").ID
	case "withdraw-provider-attestation":
		refs["statement"] = providerStatement(g.t, g.r, "attestation").ID
	case "withdraw-provider-waiver":
		refs["statement"] = providerStatement(g.t, g.r, "waiver").ID
	case "revoke-agent":
		refs["agent"], _ = w.enrol(g.t, g.r, g.r.name("fresh"))
	case "withdraw-decision", "sign-decision":
		refs["decision"] = w.propose(g.t, g.r, "fresh").ID
	case "approve-grant", "ask-grant", "refuse-grant":
		refs["grant"] = w.newGrant(g.t, g.r, g.r.support).ID
	case "close-grant", "extend-grant":
		refs["grant"] = w.newGrant(g.t, g.r, g.by.token).ID
	case "answer-grant":
		refs["grant"] = w.newGrant(g.t, g.r, g.by.token).ID
		w.act(g.t, g.r, w.owner.Token, refs["grant"], "ask")
	case "notify-grant":
		refs["grant"] = w.emergency(g.t, g.r, g.by.token, false).ID
	case "revoke-grant":
		refs["grant"] = w.emergency(g.t, g.r, g.r.support, false).ID
	case "acknowledge-grant", "dispute-grant":
		refs["grant"] = w.emergency(g.t, g.r, g.r.support, true).ID
	case "remove-person":
		refs["person"] = w.newPerson(g.t, g.r)
	case "remove-identity-provider":
		refs["provider"] = w.newProvider(g.t, g.r)
	case "revoke-invitation":
		refs["invitation"] = w.newInvitation(g.t, g.r)
	case "revoke-principal":
		refs["principal"] = w.principal(g.t, g.r, access.CustomerViewer, "fresh").ID
	}
}

// value makes a value of a schema: its first enum value or example, what the
// domain needs by the member's name, else the least that the schema allows.
func (g generator) value(s *huma.Schema, name string, w world) any {
	g.t.Helper()
	if s.Ref != "" {
		s = g.r.API().OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
	}
	if v, ok := g.known(name, w); ok {
		return v
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Type == "object":
		out := map[string]any{}
		for _, p := range s.Required {
			out[p] = g.value(s.Properties[p], p, w)
		}
		if g.op.OperationID == "create-target" {
			return target(g.t, g.r.name("hv"))
		}
		if g.op.OperationID == "change-keys" {
			out["add"], _ = g.known("add", w)
		}
		if g.op.OperationID == "create-principal" || g.op.OperationID == "invite" || g.op.OperationID == "change-role" || g.op.OperationID == "add-identity-provider" {
			out["role"], out["tenant"] = string(access.CustomerViewer), w.tenant.ID
		}
		if g.op.OperationID == "add-identity-provider" {
			delete(out, "role")
		}
		if g.op.OperationID == "change-role" {
			delete(out, "tenant")
		}
		return out
	case s.Type == "array":
		return []any{}
	case s.Type == "integer", s.Type == "number":
		return 1
	case s.Type == "boolean":
		return false
	case s.Type == "string" && s.Format == "date-time":
		return time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	}
	g.t.Fatalf("%s: no example for the member %q (%s)", g.op.OperationID, name, s.Type)
	return nil
}

// known are the members that the domain looks at.
func (g generator) known(name string, w world) (any, bool) {
	switch name {
	case "name":
		if strings.Contains(g.op.OperationID, "contact") {
			return "Maria Huber", true
		}
		if g.op.OperationID == "change-tenant" {
			return w.tenant.Name, true
		}
		return g.r.name("made"), true
	case "note":
		return "found out in a test", true
	case "value":
		return g.r.name("ops"), true
	case "vdc":
		return w.vdc.ID, true
	case "mail":
		return "maria@example.org", true
	case "service":
		return "vulnerability-management", true
	case "duty":
		switch g.op.OperationID {
		case "create-waiver":
			return waivedDuty, true
		case "create-provider-attestation", "create-provider-waiver":
			return providerDuty, true
		}
		return attestedDuty, true
	case "text":
		return "stated in a test", true
	case "document":
		return map[string]any{}, true
	case "file":
		return "own.yaml", true
	case "source":
		if g.op.OperationID == "import-oscal" {
			return g.r.do(request{path: "/v1/exports/oscal-component", token: g.r.root}).body, true
		}
		return source(g.r.name("own")), true
	case "scope":
		if g.op.OperationID != "create-principal" {
			return hostAccess, true
		}
	case "ticket":
		return "INC-3", true
	case "purpose", "words", "reason":
		return "said in a test", true
	case "key":
		return w.key.id, true
	case "signature":
		return "AAAA", true
	case "add":
		public, _ := newPublic(g.t)
		return []api.NewKey{{Algorithm: "ed25519", Public: public}}, true
	case "target":
		return hostAccess[0].Target, true
	case "public_key":
		if g.op.OperationID == "certify" {
			return sshKey(g.t), true
		}
		return enrolment(g.t)["public_key"], true
	case "issuer":
		return "https://127.0.0.1:1", true
	case "login", "password", "invitation", "code", "client", "device", "provider", "client_id":
		return "wrong for everybody", true
	case "credential":
		return map[string]any{}, true
	case "hostname", "machine_id", "software", "nonce", "agent":
		return "x", true
	}
	return nil, false
}

// firstEntry is the index of an entry that the world's principals may see.
func firstEntry(t *testing.T, r *rig, w world) int64 {
	t.Helper()
	list := must[struct{ Items []struct{ Index int64 } }](t, r, http.StatusOK, request{path: "/v1/ledger/entries?limit=1&tenant=" + w.tenant.ID, token: r.root})
	return list.Items[0].Index
}

var base64Text = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)

// everything is the body together with what it holds compressed or encoded.
func everything(t *testing.T, body string) string {
	t.Helper()
	var out strings.Builder
	out.WriteString(body)
	if strings.HasPrefix(body, "PK\x03\x04") {
		z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			rc, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(&out, rc)
			rc.Close()
		}
		return out.String()
	}
	for _, s := range base64Text.FindAllString(body, -1) {
		if b, err := base64.StdEncoding.DecodeString(s); err == nil {
			out.Write(bytes.ToValidUTF8(b, nil))
		}
	}
	return out.String()
}
