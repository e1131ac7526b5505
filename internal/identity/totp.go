package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// TOTP as RFC 6238 with what every authenticator app takes: SHA-1, 30 seconds,
// 6 digits.
const totpStep = 30 * time.Second

var totpCode = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

type totpData struct {
	Secret string `json:"secret"` // base32
}

// stepOf returns the time step whose code was given: the present one or one
// beside it, for clocks differ, and none up to after, so that a code counts
// once. ok is false if there is none.
func stepOf(secret, code string, now time.Time, after int64) (step int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	if len(code) != 6 {
		return 0, false
	}
	present := now.Unix() / int64(totpStep/time.Second)
	for _, s := range []int64{present, present - 1, present + 1} {
		want, err := hotp.GenerateCodeCustom(secret, uint64(s), totpCode)
		if err == nil && equal(want, code) && s > after {
			step, ok = s, true
		}
	}
	return step, ok
}

// NewTOTP is what an authenticator app is given.
type NewTOTP struct {
	Secret, URI string
	// Ceremony goes with the first code.
	Ceremony string
}

type addTOTP struct{ Principal, Session, Secret string }

// BeginTOTP makes a secret for an authenticator app of the person. It counts
// from its first code on.
func (i *Identities) BeginTOTP(ctx context.Context, by access.Principal) (n NewTOTP, err error) {
	b := make([]byte, 20)
	rand.Read(b)
	n.Secret = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
	// The app shows the label; it names the installation, and nobody.
	label := url.PathEscape("demarc:" + i.Site.RPID)
	n.URI = "otpauth://totp/" + label + "?" + url.Values{"secret": {n.Secret}, "issuer": {"demarc"}, "period": {"30"}, "digits": {"6"}, "algorithm": {"SHA1"}}.Encode()
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		n.Ceremony, err = i.open(tx, "totp", addTOTP{by.ID, by.Session, n.Secret})
		return err
	})
	return n, err
}

// FinishTOTP makes the secret count, given a code of it, in place of a former
// one. The session has shown a second factor then and gets another secret;
// the recovery codes are shown once.
func (i *Identities) FinishTOTP(ctx context.Context, by access.Principal, ceremony, code string) (session string, codes []string, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		var d addTOTP
		if err := i.look(tx, "totp", ceremony, &d); err != nil {
			return err
		}
		if d.Principal != by.ID || d.Session != by.Session {
			return ErrCeremony
		}
		step, ok := stepOf(d.Secret, code, i.Now(), 0)
		if !ok {
			return ErrSignIn
		}
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		if err := i.done(tx, ceremony); err != nil {
			return err
		}
		old, err := tx.Authenticators(by.ID, kindTOTP)
		if err != nil {
			return err
		}
		for _, a := range old {
			if err := tx.DeleteAuthenticator(by.ID, a.ID); err != nil {
				return err
			}
		}
		a := store.Authenticator{ID: ident.New("a"), Principal: by.ID, Kind: kindTOTP, Lookup: by.ID, Counter: step, CreatedAt: i.Now()}
		if a.Sealed, err = i.seal("authenticator/"+a.ID, totpData{d.Secret}); err != nil {
			return err
		}
		if err := tx.InsertAuthenticator(a); err != nil {
			return err
		}
		if codes, err = i.newRecoveryCodes(tx, by); err != nil {
			return err
		}
		session, err = i.enrolled(tx, by, "authenticator.add."+kindTOTP)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	return session, codes, nil
}

// enrolled ends the adding of an authenticator: the session is elevated if the
// person has a second factor now, and the ledger told.
func (i *Identities) enrolled(tx *store.Tx, by access.Principal, action string) (session string, err error) {
	if err := i.note(tx, by, action, "person/"+by.ID); err != nil {
		return "", err
	}
	all, err := tx.Authenticators(by.ID, "")
	if err != nil {
		return "", err
	}
	if _, mfa := methods(all); mfa && by.Session != "" {
		if session, err = i.elevate(tx, by.Session); err != nil {
			return "", err
		}
	}
	return session, i.settleIn(tx)
}

// ErrAgain: the person must prove anew who it is to change what it signs in with.
var ErrAgain = fmt.Errorf("what you sign in with can be changed within %s of signing in: sign in again", recently)

// mayEnrol checks that the session may change what the person signs in with:
// it is a session, no older than recently, and has shown a second factor if
// the person has one. Otherwise who knows only the password could replace it.
func (i *Identities) mayEnrol(tx *store.Tx, by access.Principal) error {
	if by.Session == "" || by.Kind != access.Person {
		return fmt.Errorf("what a person signs in with is changed in a session of the person, not with a token: %w", store.ErrConflict)
	}
	if age := i.Now().Sub(by.Authenticated); age > recently {
		return ErrAgain
	}
	all, err := tx.Authenticators(by.ID, "")
	if err != nil {
		return err
	}
	kinds, mfa := methods(all)
	if !mfa || by.MFA {
		return nil
	}
	// A customer's identity provider need not ask for a second factor: whoever
	// comes from there has shown all that there is.
	s, err := tx.Session(by.Session)
	if err == nil && (s.Method != byOIDC || slices.Contains(kinds, kindPasskey) || slices.Contains(kinds, kindTOTP)) {
		return ErrAgain
	}
	return err
}
