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
	Me api.Principal
	// Tenant is set on the pages of a tenant.
	Tenant string
	// Main, Tabs and Views are the navigation: of the provider, of the tenant,
	// and of the section that the page belongs to.
	Main, Tabs, Views []tab
	// Scripts and Styles are what the page needs besides the console's own.
	Scripts, Styles []string
	Body            any
}

// extras are the scripts and styles that only some pages need.
var extras = map[string][]string{
	"login": {"passkey.js"}, "join": {"passkey.js"}, "account": {"passkey.js"}, "request": {"passkey.js"}, "decision": {"passkey.js"},
	"keys": {"passkey.js"}, "session": {"terminal.js", "player.js", "terminal.css"},
}

// frame is what goes around a page.
func (v *visit) frame(page, title string, body any) frame {
	f := frame{Title: title, Page: page, Me: v.me, Tenant: v.tenant(), Body: body}
	for _, name := range extras[page] {
		if strings.HasSuffix(name, ".css") {
			f.Styles = append(f.Styles, name)
		} else {
			f.Scripts = append(f.Scripts, name)
		}
	}
	if v.me.ID == "" {
		return f
	}
	if f.Tenant != "" {
		f.Tabs, f.Views = navigate(tenantSections, []string{"tenants", f.Tenant}, page, v.me)
		page = ""
	}
	if v.ofProvider() {
		var views []tab
		if f.Main, views = navigate(providerSections, nil, page, v.me); f.Tenant == "" {
			f.Views = views
		}
	} else if f.Tenant == "" {
		f.Main = []tab{{Title: "Matrix", Path: "/"}}
	}
	return f
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
	f := v.frame(name, title, body)
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
