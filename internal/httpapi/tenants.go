package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
)

func get(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}
}

func post(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodPost, Path: path, Summary: summary}
}

// created marks an operation that makes something.
func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	return op
}

func (a *API) addTenants() {
	add(a, anybody, get("list-tenants", "/v1/tenants", "Tenants that you may see"), a.listTenants)
	add(a, provider(access.ManageTenants), created(post("create-tenant", "/v1/tenants", "Add a tenant")), func(c call, in *struct{ Body api.NewTenant }) (*body[api.Tenant], error) {
		t, err := a.cfg.Estate.CreateTenant(c, c.by, in.Body.Name, in.Body.Own)
		return versioned(tenantOut(t), t.Version, err)
	})
	add(a, tenant(access.Look), get("get-tenant", "/v1/tenants/{tenant}", "One tenant"), func(c call, in *struct{ TenantPath }) (*body[api.Tenant], error) {
		return versioned(tenantOut(c.tenant), c.tenant.Version, nil)
	})
	add(a, tenant(access.ManageTenants), huma.Operation{OperationID: "change-tenant", Method: http.MethodPatch, Path: "/v1/tenants/{tenant}", Summary: "Rename a tenant"},
		func(c call, in *struct {
			TenantPath
			IfMatch
			Body api.NewTenant
		}) (*body[api.Tenant], error) {
			v, err := in.version()
			if err != nil {
				return nil, err
			}
			if v == 0 {
				v = c.tenant.Version
			}
			t, err := a.cfg.Estate.RenameTenant(c, c.by, c.tenant.ID, in.Body.Name, v)
			return versioned(tenantOut(t), t.Version, in.failed(err))
		})
	add(a, tenant(access.Look), get("list-vdcs", "/v1/tenants/{tenant}/vdcs", "VDCs of a tenant"), func(c call, in *struct {
		TenantPath
		PageParams
	}) (*list[api.VDC], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		var vdcs []estate.VDC
		err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
			vdcs, err = tx.VDCs(c.tenant.ID, p)
			return err
		})
		return paged(vdcs, p.Limit, func(v estate.VDC) string { return v.ID }, vdcOut), err
	})
	add(a, tenant(access.ManageTenants), created(post("create-vdc", "/v1/tenants/{tenant}/vdcs", "Add a VDC")), func(c call, in *struct {
		TenantPath
		Body api.NewVDC
	}) (*body[api.VDC], error) {
		v, err := a.cfg.Estate.CreateVDC(c, c.by, c.tenant.ID, in.Body.Name)
		return versioned(vdcOut(v), v.Version, err)
	})
}

func (a *API) listTenants(c call, in *struct{ PageParams }) (*list[api.Tenant], error) {
	p, err := in.page()
	if err != nil {
		return nil, err
	}
	var tenants []estate.Tenant
	err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
		if !c.by.OfProvider() {
			t, err := tx.Tenant(c.by.Tenant)
			tenants = []estate.Tenant{t}
			return err
		}
		tenants, err = tx.Tenants(p)
		return err
	})
	limit := p.Limit
	if !c.by.OfProvider() {
		limit = 0 // a customer's list has one item and no next page
	}
	return paged(tenants, limit, func(t estate.Tenant) string { return t.ID }, tenantOut), err
}
