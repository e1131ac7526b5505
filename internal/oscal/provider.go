package oscal

import (
	"fmt"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/responsibility"
)

// ProviderSSP returns the system security plan of the provider's cloud as far
// as tenants need it: the leveraged system, whose exports ("provided",
// "responsibilities") have the UUIDs that the tenants' plans refer to. It says
// what is offered and owed, and nothing of how the provider does it.
func ProviderSSP(h Head, c *responsibility.Catalogue) (*Document, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	s := h.space()
	var requirements []model.ImplementedRequirement
	for _, ctl := range c.Controls {
		var statements []model.Statement
		for _, d := range ctl.Duties {
			statements = append(statements, model.Statement{
				UUID: s.of("provider-statement", c.Name, d.ID), StatementId: token(d.ID), Remarks: markup(d.Title),
				ByComponents: &[]model.ByComponent{{
					UUID:          s.of("exported-by", c.Name, d.ID),
					ComponentUuid: s.providerComponent(),
					Description:   "What the provider gives to tenants and asks of them.",
					Export:        export(s, c.Name, d),
				}},
			})
		}
		if len(statements) > 0 {
			requirements = append(requirements, model.ImplementedRequirement{
				UUID: s.of("provider-requirement", c.Name, ctl.ID), ControlId: token(ctl.ID),
				Remarks: markup(ctl.Title), Statements: &statements,
			})
		}
	}
	if len(requirements) == 0 {
		return nil, fmt.Errorf("oscal: catalogue %s has no duties to export", c.Name)
	}
	plan := &model.SystemSecurityPlan{
		Metadata:              h.metadata(s, "System security plan of "+h.Provider.Name, c.Version, nil),
		ImportProfile:         model.ImportProfile{Href: "#" + s.catalogueSource(c.Name)},
		SystemCharacteristics: characteristics(s, Organization{ID: "provider", Name: h.Provider.Name}, "The cloud of "+h.Provider.Name+" and its managed services."),
		SystemImplementation: model.SystemImplementation{Components: []model.SystemComponent{{
			UUID: s.providerComponent(), Type: "this-system", Title: markup(h.Provider.Name + " cloud"),
			Description: "The provider's cloud.", Status: model.SystemComponentStatus{State: "operational"},
		}}, Users: &[]model.SystemUser{{
			UUID: s.of("user", "provider", "administrator"), Title: "Administrator of the provider", RoleIds: &[]string{roleProvider},
		}}},
		ControlImplementation: model.ControlImplementation{
			Description: markup("Duties of catalogue " + c.Name + " as the provider offers them."), ImplementedRequirements: requirements,
		},
		BackMatter: s.catalogueMatter(c),
	}
	d := &Document{SystemSecurityPlan: plan}
	return d, s.seal(d, &plan.UUID, &plan.Metadata)
}

// export gives a duty its one or two sides. A customer's duty that a service
// moves is a responsibility that names what is provided instead.
func export(s space, catalogue string, d responsibility.Duty) *model.Export {
	var p props
	p.add(propDuty, d.ID)
	for _, name := range d.Services {
		p.add(propService, name)
	}
	e := &model.Export{}
	if canProvide(d) {
		e.Provided = &[]model.ProvidedControlImplementation{{
			UUID: s.provided(catalogue, d.ID), Description: markup(d.Title), Props: list(p), Remarks: shiftRemark(d),
		}}
	}
	if d.Party == responsibility.Customer {
		owed := model.ControlImplementationResponsibility{
			UUID: s.owed(catalogue, d.ID), Description: markup(d.Title), Props: list(p),
		}
		if canProvide(d) {
			owed.ProvidedUuid = s.provided(catalogue, d.ID)
		}
		e.Responsibilities = &[]model.ControlImplementationResponsibility{owed}
	}
	return e
}
