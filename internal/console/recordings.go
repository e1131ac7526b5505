package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// sessionLimit is how many recorded sessions a list shows.
const sessionLimit = 300

// sessionLine is a recorded session.
type sessionLine struct {
	api.Session
	Path, GrantPath string
	// At is the target's name, Doing what the session was opened for.
	At, Doing string
	Lasted    string
}

var sessionKinds = map[string]string{"shell": "shell", "exec": "one command", "sftp": "copying files", "forward": "forwarded port", "web": "web console"}

type sessionsPage struct {
	Tenant   string
	Sessions []sessionLine
	More     bool
}

func (c *Console) sessionLine(tenant string, r api.Session) sessionLine {
	l := sessionLine{
		Session: r, Path: pathOf("tenants", tenant, "sessions", r.ID), GrantPath: pathOf("tenants", tenant, "access", r.Grant),
		At: orElse(r.TargetName, r.Target), Lasted: "goes on", Doing: orElse(sessionKinds[r.Kind], r.Kind),
	}
	l.HolderName = orElse(r.HolderName, brief(r.Holder, nil))
	if r.Ended != nil {
		l.Lasted = span(r.Ended.Sub(r.Started))
	}
	return l
}

func (c *Console) sessions(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	page := sessionsPage{Tenant: t.Name}
	if page.Sessions, err = c.sessionsOf(v, t.Name, ""); err != nil {
		return err
	}
	if page.More = len(page.Sessions) > sessionLimit; page.More {
		page.Sessions = page.Sessions[:sessionLimit]
	}
	c.render(v, http.StatusOK, "sessions", "Sessions", page)
	return nil
}

// sessionsOf lists the recorded sessions of a tenant, the newest first; those
// under a grant, if it is not empty.
func (c *Console) sessionsOf(v *visit, tenant, grant string) (out []sessionLine, err error) {
	for r, err := range v.client.Sessions(v, tenant, grant, "") {
		if grant != "" && absent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, c.sessionLine(tenant, r))
	}
	slices.Reverse(out)
	return out, nil
}

// sessionPage replays a session. The recording itself is fetched by the
// player, when somebody asks for it.
type sessionPage struct {
	Tenant   string
	Session  sessionLine
	Cast     string
	Ledger   string
	MayWatch bool
	Ticket   string
	// Verified is what the comparison with the ledger gave.
	Verified *api.SessionVerification
}

func (c *Console) session(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	r, err := v.client.Session(v, t.Name, v.r.PathValue("session"))
	if err != nil {
		return err
	}
	page := sessionPage{
		Tenant: t.Name, Session: c.sessionLine(t.Name, r), Cast: "/v1" + pathOf("tenants", t.ID, "sessions", r.ID, "cast"),
		Ledger: pathOf("tenants", t.Name, "ledger"), MayWatch: v.may("watch-recording", t),
	}
	if g, err := v.client.Grant(v, t.Name, r.Grant); err == nil {
		page.Ticket = g.Ticket
	} else if !absent(err) {
		return err
	}
	verified, err := v.client.VerifySession(v, t.Name, r.ID)
	if err == nil {
		page.Verified = &verified
	} else if !absent(err) && status(err) != http.StatusConflict {
		return err
	}
	c.render(v, http.StatusOK, "session", page.Session.HolderName+" at "+page.Session.At, page)
	return nil
}

// targets lists what sessions can reach; nothing for those who may not know.
func (v *visit) targets() ([]api.Target, error) {
	all, err := api.Collect(v.client.Targets(v))
	if absent(err) {
		return nil, nil
	}
	return all, err
}

// targetsPage is the register of what sessions can reach.
type targetsPage struct {
	Targets   []api.Target
	Gateway   *api.GatewayKeys
	MayManage bool
	Form      targetForm
	Problem   *problemPage
}

type targetForm struct{ Name, Kind, Address, User, Trust string }

func (c *Console) targetsPage(v *visit) (*targetsPage, error) {
	page := &targetsPage{MayManage: v.mayAtHome("manage-targets")}
	var err error
	if page.Targets, err = api.Collect(v.client.Targets(v)); err != nil {
		return nil, err
	}
	keys, err := v.client.GatewayKeys(v)
	if err == nil {
		page.Gateway = &keys
	} else if !absent(err) {
		return nil, err
	}
	return page, nil
}

func (c *Console) targets(v *visit) error {
	page, err := c.targetsPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "targets", "Targets", page)
	return nil
}

func (c *Console) changeTargets(v *visit) error {
	page, err := c.targetsPage(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	switch form.Get("do") {
	case "remove":
		err = v.client.RemoveTarget(v, form.Get("id"))
	case "add":
		f := targetForm{strings.TrimSpace(form.Get("name")), form.Get("kind"), strings.TrimSpace(form.Get("address")), strings.TrimSpace(form.Get("user")), form.Get("trust")}
		page.Form = f
		in := api.NewTarget{Name: f.Name, Kind: f.Kind, Address: f.Address, User: f.User}
		switch trust := strings.TrimSpace(f.Trust); {
		case f.Kind != "web":
			for line := range strings.Lines(trust) {
				if line = strings.TrimSpace(line); line != "" {
					in.HostKeys = append(in.HostKeys, line)
				}
			}
		case strings.HasPrefix(trust, "sha256:"):
			in.Pin = trust
		default:
			in.CA = trust
		}
		_, err = v.client.CreateTarget(v, in)
	default:
		err = unknownForm
	}
	if err == nil {
		http.Redirect(v.w, v.r, "/targets", http.StatusSeeOther)
		return nil
	}
	return c.again(v, err, "targets", "Targets", func(p *problemPage) any { page.Problem = p; return page })
}

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
