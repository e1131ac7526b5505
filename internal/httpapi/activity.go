package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/activity"
	"github.com/demarc/demarc/internal/privilege"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addActivity() {
	add(a, tenant(access.Look), get("list-activity", "/v1/tenants/{tenant}/activity", "What the provider did in the tenant, in words, newest first"), func(c call, in *struct {
		TenantPath
		Since  time.Time `query:"since" doc:"acts from then on"`
		Until  time.Time `query:"until" doc:"acts before then"`
		Cursor string    `query:"cursor" maxLength:"100"`
		Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}) (*list[api.Activity], error) {
		p, err := a.cfg.Activity.List(c, activity.Query{Tenant: c.tenant.ID, Since: in.Since, Until: in.Until, Cursor: in.Cursor, Limit: in.Limit})
		if errors.Is(err, activity.ErrCursor) {
			return nil, huma.Error422UnprocessableEntity("the cursor is not one that this list gave")
		}
		out := paged(p.Acts, 0, nil, activityOut)
		out.Body.Next = p.Next
		return out, err
	})
	add(a, tenant(access.Look), get("list-incidents", "/v1/tenants/{tenant}/incidents", "Incidents, newest first"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.Incident], error) {
		return a.incidents(c, in.PageParams)
	})
	add(a, tenant(access.CloseIncidents), post("close-incident", "/v1/tenants/{tenant}/incidents/{incident}/close", "Close an incident with what was found out"), func(c call, in *struct {
		TenantPath
		Incident string `path:"incident" doc:"id of the incident" maxLength:"100"`
		Body     api.CloseIncident
	}) (*body[api.Incident], error) {
		i, err := a.cfg.Incidents.Close(c, c.by, c.tenant.ID, in.Incident, in.Body.Note)
		if err != nil {
			return nil, err
		}
		return plain(named(a, c, i, incidentOut))
	})
	add(a, tenant(access.Look), get("get-privileges", "/v1/tenants/{tenant}/privileges", "Rights that nobody uses, and roles wider than what is used of them"),
		func(c call, in *struct{ TenantPath }) (*body[api.Privileges], error) { return a.privileges(c) })
	add(a, provider(access.Look), get("get-provider-privileges", "/v1/provider/privileges", "The same of the provider's people and tokens"),
		func(c call, _ *struct{}) (*body[api.Privileges], error) { return a.privileges(c) })
	a.addIdentities()
}

// addIdentities adds the register of the provider's identities.
func (a *API) addIdentities() {
	add(a, provider(access.Look), get("list-provider-identities", "/v1/provider/identities", "Identities of the provider's people that must not be seen in a guest"),
		func(c call, in *struct{ PageParams }) (*list[api.ProviderIdentity], error) {
			p, err := in.page()
			if err != nil {
				return nil, err
			}
			all, err := a.cfg.Incidents.Identities(c, p)
			if err != nil {
				return nil, err
			}
			return paged(all, p.Limit, func(i store.ProviderIdentity) string { return i.ID }, identityOut), nil
		})
	add(a, provider(access.ManagePeople), created(post("create-provider-identity", "/v1/provider/identities", "Register an identity of the provider's people")),
		func(c call, in *struct{ Body api.NewProviderIdentity }) (*body[api.ProviderIdentity], error) {
			i, err := a.cfg.Incidents.Register(c, c.by, in.Body.Kind, in.Body.Value, in.Body.Holder)
			return plain(identityOut(i), err)
		})
	op := post("remove-provider-identity", "/v1/provider/identities/{identity}/remove", "Take an identity off the register")
	op.DefaultStatus = 204
	add(a, provider(access.ManagePeople), op, func(c call, in *struct {
		Identity string `path:"identity" doc:"id of the identity" maxLength:"100"`
	}) (*struct{}, error) {
		return nil, a.cfg.Incidents.Remove(c, c.by, in.Identity)
	})
}

func activityOut(x activity.Act) api.Activity {
	return api.Activity{
		Index: x.Index, Time: x.Time, Tenant: x.Tenant, Actor: x.Actor, Action: x.Action, Subject: x.Subject, Words: x.Words,
		Proof: "/v1/ledger/bundle?tenant=" + url.QueryEscape(x.Tenant),
	}
}

func (a *API) incidents(c call, pp PageParams) (*list[api.Incident], error) {
	p, err := pp.page()
	if err != nil {
		return nil, err
	}
	all, err := a.cfg.Incidents.List(c, c.tenant.ID, p)
	if err != nil {
		return nil, err
	}
	var out *list[api.Incident]
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		n := newNames(tx)
		out = paged(all, p.Limit, func(i store.Incident) string { return i.ID }, func(i store.Incident) api.Incident { return incidentOut(n, i) })
		return nil
	})
	return out, err
}

func incidentOut(n *names, i store.Incident) api.Incident {
	out := api.Incident{
		ID: i.ID, Tenant: i.Tenant, Kind: i.Kind, VM: i.VM, State: "open", At: i.Happened, OpenedAt: i.Opened, Words: i.Words,
		Evidence: i.Evidence, ClosedAt: i.Closed, ClosedBy: i.ClosedBy, Note: i.Note,
	}
	if vm, err := n.tx.VMByID(i.VM); err == nil {
		out.VMName = vm.Name
	}
	if i.Closed != nil {
		out.State = "closed"
	}
	return out
}

func identityOut(i store.ProviderIdentity) api.ProviderIdentity {
	return api.ProviderIdentity{ID: i.ID, Kind: i.Kind, Value: i.Value, Holder: i.Holder, AddedAt: i.Added, AddedBy: i.AddedBy, Until: i.Until}
}

// privileges reports on the call's tenant, or the provider. Names of people are
// for their own side.
func (a *API) privileges(c call) (*body[api.Privileges], error) {
	r, err := a.cfg.Privileges.Report(c, c.tenant.ID)
	if err != nil {
		return nil, err
	}
	name := func(n string) string {
		if c.by.OfProvider() != (c.tenant.ID == "") && !c.tenant.Own {
			return ""
		}
		return n
	}
	out := api.Privileges{UnusedDays: privilege.UnusedDays, Unused: []api.UnusedPrivilege{}, Wide: []api.WideRole{}}
	for _, u := range r.Unused {
		x := api.UnusedPrivilege{Who: u.Who, Name: name(u.Name), Why: u.Why}
		if !u.Since.IsZero() {
			x.Since = &u.Since
		}
		out.Unused = append(out.Unused, x)
	}
	for _, w := range r.Wide {
		x := api.WideRole{Who: w.Who, Name: name(w.Name), Role: string(w.Role), Suffices: string(w.Suffices), Unused: []string{}}
		for _, u := range w.Unused {
			x.Unused = append(x.Unused, string(u))
		}
		out.Wide = append(out.Wide, x)
	}
	return plain(out, nil)
}

// sendActs writes acts to an event stream; nil says that some were lost.
func sendActs(w io.Writer, found []activity.Act) error {
	if found == nil {
		_, err := fmt.Fprint(w, "event: lost\ndata: {}\n\n")
		return err
	}
	for _, x := range found {
		data, err := json.Marshal(activityOut(x))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: activity\ndata: %s\n\n", data); err != nil {
			return err
		}
		if x.Action != "incident.open" && x.Action != "incident.close" {
			continue
		}
		if _, err := fmt.Fprintf(w, "event: incident\ndata: %s\n\n", data); err != nil {
			return err
		}
	}
	return nil
}
