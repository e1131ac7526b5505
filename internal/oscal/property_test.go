package oscal

import (
	"fmt"
	"reflect"
	"testing"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"
	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// drawCatalogue makes a catalogue as the catalogue's own rules allow it.
func drawCatalogue(t *rapid.T) *responsibility.Catalogue {
	c := &responsibility.Catalogue{Name: "drawn", Version: "1.0.0", Title: "Drawn"}
	for i := range rapid.IntRange(1, 4).Draw(t, "controls") {
		ctl := responsibility.Control{ID: fmt.Sprintf("K.%d", i), Title: "Control"}
		for j := range rapid.IntRange(1, 5).Draw(t, "duties") {
			d := responsibility.Duty{
				Control: ctl.ID, Title: "T" + line(rapid.String().Draw(t, "title")),
				Party:          rapid.SampledFrom([]responsibility.Party{responsibility.Customer, responsibility.Provider}).Draw(t, "party"),
				Scope:          rapid.SampledFrom(evidence.Scopes).Draw(t, "scope"),
				Level:          rapid.SampledFrom([]responsibility.Level{responsibility.Must, responsibility.Should}).Draw(t, "level"),
				Modes:          []responsibility.Mode{responsibility.Attested},
				AttestationFor: attestedFor,
			}
			d.ID = fmt.Sprintf("%s/C-%d", ctl.ID, j)
			if d.Party == responsibility.Provider {
				d.ID = fmt.Sprintf("%s/P-%d", ctl.ID, j)
			} else if d.Scope == evidence.ScopeVM {
				d.Services = [][]string{nil, {"backup"}, {"anti-malware", "backup"}}[rapid.IntRange(0, 2).Draw(t, "services")]
			}
			ctl.Duties = append(ctl.Duties, d)
		}
		c.Controls = append(c.Controls, ctl)
	}
	return c
}

// drawStandings gives each duty up to four subjects of the tenant and its assignment.
func drawStandings(t *rapid.T, c *responsibility.Catalogue) []Standing {
	var out []Standing
	for _, d := range c.Duties() {
		for i := range rapid.IntRange(0, 4).Draw(t, "subjects") {
			a := responsibility.Assignment{Party: d.Party}
			if len(d.Services) > 0 && rapid.Bool().Draw(t, "moved") {
				a = responsibility.Assignment{Party: responsibility.Provider, Service: rapid.SampledFrom(d.Services).Draw(t, "service"), Since: march}
			}
			s := evidence.Subject{Scope: d.Scope, Tenant: acme.ID, ID: fmt.Sprint(d.Scope, i)}
			out = append(out, standing(d.ID, s, "", a, rapid.SampledFrom(evidence.Verdicts).Draw(t, "verdict"), ""))
		}
	}
	return out
}

func TestEveryDutyIsExportedOnceOnOneSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalogue(t)
		doc, err := Component(head, c)
		if err != nil {
			t.Fatal(err)
		}
		sides := map[string][]string{}
		for _, r := range (*(*doc.ComponentDefinition.Components)[0].ControlImplementations)[0].ImplementedRequirements {
			for _, s := range *r.Statements {
				id := one(s.Props, propDuty)
				sides[id] = append(sides[id], all(s.Props, propExport)...)
			}
		}
		if len(sides) != len(c.Duties()) {
			t.Fatalf("%d duties exported of %d", len(sides), len(c.Duties()))
		}
		for _, d := range c.Duties() {
			want := exportResponsibility
			if d.Party == responsibility.Provider {
				want = exportProvided
			}
			if got := sides[d.ID]; len(got) != 1 || got[0] != want {
				t.Fatalf("duty %s is exported as %v, want once %s", d.ID, got, want)
			}
		}
		again, err := Import(encoded(t, doc), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, c) {
			t.Fatalf("a round trip changed the catalogue:\n%+v\n%+v", again, c)
		}
	})
}

// Every duty is one statement of a tenant's plan; what it inherits or satisfies
// is exported by the provider's plan; whether there is a part for the provider
// and one for the tenant follows from the assignments alone.
func TestTenantsPlanRefersToWhatTheProviderExports(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCatalogue(t)
		in := plan()
		in.Standings = drawStandings(t, c)
		tenant, err := SSP(head, c, in)
		if err != nil {
			t.Fatal(err)
		}
		provider, err := ProviderSSP(head, c)
		if err != nil {
			t.Fatal(err)
		}
		exports := map[string]*model.Export{} // by statement id
		for _, r := range provider.SystemSecurityPlan.ControlImplementation.ImplementedRequirements {
			for _, s := range *r.Statements {
				exports[s.StatementId] = (*s.ByComponents)[0].Export
			}
		}
		seen := map[string]bool{}
		for _, r := range tenant.SystemSecurityPlan.ControlImplementation.ImplementedRequirements {
			for _, s := range *r.Statements {
				d, ok := c.Duty(one(s.Props, propDuty))
				if !ok || seen[d.ID] {
					t.Fatalf("statement %s is of no duty, or there twice", s.StatementId)
				}
				seen[d.ID] = true
				checkStatement(t, d, in.Standings, s, exports[s.StatementId])
			}
		}
		if len(seen) != len(c.Duties()) {
			t.Fatalf("%d statements for %d duties", len(seen), len(c.Duties()))
		}
	})
}

func checkStatement(t *rapid.T, d responsibility.Duty, in []Standing, s model.Statement, e *model.Export) {
	parties := map[responsibility.Party]bool{}
	for _, st := range in {
		if st.Duty == d.ID && st.Subject.Scope != evidence.ScopeProvider {
			parties[st.Assignment.Party] = true
		}
	}
	if len(parties) == 0 {
		parties[d.Party] = true
	}
	got := map[responsibility.Party]bool{}
	for _, b := range *s.ByComponents {
		switch {
		case b.Satisfied != nil && b.Inherited == nil:
			got[responsibility.Customer] = true
			if e.Responsibilities == nil || (*b.Satisfied)[0].ResponsibilityUuid != (*e.Responsibilities)[0].UUID {
				t.Fatalf("%s satisfies what the provider does not ask", d.ID)
			}
		case b.Inherited != nil && b.Satisfied == nil:
			got[responsibility.Provider] = true
			for _, i := range *b.Inherited {
				if e.Provided == nil || i.ProvidedUuid != (*e.Provided)[0].UUID {
					t.Fatalf("%s inherits what the provider does not provide", d.ID)
				}
			}
		default:
			t.Fatalf("%s has a part that is neither inherited nor satisfied", d.ID)
		}
	}
	if !reflect.DeepEqual(got, parties) {
		t.Fatalf("%s is carried by %v in the plan, %v in fact", d.ID, got, parties)
	}
}

// The state of each finding and status follows the documented tables.
func TestVerdictsBecomeStates(t *testing.T) {
	for _, c := range []struct {
		verdicts                    []evidence.Verdict
		status                      string
		state, reason, targetStatus string // of the first verdict's finding
	}{
		{[]evidence.Verdict{evidence.Met}, "implemented", "satisfied", "pass", ""},
		{[]evidence.Verdict{evidence.NotMet}, "planned", "not-satisfied", "fail", ""},
		{[]evidence.Verdict{evidence.Unknown}, "planned", "not-satisfied", "other", ""},
		{[]evidence.Verdict{evidence.Waived}, "planned", "not-satisfied", "other", ""},
		{[]evidence.Verdict{evidence.NotApplicable}, "not-applicable", "satisfied", "other", "not-applicable"},
		{[]evidence.Verdict{evidence.Met, evidence.NotApplicable}, "implemented", "satisfied", "pass", ""},
		{[]evidence.Verdict{evidence.Met, evidence.NotMet}, "partial", "satisfied", "pass", ""},
		{[]evidence.Verdict{evidence.Met, evidence.Unknown, evidence.Met}, "partial", "satisfied", "pass", ""},
		{[]evidence.Verdict{evidence.NotApplicable, evidence.Unknown}, "planned", "satisfied", "other", "not-applicable"},
	} {
		var list []Standing
		for i, v := range c.verdicts {
			list = append(list, standing("CLD.6.3.1/C-1.2a", vm(fmt.Sprint(i)), "", mine(march), v, ""))
		}
		if got := status(list); got.State != c.status || got.Remarks == "" {
			t.Errorf("%v: status %+v, want %s with a remark", c.verdicts, got, c.status)
		}
		doc, err := Results(head, catalogue(), Assessment{Tenant: acme, From: march, At: noon, Standings: list})
		if err != nil {
			t.Fatal(err)
		}
		findings := *doc.AssessmentResults.Results[0].Findings
		target := findings[0].Target
		if len(findings) != len(list) || target.Status.State != c.state || target.Status.Reason != c.reason ||
			(target.ImplementationStatus != nil) != (c.targetStatus != "") || one(findings[0].Props, "verdict") != string(c.verdicts[0]) {
			t.Errorf("%v: %d findings, the first with %+v", c.verdicts, len(findings), target)
		}
	}
	if got := status(nil); got.State != "not-applicable" {
		t.Errorf("without subjects the status is %+v", got)
	}
}
