package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// ErrNoFactor: the identity provider did not say that a second factor was shown.
var ErrNoFactor = errors.New("your role needs a second factor, and the identity provider does not say that you showed one")

// callbackPath is where identity providers send the browser back to.
const callbackPath = "/v1/sign-in/oidc/callback"

// Callback is the redirect URI to register at identity providers.
func (i *Identities) Callback() string { return i.Site.URL + callbackPath }

// oidcData is what is sealed of a person's account at an identity provider.
type oidcData struct {
	Provider string `json:"provider"` // its name
	ID       string `json:"id"`
	Subject  string `json:"subject"`
}

// oidcLookup finds the account of a subject: of one issuer, and no other.
func oidcLookup(issuer, subject string) string {
	sum := sha256.Sum256([]byte(issuer + "\n" + subject))
	return hex.EncodeToString(sum[:])
}

// journey is a sign-in at an identity provider that has begun.
type journey struct {
	Provider, State, Nonce, Verifier string
	Return, Invitation               string
}

func (i *Identities) oauth(p store.IdentityProvider, d discovered) (*oauth2.Config, error) {
	c := &oauth2.Config{ClientID: p.ClientID, Endpoint: d.Endpoint(), RedirectURL: i.Callback(), Scopes: []string{oidc.ScopeOpenID}}
	return c, i.unseal("identity-provider/"+p.ID, p.Sealed, &c.ClientSecret)
}

// BeginOIDC sends the browser to the identity provider: the code flow with
// PKCE (RFC 7636). back is the path of the console to return to; anything else
// is replaced by its first page. invitation, if there is one, is accepted on
// the way back.
func (i *Identities) BeginOIDC(ctx context.Context, provider, back, invitation string) (to, ceremony string, err error) {
	p, err := i.IdentityProvider(ctx, provider)
	if err != nil {
		return "", "", err
	}
	if invitation != "" {
		v, err := i.Invited(ctx, invitation)
		if err != nil {
			return "", "", err
		}
		if v.Tenant != p.Tenant {
			return "", "", ErrInvitation
		}
	}
	d, err := i.discover(ctx, p)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	c, err := i.oauth(p, d)
	if err != nil {
		return "", "", err
	}
	j := journey{Provider: p.ID, State: secret(), Nonce: secret(), Verifier: oauth2.GenerateVerifier(), Return: localPath(back), Invitation: invitation}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		ceremony, err = i.open(tx, "oidc", j)
		return err
	})
	return c.AuthCodeURL(j.State, oidc.Nonce(j.Nonce), oauth2.S256ChallengeOption(j.Verifier)), ceremony, err
}

// Returned is what the browser brought back from an identity provider.
type Returned struct {
	// Issuer is the iss parameter (RFC 9207), where the provider sends it.
	State, Code, Issuer string
}

// FinishOIDC ends the journey that the browser began. back is where it goes on.
func (i *Identities) FinishOIDC(ctx context.Context, v Visit, ceremony string, r Returned) (e Entry, back string, err error) {
	var j journey
	if err := i.take(ctx, "oidc", ceremony, &j); err != nil {
		return e, "", err
	}
	if !equal(r.State, j.State) || r.Code == "" {
		return e, "", ErrCeremony
	}
	p, err := i.IdentityProvider(ctx, j.Provider)
	if errors.Is(err, store.ErrNotFound) || (err == nil && r.Issuer != "" && r.Issuer != p.Issuer) {
		return e, "", ErrSignIn
	}
	if err != nil {
		return e, "", err
	}
	subject, mfa, err := i.redeem(ctx, p, j, r.Code)
	if err != nil {
		return e, "", err
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		e, err = i.enterFrom(tx, v, p, j, subject, mfa)
		return err
	})
	if err != nil {
		return Entry{}, "", err
	}
	e.Device, err = i.device(ctx, e.Person)
	return e, j.Return, err
}

// redeem gives the code for an ID token and verifies it (OpenID Connect Core
// 1.0, section 3.1.3.7).
func (i *Identities) redeem(ctx context.Context, p store.IdentityProvider, j journey, code string) (subject string, mfa bool, err error) {
	d, err := i.discover(ctx, p)
	if err != nil {
		return "", false, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	c, err := i.oauth(p, d)
	if err != nil {
		return "", false, err
	}
	ctx = oidc.ClientContext(ctx, d.client)
	tokens, err := c.Exchange(ctx, code, oauth2.VerifierOption(j.Verifier))
	if err != nil {
		return "", false, fmt.Errorf("%w: the code was not accepted", ErrSignIn)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := d.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: i.Now}).Verify(ctx, raw)
	if err != nil {
		return "", false, fmt.Errorf("%w: ID token: %w", ErrSignIn, err)
	}
	var claims struct {
		AMR   []string `json:"amr"`
		ACR   string   `json:"acr"`
		Party string   `json:"azp"`
	}
	if err := id.Claims(&claims); err != nil {
		return "", false, fmt.Errorf("%w: ID token: %w", ErrSignIn, err)
	}
	switch {
	case !equal(id.Nonce, j.Nonce):
		return "", false, fmt.Errorf("%w: ID token of another sign-in", ErrSignIn)
	case len(id.Audience) > 1 && claims.Party != p.ClientID, claims.Party != "" && claims.Party != p.ClientID:
		return "", false, fmt.Errorf("%w: ID token for another party", ErrSignIn)
	case id.Subject == "" || len(id.Subject) > 255:
		return "", false, fmt.Errorf("%w: ID token without a subject", ErrSignIn)
	}
	return id.Subject, factors(p.MFA, claims.ACR, claims.AMR), nil
}

// enterFrom signs in whom an invitation has bound to the subject, or binds it.
// Nobody becomes a person by having an account there.
func (i *Identities) enterFrom(tx *store.Tx, v Visit, p store.IdentityProvider, j journey, subject string, mfa bool) (e Entry, err error) {
	lookup := oidcLookup(p.Issuer, subject)
	var who access.Principal
	if j.Invitation != "" {
		who, err = i.bind(tx, p, j.Invitation, lookup, subject, mfa)
	} else {
		who, err = i.bound(tx, p, lookup)
	}
	if err != nil {
		return e, err
	}
	if who.OfProvider() && !mfa {
		return e, ErrNoFactor
	}
	e = Entry{Person: who, MFA: mfa}
	e.Person.MFA = mfa
	if e.Secret, _, err = i.begin(tx, who, byOIDC, mfa, v.Client); err != nil {
		return e, err
	}
	return e, i.settleIn(tx)
}

func (i *Identities) bound(tx *store.Tx, p store.IdentityProvider, lookup string) (access.Principal, error) {
	a, err := tx.AuthenticatorBy(kindOIDC, lookup)
	if errors.Is(err, store.ErrNotFound) {
		return access.Principal{}, fmt.Errorf("%w: nobody was invited with this account", ErrSignIn)
	}
	if err != nil {
		return access.Principal{}, err
	}
	c, err := tx.Principal(a.Principal)
	if err != nil {
		return access.Principal{}, err
	}
	// Two sides may use one issuer; each admits its own people only.
	if !i.stands(c) || c.Tenant != p.Tenant {
		return access.Principal{}, ErrSignIn
	}
	return c.Principal, tx.UsedAuthenticator(a.ID, i.Now())
}

func (i *Identities) bind(tx *store.Tx, p store.IdentityProvider, invitation, lookup, subject string, mfa bool) (access.Principal, error) {
	who, _, err := i.join(tx, invitation, newNewcomer())
	if err != nil {
		return who, err
	}
	if who.Tenant != p.Tenant {
		return who, ErrInvitation
	}
	if who.OfProvider() && !mfa {
		return who, ErrNoFactor // and the invitation still counts
	}
	a := store.Authenticator{ID: ident.New("a"), Principal: who.ID, Kind: kindOIDC, Lookup: lookup, CreatedAt: i.Now()}
	if a.Sealed, err = i.seal("authenticator/"+a.ID, oidcData{p.Name, p.ID, subject}); err != nil {
		return who, err
	}
	if err := tx.InsertAuthenticator(a); errors.Is(err, store.ErrConflict) {
		return who, fmt.Errorf("this account belongs to another person: %w", store.ErrConflict)
	} else if err != nil {
		return who, err
	}
	return who, nil
}

// localPath returns p if it is a path of this console, else /. Browsers take
// // and /\ for another host, and drop control characters before they look.
func localPath(p string) string {
	u, err := url.Parse(p)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") ||
		strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) || strings.HasPrefix(u.Path, "/v1/") || u.Path == "/login" {
		return "/"
	}
	return p
}
