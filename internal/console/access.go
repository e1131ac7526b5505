package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// pastGrants is how many ended grants a list shows.
const pastGrants = 100

// stateWords tell a grant's state, and stateClasses draw it.
var (
	stateWords = map[string]string{
		"requested": "asked", "in-review": "question asked", "approved": "approved for later", "active": "in force", "expired": "ended",
		"revoked": "revoked", "closed": "closed", "refused": "refused", "lapsed": "lapsed",
	}
	stateClasses = map[string]string{
		"requested": "wait", "in-review": "wait", "approved": "good", "active": "live", "revoked": "bad", "refused": "bad",
	}
	doingWords = map[string]string{
		"shell": "a shell at", "console": "the web console of", "exec": "single commands at", "sftp": "copy files from and to", "forward": "forward ports through",
	}
)

// grantLine is a grant as lists and its page show it.
type grantLine struct {
	api.Grant
	Path                  string
	Mine                  bool
	Can                   string
	StateWord, StateClass string
	Live, Open, Later     bool
}

func (v *visit) grantLine(g api.Grant) grantLine {
	l := grantLine{
		Grant: g, Path: pathOf("tenants", orElse(g.TenantName, g.Tenant), "access", g.ID), Mine: g.Holder == v.me.ID,
		StateWord: orElse(stateWords[g.State], g.State), StateClass: orElse(stateClasses[g.State], "none"),
		Live: g.State == "active", Open: g.State == "requested" || g.State == "in-review", Later: g.State == "approved",
	}
	scope := g.Scope
	if len(g.Granted) > 0 {
		scope = g.Granted
	}
	for i, a := range scope {
		if i > 0 {
			l.Can += ", "
		}
		l.Can += orElse(doingWords[a.Do], a.Do) + " " + a.Target
	}
	l.HolderName = orElse(g.HolderName, brief(g.Holder, nil))
	l.Ticket = orElse(g.Ticket, "no ticket yet")
	return l
}

// Class is how a list draws it.
func (l grantLine) Class() string {
	switch {
	case l.BreakGlass && (l.Live || l.OwesNotice()):
		return "glass"
	case l.Live:
		return "live"
	case l.Open:
		return "mine"
	}
	return ""
}

// OwesNotice reports whether the customer was not told yet what was done.
func (l grantLine) OwesNotice() bool { return l.Notice == "owed" || l.Notice == "overdue" }

// Unsettled reports whether somebody still has to do something about broken glass.
func (l grantLine) Unsettled() bool { return l.OwesNotice() || l.Notice == "given" }

// requestsPage is the access to one tenant.
type requestsPage struct {
	Tenant                      string
	Waiting, Live, Past         []grantLine
	Notices                     []grantLine
	More                        bool
	MayDecide, MayAsk, MayBreak bool
	Ask, Glass                  askForm
	Problem                     *problemPage
	Events                      string
}

func (c *Console) requestsPage(v *visit) (*requestsPage, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, err
	}
	page := &requestsPage{
		Tenant: t.Name, MayDecide: v.may("decide-access", t), MayAsk: v.may("request-access", t), MayBreak: v.may("break-glass", t),
		Events: "/v1/events?tenant=" + t.ID,
	}
	// What is open or in force is shown however much came after it.
	for _, state := range []string{"open", "active", "approved"} {
		for g, err := range v.client.Grants(v, t.Name, api.GrantFilter{State: state}) {
			if err != nil {
				return nil, err
			}
			page.add(v.grantLine(g))
		}
	}
	for g, err := range v.client.Grants(v, t.Name, api.GrantFilter{}) {
		if err != nil {
			return nil, err
		}
		l := v.grantLine(g)
		if l.Open || l.Live || l.Later {
			continue
		}
		if page.More = len(page.Past) == pastGrants; page.More {
			break
		}
		page.add(l)
	}
	if page.MayAsk {
		if page.Ask, err = v.askForm("request", nil); err != nil {
			return nil, err
		}
		if page.Glass, err = v.askForm("break-glass", nil); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// add puts a grant where it belongs.
func (p *requestsPage) add(l grantLine) {
	if l.Unsettled() {
		p.Notices = append(p.Notices, l)
	}
	switch {
	case l.Open:
		p.Waiting = append(p.Waiting, l)
	case l.Live || l.Later:
		p.Live = append(p.Live, l)
	default:
		p.Past = append(p.Past, l)
	}
}

func (c *Console) requests(v *visit) error {
	page, err := c.requestsPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "requests", "Access", page)
	return nil
}

// request asks for access, or takes it in an emergency.
func (c *Console) request(v *visit) error {
	page, err := c.requestsPage(v)
	if err != nil {
		return err
	}
	fault := &page.Ask
	if v.r.PostForm.Get("do") == "break-glass" {
		fault = &page.Glass
	}
	g, err := v.ask(page.Tenant, fault)
	if err == nil {
		http.Redirect(v.w, v.r, v.grantLine(g).Path, http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "requests", "Access", func(p *problemPage) any { fault.Problem = p; return page })
}

// askForm is the form of a request or of break-glass, with what was sent.
type askForm struct {
	Action, Do string
	// Tenants are those to choose from, where the page is not a tenant's.
	Tenants         []string
	Tenant          string
	Ticket, Purpose string
	Minutes, From   string
	Targets         []targetChoice
	Problem         *problemPage
}

type targetChoice struct {
	Name   string
	Doings []doingChoice
}

type doingChoice struct {
	Do     string
	Chosen bool
}

// doings are what can be done at each kind of target.
var doings = map[string][]string{"host": {"shell", "exec", "sftp", "forward"}, "web": {"console"}}

// askForm lists what can be asked for. What was sent is filled in by ask.
func (v *visit) askForm(do string, tenants []string) (askForm, error) {
	f := askForm{Action: v.r.URL.Path, Do: do, Tenants: tenants, Minutes: "60"}
	if do == "break-glass" {
		f.Minutes = "30"
	}
	targets, err := v.targets()
	if err != nil {
		return f, err
	}
	for _, t := range targets {
		choice := targetChoice{Name: t.Name}
		for _, do := range doings[t.Kind] {
			choice.Doings = append(choice.Doings, doingChoice{Do: do})
		}
		f.Targets = append(f.Targets, choice)
	}
	return f, nil
}

// ask sends a request and keeps in the form what was sent.
func (v *visit) ask(tenant string, f *askForm) (api.Grant, error) {
	form := v.r.PostForm
	f.Ticket, f.Purpose, f.Minutes, f.From = strings.TrimSpace(form.Get("ticket")), strings.TrimSpace(form.Get("purpose")), form.Get("minutes"), form.Get("from")
	f.Tenant = tenant
	for i := range f.Targets {
		for j := range f.Targets[i].Doings {
			d := &f.Targets[i].Doings[j]
			d.Chosen = slices.Contains(form["scope"], d.Do+" "+f.Targets[i].Name)
		}
	}
	scope := scopeOf(form["scope"])
	if len(scope) == 0 {
		return api.Grant{}, unprocessable("Nothing is chosen", "Choose at least one thing that you want to do.")
	}
	minutes, err := wholeNumber(f.Minutes)
	if err != nil {
		return api.Grant{}, err
	}
	if f.Do == "break-glass" {
		return v.client.BreakGlass(v, tenant, api.BreakGlass{Reason: f.Purpose, Scope: scope, Minutes: int(minutes), Ticket: f.Ticket})
	}
	from, err := dateTime(f.From)
	if err != nil {
		return api.Grant{}, err
	}
	return v.client.RequestGrant(v, tenant, api.NewGrant{Ticket: f.Ticket, Purpose: f.Purpose, Scope: scope, Minutes: int(minutes), From: from})
}

// scopeOf reads the values of the boxes "DO TARGET".
func scopeOf(values []string) (out []api.Ability) {
	for _, s := range values {
		do, target, _ := strings.Cut(s, " ")
		out = append(out, api.Ability{Do: do, Target: target})
	}
	return out
}

func unprocessable(title, detail string) error {
	return &api.Problem{Status: http.StatusUnprocessableEntity, Title: title, Detail: detail}
}

func wholeNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32)
	if err != nil {
		return 0, unprocessable("The number is missing or malformed", "Give a whole number, such as 60.")
	}
	return n, nil
}

// dateTime reads what a field of type datetime-local sends, as UTC; nil if it
// is empty.
func dateTime(s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return &t, nil
		}
	}
	return nil, unprocessable("The moment is malformed", "Give date and time as in 2026-03-31T14:30, in UTC.")
}
