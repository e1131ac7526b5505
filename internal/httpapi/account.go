package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

// addAccount adds what a person does about itself.
func (a *API) addAccount() {
	ids := a.cfg.Identities
	add(a, self, get("account", "/v1/account", "What you sign in with"), func(c call, _ *struct{}) (*body[api.Account], error) {
		if c.by.Kind != access.Person {
			return nil, huma.Error404NotFound("you are no person who signs in, and have no account")
		}
		acc, err := ids.Account(c, c.by)
		return plain(accountOut(acc, c.by), err)
	})
	add(a, self, post("begin-passkey", "/v1/account/passkeys/begin", "Ask for a challenge to make another passkey with"), func(c call, _ *struct{}) (*cookied[api.PasskeyOptions], error) {
		return visitorOf(c).challenge(ids.BeginPasskey(c, c.by))
	})
	add(a, self, quiet(post("finish-passkey", "/v1/account/passkeys/finish", "Add the passkey made; the session gets another secret")), func(c call, in *struct{ Body api.PasskeyAnswer }) (*cookies, error) {
		v := visitorOf(c)
		return v.elevated(ids.FinishPasskey(c, c.by, v.ceremony, in.Body.Credential, in.Body.Label))
	})
	add(a, self, quiet(post("set-password", "/v1/account/password", "Set a password, or change it; other sessions end")), func(c call, in *struct{ Body api.NewPassword }) (*cookies, error) {
		return visitorOf(c).elevated(ids.SetPassword(c, c.by, in.Body.Login, in.Body.Password))
	})
	add(a, self, post("begin-totp", "/v1/account/totp/begin", "Make a secret for an authenticator app"), func(c call, _ *struct{}) (*cookied[api.TOTPSecret], error) {
		n, err := ids.BeginTOTP(c, c.by)
		if err != nil {
			return nil, err
		}
		qr, err := n.QR()
		return withCookies(api.TOTPSecret{Secret: n.Secret, URI: n.URI, QR: qr}, visitorOf(c).ceremonyCookie(n.Ceremony)), err
	})
	add(a, self, post("finish-totp", "/v1/account/totp/finish", "Make the authenticator app's secret count, given its first code; recovery codes are shown once"), func(c call, in *struct{ Body api.SecondFactor }) (*cookied[api.RecoveryCodes], error) {
		v := visitorOf(c)
		session, codes, err := ids.FinishTOTP(c, c.by, v.ceremony, in.Body.Code)
		if err != nil {
			return nil, err
		}
		cookies := []http.Cookie{v.ceremonyCookie("")}
		if session != "" {
			cookies = append(cookies, v.sessionCookie(session))
		}
		return withCookies(api.RecoveryCodes{Codes: codes}, cookies...), nil
	})
	add(a, self, post("renew-recovery-codes", "/v1/account/recovery-codes", "Replace the recovery codes; they are shown once"), func(c call, _ *struct{}) (*body[api.RecoveryCodes], error) {
		codes, err := ids.RenewRecoveryCodes(c, c.by)
		return plain(api.RecoveryCodes{Codes: append([]string{}, codes...)}, err)
	})
	add(a, self, quiet(post("remove-authenticator", "/v1/account/authenticators/{authenticator}/remove", "Remove something that you sign in with")), func(c call, in *struct {
		Authenticator string `path:"authenticator" doc:"id of the authenticator" maxLength:"100"`
	}) (*struct{}, error) {
		return nil, ids.RemoveAuthenticator(c, c.by, in.Authenticator)
	})
	a.addOwnSessions()
	a.addTokens()
}

// elevated answers what may have given the session another secret.
func (v visitor) elevated(session string, err error) (*cookies, error) {
	if err != nil {
		return nil, err
	}
	cs := []http.Cookie{v.ceremonyCookie("")}
	if session != "" {
		cs = append(cs, v.sessionCookie(session))
	}
	return onlyCookies(cs...), nil
}

func (a *API) addOwnSessions() {
	ids := a.cfg.Identities
	add(a, self, get("list-own-sessions", "/v1/account/sessions", "Your sessions"), func(c call, _ *struct{}) (*list[api.OwnSession], error) {
		ss, err := ids.Sessions(c, c.by)
		return paged(ss, 0, nil, func(s store.Session) api.OwnSession {
			return api.OwnSession{
				ID: s.ID, Method: s.Method, Client: s.Client, MFA: s.MFA, Present: s.ID == c.by.Session, CreatedAt: s.CreatedAt,
				AuthenticatedAt: s.Authenticated, SeenAt: s.Seen, Expires: s.Expires,
			}
		}), err
	})
	add(a, self, quiet(post("end-session", "/v1/account/sessions/{session}/end", "End one of your sessions")), func(c call, in *struct {
		Session string `path:"session" doc:"id of the session" maxLength:"100"`
	}) (*struct{}, error) {
		return nil, ids.EndSession(c, c.by, in.Session)
	})
	add(a, self, quiet(post("sign-out-everywhere", "/v1/account/sign-out-everywhere", "End all your sessions and tokens")), func(c call, _ *struct{}) (*cookies, error) {
		return onlyCookies(visitorOf(c).sessionCookie("")), ids.SignOutEverywhere(c, c.by)
	})
}

func (a *API) addTokens() {
	ids := a.cfg.Identities
	add(a, self, get("list-tokens", "/v1/account/tokens", "Tokens that act for you, ended ones too"), func(c call, in *struct{ PageParams }) (*list[api.Token], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		ts, err := ids.Tokens(c, c.by, p)
		return paged(ts, p.Limit, func(t store.PersonalToken) string { return t.ID }, tokenOut), err
	})
	add(a, self, created(post("add-token", "/v1/account/tokens", "Make a token that acts for you; it is shown once")), func(c call, in *struct{ Body api.NewToken }) (*body[api.Token], error) {
		t, token, err := ids.AddToken(c, c.by, wanted(in.Body))
		out := tokenOut(t)
		out.Token = token
		return plain(out, err)
	})
	add(a, self, post("revoke-token", "/v1/account/tokens/{token}/revoke", "End a token that acts for you"), func(c call, in *struct {
		Token string `path:"token" doc:"id of the token" maxLength:"100"`
	}) (*body[api.Token], error) {
		t, err := ids.RevokeToken(c, c.by, in.Token)
		return plain(tokenOut(t), err)
	})
}

// wanted is the token that was asked for.
func wanted(n api.NewToken) identity.Wanted {
	w := identity.Wanted{Name: n.Name, Life: 30 * 24 * time.Hour}
	if n.Days > 0 {
		w.Life = time.Duration(n.Days) * 24 * time.Hour
	}
	if n.Hours > 0 {
		w.Life = time.Duration(n.Hours) * time.Hour
	}
	if n.Scope != nil {
		w.Scope = actions(n.Scope)
	}
	return w
}

func tokenOut(t store.PersonalToken) api.Token {
	out := api.Token{ID: t.ID, Name: t.Name, MFA: t.MFA, CreatedAt: t.CreatedAt, Expires: t.Expires, UsedAt: t.Used, RevokedAt: t.Revoked}
	for _, s := range t.Scope {
		out.Scope = append(out.Scope, string(s))
	}
	return out
}

func accountOut(acc identity.Account, by access.Principal) api.Account {
	out := api.Account{
		Person: personOut(acc.Person), Login: acc.Login, Authenticators: []api.Authenticator{}, RecoveryCodes: acc.RecoveryCodes,
		RecoveryUntil: momentOrNil(acc.RecoveryUntil), Session: by.Session, MFA: by.MFA, MustEnrol: by.OfProvider() && !by.MFA,
	}
	for _, x := range acc.Authenticators {
		y := api.Authenticator{ID: x.ID, Kind: x.Kind, Label: x.Label, CreatedAt: x.CreatedAt, UsedAt: x.Used}
		if k := x.Passkey; k != nil {
			y.Passkey = &api.PasskeyKey{Public: k.Public, Credential: k.Credential, RPID: k.RPID, Origins: k.Origins}
		}
		out.Authenticators = append(out.Authenticators, y)
	}
	return out
}

// named is the caller with the name that it has as a person, which is sealed.
func (a *API) named(c call, by access.Principal) (access.Principal, error) {
	if by.Kind != access.Person {
		return by, nil
	}
	p, err := a.cfg.Identities.Person(c, by.ID)
	if errors.Is(err, store.ErrNotFound) {
		return by, nil
	}
	by.Name = p.Name
	return by, err
}
