package console

import (
	"net/http"
	"slices"

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
