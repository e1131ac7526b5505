package oscal

import (
	"fmt"
	"time"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/evidence"
)

// idType is the identifier type of a system: RFC 9562 UUIDs.
const idType = "http://ietf.org/rfc/rfc4122"

func (s space) tenantComponent(tenant string) string {
	return s.subject(evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant, ID: tenant})
}

// subject is the UUID of what a verdict is about, the same in plans and results.
func (s space) subject(sub evidence.Subject) string {
	return s.of("subject", string(sub.Scope), sub.ID)
}

// characteristics holds what OSCAL requires of a plan. Impact levels are the
// owner's to set; demarc does not know them and says so.
func characteristics(s space, o Organization, what string) model.SystemCharacteristics {
	return model.SystemCharacteristics{
		SystemIds:   []model.SystemId{{IdentifierType: idType, ID: s.of("system", o.ID)}},
		SystemName:  line(o.Name),
		Description: markup(what),
		SystemInformation: model.SystemInformation{InformationTypes: []model.InformationType{{
			Title:       "Not classified here",
			Description: "The owner of the information classifies it; the contract does not.",
		}}},
		Status:                model.Status{State: "operational"},
		AuthorizationBoundary: model.AuthorizationBoundary{Description: markup(what)},
	}
}

func (w sspWriter) implementation(h Head, in Plan) model.SystemImplementation {
	leveraged := w.s.of("leveraged-authorization", w.tenant)
	var p props
	p = append(p,
		model.Property{Name: "implementation-point", Value: "external"},
		model.Property{Name: "leveraged-authorization-uuid", Value: leveraged},
		model.Property{Name: "inherited-uuid", Value: w.s.providerComponent()})
	components := []model.SystemComponent{{
		UUID: w.s.tenantComponent(w.tenant), Type: "this-system", Title: markup(in.Tenant.Name),
		Description: "The tenant's own system.", Status: model.SystemComponentStatus{State: "operational"},
	}, {
		UUID: w.s.providerComponent(), Type: "system", Title: markup(h.Provider.Name + " cloud"),
		Description: "The provider's cloud, on which the tenant's system stands.", Props: list(p),
		Status: model.SystemComponentStatus{State: "operational"},
	}}
	places, machines := w.s.inventory(w.g, w.tenant)
	return model.SystemImplementation{
		Components: append(components, places...), InventoryItems: list(machines),
		LeveragedAuthorizations: &[]model.LeveragedAuthorization{{
			UUID: leveraged, Title: markup("Cloud service of " + h.Provider.Name),
			PartyUuid: w.s.providerParty(), DateAuthorized: in.ContractFrom.UTC().Format(time.DateOnly),
		}},
		Users: &[]model.SystemUser{{
			UUID: w.s.of("user", w.tenant, "administrator"), Title: "Administrator of the tenant",
			RoleIds: &[]string{roleCustomer},
		}},
	}
}

// inventory lists the subjects of the standings: VMs as inventory items, VDCs
// and tenants as components. The document's owner is a component already.
func (s space) inventory(g standings, owner string) ([]model.SystemComponent, []model.InventoryItem) {
	var places []model.SystemComponent
	var machines []model.InventoryItem
	for _, st := range g.subjects() {
		var p props
		p.add("subject", st.Subject.String())
		p.add("name", st.name())
		switch st.Subject.Scope {
		case evidence.ScopeVM:
			machines = append(machines, model.InventoryItem{
				UUID: s.subject(st.Subject), Description: markup(fmt.Sprintf("Virtual machine %s", st.name())), Props: list(p),
			})
		case evidence.ScopeVDC:
			places = append(places, s.place(st, p, "Virtual data centre of a tenant."))
		case evidence.ScopeTenant:
			if st.Subject.ID != owner {
				places = append(places, s.place(st, p, "A tenant of the provider."))
			}
		}
	}
	return places, machines
}

func (s space) place(st Standing, p props, what string) model.SystemComponent {
	return model.SystemComponent{
		UUID: s.subject(st.Subject), Type: "system", Title: markup(st.name()), Description: what, Props: list(p),
		Status: model.SystemComponentStatus{State: "operational"},
	}
}
