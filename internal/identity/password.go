package identity

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// ErrSignIn: what was given signs nobody in. It never says why.
var ErrSignIn = errors.New("this does not sign you in: the sign-in name, the password, the code or the passkey is not right")

// Entry is how a sign-in went on.
type Entry struct {
	// Secret opens the session; empty while a second factor is still to be shown.
	Secret string
	// Ceremony is what the second factor goes with.
	Ceremony string
	// Device is the value of the cookie that makes the browser known.
	Device string
	Person access.Principal
	MFA    bool
	// MustEnrol: the role needs a second factor and the person has none; until
	// then the session can do nothing else.
	MustEnrol bool
}

//go:embed common.txt
var commonText string

// common are passwords of enough length that everybody tries first.
var common = func() map[string]bool {
	m := map[string]bool{}
	for _, l := range strings.Split(commonText, "\n") {
		m[l] = true
	}
	return m
}()

// Least and most characters of a password.
const (
	passwordLeast = 12
	passwordMost  = 256
)

// checkPassword holds a new password against the rules of NIST SP 800-63B,
// section 5.1.1.2: length and commonness, and no rule about kinds of characters.
func checkPassword(password, login string) error {
	n := utf8.RuneCountInString(password)
	lower := strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: the password is not UTF-8", estate.ErrInvalid)
	case n < passwordLeast || n > passwordMost:
		return fmt.Errorf("%w: a password has %d to %d characters; several words make a good one", estate.ErrInvalid, passwordLeast, passwordMost)
	case common[lower] || repeats(lower):
		return fmt.Errorf("%w: this password is one of those that are tried first; choose another", estate.ErrInvalid)
	case login != "" && strings.Contains(login, lower), login != "" && len(login) > 3 && strings.Contains(lower, login) && n < len(login)+6:
		return fmt.Errorf("%w: the password is too much like the sign-in name; choose another", estate.ErrInvalid)
	}
	return nil
}

// repeats reports whether the whole is one piece of up to four bytes again and
// again.
func repeats(s string) bool {
	for n := 1; n <= 4 && n < len(s); n++ {
		if strings.HasPrefix(strings.Repeat(s[:n], len(s)/n+1), s) {
			return true
		}
	}
	return false
}

// normal is the one form of a password that may be typed in several
// (NIST SP 800-63B: NFKC).
func normal(password string) string { return norm.NFKC.String(password) }

// loginOf is the one form of a sign-in name.
func loginOf(name string) string { return strings.ToLower(strings.TrimSpace(normal(name))) }

func checkLogin(login string) error {
	if n := utf8.RuneCountInString(login); n < 3 || n > 254 || strings.ContainsFunc(login, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: a sign-in name has 3 to 254 characters and no control characters; your mail address is a good one", estate.ErrInvalid)
	}
	return nil
}

// passwordData is what is sealed of a password.
type passwordData struct {
	Hash  string `json:"hash"`
	Login string `json:"login"`
}

func (i *Identities) passwordLookup(ctx context.Context, login string) (string, error) {
	return i.mac(ctx, "login", login)
}

// putPassword gives the person a password, in place of one that it has.
func (i *Identities) putPassword(tx *store.Tx, principal, lookup string, d passwordData) error {
	old, err := tx.Authenticators(principal, kindPassword)
	if err != nil {
		return err
	}
	for _, a := range old {
		if err := tx.DeleteAuthenticator(principal, a.ID); err != nil {
			return err
		}
	}
	a := store.Authenticator{ID: ident.New("a"), Principal: principal, Kind: kindPassword, Lookup: lookup, CreatedAt: i.Now()}
	if a.Sealed, err = i.seal("authenticator/"+a.ID, d); err != nil {
		return err
	}
	if err := tx.InsertAuthenticator(a); errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("this sign-in name is taken; choose another: %w", store.ErrConflict)
	} else if err != nil {
		return err
	}
	return nil
}

// newPassword checks and hashes a password that somebody chose. The hashing is
// done outside of any transaction, for it takes long.
func (i *Identities) newPassword(ctx context.Context, login, password string) (passwordData, string, error) {
	login, password = loginOf(login), normal(password)
	if err := checkLogin(login); err != nil {
		return passwordData{}, "", err
	}
	if err := checkPassword(password, login); err != nil {
		return passwordData{}, "", err
	}
	lookup, err := i.passwordLookup(ctx, login)
	if err != nil {
		return passwordData{}, "", err
	}
	h, err := i.hashPassword(ctx, password)
	return passwordData{Hash: h, Login: login}, lookup, err
}

// JoinWithPassword accepts an invitation with a password. login is the mail
// address of the invitation if it is empty.
func (i *Identities) JoinWithPassword(ctx context.Context, v Visit, invitation, login, password string) (e Entry, err error) {
	invited, err := i.Invited(ctx, invitation)
	if err != nil {
		return e, err
	}
	if login == "" {
		login = invited.Mail
	}
	d, lookup, err := i.newPassword(ctx, login, password)
	if err != nil {
		return e, err
	}
	n := newNewcomer()
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		p, _, err := i.join(tx, invitation, n)
		if err != nil {
			return err
		}
		if err := i.putPassword(tx, p.ID, lookup, d); err != nil {
			return err
		}
		e = Entry{Person: p, MustEnrol: p.OfProvider()}
		e.Secret, _, err = i.begin(tx, p, byPassword, false, v.Client)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	e.Device, err = i.device(ctx, e.Person)
	return e, err
}

// SignInWithPassword is the first of two steps where the person has a second
// factor, else all there is.
func (i *Identities) SignInWithPassword(ctx context.Context, v Visit, login, password string) (e Entry, err error) {
	login, password = loginOf(login), normal(password)
	if len(login) > 1024 || utf8.RuneCountInString(password) > passwordMost {
		return e, ErrSignIn
	}
	lookup, err := i.passwordLookup(ctx, login)
	if err != nil {
		return e, err
	}
	a, d, err := i.passwordOf(ctx, lookup)
	if err != nil {
		return e, err
	}
	device, err := i.knownDevice(ctx, v.Device, a.Principal)
	if err != nil {
		return e, err
	}
	cs, err := i.counters(ctx, v, lookup, device)
	if err != nil {
		return e, err
	}
	if err := i.charge(ctx, cs); err != nil {
		return e, i.guessed(a.Principal, err)
	}
	ok, err := i.samePassword(ctx, password, d.Hash)
	if err != nil {
		return e, err
	}
	if !ok {
		return e, ErrSignIn
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		e = Entry{}
		c, err := tx.Principal(a.Principal)
		if err != nil {
			return err
		}
		if !i.stands(c) {
			return ErrSignIn
		}
		if err := tx.UsedAuthenticator(a.ID, i.Now()); err != nil {
			return err
		}
		e.Person = c.Principal
		all, err := tx.Authenticators(a.Principal, "")
		if err != nil {
			return err
		}
		if _, mfa := methods(all); mfa {
			// A person with a passkey and no TOTP must use the passkey, or a
			// recovery code: the password alone is not enough any more.
			e.Ceremony, err = i.open(tx, "second-factor", secondFactor{c.ID, references(cs)})
			return err
		}
		if err := i.forgive(tx, cs); err != nil {
			return err
		}
		e.MustEnrol = c.OfProvider()
		e.Secret, _, err = i.begin(tx, c.Principal, byPassword, false, v.Client)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	if e.Secret != "" {
		e.Device, err = i.device(ctx, e.Person)
	}
	return e, err
}

// passwordOf returns the authenticator that is found by lookup, empty if there
// is none.
func (i *Identities) passwordOf(ctx context.Context, lookup string) (a store.Authenticator, d passwordData, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		a, err = tx.AuthenticatorBy(kindPassword, lookup)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return a, d, nil
	}
	if err == nil {
		err = i.unseal("authenticator/"+a.ID, a.Sealed, &d)
	}
	return a, d, err
}
