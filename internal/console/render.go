package console

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// pages are the templates, each with the layout around it.
type pages map[string]*template.Template

// frame is what the layout shows around every page.
type frame struct {
	Title string
	// Page is the template's name.
	Page string
	// Me is the visitor; without an id nobody is signed in.
	Me       api.Principal
	Provider bool
	// Tenant is set on the pages of a tenant.
	Tenant string
	Body   any
}

func parsePages(a assets, now func() time.Time) (pages, error) {
	layout, err := template.New("layout.html").Funcs(vocabulary(a, now)).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := pages{}
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if out[name], err = t.ParseFS(files, file); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// render writes a page whole or, if its template fails, a plain error.
func (c *Console) render(v *visit, status int, name, title string, body any) {
	f := frame{Title: title, Page: name, Me: v.me, Provider: v.ofProvider(), Tenant: v.tenant(), Body: body}
	var b bytes.Buffer
	if err := c.execute(&b, name, f); err != nil {
		c.cfg.Log.ErrorContext(v, "console page cannot be drawn", "page", name, "error", err)
		http.Error(v.w, "This page cannot be drawn. The reason is in the server's log.", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	// A failed write means that the visitor has left.
	_, _ = b.WriteTo(v.w)
}

func (c *Console) execute(b *bytes.Buffer, name string, f frame) error {
	t := c.pages[name]
	if t == nil {
		return fmt.Errorf("no template %s", name)
	}
	return t.Execute(b, f)
}
