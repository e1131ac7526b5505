package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// requestPage is one access with all that happened to it.
type requestPage struct {
	Tenant   string
	Grant    grantLine
	Approver string
	History  []grantEvent
	Sessions []sessionLine
	// Pending is the decision that waits to be signed.
	Pending string
	Connect []string
	// Consoles are the web consoles that can be opened; Console is one that is,
	// once.
	Consoles []string
	Console  *api.ConsoleTicket
	// Boxes are what is asked for, each as it is ticked in the form.
	Boxes         []box
	Minutes, From string
	Words         string

	MayDecide, MaySign, MayRevoke, MayClose, MayAnswer, MayExtend, MayNotify, MayJudge bool

	Problem *problemPage
}

type box struct {
	api.Ability
	Chosen bool
}

// grantEvent is a line of the history.
type grantEvent struct {
	api.GrantEvent
	Title, Who, Class string
}

var eventWords = map[string]string{
	"request": "asked for access", "ask": "asked for more information", "answer": "answered", "propose": "put an approval up to be signed",
	"approve": "approved it", "begin": "the access began", "refuse": "refused it", "lapse": "it lapsed: nobody decided in time", "expire": "its time ran out",
	"revoke": "revoked it", "close": "closed it", "withdraw": "withdrew the request", "break-glass": "broke the glass: took access without approval",
	"notice": "told what was done", "notice-overdue": "the notice is overdue", "acknowledge": "read the notice", "dispute": "disputed what was done",
}

var eventClasses = map[string]string{
	"approve": "p-good", "begin": "p-good", "acknowledge": "p-good", "request": "p-wait", "ask": "p-wait", "answer": "p-wait", "propose": "p-wait", "notice": "p-wait",
	"refuse": "p-bad", "revoke": "p-bad", "break-glass": "p-bad", "notice-overdue": "p-bad", "dispute": "p-bad", "lapse": "p-bad",
}

func (c *Console) grantPage(v *visit) (*requestPage, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, err
	}
	g, err := v.client.Grant(v, t.Name, v.r.PathValue("grant"))
	if err != nil {
		return nil, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, err
	}
	names[g.Holder] = orElse(names[g.Holder], g.HolderName)
	page := &requestPage{Tenant: t.Name, Grant: v.grantLine(g), Minutes: strconv.Itoa(g.Minutes)}
	if g.ApprovedBy != "" {
		page.Approver = orElse(names[g.ApprovedBy], brief(g.ApprovedBy, nil))
	}
	for _, e := range g.History {
		page.History = append(page.History, grantEvent{
			GrantEvent: e, Title: orElse(eventWords[e.What], strings.ReplaceAll(e.What, "-", " ")), Who: orElse(actor(e.Actor, names), "demarc"), Class: eventClasses[e.What],
		})
	}
	slices.Reverse(page.History)
	for _, a := range g.Scope {
		page.Boxes = append(page.Boxes, box{a, true})
	}
	l := page.Grant
	page.permit(v, t)
	if l.Open {
		if page.Pending, err = v.pendingApproval(t.Name, g.ID); err != nil {
			return nil, err
		}
	}
	if l.Mine && l.Live {
		page.Connect, page.Consoles = connectLines(g)
	}
	page.Sessions, err = c.sessionsOf(v, t.Name, g.ID)
	return page, err
}

// permit says which forms are shown.
func (p *requestPage) permit(v *visit, t api.Tenant) {
	g := p.Grant
	running := g.Live || g.Later
	p.MayDecide = g.Open && !g.Mine && v.may("decide-access", t)
	p.MaySign = v.may("sign-decision", t) && !g.Mine
	p.MayRevoke = running && v.may("revoke-access", t)
	p.MayClose = g.Mine && (g.Open || running)
	p.MayAnswer = g.Mine && g.State == "in-review"
	p.MayExtend = g.Mine && g.Live && !g.BreakGlass
	p.MayNotify = g.Mine && g.OwesNotice()
	p.MayJudge = g.Notice == "given" && !g.Mine && v.may("decide-access", t)
}

// pendingApproval is the decision about the grant that waits to be signed;
// empty without one.
func (v *visit) pendingApproval(tenant, grant string) (string, error) {
	for d, err := range v.client.Decisions(v, tenant, "pending") {
		if err != nil {
			return "", err
		}
		if d.Kind == "access-approval" && d.Subject == "grant/"+grant {
			return d.ID, nil
		}
	}
	return "", nil
}

// connectLines are the commands that open sessions, and the web consoles.
func connectLines(g api.Grant) (lines, consoles []string) {
	for _, a := range g.Granted {
		if a.Do == "console" {
			consoles = append(consoles, a.Target)
			continue
		}
		if line := "demarc access ssh " + g.ID + " " + a.Target; !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines, consoles
}

func (c *Console) grant(v *visit) error {
	page, err := c.grantPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "request", "Access for "+page.Grant.HolderName, page)
	return nil
}

// actOnGrant does what a form of the page says.
func (c *Console) actOnGrant(v *visit) error {
	page, err := c.grantPage(v)
	if err != nil {
		return err
	}
	to := page.Grant.Path
	form, g := v.r.PostForm, page.Grant
	page.Words = strings.TrimSpace(form.Get("text"))
	switch do := form.Get("do"); do {
	case "approve":
		var p api.GrantProposal
		if p, err = page.approve(v); err == nil {
			to = pathOf("tenants", page.Tenant, "decisions", p.Decision)
		}
	case "ask", "answer", "refuse", "revoke", "close", "acknowledge", "dispute":
		_, err = v.client.SayGrant(v, page.Tenant, g.ID, api.GrantAct(do), page.Words)
	case "notice":
		_, err = v.client.NotifyGrant(v, page.Tenant, g.ID, api.GrantNotice{Words: page.Words, Ticket: strings.TrimSpace(form.Get("ticket"))})
	case "console":
		// The console has another origin, where no form may lead: a link does.
		var ticket api.ConsoleTicket
		if ticket, err = v.client.OpenConsole(v, g.ID, api.NewConsole{Target: form.Get("target")}); err == nil {
			page.Console = &ticket
			c.render(v, http.StatusOK, "request", "Access for "+g.HolderName, page)
			return nil
		}
	case "extend":
		var minutes int64
		if minutes, err = wholeNumber(form.Get("minutes")); err == nil {
			var next api.Grant
			if next, err = v.client.ExtendGrant(v, page.Tenant, g.ID, api.ExtendGrant{Minutes: int(minutes), Purpose: page.Words}); err == nil {
				to = pathOf("tenants", page.Tenant, "access", next.ID)
			}
		}
	default:
		err = unknownForm
	}
	if err == nil {
		http.Redirect(v.w, v.r, to, http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "request", "Access for "+g.HolderName, func(p *problemPage) any { page.Problem = p; return page })
}

// approve asks for the decision to be signed, for what is ticked and as long as
// the form says.
func (p *requestPage) approve(v *visit) (api.GrantProposal, error) {
	form := v.r.PostForm
	p.Minutes, p.From = form.Get("minutes"), form.Get("from")
	scope := scopeOf(form["scope"])
	for i := range p.Boxes {
		p.Boxes[i].Chosen = slices.Contains(scope, p.Boxes[i].Ability)
	}
	if len(scope) == 0 {
		return api.GrantProposal{}, unprocessable("Nothing is ticked", "Tick what you grant, or refuse the request.")
	}
	minutes, err := wholeNumber(p.Minutes)
	if err != nil {
		return api.GrantProposal{}, err
	}
	in := api.ApproveGrant{Scope: scope, Minutes: int(minutes)}
	if in.From, err = dateTime(p.From); err != nil {
		return api.GrantProposal{}, err
	}
	return v.client.ApproveGrant(v, p.Tenant, p.Grant.ID, in)
}

// minutesWord tells minutes as hours and minutes.
func minutesWord(n int) string { return durationWord(time.Duration(n) * time.Minute) }
