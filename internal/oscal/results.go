package oscal

import (
	"fmt"
	"slices"
	"time"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// Assessment is what assessment results are made of.
type Assessment struct {
	// Tenant is whose results they are. Zero for the provider's own document,
	// which holds every standing given, with reasons.
	Tenant Organization
	// From and At bound the time assessed; the standings are those at At.
	From, At  time.Time
	Standings []Standing
}

// Results returns assessment results with one result: an observation for each
// piece of evidence, which names its kind, time and digest and never holds its
// content, and a finding for each duty and subject.
//
// OSCAL knows two states of a finding. Verdicts map so:
//
//	met             satisfied, reason pass
//	not-met         not-satisfied, reason fail
//	unknown         not-satisfied, reason other: nothing is claimed unseen
//	waived          not-satisfied, reason other: an accepted risk is still one
//	not-applicable  satisfied, reason other, implementation status not-applicable
//
// The property "verdict" in NS keeps the five apart. In a tenant's document the
// provider's own subjects are left out, also as evidence, and of the provider's
// own duties about the tenant the verdict is told but neither reason nor
// evidence.
func Results(h Head, c *responsibility.Catalogue, in Assessment) (*Document, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if in.At.IsZero() || in.From.IsZero() || in.At.Before(in.From) {
		return nil, fmt.Errorf("oscal: assessment results need the times from which and at which they hold, in this order")
	}
	if (in.Tenant.ID == "") != (line(in.Tenant.Name) == "") {
		return nil, fmt.Errorf("oscal: assessment results need both id and name of the tenant, or neither")
	}
	g, err := group(c, in.Tenant.ID, in.Standings)
	if err != nil {
		return nil, err
	}
	w := resultWriter{s: h.space(), c: c, tenant: in.Tenant.ID, seen: map[string]bool{}}
	w.write(g)
	if len(w.findings) == 0 {
		return nil, fmt.Errorf("oscal: there are no verdicts to export")
	}
	of, tenant := h.Provider, (*Organization)(nil)
	if in.Tenant.ID != "" {
		of, tenant = in.Tenant, &in.Tenant
	}
	components, machines := w.s.inventory(g, in.Tenant.ID)
	components = append(w.owners(h, tenant), components...)
	end := in.At.UTC()
	plan := w.s.of("resource", "assessment-plan")
	r := &model.AssessmentResults{
		Metadata: h.metadata(w.s, "Assessment results of "+of.Name, c.Version, tenant),
		ImportAp: model.ImportAp{Href: "#" + plan},
		Results: []model.Result{{
			UUID:  w.s.of("result", in.Tenant.ID, c.Name, end.Format(time.RFC3339Nano)),
			Title: markup("Duties of " + of.Name), Description: markup("Verdicts on the duties of catalogue " + c.Name + ", version " + c.Version + "."),
			Start: in.From.UTC(), End: &end,
			ReviewedControls: model.ReviewedControls{ControlSelections: []model.AssessedControls{{IncludeControls: &w.reviewed}}},
			LocalDefinitions: &model.LocalDefinitions{Components: list(components), InventoryItems: list(machines)},
			Observations:     list(w.observations), Findings: list(w.findings),
		}},
		BackMatter: w.s.catalogueMatter(c),
	}
	*r.BackMatter.Resources = append(*r.BackMatter.Resources, model.Resource{
		UUID: plan, Title: "Continuous assessment",
		Description: "Every duty is judged again whenever a fact that it reads changes or grows stale.",
	})
	d := &Document{AssessmentResults: r}
	return d, w.s.seal(d, &r.UUID, &r.Metadata)
}

type resultWriter struct {
	s            space
	c            *responsibility.Catalogue
	tenant       string
	seen         map[string]bool // UUIDs of the observations written
	observations []model.Observation
	findings     []model.Finding
	reviewed     []model.AssessedControlsSelectControlById
}

func (w *resultWriter) write(g standings) {
	for _, ctl := range w.c.Controls {
		var ids []string
		for _, d := range ctl.Duties {
			for _, st := range g[d.ID] {
				if w.tenant != "" && d.Party == responsibility.Provider {
					st.Reason, st.Evidence = "", nil
				}
				w.findings = append(w.findings, w.finding(d, st))
			}
			if len(g[d.ID]) > 0 {
				ids = append(ids, token(d.ID))
			}
		}
		if ids != nil {
			w.reviewed = append(w.reviewed, model.AssessedControlsSelectControlById{ControlId: token(ctl.ID), StatementIds: &ids})
		}
	}
}

func (w *resultWriter) finding(d responsibility.Duty, st Standing) model.Finding {
	var p props
	p.add(propDuty, d.ID)
	p.add("subject", st.Subject.String())
	p.add("subject-uuid", w.s.subject(st.Subject))
	p.add("verdict", string(st.Verdict))
	p.time("verdict-since", st.Since)
	p.time("evaluated", st.EvaluatedAt)
	p.add(propParty, string(st.Assignment.Party))
	p.time("party-since", st.Assignment.Since)
	p.add(propService, st.Assignment.Service)
	f := model.Finding{
		UUID:  w.s.of("finding", w.tenant, w.c.Name, d.ID, st.Subject.String()),
		Title: markup(d.ID + " for " + st.name()), Description: markup(d.Title), Props: list(p),
		Target: model.FindingTarget{
			Type: "statement-id", TargetId: token(d.ID), Status: objective(st),
		},
	}
	if w.tenant != "" {
		f.ImplementationStatementUuid = w.s.of("plan-statement", w.tenant, w.c.Name, d.ID)
	}
	if st.Verdict == evidence.NotApplicable {
		f.Target.ImplementationStatus = &model.ImplementationStatus{State: "not-applicable"}
	}
	var related []model.RelatedObservation
	for _, e := range st.Evidence {
		if w.tenant != "" && e.Subject.Scope == evidence.ScopeProvider {
			continue
		}
		id := w.observe(e)
		if !slices.ContainsFunc(related, func(r model.RelatedObservation) bool { return r.ObservationUuid == id }) {
			related = append(related, model.RelatedObservation{ObservationUuid: id})
		}
	}
	f.RelatedObservations = list(related)
	return f
}

// objective maps the verdict as the table at Results says.
func objective(st Standing) model.ObjectiveStatus {
	o := model.ObjectiveStatus{State: "not-satisfied", Reason: "other", Remarks: markup(st.Reason)}
	switch st.Verdict {
	case evidence.Met:
		o.State, o.Reason = "satisfied", "pass"
	case evidence.NotMet:
		o.Reason = "fail"
	case evidence.NotApplicable:
		o.State = "satisfied"
	case evidence.Unknown, evidence.Waived:
		o.Remarks = string(st.Verdict)
		if why := markup(st.Reason); why != "" {
			o.Remarks += ": " + why
		}
	}
	return o
}

// observe writes the observation of e unless it is there, and returns its UUID.
// Who made a statement is not told: the reference leads to it for those who may
// know.
func (w *resultWriter) observe(e evidence.Reference) string {
	id := w.s.of("observation", e.Subject.String(), e.Type, e.Ref, e.Digest)
	if w.seen[id] {
		return id
	}
	w.seen[id] = true
	var p props
	what, method := "Fact "+e.Ref, "TEST"
	if e.Type == factEvidence {
		p.add("kind", e.Ref)
	} else {
		what, method = "Statement of a person ("+e.Type+")", "EXAMINE"
		p.add(e.Type, e.Ref)
	}
	p.add("digest", e.Digest)
	w.observations = append(w.observations, model.Observation{
		UUID: id, Description: markup(what + " of " + e.Subject.String()), Methods: []string{method}, Types: &[]string{"control-objective"},
		Collected: e.At.UTC(), Subjects: &[]model.SubjectReference{{SubjectUuid: w.s.subject(e.Subject), Type: subjectType(e.Subject.Scope)}},
		RelevantEvidence: &[]model.RelevantEvidence{{
			Description: "Kept by the provider's demarc installation under this reference, which opens it to those who may see it.", Props: list(p),
		}},
	})
	return id
}

func subjectType(s evidence.Scope) string {
	if s == evidence.ScopeVM {
		return "inventory-item"
	}
	return "component"
}

// owners are the components that findings about a tenant or the provider are about.
func (w *resultWriter) owners(h Head, tenant *Organization) []model.SystemComponent {
	operational := model.SystemComponentStatus{State: "operational"}
	if tenant != nil {
		return []model.SystemComponent{{
			UUID: w.s.tenantComponent(tenant.ID), Type: "this-system", Title: markup(tenant.Name),
			Description: "The tenant's own system.", Status: operational,
		}}
	}
	return []model.SystemComponent{{
		UUID: w.s.subject(evidence.Provider), Type: "this-system", Title: markup(h.Provider.Name + " cloud"),
		Description: "The provider's cloud.", Status: operational,
	}}
}
