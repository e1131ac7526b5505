package console

import (
	"net/http"
	"time"

	"github.com/demarc/demarc/api"
)

// myAccessPage is the provider's people's own access, and that of the others.
type myAccessPage struct {
	Notices, Mine, Others []grantLine
	MayAsk, MayBreak      bool
	Ask, Glass            askForm
}

// endedShown is how long an ended access of one's own stays in the list.
const endedShown = 24 * time.Hour

func (c *Console) myAccessPage(v *visit) (*myAccessPage, error) {
	page := &myAccessPage{MayAsk: offers(v.me, "request-access", aTenant), MayBreak: offers(v.me, "break-glass", aTenant)}
	n := 0
	for g, err := range v.client.AllGrants(v, api.GrantFilter{}) {
		if err != nil {
			return nil, err
		}
		l := v.grantLine(g)
		going := l.Open || l.Live || l.Later
		switch {
		case l.Mine && (going || g.EndedAt != nil && c.cfg.Now().Sub(*g.EndedAt) < endedShown):
			page.Mine = append(page.Mine, l)
		case !l.Mine && going:
			page.Others = append(page.Others, l)
		}
		if l.Mine && l.OwesNotice() {
			page.Notices = append(page.Notices, l)
		}
		if n++; n == 2*rowLimit {
			break
		}
	}
	if !page.MayAsk {
		return page, nil
	}
	var names []string
	for t, err := range v.client.Tenants(v) {
		if err != nil {
			return nil, err
		}
		names = append(names, t.Name)
	}
	var err error
	if page.Ask, err = v.askForm("request", names); err != nil {
		return nil, err
	}
	page.Glass, err = v.askForm("break-glass", names)
	return page, err
}

func (c *Console) myAccess(v *visit) error {
	page, err := c.myAccessPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "myaccess", "My access", page)
	return nil
}

func (c *Console) askAnywhere(v *visit) error {
	page, err := c.myAccessPage(v)
	if err != nil {
		return err
	}
	fault := &page.Ask
	if v.r.PostForm.Get("do") == "break-glass" {
		fault = &page.Glass
	}
	g, err := v.ask(v.r.PostForm.Get("tenant"), fault)
	if err == nil {
		http.Redirect(v.w, v.r, v.grantLine(g).Path, http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "myaccess", "My access", func(p *problemPage) any { fault.Problem = p; return page })
}
