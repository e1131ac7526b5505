package httpapi

import (
	"errors"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) whoami(c call, in *struct {
	Tenant string `query:"tenant" doc:"id or name of a tenant: what you may do there; on your own side if missing" maxLength:"100"`
}) (*body[api.Principal], error) {
	p, err := a.cfg.Identities.Get(c, c.by.ID)
	if err != nil {
		return nil, err
	}
	if p.Principal, err = a.named(c, c.by); err != nil {
		return nil, err
	}
	there, err := a.resource(c, c.by.Tenant)
	if err == nil && in.Tenant != "" {
		err = a.enter(&c, access.Look, in.Tenant)
		there = of(c.tenant)
	}
	out := principalOut(p)
	for _, s := range c.by.Scope {
		out.Scope = append(out.Scope, string(s))
	}
	out.May = []string{}
	for _, action := range access.Actions {
		if a.permits(c.by, action, there) {
			out.May = append(out.May, string(action))
		}
	}
	return plain(out, err)
}

func (a *API) createPrincipal(c call, in *struct{ Body api.NewPrincipal }) (*body[api.Principal], error) {
	p := access.Principal{Name: in.Body.Name, Role: access.Role(in.Body.Role), Kind: access.Service, MFA: c.by.MFA}
	if in.Body.Tenant != "" {
		if err := a.enter(&c, access.ManagePeople, in.Body.Tenant); err != nil {
			return nil, err
		}
		p.Tenant = c.tenant.ID
	} else if !a.permits(c.by, access.ManagePeople, authz.Provider) {
		if c.by.Tenant != "" {
			return nil, huma.Error403Forbidden("you may add principals to your own tenant only: name the tenant")
		}
		return nil, a.refused(c.by, access.ManagePeople, authz.Provider)
	}
	if err := inherits(c.by, p, in.Body.Scope); err != nil {
		return nil, err
	}
	if in.Body.Scope != nil {
		p.Scope = actions(in.Body.Scope)
	}
	days := in.Body.Days
	if days == 0 {
		days = 90
	}
	expires := a.cfg.Now().AddDate(0, 0, days)
	cred, token, err := a.cfg.Identities.Issue(c, c.by, p, &expires)
	out := principalOut(cred)
	out.Token = token
	return plain(out, err)
}

// inherits checks that whoever makes a service gives it no more than it has: a
// second factor, which the provider's roles need, and a narrowed token's scope.
func inherits(by, made access.Principal, scope []string) error {
	for _, s := range scope {
		if !slices.Contains(access.Actions, access.Action(s)) {
			return huma.Error422UnprocessableEntity("the scope names " + clip(s) + ", which is no action; GET /v1/whoami lists those that you may do")
		}
	}
	if made.OfProvider() && made.Tenant == "" && !by.MFA {
		return huma.Error403Forbidden("a service of the provider's acts with the second factor of whoever makes it, and you have shown none: sign in with one first")
	}
	if by.Scope == nil {
		return nil
	}
	for _, s := range scope {
		if !slices.Contains(by.Scope, access.Action(s)) {
			return huma.Error403Forbidden("your token is narrowed, and " + s + " is outside of its scope")
		}
	}
	if scope == nil {
		return huma.Error403Forbidden("your token is narrowed: give a scope that lies within its own")
	}
	return nil
}

func actions(words []string) []access.Action {
	out := make([]access.Action, len(words))
	for i, w := range words {
		out[i] = access.Action(w)
	}
	return out
}

func (a *API) revokePrincipal(c call, in *struct {
	Principal string `path:"principal" maxLength:"100"`
}) (*body[api.Principal], error) {
	unknown := huma.Error404NotFound("there is no principal " + clip(in.Principal) + " that you may see")
	p, err := a.cfg.Identities.Get(c, in.Principal)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	of, err := a.resource(c, p.Tenant)
	if err != nil {
		return nil, err
	}
	if !a.permits(c.by, access.Look, of) {
		return nil, unknown
	}
	if !a.permits(c.by, access.ManagePeople, of) {
		return nil, a.refused(c.by, access.ManagePeople, of)
	}
	p, err = a.cfg.Identities.Revoke(c, c.by, in.Principal)
	return plain(principalOut(p), err)
}
