package identity

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Limits of console sessions.
const (
	// SessionLength is how long a session lasts at most.
	SessionLength = 12 * time.Hour
	// SessionIdle is how long it lasts without being used.
	SessionIdle = 30 * time.Minute
	// rotateEvery is how often its secret is replaced. The former secret counts
	// until the new one arrives, and rotationGrace longer, for requests under
	// way.
	rotateEvery   = 15 * time.Minute
	rotationGrace = time.Minute
	// seenEvery bounds how often use of a session is written down.
	seenEvery = time.Minute
	// recently is how long ago a person may have proved who it is to change
	// what it signs in with.
	recently = 15 * time.Minute
)

// How a session began.
const (
	byToken    = "token"
	byPasskey  = "passkey"
	byPassword = "password"
	byTOTP     = "password and TOTP"
	byRecovery = "password and recovery code"
	byOIDC     = "identity provider"
)

// SignIn opens a console session for the holder of a service's token and
// returns the session's secret, for a cookie. A person's token opens none: it
// may be narrower than its person.
func (i *Identities) SignIn(ctx context.Context, token string) (secret string, err error) {
	if strings.HasPrefix(token, personalPrefix) {
		return "", ErrUnauthenticated
	}
	p, err := i.Authenticate(ctx, token)
	if err != nil {
		return "", err
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		secret, _, err = i.begin(tx, p, byToken, p.MFA, "")
		return err
	})
	return secret, err
}

// begin opens a session.
func (i *Identities) begin(tx *store.Tx, p access.Principal, method string, mfa bool, client string) (string, store.Session, error) {
	value, now := secret(), i.Now()
	s := store.Session{
		ID: ident.New("s"), Principal: p.ID, SecretHash: hash(value), MFA: mfa, Method: method, Client: client,
		CreatedAt: now, Authenticated: now, Seen: now, Rotated: now, Expires: now.Add(SessionLength),
	}
	if err := tx.InsertSession(s); err != nil {
		return "", s, err
	}
	return value, s, i.note(tx, p, "session.start", "principal/"+p.ID)
}

// note appends what a principal did in its own matters.
func (i *Identities) note(tx *store.Tx, by access.Principal, action, subject string) error {
	_, err := i.Ledger.Append(tx, ledger.Entry{Time: i.Now(), Tenant: by.Tenant, Actor: by.Actor(), Action: action, Subject: subject})
	return err
}

// Session returns who holds the session of that secret, and notes the use.
func (i *Identities) Session(ctx context.Context, secret string) (access.Principal, error) {
	return i.holder(ctx, secret, i.touch)
}

// Peek is Session for what asks by itself, such as an open stream: it does not
// keep the session from ending unused.
func (i *Identities) Peek(ctx context.Context, secret string) (access.Principal, error) {
	return i.holder(ctx, secret, func(context.Context, store.Session, string, time.Time) {})
}

func (i *Identities) holder(ctx context.Context, secret string, touch func(context.Context, store.Session, string, time.Time)) (access.Principal, error) {
	if secret == "" || len(secret) > 100 {
		return access.Principal{}, ErrUnauthenticated
	}
	now, h := i.Now(), hash(secret)
	var s store.Session
	var c store.Credential
	err := i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if s, err = tx.SessionBySecret(h); err != nil {
			return err
		}
		c, err = tx.Principal(s.Principal)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || (err == nil && (!i.stands(c) || over(s, h, now))) {
		return access.Principal{}, ErrUnauthenticated
	}
	if err != nil {
		return access.Principal{}, err
	}
	touch(ctx, s, h, now)
	p := c.Principal
	p.MFA, p.Session, p.Authenticated = s.MFA, s.ID, s.Authenticated
	return p, nil
}

// over reports whether the session has ended for the secret of that digest.
func over(s store.Session, hash string, now time.Time) bool {
	former := hash != s.SecretHash
	return !now.Before(s.Expires) || now.Sub(s.Seen) > SessionIdle ||
		(former && !s.FormerUntil.IsZero() && !now.Before(s.FormerUntil))
}

// touch notes that the session is used, and lets the former secret end soon
// after the present one arrived. What cannot be written now is at the next use.
func (i *Identities) touch(ctx context.Context, s store.Session, hash string, now time.Time) {
	arrived := hash == s.SecretHash && s.FormerHash != "" && s.FormerUntil.IsZero()
	// A clock that was set back must not keep a session from being seen.
	if !arrived && now.Sub(s.Seen) < seenEvery && !now.Before(s.Seen) {
		return
	}
	if s.Seen = now; arrived {
		s.FormerUntil = now.Add(rotationGrace)
	}
	i.Store.Write(ctx, func(tx *store.Tx) error { return tx.UpdateSession(s, s.SecretHash) })
}

// Rotate replaces the secret of a session whose time has come; next is empty
// where it has not. The secret given counts until the next one is used.
func (i *Identities) Rotate(ctx context.Context, value string) (next string, err error) {
	if value == "" || len(value) > 100 {
		return "", nil
	}
	now, h := i.Now(), hash(value)
	var s store.Session
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		s, err = tx.SessionBySecret(h)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || (err == nil && (over(s, h, now) || now.Sub(s.Rotated) < rotateEvery)) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	was := s.SecretHash
	next = secret()
	s.SecretHash, s.FormerHash, s.FormerUntil, s.Rotated = hash(next), h, time.Time{}, now
	err = i.Store.Write(ctx, func(tx *store.Tx) error { return tx.UpdateSession(s, was) })
	if errors.Is(err, store.ErrConflict) { // a request beside this one was faster
		return "", nil
	}
	return next, err
}

// elevate gives the session a new secret and a second factor; the former
// secret ends at once.
func (i *Identities) elevate(tx *store.Tx, id string) (string, error) {
	s, err := tx.Session(id)
	if err != nil {
		return "", err
	}
	was, value, now := s.SecretHash, secret(), i.Now()
	s.SecretHash, s.FormerHash, s.FormerUntil = hash(value), "", time.Time{}
	s.MFA, s.Authenticated, s.Rotated, s.Seen = true, now, now, now
	return value, tx.UpdateSession(s, was)
}

// SignOut ends the session.
func (i *Identities) SignOut(ctx context.Context, secret string) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		s, err := tx.SessionBySecret(hash(secret))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.EndSession(s.Principal, s.ID)
	})
}

// Sessions lists the sessions of the principal that have not ended.
func (i *Identities) Sessions(ctx context.Context, of access.Principal) (out []store.Session, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Sessions(of.ID)
		out = out[:0]
		for _, s := range all {
			if !over(s, s.SecretHash, i.Now()) {
				out = append(out, s)
			}
		}
		return err
	})
	return out, err
}

// EndSession ends one of the principal's own sessions.
func (i *Identities) EndSession(ctx context.Context, of access.Principal, id string) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if s, err := tx.Session(id); err != nil || s.Principal != of.ID {
			return errors.Join(store.ErrNotFound, err)
		}
		if err := tx.EndSession(of.ID, id); err != nil {
			return err
		}
		return i.note(tx, of, "session.end", "principal/"+of.ID)
	})
}

// SignOutEverywhere ends all sessions and tokens of the principal.
func (i *Identities) SignOutEverywhere(ctx context.Context, of access.Principal) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.EndSessions(of.ID, ""); err != nil {
			return err
		}
		if err := tx.RevokePersonalTokens(of.ID, i.Now()); err != nil {
			return err
		}
		return i.note(tx, of, "session.end-all", "principal/"+of.ID)
	})
}

// Run forgets what has ended, and records at whose accounts somebody guesses,
// until ctx ends.
func (i *Identities) Run(ctx context.Context) error {
	const looks, forgets = 5 * time.Second, 10 * time.Minute
	tick := time.NewTicker(looks)
	defer tick.Stop()
	last := time.Time{}
	for {
		// What cannot be recorded now is at the next look.
		i.RecordGuesses(ctx)
		if now := i.Now(); now.Sub(last) >= forgets || now.Before(last) {
			last = now
			// What cannot be forgotten now is in ten minutes; it no longer counts.
			i.Store.Write(ctx, func(tx *store.Tx) error { return tx.ForgetIdentity(now, now.Add(-failuresKept)) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
