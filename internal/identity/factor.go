package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// Recovery codes: ten of 80 random bits, for a year.
const (
	recoveryCodes = 10
	recoveryLife  = 365 * 24 * time.Hour
)

// secondFactor is a sign-in whose password was right.
type secondFactor struct {
	Principal string
	// Counters are those that the password was counted in.
	Counters []counterRef
}

// counterRef is a counter as a ceremony keeps it.
type counterRef struct {
	Who      string
	Forgiven bool
}

func references(cs []counter) (out []counterRef) {
	for _, c := range cs {
		out = append(out, counterRef{c.who, c.forgiven})
	}
	return out
}

func counted(refs []counterRef) (out []counter) {
	for _, r := range refs {
		out = append(out, counter{who: r.Who, forgiven: r.Forgiven})
	}
	return out
}

// newRecoveryCodes replaces the person's codes and returns the new ones.
func (i *Identities) newRecoveryCodes(tx *store.Tx, of access.Principal) ([]string, error) {
	codes, hashes := make([]string, recoveryCodes), make([]string, recoveryCodes)
	for n := range codes {
		b := make([]byte, 10)
		rand.Read(b)
		c := strings.ToLower(base32.StdEncoding.EncodeToString(b))
		codes[n] = c[:4] + "-" + c[4:8] + "-" + c[8:12] + "-" + c[12:]
		hashes[n] = hash(recoveryOf(codes[n]))
	}
	if err := tx.ReplaceRecoveryCodes(of.ID, hashes, i.Now().Add(recoveryLife)); err != nil {
		return nil, err
	}
	return codes, i.note(tx, of, "recovery-codes.make", "person/"+of.ID)
}

// recoveryOf is the one form of a recovery code that may be typed in several.
func recoveryOf(code string) string {
	return strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(code))
}

// RenewRecoveryCodes replaces the person's codes; they are shown once.
func (i *Identities) RenewRecoveryCodes(ctx context.Context, by access.Principal) (codes []string, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		codes, err = i.newRecoveryCodes(tx, by)
		return err
	})
	return codes, err
}

// SignInWithTOTP is the second step after the password.
func (i *Identities) SignInWithTOTP(ctx context.Context, v Visit, ceremony, code string) (Entry, error) {
	return i.second(ctx, v, ceremony, byTOTP, func(tx *store.Tx, p access.Principal) error {
		all, err := tx.Authenticators(p.ID, kindTOTP)
		if err != nil {
			return err
		}
		for _, a := range all {
			var d totpData
			if err := i.unseal("authenticator/"+a.ID, a.Sealed, &d); err != nil {
				return err
			}
			if step, ok := stepOf(d.Secret, code, i.Now(), a.Counter); ok {
				return tx.AdvanceAuthenticator(a.ID, a.Counter, step, i.Now())
			}
		}
		return ErrSignIn
	})
}

// SignInWithRecoveryCode is the second step for who has lost the second factor.
func (i *Identities) SignInWithRecoveryCode(ctx context.Context, v Visit, ceremony, code string) (Entry, error) {
	return i.second(ctx, v, ceremony, byRecovery, func(tx *store.Tx, p access.Principal) error {
		err := tx.UseRecoveryCode(p.ID, hash(recoveryOf(code)), i.Now())
		if err != nil {
			return err
		}
		return i.note(tx, p, "recovery-code.use", "person/"+p.ID)
	})
}

// second ends a sign-in that began with a password, if show says that the
// second factor was shown. Each try is counted like one at the password.
func (i *Identities) second(ctx context.Context, v Visit, ceremony, method string, show func(*store.Tx, access.Principal) error) (e Entry, err error) {
	var f secondFactor
	err = i.Store.Read(ctx, func(tx *store.Tx) error { return i.look(tx, "second-factor", ceremony, &f) })
	if err != nil {
		return e, err
	}
	device, err := i.knownDevice(ctx, v.Device, f.Principal)
	if err != nil {
		return e, err
	}
	// Six digits are few: guesses count for the person, wherever they come from.
	guess, err := i.mac(ctx, "attempt", "second-factor", f.Principal, device)
	if err != nil {
		return e, err
	}
	cs := []counter{{guess, perAccountHere, true}}
	if err := i.charge(ctx, cs); err != nil {
		return e, i.guessed(f.Principal, err)
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		e = Entry{}
		c, err := tx.Principal(f.Principal)
		if err != nil {
			return err
		}
		if !i.stands(c) {
			return ErrSignIn
		}
		if err := show(tx, c.Principal); errors.Is(err, store.ErrConflict) {
			return ErrSignIn
		} else if err != nil {
			return err
		}
		if err := i.done(tx, ceremony); err != nil {
			return err
		}
		if err := i.forgive(tx, append(counted(f.Counters), cs...)); err != nil {
			return err
		}
		e.Person, e.MFA = c.Principal, true
		e.Person.MFA = true
		e.Secret, _, err = i.begin(tx, c.Principal, method, true, v.Client)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	e.Device, err = i.device(ctx, e.Person)
	return e, err
}
