package httpapi

import (
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) createPrincipal(c call, in *struct{ Body api.NewPrincipal }) (*body[api.Principal], error) {
	p := access.Principal{Name: in.Body.Name, Role: access.Role(in.Body.Role)}
	if in.Body.Tenant != "" {
		if err := a.enter(&c, access.ManagePeople, in.Body.Tenant); err != nil {
			return nil, err
		}
		p.Tenant = c.tenant.ID
	} else if !a.permits(c.by, access.ManagePeople, authz.Provider) {
		return nil, huma.Error403Forbidden("your role " + string(c.by.Role) + " may add principals to its own tenant only: name the tenant")
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
		return nil, huma.Error403Forbidden("your role " + string(c.by.Role) + " may not revoke principals")
	}
	p, err = a.cfg.Identities.Revoke(c, c.by, in.Principal)
	return plain(principalOut(p), err)
}
