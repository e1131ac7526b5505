package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

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
	// Step is "code" for the second factor, else empty.
	Step string
	// Method opens the form that failed; Login is what was typed there.
	Method, Login string
	Passkeys      bool
	Providers     []api.SignInProvider
}

func sessionOf(r *http.Request) string {
	c, err := r.Cookie(SessionCookie)
	if err != nil || len(c.Value) > tokenLimit {
		return ""
	}
	return c.Value
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{Context: r.Context(), w: w, r: r, client: c.client(w, r)}
}

func (c *Console) loginForm(w http.ResponseWriter, r *http.Request) {
	c.askWho(c.visit(w, r), http.StatusOK, loginPage{Method: r.FormValue("with")})
}

// askWho shows the sign-in form.
func (c *Console) askWho(v *visit, status int, page loginPage) {
	page.Next, page.Passkeys = localPath(v.r.FormValue("next")), true
	if methods, err := v.client.SignInMethods(v); err == nil {
		page.Passkeys, page.Providers = methods.Passkeys, methods.Providers
	}
	c.render(v, status, "login", "Sign in", page)
}

// foreign answers a form of another site, and bounds those of our own.
func (c *Console) foreign(v *visit) bool {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, bodyLimit)
	if sameOrigin(v.r) {
		return false
	}
	c.fail(v, foreignForm)
	return true
}

// login is a step of signing in.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	if c.foreign(v) {
		return
	}
	form := func(name string) string { return r.PostFormValue(name) }
	var in api.SignedIn
	var err error
	page := loginPage{Method: form("step")}
	switch page.Method {
	case "passkey":
		in, err = v.client.FinishPasskeySignIn(v, api.PasskeyAnswer{Credential: jsonOrNull(form("credential"))})
	case "password":
		page.Login = strings.TrimSpace(form("login"))
		in, err = v.client.SignInWithPassword(v, api.PasswordSignIn{Login: page.Login, Password: form("password")})
	case "totp":
		page.Step = "code"
		in, err = v.client.SignInWithTOTP(v, api.SecondFactor{Code: strings.ReplaceAll(form("code"), " ", "")})
	case "recovery":
		page.Step = "code"
		in, err = v.client.SignInWithRecoveryCode(v, api.SecondFactor{Code: strings.TrimSpace(form("code"))})
	default:
		page.Method = "token"
		c.loginWithToken(v, page)
		return
	}
	if err != nil {
		c.refuseSignIn(v, page, err)
		return
	}
	c.enter(v, in)
}

// enter goes on after a step that was taken.
func (c *Console) enter(v *visit, in api.SignedIn) {
	switch in.Next {
	case api.NextSecondFactor:
		c.askWho(v, http.StatusOK, loginPage{Step: "code"})
	case api.NextEnrol:
		http.Redirect(v.w, v.r, "/account", http.StatusSeeOther)
	default:
		http.Redirect(v.w, v.r, localPath(v.r.PostFormValue("next")), http.StatusSeeOther)
	}
}

// refuseSignIn says that a step failed, in words that do not tell whether there
// is such an account.
func (c *Console) refuseSignIn(v *visit, page loginPage, err error) {
	var p *api.Problem
	switch s := status(err); {
	case s >= 400 && s < 500 && errors.As(err, &p):
		page.Error = sentence(p.Detail)
		if s == http.StatusUnauthorized && page.Step == "code" && strings.Contains(p.Detail, "begin again") {
			page.Step = "" // what began the sign-in is over
		}
		c.askWho(v, s, page)
	default:
		c.cfg.Log.ErrorContext(v, "console sign-in failed", "error", err)
		page.Error = "Nobody can sign in at present. Try again in a few seconds."
		c.askWho(v, http.StatusServiceUnavailable, page)
	}
}

func (c *Console) loginWithToken(v *visit, page loginPage) {
	// Whatever was sent is looked up, so that every refusal costs the same.
	token := strings.TrimSpace(v.r.PostFormValue("token"))
	if len(token) > tokenLimit {
		token = token[:tokenLimit]
	}
	session, err := c.cfg.SignIn(v, token)
	switch {
	case errors.Is(err, ErrRefused) && token == "":
		page.Error = "Enter your token."
		c.askWho(v, http.StatusUnauthorized, page)
	case errors.Is(err, ErrRefused):
		page.Error = "This token is not accepted: it is mistyped, has expired or was revoked."
		c.askWho(v, http.StatusUnauthorized, page)
	case err != nil:
		c.refuseSignIn(v, page, err)
	default:
		http.SetCookie(v.w, c.cookie(session, 0))
		http.Redirect(v.w, v.r, localPath(v.r.PostFormValue("next")), http.StatusSeeOther)
	}
}

// beginPasskey answers passkey.js with what the authenticator is asked.
func (c *Console) beginPasskey(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	if c.foreign(v) {
		return
	}
	o, err := v.client.BeginPasskeySignIn(v)
	c.answerScript(v, o, err)
}

// answerScript answers a request of our own script with JSON.
func (c *Console) answerScript(v *visit, out any, err error) {
	code := http.StatusOK
	if err != nil {
		page := describe(err)
		if page.Status >= 500 {
			c.cfg.Log.ErrorContext(v, "console script is refused", "path", v.r.URL.Path, "error", err)
		}
		code, out = page.Status, api.Problem{Status: page.Status, Title: page.Title, Detail: sentence(orElse(page.Why, page.Title))}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		c.fail(v, err)
		return
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(code)
	_, _ = v.w.Write(raw) // a failed write means that the visitor has left
}

// providerSignIn sends the browser to an OpenID provider. It is a link and not a
// form, because the policy lets forms lead nowhere else.
func (c *Console) providerSignIn(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	to, err := v.client.BeginProviderSignIn(v, api.ProviderJourney{Provider: r.PathValue("provider"), Return: localPath(r.FormValue("next"))})
	if err != nil {
		c.refuseSignIn(v, loginPage{}, err)
		return
	}
	http.Redirect(w, r, to.URL, http.StatusSeeOther)
}

// jsonOrNull is s if it is JSON, so that it can be part of a request.
func jsonOrNull(s string) json.RawMessage {
	if !json.Valid([]byte(s)) {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

// sentence begins s with a capital and ends it with a stop.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	if c.foreign(v) {
		return
	}
	if session := sessionOf(r); session != "" {
		if err := c.cfg.SignOut(r.Context(), session); err != nil {
			c.cfg.Log.ErrorContext(r.Context(), "console sign-out failed", "error", err)
			c.fail(v, &api.Problem{
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
		u.Path == "/login" || strings.HasPrefix(u.Path, "/login/") || u.Path == "/logout" {
		return "/"
	}
	return p
}
