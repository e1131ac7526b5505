package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/responsibility"
)

// ContactPath is embedded in the input of operations about one contact.
type ContactPath struct {
	TenantPath
	Contact string `path:"contact" maxLength:"100"`
}

func (a *API) addContacts() {
	const one = "/v1/tenants/{tenant}/contacts/{contact}"
	add(a, tenant(access.ReadContacts), get("list-contacts", "/v1/tenants/{tenant}/contacts", "Contacts of a tenant; a provider's look is recorded"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.Contact], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		cs, err := a.cfg.Estate.Contacts(c, c.by, c.tenant.ID, p)
		return paged(cs, p.Limit, func(x estate.Contact) string { return x.ID }, contactOut), err
	})
	add(a, tenant(access.ManageContacts), created(post("create-contact", "/v1/tenants/{tenant}/contacts", "Add a contact")), func(c call, in *struct {
		TenantPath
		Body api.NewContact
	}) (*body[api.Contact], error) {
		x, err := a.cfg.Estate.CreateContact(c, c.by, contactIn(c.tenant.ID, "", in.Body))
		return versioned(contactOut(x), x.Version, err)
	})
	add(a, tenant(access.ReadContacts), get("get-contact", one, "One contact; a provider's look is recorded"), func(c call, in *struct{ ContactPath }) (*body[api.Contact], error) {
		x, err := a.cfg.Estate.Contact(c, c.by, c.tenant.ID, in.Contact)
		return versioned(contactOut(x), x.Version, err)
	})
	add(a, tenant(access.ManageContacts), huma.Operation{OperationID: "replace-contact", Method: http.MethodPut, Path: one, Summary: "Replace a contact; it must be verified anew"},
		func(c call, in *struct {
			ContactPath
			IfMatch
			Body api.NewContact
		}) (*body[api.Contact], error) {
			v, err := in.version()
			if err != nil {
				return nil, err
			}
			x, err := a.cfg.Estate.ReplaceContact(c, c.by, contactIn(c.tenant.ID, in.Contact, in.Body), v)
			return versioned(contactOut(x), x.Version, in.failed(err))
		})
	add(a, tenant(access.ManageContacts), huma.Operation{OperationID: "delete-contact", Method: http.MethodDelete, Path: one, Summary: "Remove a contact", DefaultStatus: http.StatusNoContent},
		func(c call, in *struct {
			ContactPath
			IfMatch
		}) (*struct{}, error) {
			v, err := in.version()
			if err != nil {
				return nil, err
			}
			return nil, in.failed(a.cfg.Estate.DeleteContact(c, c.by, c.tenant.ID, in.Contact, v))
		})
	add(a, tenant(access.ManageContacts), post("verify-contact", one+"/verify", "Note that a contact was found right today"), func(c call, in *struct{ ContactPath }) (*body[api.Contact], error) {
		x, err := a.cfg.Estate.VerifyContact(c, c.by, c.tenant.ID, in.Contact)
		return versioned(contactOut(x), x.Version, err)
	})
}

func contactIn(tenant, id string, n api.NewContact) estate.Contact {
	return estate.Contact{ID: id, Tenant: tenant, Role: estate.ContactRole(n.Role), Name: n.Name, Mail: n.Mail, Telephone: n.Telephone}
}

func (a *API) addSubscriptions() {
	const all = "/v1/tenants/{tenant}/subscriptions"
	out := func(s responsibility.Subscription) api.Subscription { return subscriptionOut(s, a.cfg.Now()) }
	add(a, tenant(access.Look), get("list-subscriptions", all, "Subscriptions of a tenant, past ones too"), func(c call, in *struct{ TenantPath }) (*list[api.Subscription], error) {
		ss, err := a.cfg.Estate.Subscriptions(c, c.tenant.ID)
		return paged(ss, 0, nil, out), err
	})
	add(a, tenant(access.Subscribe), created(post("create-subscription", all, "Buy a managed service: its duties move to the provider")), func(c call, in *struct {
		TenantPath
		Body api.NewSubscription
	}) (*body[api.Subscription], error) {
		s, err := a.cfg.Estate.Subscribe(c, c.by, c.tenant.ID, in.Body.Service, in.Body.VDC, in.Body.VM, moment(in.Body.From), in.Body.To)
		return plain(out(s), err)
	})
	add(a, tenant(access.Subscribe), post("end-subscription", all+"/{subscription}/end", "End a subscription: its duties move back"), func(c call, in *struct {
		TenantPath
		Subscription string `path:"subscription" maxLength:"100"`
		Body         api.EndSubscription
	}) (*body[api.Subscription], error) {
		s, err := a.cfg.Estate.EndSubscription(c, c.by, c.tenant.ID, in.Subscription, moment(in.Body.At))
		return plain(out(s), err)
	})
}
