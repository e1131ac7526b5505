package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// subscriptionsPage lists what a tenant has bought.
type subscriptionsPage struct {
	Tenant   string
	Lines    []subscriptionLine
	Services []api.Service
	VDCs     []api.VDC
	VMs      []api.VM
	MayWrite bool
	Today    string
	Form     subscriptionForm
	Problem  *problemPage
}

// subscriptionForm is what was sent.
type subscriptionForm struct{ Service, Covers, From, To string }

// subscriptionLine is a subscription with the name of what it covers.
type subscriptionLine struct {
	api.Subscription
	Covers, State string
	Open          bool
}

func (c *Console) subscriptions(v *visit) error {
	page, err := c.subscriptionsPage(v)
	if err != nil {
		return err
	}
	page.Form.Service = v.r.URL.Query().Get("service")
	c.render(v, http.StatusOK, "subscriptions", "Subscriptions", page)
	return nil
}

func (c *Console) subscriptionsPage(v *visit) (*subscriptionsPage, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, err
	}
	page := &subscriptionsPage{Tenant: t.Name, MayWrite: v.may("subscribe", t), Today: c.cfg.Now().UTC().Format(time.DateOnly)}
	if page.VDCs, err = api.Collect(v.client.VDCs(v, t.Name)); err != nil {
		return nil, err
	}
	if page.VMs, err = api.Collect(v.client.VMs(v, t.Name)); err != nil {
		return nil, err
	}
	for s, err := range v.client.Services(v) {
		if err != nil {
			return nil, err
		}
		if !s.Standard && len(s.Duties) > 0 {
			page.Services = append(page.Services, s)
		}
	}
	bought, err := api.Collect(v.client.Subscriptions(v, t.Name))
	if err != nil {
		return nil, err
	}
	for _, s := range bought {
		page.Lines = append(page.Lines, page.line(s, c.cfg.Now()))
	}
	slices.SortStableFunc(page.Lines, func(a, b subscriptionLine) int {
		if a.Open != b.Open {
			if a.Open {
				return -1
			}
			return 1
		}
		return b.From.Compare(a.From)
	})
	return page, nil
}

func (p *subscriptionsPage) line(s api.Subscription, now time.Time) subscriptionLine {
	l := subscriptionLine{Subscription: s, Covers: "all VMs", Open: s.To == nil || s.To.After(now)}
	switch {
	case s.Covers.VDC != "":
		l.Covers = "VDC " + s.Covers.VDC
		for _, d := range p.VDCs {
			if d.ID == s.Covers.VDC {
				l.Covers = "VDC " + d.Name
			}
		}
	case s.Covers.VM != "":
		l.Covers = "VM " + s.Covers.VM
		for _, m := range p.VMs {
			if m.ID == s.Covers.VM {
				l.Covers = "VM " + m.Name
			}
		}
	}
	switch {
	case s.Active:
		l.State = "active"
	case s.From.After(now):
		l.State = "to come"
	default:
		l.State = "ended"
	}
	return l
}

// subscribe buys a service.
func (c *Console) subscribe(v *visit) error {
	form := v.r.PostForm
	f := subscriptionForm{Service: form.Get("service"), Covers: form.Get("covers"), From: form.Get("from"), To: form.Get("to")}
	in := api.NewSubscription{Service: f.Service}
	switch scope, id, _ := strings.Cut(f.Covers, ":"); scope {
	case "vdc":
		in.VDC = id
	case "vm":
		in.VM = id
	}
	err := c.period(&in, f)
	if err == nil {
		_, err = v.client.CreateSubscription(v, v.tenant(), in)
	}
	return c.answerForm(v, f, err)
}

// period reads the days; today means now, because the past cannot be bought.
func (c *Console) period(in *api.NewSubscription, f subscriptionForm) error {
	if f.From != "" && f.From != c.cfg.Now().UTC().Format(time.DateOnly) {
		end, err := dayEnd(f.From)
		if err != nil {
			return err
		}
		from := end.Add(time.Second).AddDate(0, 0, -1)
		in.From = &from
	}
	if f.To != "" {
		to, err := dayEnd(f.To)
		if err != nil {
			return err
		}
		in.To = &to
	}
	return nil
}

func (c *Console) endSubscription(v *visit) error {
	var in api.EndSubscription
	_, err := v.client.EndSubscription(v, v.tenant(), v.r.PathValue("id"), in)
	return c.answerForm(v, subscriptionForm{}, err)
}

// answerForm goes back to the list, with the form and its fault if there is one.
func (c *Console) answerForm(v *visit, f subscriptionForm, err error) error {
	if err == nil {
		http.Redirect(v.w, v.r, pathOf("tenants", v.tenant(), "subscriptions"), http.StatusSeeOther)
		return nil
	}
	if s := status(err); s == http.StatusUnauthorized || s >= 500 && s != http.StatusServiceUnavailable {
		return err
	}
	page, broken := c.subscriptionsPage(v)
	if broken != nil {
		return broken
	}
	fault := describe(err)
	page.Form, page.Problem = f, &fault
	c.render(v, fault.Status, "subscriptions", "Subscriptions", page)
	return nil
}
