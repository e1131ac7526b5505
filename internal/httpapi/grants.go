package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
)

// GrantPath is embedded in the input of operations about one grant.
type GrantPath struct {
	TenantPath
	Grant string `path:"grant" maxLength:"100"`
}

// GrantQuery is embedded in the input of lists of grants.
type GrantQuery struct {
	PageParams
	State  string `query:"state" enum:"open,requested,in-review,approved,active,expired,revoked,closed,refused,lapsed" doc:"state, or 'open' for all that wait for a decision"`
	Holder string `query:"holder" maxLength:"100" doc:"id of the holder"`
}

func (a *API) addGrants() {
	add(a, tenant(access.Look), get("list-grants", "/v1/tenants/{tenant}/grants", "Grants of access to the tenant's environment, past ones too, the newest first"), func(c call, in *struct {
		TenantPath
		GrantQuery
	}) (*list[api.Grant], error) {
		return a.grants(c, c.tenant.ID, in.GrantQuery)
	})
	add(a, provider(access.Look), get("list-all-grants", "/v1/grants", "Grants of access to all tenants, past ones too, the newest first"), func(c call, in *struct{ GrantQuery }) (*list[api.Grant], error) {
		return a.grants(c, "", in.GrantQuery)
	})
	add(a, provider(access.Look), get("find-grant", "/v1/grants/{grant}", "A grant of whatever tenant, without its history"), func(c call, in *struct {
		Grant string `path:"grant" maxLength:"100"`
	}) (*body[api.Grant], error) {
		x, _, err := a.cfg.Grants.Get(c, "", in.Grant)
		return a.grantOut(c)(x, err)
	})
	add(a, tenant(access.Look), get("get-grant", "/v1/tenants/{tenant}/grants/{grant}", "A grant with its history"), func(c call, in *struct{ GrantPath }) (*body[api.Grant], error) {
		return a.grant(c, in.Grant)
	})
	add(a, tenant(access.RequestAccess), created(post("request-grant", "/v1/tenants/{tenant}/grants", "Ask for access to the tenant's environment")), func(c call, in *struct {
		TenantPath
		Body api.NewGrant
	}) (*body[api.Grant], error) {
		n := in.Body
		return a.grantOut(c)(a.cfg.Grants.Request(c, c.by, c.tenant.ID, grant.Request{
			Ticket: n.Ticket, Purpose: n.Purpose, Scope: abilities(n.Scope), Duration: minutes(n.Minutes), From: moment(n.From),
		}))
	})
	add(a, tenant(access.BreakGlass), created(post("break-glass", "/v1/tenants/{tenant}/grants/break-glass", "Take access in an emergency; the customer is told within a day")), func(c call, in *struct {
		TenantPath
		Body api.BreakGlass
	}) (*body[api.Grant], error) {
		b := in.Body
		return a.grantOut(c)(a.cfg.Grants.BreakGlass(c, c.by, c.tenant.ID, grant.Emergency{
			Reason: b.Reason, Scope: abilities(b.Scope), Duration: minutes(b.Minutes), Ticket: b.Ticket,
		}))
	})
	accepted := post("approve-grant", "/v1/tenants/{tenant}/grants/{grant}/approve", "Put an approval before the tenant; its signature gives effect to it")
	accepted.DefaultStatus = 202
	add(a, tenant(access.DecideAccess), accepted, func(c call, in *struct {
		GrantPath
		Body api.ApproveGrant
	}) (*body[api.GrantProposal], error) {
		b := in.Body
		x, decision, err := a.cfg.Grants.Approve(c, c.by, c.tenant.ID, in.Grant, grant.Terms{
			Scope: abilities(b.Scope), Duration: minutes(b.Minutes), From: moment(b.From),
		})
		return plain(api.GrantProposal{Grant: x.ID, Decision: decision}, err)
	})
	add(a, tenant(access.RequestAccess), created(post("extend-grant", "/v1/tenants/{tenant}/grants/{grant}/extend", "Ask for more time: a new request that begins where this grant ends")), func(c call, in *struct {
		GrantPath
		Body api.ExtendGrant
	}) (*body[api.Grant], error) {
		return a.grantOut(c)(a.cfg.Grants.Extend(c, c.by, c.tenant.ID, in.Grant, minutes(in.Body.Minutes), in.Body.Purpose))
	})
	add(a, tenant(access.BreakGlass), post("notify-grant", "/v1/tenants/{tenant}/grants/{grant}/notice", "Tell the customer what was done in an emergency"), func(c call, in *struct {
		GrantPath
		Body api.GrantNotice
	}) (*body[api.Grant], error) {
		return a.grantOut(c)(a.cfg.Grants.Notify(c, c.by, c.tenant.ID, in.Grant, in.Body.Words, in.Body.Ticket))
	})
	a.addGrantActs()
}

// addGrantActs adds what is done to a grant with words alone.
func (a *API) addGrantActs() {
	for _, x := range []struct {
		act    api.GrantAct
		action access.Action
		doc    string
		do     func(*grant.Grants, context.Context, access.Principal, string, string, string) (store.Grant, error)
	}{
		{api.AskGrant, access.DecideAccess, "Ask the holder for more information", (*grant.Grants).Ask},
		{api.AnswerGrant, access.RequestAccess, "Give the information that was asked for", (*grant.Grants).Answer},
		{api.RefuseGrant, access.DecideAccess, "Refuse a request", (*grant.Grants).Refuse},
		{api.RevokeGrant, access.RevokeAccess, "End access before its time, with its live sessions", (*grant.Grants).Revoke},
		{api.CloseGrant, access.RequestAccess, "End one's own access with its task, or withdraw the request", (*grant.Grants).Close},
		{api.AcknowledgeGrant, access.DecideAccess, "Accept the notice of an emergency", (*grant.Grants).Acknowledge},
		{api.DisputeGrant, access.DecideAccess, "Say that the emergency does not justify the access", (*grant.Grants).Dispute},
	} {
		op := post(string(x.act)+"-grant", "/v1/tenants/{tenant}/grants/{grant}/"+string(x.act), x.doc)
		add(a, tenant(x.action), op, func(c call, in *struct {
			GrantPath
			Body api.Words
		}) (*body[api.Grant], error) {
			return a.grantOut(c)(x.do(a.cfg.Grants, c, c.by, c.tenant.ID, in.Grant, in.Body.Words))
		})
	}
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func abilities(in []api.Ability) []access.Ability {
	var out []access.Ability
	for _, x := range in {
		out = append(out, access.Ability(x))
	}
	return out
}

func (a *API) grants(c call, tenant string, q GrantQuery) (*list[api.Grant], error) {
	p, err := q.page()
	if err != nil {
		return nil, err
	}
	f := store.GrantFilter{Tenant: tenant, Holder: q.Holder, Before: p.After, Limit: p.Limit}
	switch q.State {
	case "":
	case "open":
		f.States = []access.GrantState{access.Requested, access.InReview}
	default:
		f.States = []access.GrantState{access.GrantState(q.State)}
	}
	var out *list[api.Grant]
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		items, err := tx.Grants(f)
		n := a.grantNames(tx)
		out = paged(items, p.Limit, func(x store.Grant) string { return x.ID }, func(x store.Grant) api.Grant { return n.grant(x, a.cfg.Now()) })
		return err
	})
	return out, err
}

func (a *API) grant(c call, id string) (*body[api.Grant], error) {
	x, history, err := a.cfg.Grants.Get(c, c.tenant.ID, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("there is no grant " + clip(id) + " of this tenant")
	}
	out, err := a.grantOut(c)(x, err)
	if err != nil {
		return nil, err
	}
	for _, e := range history {
		out.Body.History = append(out.Body.History, api.GrantEvent{
			At: e.At, Actor: e.Actor, What: e.What, From: string(e.From), To: string(e.To), Words: e.Words, Decision: e.Decision,
		})
	}
	return out, nil
}

// grantOut converts what a use-case returns.
func (a *API) grantOut(c call) func(store.Grant, error) (*body[api.Grant], error) {
	return func(x store.Grant, err error) (*body[api.Grant], error) {
		if err != nil {
			return nil, err
		}
		var out api.Grant
		err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
			n := a.grantNames(tx)
			out = n.grant(x, a.cfg.Now())
			return nil
		})
		return plain(out, err)
	}
}

// grantNames finds the names that people know holders and tenants by.
type grantNames struct {
	tx              *store.Tx
	named           func(*store.Tx, string) (string, error)
	people, tenants map[string]string
}

func (a *API) grantNames(tx *store.Tx) grantNames {
	return grantNames{tx: tx, named: a.cfg.Identities.Named, people: map[string]string{}, tenants: map[string]string{}}
}

func (n grantNames) person(id string) string {
	name, ok := n.people[id]
	if !ok {
		// One whose name cannot be read is shown by the id.
		name, _ = n.named(n.tx, id)
		n.people[id] = name
	}
	return name
}

func (n grantNames) tenant(id string) string {
	name, ok := n.tenants[id]
	if !ok {
		name = id
		if t, err := n.tx.Tenant(id); err == nil {
			name = t.Name
		}
		n.tenants[id] = name
	}
	return name
}

func (n grantNames) grant(x store.Grant, now time.Time) api.Grant {
	out := api.Grant{
		ID: x.ID, Tenant: x.Tenant, TenantName: n.tenant(x.Tenant), Holder: x.Holder, HolderName: n.person(x.Holder), Ticket: x.Ticket, Purpose: x.Purpose,
		State: string(x.State), Scope: abilitiesOut(x.Scope), Minutes: int(x.Duration.Minutes()), Wanted: maybe(x.Wanted), Extends: x.Extends,
		RequestedAt: x.RequestedAt, LapsesAt: x.LapsesAt, Granted: abilitiesOut(x.Granted), From: maybe(x.From), Until: maybe(x.Until),
		ApprovedBy: x.ApprovedBy, Decision: x.Decision, EndedAt: maybe(x.EndedAt), BreakGlass: x.BreakGlass, Notice: string(x.Notice),
		NoticeDue: maybe(x.NoticeDue), NoticeAt: maybe(x.NoticeAt), Version: x.Version,
	}
	out.Next = grant.Next(x, n.tenant(x.Tenant), now)
	return out
}

func abilitiesOut(in []access.Ability) []api.Ability {
	var out []api.Ability
	for _, x := range in {
		out = append(out, api.Ability(x))
	}
	return out
}

// maybe is nil for the zero time.
func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
