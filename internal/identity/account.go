package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// Account is what a person sees of itself.
type Account struct {
	Person         Person
	Login          string
	Authenticators []AccountAuthenticator
	RecoveryCodes  int
	RecoveryUntil  time.Time
}

// AccountAuthenticator is something that the person signs in with.
type AccountAuthenticator struct {
	ID, Kind, Label string
	CreatedAt       time.Time
	Used            *time.Time
	Passkey         *Passkey // nil where it is none
}

// Account returns the account of the person who asks.
func (i *Identities) Account(ctx context.Context, of access.Principal) (out Account, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		s, err := tx.Person(of.ID)
		if err != nil {
			return err
		}
		if out.Person, err = i.person(tx, s); err != nil {
			return err
		}
		all, err := tx.Authenticators(of.ID, "")
		if err != nil {
			return err
		}
		out.Authenticators = out.Authenticators[:0]
		for _, a := range all {
			l, err := i.label(a)
			if err != nil {
				return err
			}
			if a.Kind == kindPassword {
				out.Login = l
			}
			out.Authenticators = append(out.Authenticators, AccountAuthenticator{ID: a.ID, Kind: a.Kind, Label: l, CreatedAt: a.CreatedAt, Used: a.Used})
		}
		keys, err := i.Passkeys(tx, of.ID)
		if err != nil {
			return err
		}
		for n := range keys {
			for m := range out.Authenticators {
				if out.Authenticators[m].ID == keys[n].ID {
					out.Authenticators[m].Passkey = &keys[n]
				}
			}
		}
		out.RecoveryCodes, out.RecoveryUntil, err = tx.RecoveryCodes(of.ID, i.Now())
		return err
	})
	return out, err
}

// label is how a person tells an authenticator from its others.
func (i *Identities) label(a store.Authenticator) (string, error) {
	what := "authenticator/" + a.ID
	switch a.Kind {
	case kindPasskey:
		var d passkeyData
		err := i.unseal(what, a.Sealed, &d)
		return d.Label, err
	case kindPassword:
		var d passwordData
		err := i.unseal(what, a.Sealed, &d)
		return d.Login, err
	case kindOIDC:
		var d oidcData
		err := i.unseal(what, a.Sealed, &d)
		return d.Provider, err
	}
	return "Authenticator app", nil
}

// SetPassword gives the person a password, or another one. login is the
// present sign-in name if it is empty. Other sessions end.
func (i *Identities) SetPassword(ctx context.Context, by access.Principal, login, password string) (session string, err error) {
	acc, err := i.Account(ctx, by)
	if err != nil {
		return "", err
	}
	for _, l := range []string{acc.Login, acc.Person.Mail} {
		if login == "" {
			login = l
		}
	}
	d, lookup, err := i.newPassword(ctx, login, password)
	if err != nil {
		return "", err
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		if err := i.putPassword(tx, by.ID, lookup, d); err != nil {
			return err
		}
		if err := tx.EndSessions(by.ID, by.Session); err != nil {
			return err
		}
		session, err = i.enrolled(tx, by, "authenticator.add."+kindPassword)
		return err
	})
	return session, err
}

// RemoveAuthenticator removes something that the person signs in with. A
// second factor that the role needs cannot be removed, nor the last thing that
// signs in.
func (i *Identities) RemoveAuthenticator(ctx context.Context, by access.Principal, id string) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		all, err := tx.Authenticators(by.ID, "")
		if err != nil {
			return err
		}
		n := slices.IndexFunc(all, func(a store.Authenticator) bool { return a.ID == id })
		if n < 0 {
			return fmt.Errorf("authenticator %q: %w", id, store.ErrNotFound)
		}
		kind := all[n].Kind
		left := slices.Delete(slices.Clone(all), n, n+1)
		kinds, mfa := methods(left)
		switch {
		case !slices.ContainsFunc(kinds, func(k string) bool { return k != kindTOTP }):
			return fmt.Errorf("this is the last that you sign in with; add another first: %w", store.ErrConflict)
		case by.OfProvider() && !mfa:
			return fmt.Errorf("your role needs a second factor, and this is part of the last one; add another first: %w", store.ErrConflict)
		}
		if err := tx.DeleteAuthenticator(by.ID, id); err != nil {
			return errors.Join(err)
		}
		return i.note(tx, by, "authenticator.remove."+kind, "person/"+by.ID)
	})
}
