package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/demarc/demarc/api"
)

// tokenLimit bounds a token, in bytes.
const tokenLimit = 512

var foreignForm = &api.Problem{
	Status: http.StatusForbidden, Title: "The form was sent from another site",
	Detail: "This console takes forms only from its own pages, and your browser does not say that this one is. " +
		"Open the console itself, over HTTPS or on this machine, and send the form from there.",
}

// loginPage is the sign-in form.
type loginPage struct {
	Next, Error string
}

func sessionOf(r *http.Request) string {
	c, err := r.Cookie(SessionCookie)
	if err != nil || len(c.Value) > tokenLimit {
		return ""
	}
	return c.Value
}

func (c *Console) loginForm(w http.ResponseWriter, r *http.Request) {
	c.askToken(w, r, http.StatusOK, "")
}

func (c *Console) askToken(w http.ResponseWriter, r *http.Request, status int, fault string) {
	v := &visit{Context: r.Context(), w: w, r: r}
	c.render(v, status, "login", "Sign in", loginPage{Next: localPath(r.FormValue("next")), Error: fault})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
	if !sameOrigin(r) {
		c.fail(&visit{Context: r.Context(), w: w, r: r}, foreignForm)
		return
	}
	// Whatever was sent is looked up, so that every refusal costs the same.
	token := strings.TrimSpace(r.PostFormValue("token"))
	if len(token) > tokenLimit {
		token = token[:tokenLimit]
	}
	session, err := c.cfg.SignIn(r.Context(), token)
	switch {
	case errors.Is(err, ErrRefused) && token == "":
		c.askToken(w, r, http.StatusUnauthorized, "Enter your token.")
	case errors.Is(err, ErrRefused):
		c.askToken(w, r, http.StatusUnauthorized, "This token is not accepted: it is mistyped, has expired or was revoked.")
	case err != nil:
		c.cfg.Log.ErrorContext(r.Context(), "console sign-in failed", "error", err)
		c.askToken(w, r, http.StatusServiceUnavailable, "Nobody can sign in at present. Try again in a few seconds.")
	default:
		http.SetCookie(w, c.cookie(session, 0))
		http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
	}
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if !sameOrigin(r) {
		c.fail(&visit{Context: r.Context(), w: w, r: r}, foreignForm)
		return
	}
	if session := sessionOf(r); session != "" {
		if err := c.cfg.SignOut(r.Context(), session); err != nil {
			c.cfg.Log.ErrorContext(r.Context(), "console sign-out failed", "error", err)
			c.fail(&visit{Context: r.Context(), w: w, r: r}, &api.Problem{
				Status: http.StatusServiceUnavailable, Title: "You are still signed in",
				Detail: "The session could not be ended.",
			})
			return
		}
	}
	c.forget(w)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (c *Console) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: SessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.cfg.Secure, SameSite: http.SameSiteStrictMode,
	}
}

func (c *Console) forget(w http.ResponseWriter) { http.SetCookie(w, c.cookie("", -1)) }

// sameOrigin reports whether the browser says that one of our own pages sends
// the request: Sec-Fetch-Site (W3C Fetch Metadata) or, without it, Origin
// (RFC 6454). A request that says nothing is refused.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	o, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && (o.Scheme == "https" || o.Scheme == "http") && o.Host != "" && o.Host == r.Host
}

// localPath returns p if it is a path of this console, else /. Browsers take
// // and /\ for another host, and drop control characters before they look.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(p, "/") ||
		strings.HasPrefix(p, "//") || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) ||
		u.Path == "/login" || u.Path == "/logout" {
		return "/"
	}
	return p
}
