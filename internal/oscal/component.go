package oscal

import (
	"fmt"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/responsibility"
)

// Names of the properties in NS that carry a duty. Import reads them back.
const (
	propCatalogue        = "catalogue"
	propCatalogueVersion = "catalogue-version"
	propControl          = "control-id"
	propDuty             = "duty-id"
	propExport           = "export"
	propParty            = "party"
	propScope            = "scope"
	propLevel            = "level"
	propMode             = "mode"
	propService          = "service"
	propEvidence         = "evidence"
	propProvided         = "provided-uuid"
	propOwed             = "responsibility-uuid"
)

// Values of the property "export": which side of the export model of OSCAL a
// duty is on while no subscription moves it.
const (
	exportProvided       = "provided"
	exportResponsibility = "responsibility"
)

// Component returns the component definition of the provider's service: one
// implemented requirement for each control and in it one statement for each
// duty of the catalogue.
//
// A component definition has no place for the export model of OSCAL, which
// belongs to system security plans. Each statement names the responsible role,
// "provider" or "customer", and carries in NS the
// property "export", "provided" for a duty of the provider and
// "responsibility" for one of the customer, with the UUID under which a plan
// refers to it ("provided-uuid", "responsibility-uuid"). A customer's duty
// that a service moves to the provider has both UUIDs and names the services.
func Component(h Head, c *responsibility.Catalogue) (*Document, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	s := h.space()
	var requirements []model.ImplementedRequirementControlImplementation
	for _, ctl := range c.Controls {
		if len(ctl.Duties) == 0 {
			continue
		}
		var statements []model.ControlStatementImplementation
		for _, d := range ctl.Duties {
			statements = append(statements, model.ControlStatementImplementation{
				UUID: s.of("component-statement", c.Name, d.ID), StatementId: token(d.ID),
				Description: markup(d.Title), Props: list(dutyProps(s, c.Name, d)), Remarks: shiftRemark(d),
				ResponsibleRoles: &[]model.ResponsibleRole{{RoleId: string(d.Party)}},
			})
		}
		var p props
		p.add(propControl, ctl.ID)
		requirements = append(requirements, model.ImplementedRequirementControlImplementation{
			UUID: s.of("component-requirement", c.Name, ctl.ID), ControlId: token(ctl.ID),
			Description: markup(ctl.Title), Props: list(p), Statements: &statements,
		})
	}
	if len(requirements) == 0 {
		return nil, fmt.Errorf("oscal: catalogue %s has no duties to export", c.Name)
	}
	var p props
	p.add(propCatalogue, c.Name)
	p.add(propCatalogueVersion, c.Version)
	def := &model.ComponentDefinition{
		Metadata: h.metadata(s, "Shared responsibilities of "+h.Provider.Name+": "+c.Title, c.Version, nil),
		Components: &[]model.DefinedComponent{{
			UUID: s.providerComponent(), Type: "service", Title: markup(h.Provider.Name + " cloud"),
			Description: "Virtual machines and managed services of the provider, with the duties of both parties.",
			Props:       list(p),
			ControlImplementations: &[]model.ControlImplementationSet{{
				UUID: s.of("control-implementation", c.Name), Source: "#" + s.catalogueSource(c.Name),
				Description: markup(c.Title), ImplementedRequirements: requirements,
			}},
		}},
		BackMatter: s.catalogueMatter(c),
	}
	d := &Document{ComponentDefinition: def}
	return d, s.seal(d, &def.UUID, &def.Metadata)
}

func dutyProps(s space, catalogue string, d responsibility.Duty) props {
	var p props
	p.add(propDuty, d.ID)
	p.add(propParty, string(d.Party))
	if d.Party == responsibility.Provider {
		p.add(propExport, exportProvided)
	} else {
		p.add(propExport, exportResponsibility)
		p.add(propOwed, s.owed(catalogue, d.ID))
	}
	if canProvide(d) {
		p.add(propProvided, s.provided(catalogue, d.ID))
	}
	p.add(propScope, string(d.Scope))
	p.add(propLevel, string(d.Level))
	for _, m := range d.Modes {
		p.add(propMode, string(m))
	}
	for _, name := range d.Services {
		p.add(propService, name)
	}
	p.add(propEvidence, d.Evidence)
	return p
}

// canProvide reports whether the provider carries the duty for some tenant.
func canProvide(d responsibility.Duty) bool {
	return d.Party == responsibility.Provider || len(d.Services) > 0
}

func shiftRemark(d responsibility.Duty) string {
	if len(d.Services) == 0 {
		return ""
	}
	return "The provider carries this duty for the virtual machines that a subscription to a service named here covers, while it runs."
}

// catalogueMatter is the back matter that the references to the catalogue
// lead to; OSCAL wants a source, and the catalogue is not itself an OSCAL file.
func (s space) catalogueMatter(c *responsibility.Catalogue) *model.BackMatter {
	return &model.BackMatter{Resources: &[]model.Resource{{
		UUID: s.catalogueSource(c.Name), Title: markup(c.Title),
		Description: markup(fmt.Sprintf("Duty catalogue %s, version %s.", c.Name, c.Version)),
	}}}
}
