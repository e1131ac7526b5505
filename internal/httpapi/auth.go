package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// SessionCookie carries the id of a console session.
const SessionCookie = "demarc_session"

type principalKey struct{}

// WithPrincipal returns a context in which p acts.
func WithPrincipal(ctx context.Context, p access.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who acts in ctx.
func PrincipalOf(ctx context.Context) access.Principal {
	p, _ := ctx.Value(principalKey{}).(access.Principal)
	return p
}

// open lists what is served without authentication: the description of the
// API, and what agents call with credentials of their own.
var open = map[string]bool{"/openapi.json": true, "/openapi.yaml": true, "/v1/enrol": true, "/v1/renew": true, "/v1/agent/policies": true}

// authenticate finds out who calls, by API token or console session.
func (a *API) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		r = a.withVisitor(r)
		if signInPaths[r.URL.Path] {
			if fromElsewhere(r) {
				writeProblem(w, huma.Error403Forbidden("signing in is taken from the console's own pages only; this came from another site"))
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		p, err := a.caller(r)
		if errors.Is(err, identity.ErrUnauthenticated) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="demarc"`)
			writeProblem(w, huma.Error401Unauthorized("not signed in: send an API token as 'Authorization: Bearer TOKEN'"))
			return
		}
		if err != nil {
			writeProblem(w, a.problem(r.Context(), err))
			return
		}
		if err := a.comesFrom(p, r); err != nil {
			writeProblem(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(WithPrincipal(r.Context(), p)))
	})
}

func (a *API) caller(r *http.Request) (access.Principal, error) {
	return a.callerBy(r, a.cfg.Identities.Session)
}

// callerBy is caller with how a session is looked up.
func (a *API) callerBy(r *http.Request, session func(ctx context.Context, secret string) (access.Principal, error)) (access.Principal, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		token, ok := strings.CutPrefix(h, "Bearer ")
		if !ok {
			return access.Principal{}, identity.ErrUnauthenticated
		}
		return a.cfg.Identities.Authenticate(r.Context(), token)
	}
	c, err := r.Cookie(SessionCookie)
	if err != nil {
		return access.Principal{}, identity.ErrUnauthenticated
	}
	// A cookie is sent along by other sites' pages too: it may only read,
	// unless the browser itself says that the request is from our own page.
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return access.Principal{}, identity.ErrUnauthenticated
	}
	return session(r.Context(), c.Value)
}

func writeProblem(w http.ResponseWriter, err error) {
	var se huma.StatusError
	if !errors.As(err, &se) {
		se = huma.Error500InternalServerError("the server failed")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if se.GetStatus() == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(se.GetStatus())
	json.NewEncoder(w).Encode(se)
}

// rule says who may call an operation.
type rule struct {
	action access.Action
	// scope: "tenant" operations name a tenant in their path and concern it;
	// "provider" operations concern the provider's own; "any" operations show
	// each caller what it may see; "self" operations concern nothing but the
	// caller, and are open to whoever has not shown a second factor yet.
	scope string
}

// tenant is the rule of operations below /v1/tenants/{tenant}, provider that of
// the provider's own matters.
func tenant(action access.Action) rule   { return rule{action, "tenant"} }
func provider(action access.Action) rule { return rule{action, "provider"} }

var (
	anybody = rule{access.Look, "any"}
	self    = rule{access.Look, "self"}
)

// RuleKey is the metadata key under which an operation keeps its rule as
// "action scope", for tests over all operations.
const RuleKey = "demarc-access"

// call is a request that passed authorization.
type call struct {
	context.Context
	by access.Principal
	// tenant is set for operations of scope tenant.
	tenant estate.Tenant
}

// TenantPath is embedded in the input of operations of scope tenant.
type TenantPath struct {
	Tenant string `path:"tenant" doc:"id or name of the tenant" maxLength:"100"`
}

func (t TenantPath) ref() string { return t.Tenant }

// add registers an operation.
func add[I, O any](a *API, r rule, op huma.Operation, f func(c call, in *I) (*O, error)) {
	op.Metadata = map[string]any{RuleKey: string(r.action) + " " + r.scope}
	op.MaxBodyBytes = MaxBodyBytes
	a.mux.ruled[op.Method+" "+op.Path] = true
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		c := call{Context: ctx, by: PrincipalOf(ctx)}
		if err := a.authorize(&c, r, in); err != nil {
			return nil, err
		}
		out, err := f(c, in)
		return out, a.problem(ctx, err)
	})
}

// authorize decides. What a caller may not know of is not found.
func (a *API) authorize(c *call, r rule, in any) error {
	if c.by.ID == "" {
		return huma.Error401Unauthorized("not signed in")
	}
	if r.scope == "self" {
		return nil
	}
	// Who may not even look at its own side may learn nothing from how it is
	// refused: a tenant that is there gets the answer of one that is not.
	if side := (authz.Resource{Tenant: c.by.Tenant}); !a.permits(c.by, access.Look, side) {
		return a.refused(c.by, access.Look, side)
	}
	switch r.scope {
	case "any":
		return nil
	case "provider":
		if !a.permits(c.by, r.action, authz.Provider) {
			return a.refused(c.by, r.action, authz.Provider)
		}
		return nil
	}
	t, ok := in.(interface{ ref() string })
	if !ok {
		return huma.Error500InternalServerError("the server failed")
	}
	return a.problem(c, a.enter(c, r.action, t.ref()))
}

// refused says why not, and which roles may.
func (a *API) refused(who access.Principal, action access.Action, r authz.Resource) error {
	return huma.Error403Forbidden(a.cfg.Policy.Refusal(who, action, r, a.situation(who, r)))
}

func of(t estate.Tenant) authz.Resource { return authz.Resource{Tenant: t.ID, Own: t.Own} }

func (a *API) permits(who access.Principal, action access.Action, r authz.Resource) bool {
	return a.cfg.Policy.Permits(who, action, r, a.situation(who, r))
}

// situation is what decides besides. Who asked for what is to be decided the
// use-cases know, and ask the policy again with it.
func (a *API) situation(who access.Principal, r authz.Resource) authz.Case {
	return authz.Case{Granted: r.Tenant != "" && a.cfg.Granted != nil && a.cfg.Granted(who.ID, r.Tenant)}
}

// resource is the tenant of that id, or the provider if it is empty.
func (a *API) resource(ctx context.Context, tenant string) (authz.Resource, error) {
	if tenant == "" {
		return authz.Provider, nil
	}
	var t estate.Tenant
	err := a.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
		t, err = tx.Tenant(tenant)
		return err
	})
	return of(t), err
}

// enter finds the tenant and checks that the caller may act on it.
func (a *API) enter(c *call, action access.Action, ref string) error {
	unknown := huma.Error404NotFound("there is no tenant " + clip(ref) + " that you may see")
	var t estate.Tenant
	err := a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		t, err = tx.Tenant(ref)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unknown
	case err != nil:
		return err
	case !a.permits(c.by, access.Look, of(t)):
		return unknown
	case !a.permits(c.by, action, of(t)):
		return a.refused(c.by, action, of(t))
	}
	c.tenant = t
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
