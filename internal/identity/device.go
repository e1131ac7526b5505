package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// Times of a command line's sign-in (RFC 8628).
const (
	deviceWait = 10 * time.Minute
	// DeviceInterval is how often a command line asks.
	DeviceInterval = 2 * time.Second
	// DeviceTokenLength is how long the token counts that it is given.
	DeviceTokenLength = 12 * time.Hour
)

// Answers to a command line that asks before it has a token.
var (
	ErrDevicePending = errors.New("nobody has confirmed it yet")
	ErrDeviceRefused = errors.New("the sign-in was refused, took longer than ten minutes, or was ended already; begin again")
)

// userCodeLetters are consonants, so that codes make no words, without letters
// that are taken for others (RFC 8628, section 6.1).
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

func newUserCode() string {
	b := make([]byte, 8)
	for n := range b {
		for {
			rand.Read(b[n : n+1])
			if int(b[n]) < 256/len(userCodeLetters)*len(userCodeLetters) {
				b[n] = userCodeLetters[int(b[n])%len(userCodeLetters)]
				break
			}
		}
	}
	return string(b[:4]) + "-" + string(b[4:])
}

// userCodeOf is the one form of a code that may be typed in several.
func userCodeOf(code string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(code) {
		if strings.ContainsRune(userCodeLetters, r) {
			b.WriteRune(r)
		}
	}
	if s := b.String(); len(s) == 8 {
		return s[:4] + "-" + s[4:]
	}
	return ""
}

// Wanted is the token that a command line asks for.
type Wanted struct {
	// Name defaults to the sign-in of a command line, Life to DeviceTokenLength.
	Name  string
	Scope []access.Action
	Life  time.Duration
}

// BeginDevice lets a command line wait for a person to confirm it. value is
// the command line's secret, the code is shown to the person.
func (i *Identities) BeginDevice(ctx context.Context, client string, w Wanted) (d store.DeviceLogin, value string, err error) {
	value, now := secret(), i.Now()
	if w.Name == "" {
		w.Name = "demarc login " + now.UTC().Format("2006-01-02 15:04")
	}
	if w.Life == 0 {
		w.Life = DeviceTokenLength
	}
	if err := checkToken(w); err != nil {
		return d, "", err
	}
	d = store.DeviceLogin{
		SecretHash: hash(value), UserCode: newUserCode(), Client: clientOf(client), Name: w.Name, Scope: w.Scope, Life: w.Life,
		CreatedAt: now, Expires: now.Add(deviceWait), State: "pending",
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error { return tx.InsertDeviceLogin(d) })
	return d, value, err
}

// clientOf keeps of what a program says of itself what can be shown.
func clientOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 60)]
}

// DeviceByCode returns the command line that shows the code, if it waits.
func (i *Identities) DeviceByCode(ctx context.Context, by access.Principal, code string) (d store.DeviceLogin, err error) {
	err = i.guess(ctx, by, func(tx *store.Tx) (err error) {
		d, err = i.waiting(tx, code)
		return err
	})
	return d, err
}

// guess runs f, which looks for a code. Codes are short: who guesses at them
// is slowed like who guesses at passwords.
func (i *Identities) guess(ctx context.Context, by access.Principal, f func(tx *store.Tx) error) error {
	who, err := i.mac(ctx, "attempt", "device-code", by.ID)
	if err != nil {
		return err
	}
	cs := []counter{{who, perAccountHere, true}}
	if err := i.charge(ctx, cs); err != nil {
		return err
	}
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return i.forgive(tx, cs)
	})
}

func (i *Identities) waiting(tx *store.Tx, code string) (store.DeviceLogin, error) {
	d, err := tx.DeviceLoginByCode(userCodeOf(code))
	if errors.Is(err, store.ErrNotFound) || (err == nil && (d.State != "pending" || !i.Now().Before(d.Expires))) {
		return d, fmt.Errorf("no command line waits with this code: %w", store.ErrNotFound)
	}
	return d, err
}

// AnswerDevice confirms or refuses the command line that shows the code.
func (i *Identities) AnswerDevice(ctx context.Context, by access.Principal, code string, confirm bool) error {
	if by.Session == "" || by.Kind != access.Person {
		return fmt.Errorf("a command line is confirmed in a session of a person: %w", store.ErrConflict)
	}
	if by.OfProvider() && !by.MFA {
		return ErrAgain
	}
	return i.guess(ctx, by, func(tx *store.Tx) error {
		d, err := i.waiting(tx, code)
		if err != nil {
			return err
		}
		if d.State = "refused"; confirm {
			d.State, d.Principal, d.MFA, d.Authenticated = "confirmed", by.ID, by.MFA, by.Authenticated
		}
		if err := tx.AnswerDeviceLogin(d); err != nil {
			return err
		}
		return i.note(tx, by, "device."+map[bool]string{true: "confirm", false: "refuse"}[confirm], "principal/"+by.ID)
	})
}

// PollDevice returns the token of a command line that was confirmed, once.
func (i *Identities) PollDevice(ctx context.Context, value string) (t store.PersonalToken, token string, err error) {
	if value == "" || len(value) > 100 {
		return t, "", ErrDeviceRefused
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.DeviceLogin(hash(value))
		if errors.Is(err, store.ErrNotFound) {
			return ErrDeviceRefused
		}
		if err != nil {
			return err
		}
		if d.State == "refused" || !i.Now().Before(d.Expires) {
			return ErrDeviceRefused
		}
		if d.State == "pending" {
			return ErrDevicePending
		}
		if err := tx.TakeDeviceLogin(d.SecretHash); errors.Is(err, store.ErrConflict) {
			return ErrDeviceRefused
		} else if err != nil {
			return err
		}
		c, err := tx.Principal(d.Principal)
		if err != nil {
			return err
		}
		if !i.stands(c) {
			return ErrDeviceRefused
		}
		p := c.Principal
		p.MFA, p.Authenticated = d.MFA, d.Authenticated
		t, token, err = i.addToken(tx, p, Wanted{d.Name, d.Scope, d.Life})
		return err
	})
	return t, token, err
}
