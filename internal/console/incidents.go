package console

import (
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

type incidentsPage struct {
	Tenant       string
	Open, Closed []incidentLine
	MayHandle    bool
	Problem      *problemPage
	Note, NoteOf string
}

type incidentLine struct {
	api.Incident
	Title, By string
}

var incidentTitles = map[string]string{"guest-login": "Somebody of the provider logged in to a guest"}

func (c *Console) incidentsPage(v *visit) (*incidentsPage, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, err
	}
	page := &incidentsPage{Tenant: t.Name, MayHandle: v.may("close-incidents", t)}
	for i, err := range v.client.Incidents(v, t.Name) {
		if err != nil {
			return nil, err
		}
		l := incidentLine{Incident: i, Title: orElse(incidentTitles[i.Kind], strings.ReplaceAll(i.Kind, "-", " ")), By: actor(i.ClosedBy, names)}
		if i.State == "open" {
			page.Open = append(page.Open, l)
		} else if page.Closed = append(page.Closed, l); len(page.Closed) == rowLimit {
			break
		}
	}
	return page, nil
}

func (c *Console) incidents(v *visit) error {
	page, err := c.incidentsPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "incidents", "Incidents", page)
	return nil
}

func (c *Console) closeIncident(v *visit) error {
	page, err := c.incidentsPage(v)
	if err != nil {
		return err
	}
	page.NoteOf, page.Note = v.r.PostForm.Get("id"), strings.TrimSpace(v.r.PostForm.Get("text"))
	if _, err = v.client.CloseIncident(v, page.Tenant, page.NoteOf, page.Note); err == nil {
		http.Redirect(v.w, v.r, pathOf("tenants", page.Tenant, "incidents"), http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "incidents", "Incidents", func(p *problemPage) any { page.Problem = p; return page })
}
