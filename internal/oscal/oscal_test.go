package oscal

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/defenseunicorns/go-oscal/src/pkg/validation"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

var update = flag.Bool("update", false, "write the golden files anew")

// secret marks text of the provider that no tenant may see.
const secret = "PROVIDER-INTERNAL"

var (
	noon  = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	march = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	head  = Head{LastModified: noon, Provider: Organization{ID: "p-1", Name: "Northern Cloud"}}
	acme  = Organization{ID: "t-acme", Name: "Acme"}
)

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func catalogue() *responsibility.Catalogue {
	return &responsibility.Catalogue{
		Name: "small", Version: "1.0.0", Title: "Small contract",
		Controls: []responsibility.Control{{ID: "CLD.6.3.1", Title: "Shared roles", Duties: []responsibility.Duty{
			{ID: "CLD.6.3.1/C-1.2a", Control: "CLD.6.3.1", Title: "Keep systems at the latest security patches.", Party: responsibility.Customer, Scope: evidence.ScopeVM,
				Level: responsibility.Must, Modes: []responsibility.Mode{responsibility.Assessed}, Evidence: "pending updates", Services: []string{"vulnerability-management", "patching"},
				Assessment: &responsibility.Assessment{Met: "host.packages.pending == 0", StaleAfter: time.Hour, Message: "'x'", Remedy: "Install the updates."}},
			{ID: "CLD.6.3.1/C-1.3b", Control: "CLD.6.3.1", Title: `Keep backups {or} [say] <why> C:\not.`, Party: responsibility.Customer, Scope: evidence.ScopeTenant,
				Level: responsibility.Should, Modes: []responsibility.Mode{responsibility.Attested}, AttestationFor: time.Hour},
			{ID: "CLD.6.3.1/P-1.1b", Control: "CLD.6.3.1", Title: "Patch hypervisors regularly.", Party: responsibility.Provider, Scope: evidence.ScopeProvider,
				Level: responsibility.Must, Modes: []responsibility.Mode{responsibility.Attested}, AttestationFor: time.Hour},
		}}, {ID: "12.4", Title: "Logs", Duties: []responsibility.Duty{
			{ID: "12.4/P-1", Control: "12.4", Title: "Hand over VMs as ordered.", Party: responsibility.Provider, Scope: evidence.ScopeVM,
				Level: responsibility.Must, Modes: []responsibility.Mode{responsibility.Attested}, AttestationFor: time.Hour},
		}}},
	}
}

func vm(id string) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeVM, Tenant: acme.ID, ID: id}
}

func mine(since time.Time) responsibility.Assignment {
	return responsibility.Assignment{Party: responsibility.Customer, Since: since}
}

func standing(duty string, s evidence.Subject, name string, a responsibility.Assignment, v evidence.Verdict, reason string, refs ...evidence.Reference) Standing {
	return Standing{Name: name, Assignment: a, Judgement: evidence.Judgement{
		Duty: duty, Subject: s, Verdict: v, Reason: reason, Since: march, EvaluatedAt: noon, Evidence: refs,
	}}
}

func fact(s evidence.Subject, kind, c string) evidence.Reference {
	return evidence.Reference{Type: "fact", Ref: kind, Subject: s, Digest: digest(c), At: noon, Source: secret + " agent"}
}

func standingsOfAcme() []Standing {
	provider := responsibility.Assignment{Party: responsibility.Provider}
	tenant := evidence.Subject{Scope: evidence.ScopeTenant, Tenant: acme.ID, ID: acme.ID}
	vdc := evidence.Subject{Scope: evidence.ScopeVDC, Tenant: acme.ID, ID: "d1"}
	patching := responsibility.Assignment{Party: responsibility.Provider, Since: march, Service: "patching", Subscription: "s1"}
	return []Standing{
		standing("CLD.6.3.1/C-1.2a", vm("v2"), "db-1", patching, evidence.Met, "", fact(vm("v2"), "host.packages", "b")),
		standing("CLD.6.3.1/C-1.2a", vm("v1"), "web-1", mine(time.Time{}), evidence.NotMet, "3 security updates are pending for ![x](http://evil.example/) <script>",
			fact(vm("v1"), "host.packages", "a"), fact(vdc, "vdc.policy", "f"), fact(evidence.Provider, "platform.secret-kind", "e")),
		standing("CLD.6.3.1/C-1.3b", tenant, "Acme", mine(time.Time{}), evidence.Waived, "accepted until June",
			evidence.Reference{Type: "waiver", Ref: "w-17", Subject: tenant, At: march, Source: secret + " alice"}),
		standing("12.4/P-1", vm("v1"), "web-1", provider, evidence.Unknown, secret+" esx-07.internal has no record", fact(vm("v1"), "platform.secret-kind", "d")),
		standing("CLD.6.3.1/P-1.1b", evidence.Provider, secret, provider, evidence.NotMet, secret, fact(evidence.Provider, "platform.secret-kind", "e")),
	}
}

func plan() Plan {
	return Plan{Tenant: acme, At: noon, ContractFrom: march, Standings: standingsOfAcme()}
}

func assessment(o Organization) Assessment {
	return Assessment{Tenant: o, From: march, At: noon, Standings: standingsOfAcme()}
}

func encoded(t interface{ Fatal(...any) }, d *Document) []byte {
	var b bytes.Buffer
	if err := Encode(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// documents makes one of each document.
func documents(t *testing.T, h Head, c *responsibility.Catalogue) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string) func(*Document, error) {
		return func(d *Document, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out[name] = encoded(t, d)
		}
	}
	add("component")(Component(h, c))
	add("provider-ssp")(ProviderSSP(h, c))
	add("tenant-ssp")(SSP(h, c, plan()))
	add("tenant-results")(Results(h, c, assessment(acme)))
	add("provider-results")(Results(h, c, assessment(Organization{})))
	return out
}

func validate(t *testing.T, name string, doc []byte) {
	t.Helper()
	v, err := validation.NewValidator(doc)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := v.Validate(); err != nil {
		result, _ := v.GetValidationResult()
		t.Errorf("%s breaks the schema of OSCAL %s: %v %+v", name, Version, err, result.Errors)
	}
}

func TestDocumentsAreAsRecordedAndKeepTheSchema(t *testing.T) {
	for name, got := range documents(t, head, catalogue()) {
		validate(t, name, got)
		path := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s; look, then run with -update", name, path)
		}
	}
}

// The check above would be worth nothing if the validator let anything pass.
func TestValidatorRefusesABrokenDocument(t *testing.T) {
	doc := documents(t, head, catalogue())["tenant-ssp"]
	broken := bytes.Replace(doc, []byte(`"state": "operational"`), []byte(`"state": "humming"`), 1)
	v, err := validation.NewValidator(broken)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(doc, broken) || v.Validate() == nil {
		t.Error("a document with a state that OSCAL does not know is accepted")
	}
}

func TestEqualStateGivesEqualBytesButForTheTime(t *testing.T) {
	later := head
	later.LastModified = noon.Add(time.Hour)
	first, second := documents(t, head, catalogue()), documents(t, later, catalogue())
	for name := range first {
		moved := bytes.Replace(second[name], []byte(`"last-modified": "2026-03-03T13:00:00Z"`), []byte(`"last-modified": "2026-03-03T12:00:00Z"`), 1)
		if bytes.Equal(first[name], second[name]) || !bytes.Equal(first[name], moved) {
			t.Errorf("%s differs by more, or less, than last-modified", name)
		}
	}
	c := catalogue()
	c.Controls[0].Duties[0].Title += " Now."
	for name, other := range documents(t, head, c) {
		if documentUUID(other) == documentUUID(first[name]) {
			t.Errorf("%s has new content under its old document UUID", name)
		}
	}
}

func TestProvidersInternalsStayOutOfTenantsDocuments(t *testing.T) {
	docs := documents(t, head, catalogue())
	for _, name := range []string{"component", "provider-ssp", "tenant-ssp", "tenant-results"} {
		for _, leak := range []string{secret, "esx-07", "platform.secret-kind", digest("d"), digest("e")} {
			if bytes.Contains(docs[name], []byte(leak)) {
				t.Errorf("%s shows %q", name, leak)
			}
		}
	}
	if !bytes.Contains(docs["provider-results"], []byte("esx-07")) {
		t.Error("the provider's own results lack the provider's reasons")
	}
	for name, doc := range docs {
		if bytes.Contains(doc, []byte("alice")) {
			t.Errorf("%s tells who made a statement", name)
		}
	}
}

func TestRefusedInput(t *testing.T) {
	for name, change := range map[string]func(*Standing){
		"belongs to another tenant": func(s *Standing) { s.Subject.Tenant = "t-other" },
		"no such duty":              func(s *Standing) { s.Duty = "CLD.6.3.1/C-9" },
		"scope is vm":               func(s *Standing) { s.Subject.Scope = evidence.ScopeVDC },
		"neither customer":          func(s *Standing) { s.Assignment.Party = "nobody" },
		"does not move it":          func(s *Standing) { s.Assignment.Service = "backup" },
		"none of [met":              func(s *Standing) { s.Verdict = "fine" },
		"there twice":               func(s *Standing) { s.Subject = vm("v1") },
		"no digest":                 func(s *Standing) { s.Evidence[0].Digest = "user alice" },
		"needs a fact's kind":       func(s *Standing) { s.Evidence[0].Ref = "Alice Miller" },
		"about another tenant":      func(s *Standing) { s.Evidence[0].Subject.Tenant = "t-other" },
		"has no time":               func(s *Standing) { s.Evidence[0].At = time.Time{} },
		"has the type":              func(s *Standing) { s.Evidence[0].Type = "" },
	} {
		in := plan()
		change(&in.Standings[0])
		if _, err := SSP(head, catalogue(), in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v", name, err)
		}
	}
	if _, err := SSP(Head{LastModified: noon}, catalogue(), plan()); err == nil {
		t.Error("a document without a provider was made")
	}
	if _, err := Results(head, catalogue(), Assessment{From: noon, At: march}); err == nil {
		t.Error("results that end before they begin were made")
	}
	if _, err := Component(head, &responsibility.Catalogue{Name: "empty"}); err == nil {
		t.Error("a definition without duties was made")
	}
}

// documentUUID returns the first UUID, by the indentation of the document's own.
func documentUUID(doc []byte) string {
	for l := range bytes.Lines(doc) {
		if bytes.HasPrefix(l, []byte(`    "uuid":`)) {
			return string(l)
		}
	}
	return ""
}
