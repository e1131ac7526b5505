// Package console is the web console: server-rendered pages with a little
// script for what must move. It talks to the API in process, as the visitor,
// so that a page can show and do nothing that the API would refuse.
package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// ErrRefused is what SignIn wraps if the token opens nothing; any other error
// means that nobody can sign in at present.
var ErrRefused = errors.New("the token is not accepted")

// Config is what the console stands on. API, SignIn and SignOut are required.
type Config struct {
	// API serves /v1; it takes the console's session from SessionCookie.
	API http.Handler
	// SignIn makes a session of an API token.
	SignIn func(ctx context.Context, token string) (session string, err error)
	// SignOut ends a session; ending one that is gone is no error.
	SignOut func(ctx context.Context, session string) error
	// Secure keeps the session cookie to TLS.
	Secure bool
	// Now defaults to time.Now.
	Now func() time.Time
	// Log defaults to slog.Default.
	Log *slog.Logger
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	cfg    Config
	pages  pages
	assets assets
	mux    *http.ServeMux
}

// New returns the console. It serves everything below /, so mount the API at
// its own paths beside it.
func New(cfg Config) (http.Handler, error) {
	if cfg.API == nil || cfg.SignIn == nil || cfg.SignOut == nil {
		return nil, errors.New("console: API, SignIn and SignOut are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	c := &Console{cfg: cfg, mux: http.NewServeMux()}
	var err error
	if c.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if c.pages, err = parsePages(c.assets, cfg.Now); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.route()
	return secure(c.mux), nil
}

func (c *Console) route() {
	c.mux.Handle("GET /static/{file}", c.assets)
	c.mux.HandleFunc("GET /login", c.loginForm)
	c.mux.HandleFunc("POST /login", c.login)
	c.mux.HandleFunc("POST /login/begin", c.beginPasskey)
	c.mux.HandleFunc("GET /login/with/{provider}", c.providerSignIn)
	c.mux.HandleFunc("GET /join", c.joinForm)
	c.mux.HandleFunc("POST /join", c.join)
	c.mux.HandleFunc("POST /join/begin", c.beginJoin)
	c.mux.HandleFunc("POST /logout", c.logout)
	for pattern, show := range map[string]func(*visit) error{
		"GET /{$}":              c.overview,
		"GET /tenants/{tenant}": c.matrix,
		"GET /tenants/{tenant}/duties/{control}/{clause}":  c.duty,
		"POST /tenants/{tenant}/duties/{control}/{clause}": c.state,
		"GET /tenants/{tenant}/vms":                        c.vms,
		"GET /tenants/{tenant}/vms/{vm}":                   c.vm,
		"POST /tenants/{tenant}/vms/{vm}":                  c.refresh,
		"GET /tenants/{tenant}/subscriptions":              c.subscriptions,
		"POST /tenants/{tenant}/subscriptions":             c.subscribe,
		"POST /tenants/{tenant}/subscriptions/{id}":        c.endSubscription,
		"GET /tenants/{tenant}/ledger":                     c.ledger,
		"GET /ledger":                                      c.ledger,

		"GET /account":           c.account,
		"POST /account":          c.changeAccount,
		"POST /account/begin":    c.beginAnother,
		"GET /device":            c.device,
		"POST /device":           c.answerDevice,
		"GET /people":            c.people,
		"POST /people":           c.changePeople,
		"GET /access":            c.myAccess,
		"POST /access":           c.askAnywhere,
		"GET /targets":           c.targets,
		"POST /targets":          c.changeTargets,
		"GET /reviews":           c.reviews,
		"POST /reviews":          c.schedule,
		"GET /reviews/{review}":  c.review,
		"POST /reviews/{review}": c.signOff,
		"GET /privileges":        c.privileges,

		"GET /tenants/{tenant}/people":                c.people,
		"POST /tenants/{tenant}/people":               c.changePeople,
		"GET /tenants/{tenant}/access":                c.requests,
		"POST /tenants/{tenant}/access":               c.request,
		"GET /tenants/{tenant}/access/{grant}":        c.grant,
		"POST /tenants/{tenant}/access/{grant}":       c.actOnGrant,
		"GET /tenants/{tenant}/sessions":              c.sessions,
		"GET /tenants/{tenant}/sessions/{session}":    c.session,
		"GET /tenants/{tenant}/decisions":             c.decisions,
		"GET /tenants/{tenant}/decisions/{decision}":  c.decision,
		"POST /tenants/{tenant}/decisions/{decision}": c.decide,
		"GET /tenants/{tenant}/keys":                  c.keys,
		"POST /tenants/{tenant}/keys":                 c.changeKeys,
		"GET /tenants/{tenant}/activity":              c.activity,
		"GET /tenants/{tenant}/incidents":             c.incidents,
		"POST /tenants/{tenant}/incidents":            c.closeIncident,
		"GET /tenants/{tenant}/reviews":               c.reviews,
		"POST /tenants/{tenant}/reviews":              c.schedule,
		"GET /tenants/{tenant}/reviews/{review}":      c.review,
		"POST /tenants/{tenant}/reviews/{review}":     c.signOff,
		"GET /tenants/{tenant}/privileges":            c.privileges,

		"/": notFound,
	} {
		c.mux.Handle(pattern, c.visitor(show))
	}
}

// secure sets the headers that every answer carries. Pages have no inline
// script or style, so none is allowed.
func secure(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self)")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
