package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// personalPrefix marks tokens of people.
const personalPrefix = "dmp_"

// TokenLength is how long a person's token counts at most.
const TokenLength = 90 * 24 * time.Hour

// personal returns whom a person's token acts for. Role and tenant are those
// that the person has now.
func (i *Identities) personal(ctx context.Context, token string) (access.Principal, error) {
	id, s, ok := strings.Cut(strings.TrimPrefix(token, personalPrefix), "_")
	if !ok || len(token) > 200 {
		return access.Principal{}, ErrUnauthenticated
	}
	var t store.PersonalToken
	var c store.Credential
	err := i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if t, err = tx.PersonalToken("k-" + id); err != nil {
			return err
		}
		c, err = tx.Principal(t.Principal)
		return err
	})
	match := subtle.ConstantTimeCompare([]byte(hash(s)), []byte(t.SecretHash)) == 1
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return access.Principal{}, err
	}
	now := i.Now()
	if err != nil || !match || !i.stands(c) || t.Revoked != nil || !now.Before(t.Expires) {
		return access.Principal{}, ErrUnauthenticated
	}
	if t.Used == nil || now.Sub(*t.Used) >= time.Hour {
		i.Store.Write(ctx, func(tx *store.Tx) error { return tx.UsedPersonalToken(t.ID, now) })
	}
	p := c.Principal
	p.MFA, p.Scope, p.Authenticated = t.MFA, t.Scope, t.Authenticated
	return p, nil
}

// AddToken makes a token that acts for the person, narrowed to scope unless
// that is nil. It has the second factor of the session that makes it.
func (i *Identities) AddToken(ctx context.Context, by access.Principal, w Wanted) (t store.PersonalToken, token string, err error) {
	if by.Session == "" || by.Kind != access.Person {
		return t, "", fmt.Errorf("tokens are made in a session, not with a token: %w", store.ErrConflict)
	}
	if by.OfProvider() && !by.MFA {
		return t, "", ErrAgain
	}
	if err := checkToken(w); err != nil {
		return t, "", err
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		t, token, err = i.addToken(tx, by, w)
		return err
	})
	return t, token, err
}

func checkToken(w Wanted) error {
	if w.Life <= 0 || w.Life > TokenLength {
		return fmt.Errorf("%w: a token counts for 1 to 90 days", estate.ErrInvalid)
	}
	if strings.TrimSpace(w.Name) == "" || len(w.Name) > 100 || strings.ContainsFunc(w.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: a token's name has 1 to 100 characters and no control characters", estate.ErrInvalid)
	}
	for _, a := range w.Scope {
		if !slices.Contains(access.Actions, a) {
			return fmt.Errorf("%w: %q is no action; known are %v", estate.ErrInvalid, a, access.Actions)
		}
	}
	return nil
}

func (i *Identities) addToken(tx *store.Tx, by access.Principal, w Wanted) (store.PersonalToken, string, error) {
	s, now := secret(), i.Now()
	t := store.PersonalToken{
		ID: ident.New("k"), Principal: by.ID, Name: w.Name, SecretHash: hash(s), Scope: w.Scope, MFA: by.MFA,
		Authenticated: by.Authenticated, CreatedAt: now, Expires: now.Add(w.Life),
	}
	if err := tx.InsertPersonalToken(t); err != nil {
		return t, "", err
	}
	return t, personalPrefix + strings.TrimPrefix(t.ID, "k-") + "_" + s, i.note(tx, by, "token.create", "token/"+t.ID)
}

// Tokens lists the person's tokens, ended ones too.
func (i *Identities) Tokens(ctx context.Context, of access.Principal, p store.Page) (out []store.PersonalToken, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.PersonalTokens(of.ID, p)
		return err
	})
	return out, err
}

// RevokeToken ends one of the person's own tokens.
func (i *Identities) RevokeToken(ctx context.Context, of access.Principal, id string) (t store.PersonalToken, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if t, err = tx.PersonalToken(id); err != nil {
			return err
		}
		if t.Principal != of.ID {
			return fmt.Errorf("token %q: %w", id, store.ErrNotFound)
		}
		if err := tx.RevokePersonalToken(of.ID, id, i.Now()); err != nil {
			return err
		}
		now := i.Now()
		t.Revoked = &now
		return i.note(tx, of, "token.revoke", "token/"+id)
	})
	return t, err
}
