package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/identity"
)

// Cookies besides the session's.
const (
	// ceremonyCookie binds a challenge, or a sign-in without its second factor,
	// to the browser that began it; journeyCookie a sign-in at an identity
	// provider, from where the browser comes back by a link of another site.
	ceremonyCookie = "demarc_ceremony"
	journeyCookie  = "demarc_journey"
	// deviceCookie makes a browser known as one that signed in before.
	deviceCookie = "demarc_device"
)

// visitor is what an operation of sign-in needs to know of the request.
type visitor struct {
	identity.Visit
	ceremony, journey, session string
	// secure: the request came by TLS, so cookies are kept to it.
	secure bool
}

type visitorKey struct{}

func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(visitorKey{}).(visitor)
	return v
}

// withVisitor notes how the request came.
func (a *API) withVisitor(r *http.Request) *http.Request {
	v := visitor{Visit: identity.Visit{From: r.RemoteAddr, Client: browser(r.UserAgent())}, secure: a.secure(r)}
	for name, to := range map[string]*string{
		ceremonyCookie: &v.ceremony, journeyCookie: &v.journey, deviceCookie: &v.Device, SessionCookie: &v.session,
	} {
		if c, err := r.Cookie(name); err == nil {
			*to = c.Value
		}
	}
	return r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
}

// secure reports whether the browser reaches the console by TLS, at this server
// or at one before it.
func (a *API) secure(r *http.Request) bool {
	host, ok := strings.CutPrefix(a.cfg.Identities.Site.URL, "https://")
	return r.TLS != nil || (ok && host == r.Host)
}

// browser is the kind of browser or program: enough to tell one's sessions
// apart, and no more.
func browser(agent string) string {
	first := func(names ...string) string {
		for _, n := range names {
			if strings.Contains(agent, n) {
				return n
			}
		}
		return ""
	}
	name := first("Firefox", "Edg", "Chromium", "Chrome", "Safari", "demarc", "curl")
	if name == "" {
		return "another program"
	}
	if system := first("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux"); system != "" {
		return name + " on " + system
	}
	return name
}

// signInPaths lists what is served to people who have not signed in yet.
var signInPaths = map[string]bool{
	"/v1/sign-in":               true,
	"/v1/sign-in/passkey/begin": true, "/v1/sign-in/passkey/finish": true,
	"/v1/sign-in/password": true, "/v1/sign-in/totp": true, "/v1/sign-in/recovery": true,
	"/v1/sign-in/oidc/begin": true, callbackPath: true,
	"/v1/join/look": true, "/v1/join/password": true, "/v1/join/passkey/begin": true, "/v1/join/passkey/finish": true,
	"/v1/device/begin": true, "/v1/device/poll": true,
}

// fromElsewhere reports whether a browser says that a page of another site
// sends the request (W3C Fetch Metadata; RFC 6454 where it is missing). Signing
// somebody in, as another, is what such a page must not do either.
func fromElsewhere(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		return err != nil || u.Host != r.Host
	}
	return false
}

// cookied is an answer that sets cookies.
type cookied[T any] struct {
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	Body         T
}

func withCookies[T any](v T, cookies ...http.Cookie) *cookied[T] {
	return &cookied[T]{SetCookie: cookies, CacheControl: "no-store", Body: v}
}

// cookies is an answer of nothing but cookies.
type cookies struct {
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
}

func onlyCookies(cs ...http.Cookie) *cookies { return &cookies{cs, "no-store"} }

// quiet marks an operation that answers with no body.
func quiet(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusNoContent
	return op
}

// cookie makes a cookie that scripts cannot read. An empty value removes it.
func (v visitor) cookie(name, value, path string, life time.Duration) http.Cookie {
	c := http.Cookie{Name: name, Value: value, Path: path, MaxAge: int(life / time.Second), HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteStrictMode}
	if name == journeyCookie {
		c.SameSite = http.SameSiteLaxMode
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func (v visitor) sessionCookie(secret string) http.Cookie {
	return v.cookie(SessionCookie, secret, "/", 0)
}

func (v visitor) ceremonyCookie(secret string) http.Cookie {
	return v.cookie(ceremonyCookie, secret, "/v1/", identity.CeremonyLength)
}

// entered are the cookies of a step of signing in. A session that the browser
// had before is not carried on: the secret is always a new one.
func (v visitor) entered(e identity.Entry) []http.Cookie {
	if e.Secret == "" {
		return []http.Cookie{v.ceremonyCookie(e.Ceremony)}
	}
	return []http.Cookie{
		v.sessionCookie(e.Secret), v.cookie(deviceCookie, e.Device, "/v1/sign-in", 180*24*time.Hour), v.ceremonyCookie(""),
	}
}

// RotateSessions gives the browser a new session cookie when the time has come,
// before next answers.
func (a *API) RotateSessions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(SessionCookie); err == nil && !signInPaths[r.URL.Path] && r.URL.Path != "/v1/events" {
			fresh, err := a.cfg.Identities.Rotate(r.Context(), c.Value)
			if err != nil {
				a.cfg.Log.WarnContext(r.Context(), "a session keeps its secret for now", "error", err)
			}
			if fresh != "" {
				cookie := visitor{secure: a.secure(r)}.sessionCookie(fresh)
				http.SetCookie(w, &cookie)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// addOpen registers an operation of people who have not signed in.
func addOpen[I, O any](a *API, op huma.Operation, f func(c call, v visitor, in *I) (*O, error)) {
	op.Metadata = map[string]any{RuleKey: "open"}
	op.MaxBodyBytes = 256 << 10
	op.Security = []map[string][]string{}
	a.mux.opened[op.Method+" "+op.Path] = true
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(call{Context: ctx}, visitorOf(ctx), in)
		return out, a.problem(ctx, err)
	})
}
