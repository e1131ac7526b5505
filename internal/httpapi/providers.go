package httpapi

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addIdentityProviders() {
	ids := a.cfg.Identities
	out := func(p store.IdentityProvider) api.IdentityProvider {
		return api.IdentityProvider{
			ID: p.ID, Name: p.Name, Tenant: p.Tenant, Issuer: p.Issuer, ClientID: p.ClientID, MFA: append([]string{}, p.MFA...), Callback: ids.Callback(), CreatedAt: p.CreatedAt,
		}
	}
	add(a, anybody, get("list-identity-providers", "/v1/identity-providers", "OpenID providers of a side"), func(c call, in *struct{ SideParams }) (*list[api.IdentityProvider], error) {
		of, _, err := a.manages(&c, in.SideParams, access.ManagePeople)
		if err != nil {
			return nil, err
		}
		ps, err := ids.IdentityProviders(c, of)
		return paged(ps, 0, nil, out), err
	})
	add(a, anybody, created(post("add-identity-provider", "/v1/identity-providers", "Add an OpenID provider that people may sign in at")), func(c call, in *struct{ Body api.NewIdentityProvider }) (*body[api.IdentityProvider], error) {
		n := identity.NewProvider{Name: in.Body.Name, Issuer: in.Body.Issuer, ClientID: in.Body.ClientID, ClientSecret: in.Body.ClientSecret, MFA: in.Body.MFA}
		if in.Body.Tenant != "" {
			if err := a.enter(&c, access.ManagePeople, in.Body.Tenant); err != nil {
				return nil, err
			}
			n.Tenant = c.tenant.ID
		} else if !a.permits(c.by, access.ManagePeople, authz.Provider) {
			return nil, a.refused(c.by, access.ManagePeople, authz.Provider)
		}
		p, err := ids.AddIdentityProvider(c, c.by, n)
		return plain(out(p), err)
	})
	add(a, anybody, quiet(post("remove-identity-provider", "/v1/identity-providers/{provider}/remove", "Remove an OpenID provider; who signs in there cannot any more")), func(c call, in *struct {
		Provider string `path:"provider" doc:"id of the identity provider" maxLength:"100"`
	}) (*struct{}, error) {
		p, err := ids.IdentityProvider(c, in.Provider)
		if err := a.known(c, "identity provider", in.Provider, p.Tenant, err, access.ManagePeople); err != nil {
			return nil, err
		}
		return nil, ids.RemoveIdentityProvider(c, c.by, in.Provider)
	})
	a.addJourneys()
}

// callbackPath is where OpenID providers send the browser back to.
const callbackPath = "/v1/sign-in/oidc/callback"

// journeyPath is where the cookie of a journey is sent to.
const journeyPath = "/v1/sign-in/oidc/"

// page is a small HTML answer.
type page struct {
	Status       int
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	ContentType  string        `header:"Content-Type"`
	Body         []byte
}

func (a *API) addJourneys() {
	ids := a.cfg.Identities
	addOpen(a, post("begin-oidc-sign-in", "/v1/sign-in/oidc/begin", "Begin a sign-in at an OpenID provider"), func(c call, v visitor, in *struct{ Body api.ProviderJourney }) (*cookied[api.Redirection], error) {
		to, ceremony, err := ids.BeginOIDC(c, in.Body.Provider, in.Body.Return, in.Body.Invitation)
		if err != nil {
			return nil, err
		}
		return withCookies(api.Redirection{URL: to}, v.cookie(journeyCookie, ceremony, journeyPath, identity.CeremonyLength)), nil
	})
	op := get("finish-oidc-sign-in", callbackPath, "Where an OpenID provider sends the browser back to")
	op.Responses = map[string]*huma.Response{"200": {Description: "a page that leads on", Content: map[string]*huma.MediaType{"text/html": {}}}}
	addOpen(a, op, func(c call, v visitor, in *struct {
		State string `query:"state" doc:"as it was given to the provider" maxLength:"200"`
		Code  string `query:"code" doc:"to be redeemed at the provider" maxLength:"4000"`
		Iss   string `query:"iss" doc:"the provider's issuer, RFC 9207" maxLength:"500"`
		Error string `query:"error" doc:"why there is no code" maxLength:"200"`
		Text  string `query:"error_description" doc:"the same in words" maxLength:"4000"`
		URI   string `query:"error_uri" doc:"the same on a page" maxLength:"2000"`
		At    string `query:"session_state" doc:"not used" maxLength:"500"`
		Scope string `query:"scope" doc:"not used" maxLength:"2000"`
	}) (*page, error) {
		e, back, err := ids.FinishOIDC(c, v.Visit, v.journey, identity.Returned{State: in.State, Code: in.Code, Issuer: in.Iss})
		gone := v.cookie(journeyCookie, "", journeyPath, 0)
		if err != nil {
			return a.notSignedIn(c, err, gone), nil
		}
		// A redirection would be part of a journey that began at another site, on
		// which browsers send no strict cookie: the page leads on by itself.
		to := html.EscapeString(back)
		return &page{
			Status: http.StatusOK, CacheControl: "no-store", ContentType: "text/html; charset=utf-8",
			SetCookie: append(v.entered(e), gone),
			Body:      fmt.Appendf(nil, "<!doctype html><title>Signed in</title><meta http-equiv=\"refresh\" content=\"0;url=%s\"><p><a href=\"%s\">Go on</a>\n", to, to),
		}, nil
	})
}

// notSignedIn is the page for who comes back from an identity provider without
// being signed in.
func (a *API) notSignedIn(ctx context.Context, err error, cookies ...http.Cookie) *page {
	status, text := http.StatusInternalServerError, "The server failed."
	var se huma.StatusError
	if errors.As(a.problem(ctx, err), &se) {
		status, text = se.GetStatus(), se.Error()
	}
	return &page{
		Status: status, SetCookie: cookies, CacheControl: "no-store", ContentType: "text/html; charset=utf-8",
		Body: fmt.Appendf(nil, "<!doctype html><title>Not signed in</title><p>%s</p><p><a href=\"/login\">Sign in</a>\n", html.EscapeString(text)),
	}
}
