package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/demarc/demarc/api"
)

// bodyLimit bounds a form, in bytes.
const bodyLimit = 64 << 10

// visit is one request of somebody who is signed in.
type visit struct {
	context.Context
	w      http.ResponseWriter
	r      *http.Request
	client *api.Client
	me     api.Principal
}

// ofProvider reports whether the visitor acts for the provider. What this
// shows or hides is a courtesy: the API decides.
func (v *visit) ofProvider() bool { return strings.HasPrefix(v.me.Role, "provider-") }

func (v *visit) tenant() string { return v.r.PathValue("tenant") }

// visitor finds out who visits and makes what goes wrong into a page.
func (c *Console) visitor(show func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sessionOf(r) == "" {
			toLogin(w, r)
			return
		}
		v := &visit{Context: r.Context(), w: w, r: r, client: c.client(w, r)}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if !sameOrigin(r) {
				c.fail(v, foreignForm)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
			if err := r.ParseForm(); err != nil {
				c.fail(v, &api.Problem{Status: http.StatusBadRequest, Title: "The form cannot be read", Detail: "It is malformed or larger than 64 KiB. Go back and send it again."})
				return
			}
		}
		me, err := v.client.Whoami(v)
		if err == nil {
			v.me = me
			if v.mustEnrol() {
				http.Redirect(w, r, "/account", http.StatusSeeOther)
				return
			}
			err = show(v)
		}
		if status(err) == http.StatusUnauthorized {
			c.forget(w)
			toLogin(w, r)
			return
		}
		if err != nil {
			c.fail(v, err)
		}
	})
}

// mustEnrol reports whether the session can do nothing, because a person of the
// provider has no second factor yet.
func (v *visit) mustEnrol() bool {
	return v.ofProvider() && v.me.Kind == "person" && !v.me.MFA && v.r.URL.Path != "/account" && !strings.HasPrefix(v.r.URL.Path, "/account/")
}

func notFound(*visit) error {
	return &api.Problem{Status: http.StatusNotFound, Title: "There is no such page", Detail: "The address is mistyped, or what it showed is gone."}
}

// status is that of the API's answer; 0 without an error, 500 for one that is
// not the API's.
func status(err error) int {
	var p *api.Problem
	switch {
	case err == nil:
		return 0
	case errors.As(err, &p) && p.Status >= 400 && p.Status < 600:
		return p.Status
	}
	return http.StatusInternalServerError
}

// absent reports whether the API has nothing to show to this visitor, so that
// a page leaves a part out instead of failing.
func absent(err error) bool {
	s := status(err)
	return s == http.StatusForbidden || s == http.StatusNotFound
}

// toLogin sends a visitor to the sign-in page and, from a page, back later.
func toLogin(w http.ResponseWriter, r *http.Request) {
	target := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		target += "?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// problemPage is what a page says about what went wrong.
type problemPage struct {
	Status           int
	Title, Why, Next string
	Errors           []api.ProblemError
}

// nextSteps says what a person can do about a status.
var nextSteps = map[int]string{
	http.StatusBadRequest:          "Go back and check what was sent.",
	http.StatusForbidden:           "Ask an administrator of your organisation, or sign in as somebody who may.",
	http.StatusNotFound:            "Go back, or start from the overview.",
	http.StatusConflict:            "Somebody else changed it meanwhile. Load the page again and repeat.",
	http.StatusPreconditionFailed:  "Somebody else changed it meanwhile. Load the page again and repeat.",
	http.StatusUnprocessableEntity: "Go back, correct what is named above and send it again.",
	http.StatusServiceUnavailable:  "Nothing was changed. Load the page again in a few seconds.",
}

// titles say what the names of statuses say, in words for people.
var titles = map[int]string{
	http.StatusForbidden:           "You may not do this",
	http.StatusNotFound:            "There is nothing of this name",
	http.StatusConflict:            "This does not fit what is there now",
	http.StatusPreconditionFailed:  "It was changed meanwhile",
	http.StatusUnprocessableEntity: "This cannot be accepted",
	http.StatusServiceUnavailable:  "The server cannot answer at present",
}

func describe(err error) problemPage {
	out := problemPage{Status: status(err)}
	var p *api.Problem
	if errors.As(err, &p) && out.Status < 500 || out.Status == http.StatusServiceUnavailable && p != nil {
		out.Title, out.Why, out.Errors = p.Title, p.Detail, p.Errors
		if own := titles[out.Status]; own != "" && (p.Title == "" || p.Title == http.StatusText(out.Status)) {
			out.Title = own
		}
	} else {
		out.Title, out.Why = "The server failed", "The reason is in the server's log."
	}
	if out.Next = nextSteps[out.Status]; out.Next == "" {
		out.Next = "Load the page again; if it fails again, tell whoever runs this server."
	}
	return out
}

// fail shows a problem. Faults that are not the visitor's are logged, not shown.
func (c *Console) fail(v *visit, err error) {
	if v.Err() != nil {
		return // the visitor has left
	}
	page := describe(err)
	if page.Status >= 500 {
		c.cfg.Log.ErrorContext(v, "console page failed", "path", v.r.URL.Path, "error", err)
	}
	c.render(v, page.Status, "problem", page.Title, page)
}

var unknownForm = &api.Problem{Status: http.StatusBadRequest, Title: "The form is not known", Detail: "It says nothing that this page does."}

// again shows a page once more with why a form failed. What is not the
// visitor's fault goes on as it is.
func (c *Console) again(v *visit, err error, name, title string, body func(*problemPage) any) error {
	if s := status(err); s == http.StatusUnauthorized || s >= 500 && s != http.StatusServiceUnavailable {
		return err
	}
	fault := describe(err)
	c.render(v, fault.Status, name, title, body(&fault))
	return nil
}
