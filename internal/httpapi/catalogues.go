package httpapi

import (
	"github.com/danielgtaylor/huma/v2"
	"slices"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addCatalogues() {
	add(a, anybody, get("list-duties", "/v1/duties", "Duties of the contract in force"), func(c call, in *struct {
		Control string `query:"control" maxLength:"100"`
		PageParams
	}) (*list[api.Duty], error) {
		return a.listDuties(in.Control, in.PageParams)
	})
	add(a, anybody, get("list-catalogues", "/v1/catalogues", "Catalogues, the ones that were replaced too"), func(call, *struct{}) (*list[api.Catalogue], error) {
		return paged(a.cfg.Contract.List(), 0, nil, a.catalogueOut), nil
	})
	add(a, anybody, get("get-catalogue", "/v1/catalogues/{name}/{version}", "A loaded catalogue as its author wrote it"), func(c call, in *struct {
		Name    string `path:"name" maxLength:"100"`
		Version string `path:"version" maxLength:"100"`
	}) (*body[api.CatalogueSource], error) {
		for _, s := range a.cfg.Contract.List() {
			if s.Name == in.Name && s.Version == in.Version && s.Source != "" {
				return plain(api.CatalogueSource{File: s.Name + "@" + s.Version, Source: s.Source}, nil)
			}
		}
		return nil, huma.Error404NotFound("no such catalogue was loaded; the built-in one is part of the program")
	})
	add(a, anybody, post("validate-catalogue", "/v1/catalogues/validate", "Check a catalogue file and change nothing"), func(c call, in *struct{ Body api.CatalogueSource }) (*body[api.Catalogue], error) {
		cat, _, err := a.cfg.Contract.Validate(in.Body.File, []byte(in.Body.Source))
		if err != nil {
			return nil, err
		}
		return plain(api.Catalogue{Name: cat.Name, Version: cat.Version, Title: cat.Title, Duties: len(cat.Duties())}, nil)
	})
	add(a, provider(access.ManageCatalogue), created(post("load-catalogue", "/v1/catalogues", "Put a catalogue in force from now on")), a.loadCatalogue)
	add(a, anybody, get("list-services", "/v1/services", "Managed services"), func(call, *struct{}) (*list[api.Service], error) {
		return paged(a.services(), 0, nil, func(s api.Service) api.Service { return s }), nil
	})
	add(a, anybody, get("list-fact-kinds", "/v1/fact-kinds", "Kinds of fact, with their JSON schema"), func(call, *struct{}) (*list[api.FactKind], error) {
		return paged(a.factKinds(), 0, nil, func(k api.FactKind) api.FactKind { return k }), nil
	})
}

func (a *API) listDuties(control string, pp PageParams) (*list[api.Duty], error) {
	p, err := pp.page()
	if err != nil {
		return nil, err
	}
	duties := a.cfg.Posture.Catalogue().Duties
	if control != "" {
		duties = slices.DeleteFunc(slices.Clone(duties), func(d *judgement.Duty) bool { return d.Control != control })
	}
	if p.After != "" {
		i := slices.IndexFunc(duties, func(d *judgement.Duty) bool { return d.ID == p.After })
		if i < 0 {
			return nil, huma.Error422UnprocessableEntity("the cursor is not one that this list gave, or the catalogue was replaced: begin again")
		}
		duties = duties[i+1:]
	}
	if len(duties) > p.Limit {
		duties = duties[:p.Limit]
	}
	return paged(duties, p.Limit, func(d *judgement.Duty) string { return d.ID }, Duty), nil
}

func (a *API) catalogueOut(s store.StoredCatalogue) api.Catalogue {
	out := api.Catalogue{Name: s.Name, Version: s.Version, Digest: s.Digest, From: s.From, InForce: true}
	for _, other := range a.cfg.Contract.List() {
		if other.Name == s.Name && other.From.After(s.From) {
			out.InForce = false
		}
	}
	if c, ok := a.cfg.Contract.Get(s.Name, s.Version); ok {
		out.Title, out.Duties = c.Title, len(c.Duties())
	}
	return out
}

func (a *API) loadCatalogue(c call, in *struct{ Body api.CatalogueSource }) (*body[api.Catalogue], error) {
	s, compiled, err := a.cfg.Contract.Load(c, c.by, in.Body.File, []byte(in.Body.Source))
	if err != nil {
		return nil, err
	}
	a.cfg.Posture.SetCatalogue(compiled)
	if err := a.cfg.Posture.RejudgeAll(c, false, nil); err != nil {
		// In force all the same; what is not judged by now is judged by the timer.
		a.cfg.Log.ErrorContext(c, "judge by the loaded catalogue", "error", err)
	}
	return plain(a.catalogueOut(s), nil)
}

func (a *API) services() []api.Service {
	known := map[string]*api.Service{}
	var order []string
	get := func(name string) *api.Service {
		s, ok := known[name]
		if !ok {
			s = &api.Service{Name: name, Kinds: []string{}, Duties: []string{}}
			known[name] = s
			order = append(order, name)
		}
		return s
	}
	for _, svc := range a.cfg.Services {
		m := svc.Manifest()
		s := get(m.Name)
		s.Title, s.Doc, s.Standard = m.Title, m.Doc, m.Standard
		for _, k := range m.Kinds {
			s.Kinds = append(s.Kinds, k.Name)
		}
	}
	var duties []responsibility.Duty = a.cfg.Posture.Catalogue().Catalogue.Duties()
	for _, d := range duties {
		for _, name := range d.Services {
			s := get(name)
			s.Duties = append(s.Duties, d.ID)
			if s.Title == "" {
				s.Title, s.Doc = name, "Part of the contract; this version of the product does not run it yet."
			}
		}
	}
	out := make([]api.Service, 0, len(order))
	for _, name := range order {
		out = append(out, *known[name])
	}
	return out
}

func (a *API) factKinds() []api.FactKind {
	env := a.cfg.Posture.Catalogue().Environment
	var out []api.FactKind
	for _, name := range env.Kinds() {
		k, _ := env.Kind(name)
		out = append(out, api.FactKind{Name: k.Name, Scope: string(k.Scope), Service: a.cfg.Posture.Provider(name), Doc: k.Doc, Schema: k.JSONSchema()})
	}
	return out
}
