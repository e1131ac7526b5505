package oscal

import (
	"fmt"
	"time"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// Plan is what a tenant's system security plan is made of.
type Plan struct {
	Tenant Organization
	// At is the moment that the plan describes.
	At time.Time
	// ContractFrom is when the tenant's contract with the provider began.
	ContractFrom time.Time
	// Standings are the tenant's, at At. Those of the provider's own subjects
	// are left out; one of another tenant is an error.
	Standings []Standing
}

// SSP returns the system security plan of one tenant at one moment. Every duty
// of the catalogue is one statement. What the provider carries is a
// by-component of the leveraged system with "inherited" (provided-uuid); what
// the tenant carries is a by-component of the tenant's own system with
// "satisfied" (responsibility-uuid) and an implementation status summed up from
// the verdicts. A duty that a service covers for some VMs only has both, and
// the inherited part names these VMs. Nothing is said of how the provider's
// own infrastructure stands.
func SSP(h Head, c *responsibility.Catalogue, in Plan) (*Document, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if in.Tenant.ID == "" || line(in.Tenant.Name) == "" || in.At.IsZero() || in.ContractFrom.IsZero() {
		return nil, fmt.Errorf("oscal: a plan needs the tenant's id and name, its moment and the begin of the contract")
	}
	g, err := group(c, in.Tenant.ID, in.Standings)
	if err != nil {
		return nil, err
	}
	w := sspWriter{s: h.space(), c: c, tenant: in.Tenant.ID, g: g}
	requirements := w.requirements()
	if len(requirements) == 0 {
		return nil, fmt.Errorf("oscal: catalogue %s has no duties to export", c.Name)
	}
	plan := &model.SystemSecurityPlan{
		Metadata:              h.metadata(w.s, "System security plan of "+in.Tenant.Name, c.Version, &in.Tenant),
		ImportProfile:         model.ImportProfile{Href: "#" + w.s.catalogueSource(c.Name)},
		SystemCharacteristics: characteristics(w.s, in.Tenant, "The tenant's virtual machines in the cloud of "+h.Provider.Name+"."),
		SystemImplementation:  w.implementation(h, in),
		ControlImplementation: model.ControlImplementation{
			Description:             markup("Duties of catalogue " + c.Name + " as they stood at " + in.At.UTC().Format(time.RFC3339) + "."),
			ImplementedRequirements: requirements,
		},
		BackMatter: w.s.catalogueMatter(c),
	}
	d := &Document{SystemSecurityPlan: plan}
	return d, w.s.seal(d, &plan.UUID, &plan.Metadata)
}

type sspWriter struct {
	s      space
	c      *responsibility.Catalogue
	tenant string
	g      standings
}

func (w sspWriter) requirements() []model.ImplementedRequirement {
	var all []model.ImplementedRequirement
	for _, ctl := range w.c.Controls {
		var statements []model.Statement
		for _, d := range ctl.Duties {
			var p props
			p.add(propDuty, d.ID)
			statements = append(statements, model.Statement{
				UUID: w.s.of("plan-statement", w.tenant, w.c.Name, d.ID), StatementId: token(d.ID),
				Props: list(p), Remarks: markup(d.Title), ByComponents: w.byComponents(d),
			})
		}
		if len(statements) > 0 {
			all = append(all, model.ImplementedRequirement{
				UUID:      w.s.of("plan-requirement", w.tenant, w.c.Name, ctl.ID),
				ControlId: token(ctl.ID), Remarks: markup(ctl.Title), Statements: &statements,
			})
		}
	}
	return all
}

func (w sspWriter) byComponents(d responsibility.Duty) *[]model.ByComponent {
	ours, theirs := by(responsibility.Customer, w.g[d.ID]), by(responsibility.Provider, w.g[d.ID])
	var out []model.ByComponent
	if len(ours) > 0 || len(theirs) == 0 && d.Party == responsibility.Customer {
		out = append(out, model.ByComponent{
			UUID:                 w.s.of("satisfied-by", w.tenant, w.c.Name, d.ID),
			ComponentUuid:        w.s.tenantComponent(w.tenant),
			Description:          "The tenant carries this duty.",
			ImplementationStatus: status(ours),
			Satisfied: &[]model.SatisfiedControlImplementationResponsibility{{
				UUID:               w.s.of("satisfied", w.tenant, w.c.Name, d.ID),
				ResponsibilityUuid: w.s.owed(w.c.Name, d.ID), Description: markup(d.Title),
				Props: list(sinceProps(ours)),
			}},
		})
	}
	if len(theirs) > 0 || len(ours) == 0 && d.Party == responsibility.Provider {
		b := model.ByComponent{
			UUID:          w.s.of("inherited-by", w.tenant, w.c.Name, d.ID),
			ComponentUuid: w.s.providerComponent(),
			Description:   "The provider carries this duty.",
			Inherited:     w.inherited(d, theirs, len(ours) > 0),
		}
		if d.Scope != evidence.ScopeProvider {
			b.ImplementationStatus = status(theirs)
		}
		out = append(out, b)
	}
	return &out
}

// inherited has one item for each service that moved the duty, or one item for
// a duty that is the provider's by the contract. Where the tenant carries the
// rest, named says to list the subjects.
func (w sspWriter) inherited(d responsibility.Duty, theirs []Standing, named bool) *[]model.InheritedControlImplementation {
	services := d.Services
	if d.Party == responsibility.Provider {
		services = []string{""}
	}
	var out []model.InheritedControlImplementation
	for _, service := range services {
		var p props
		p.add(propService, service)
		var covered []Standing
		for _, s := range theirs {
			if s.Assignment.Service == service || d.Party == responsibility.Provider {
				covered = append(covered, s)
			}
		}
		if len(covered) == 0 && d.Party != responsibility.Provider {
			continue
		}
		p = append(p, sinceProps(covered)...)
		if named {
			for _, s := range covered {
				p.add("subject-uuid", w.s.subject(s.Subject))
			}
		}
		out = append(out, model.InheritedControlImplementation{
			UUID:         w.s.of("inherited", w.tenant, w.c.Name, d.ID, service),
			ProvidedUuid: w.s.provided(w.c.Name, d.ID), Description: markup(d.Title), Props: list(p),
		})
	}
	return &out
}

// sinceProps says since when the party has carried the duty. Subjects may
// differ; the earliest and the latest are then both told.
func sinceProps(in []Standing) props {
	var first, last time.Time
	for i, s := range in {
		if since := s.Assignment.Since; i == 0 || since.Before(first) {
			first = since
		}
		if s.Assignment.Since.After(last) {
			last = s.Assignment.Since
		}
	}
	var p props
	p.time("since", first)
	if !last.Equal(first) {
		p.time("since-latest", last)
	}
	return p
}
