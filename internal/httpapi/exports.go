package httpapi

import (
	"bytes"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/matrix"
	"github.com/demarc/demarc/internal/oscal"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/sheet"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addExports() {
	add(a, anybody, get("export-component", "/v1/exports/oscal-component", "The contract as an OSCAL component definition"), func(c call, _ *struct{}) (*raw, error) {
		d, err := oscal.Component(a.head(), a.cfg.Contract.At(a.cfg.Now()))
		return document(d, "component-definition.json", err)
	})
	add(a, anybody, get("export-provider-ssp", "/v1/exports/oscal-provider-ssp", "The provider's plan, which tenants' plans refer to"), func(c call, _ *struct{}) (*raw, error) {
		d, err := oscal.ProviderSSP(a.head(), a.cfg.Contract.At(a.cfg.Now()))
		return document(d, "provider-ssp.json", err)
	})
	add(a, provider(access.Look), post("import-oscal", "/v1/catalogues/import-oscal", "Make a catalogue file of an OSCAL component definition; nothing is loaded"), func(c call, in *struct{ Body api.CatalogueSource }) (*body[api.CatalogueSource], error) {
		cat, err := oscal.Import([]byte(in.Body.Source), a.cfg.Contract.At(a.cfg.Now()))
		if err != nil {
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
		src, err := responsibility.Encode(cat)
		return plain(api.CatalogueSource{File: cat.Name + ".yaml", Source: string(src)}, err)
	})
	for _, e := range []struct {
		name, summary string
		make          func(c call, rows []standing) (*raw, error)
	}{
		{"oscal-ssp", "A tenant's system security plan", a.exportSSP},
		{"oscal-results", "A tenant's assessment results", a.exportResults},
		{"crm.csv", "Customer responsibility matrix, CSV", a.exportCSV},
		{"crm.xlsx", "Customer responsibility matrix, XLSX", a.exportXLSX},
	} {
		add(a, tenant(access.Look), get("export-"+e.name, "/v1/tenants/{tenant}/exports/"+e.name, e.summary), func(c call, in *struct{ TenantPath }) (*raw, error) {
			rows, err := a.standings(c)
			if err != nil {
				return nil, err
			}
			return e.make(c, rows)
		})
	}
}

// head names the provider in OSCAL documents. The ledger's origin is the one
// name of an installation that never changes.
func (a *API) head() oscal.Head {
	return oscal.Head{LastModified: a.cfg.Now(), Provider: oscal.Organization{ID: a.cfg.Ledger.Origin(), Name: "Provider"}}
}

func document(d *oscal.Document, name string, err error) (*raw, error) {
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := oscal.Encode(&buf, d); err != nil {
		return nil, err
	}
	return attachment("application/json", name, buf.Bytes()), nil
}

func attachment(contentType, name string, data []byte) *raw {
	return &raw{ContentType: contentType, Disposition: `attachment; filename="` + name + `"`, Body: data}
}

// standing is a tenant's judgement with who is responsible and its name.
type standing struct {
	judgement evidence.Judgement
	assigned  responsibility.Assignment
	name      string
}

// standings returns every judgement of the tenant.
func (a *API) standings(c call) ([]standing, error) {
	var out []standing
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		js, err := tx.Verdicts(store.VerdictFilter{Tenant: c.tenant.ID})
		if err != nil {
			return err
		}
		subs, err := tx.Subscriptions(c.tenant.ID)
		if err != nil {
			return err
		}
		vdcs := map[string]string{}
		err = matrix.EachVM(tx, c.tenant.ID, func(id, vdc string) { vdcs[id] = vdc })
		if err != nil {
			return err
		}
		n := newNames(tx)
		for _, j := range js {
			d := a.cfg.Posture.Catalogue().Duty(j.Duty)
			if d == nil {
				continue
			}
			as := responsibility.Assignment{Party: d.Party}
			if j.Subject.Scope == evidence.ScopeVM {
				as = responsibility.Responsible(d.Duty, j.Subject.ID, vdcs[j.Subject.ID], subs, a.cfg.Now())
			}
			out = append(out, standing{j, as, n.subject(j.Subject).Name})
		}
		return nil
	})
	return out, err
}

func oscalStandings(rows []standing) []oscal.Standing {
	out := make([]oscal.Standing, len(rows))
	for i, r := range rows {
		out[i] = oscal.Standing{Judgement: r.judgement, Assignment: r.assigned, Name: r.name}
	}
	return out
}

func (a *API) exportSSP(c call, rows []standing) (*raw, error) {
	d, err := oscal.SSP(a.head(), a.cfg.Posture.Catalogue().Catalogue, oscal.Plan{
		Tenant: oscal.Organization{ID: c.tenant.ID, Name: c.tenant.Name}, At: a.cfg.Now(), ContractFrom: c.tenant.CreatedAt, Standings: oscalStandings(rows),
	})
	return document(d, "ssp-"+c.tenant.Name+".json", err)
}

func (a *API) exportResults(c call, rows []standing) (*raw, error) {
	d, err := oscal.Results(a.head(), a.cfg.Posture.Catalogue().Catalogue, oscal.Assessment{
		Tenant: oscal.Organization{ID: c.tenant.ID, Name: c.tenant.Name}, From: earliestSince(rows, a.cfg.Now()), At: a.cfg.Now(), Standings: oscalStandings(rows),
	})
	return document(d, "results-"+c.tenant.Name+".json", err)
}

func earliestSince(rows []standing, first time.Time) time.Time {
	for _, r := range rows {
		if r.judgement.Since.Before(first) {
			first = r.judgement.Since
		}
	}
	return first
}

func (a *API) crm(c call, rows []standing) sheet.Matrix {
	m := sheet.Matrix{Provider: "Provider", Tenant: c.tenant.Name, TenantID: c.tenant.ID, At: a.cfg.Now(), Catalogue: a.cfg.Posture.Catalogue().Catalogue}
	for _, r := range rows {
		m.Standings = append(m.Standings, sheet.Standing{Duty: r.judgement.Duty, Subject: r.judgement.Subject, Assignment: r.assigned, Verdict: r.judgement.Verdict})
	}
	return m
}

func (a *API) exportCSV(c call, rows []standing) (*raw, error) {
	var buf bytes.Buffer
	err := sheet.CSV(&buf, a.crm(c, rows))
	return attachment("text/csv; charset=utf-8", "crm-"+c.tenant.Name+".csv", buf.Bytes()), err
}

func (a *API) exportXLSX(c call, rows []standing) (*raw, error) {
	var buf bytes.Buffer
	err := sheet.XLSX(&buf, a.crm(c, rows))
	return attachment("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "crm-"+c.tenant.Name+".xlsx", buf.Bytes()), err
}
