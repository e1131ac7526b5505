package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/store"
)

// CeremonyLength is how long what has begun may take: to use a passkey, to
// type a code, to sign in at an identity provider.
const CeremonyLength = 5 * time.Minute

// ErrCeremony: what this was to end did not begin in this browser, took too
// long, or ended already.
var ErrCeremony = errors.New("this step did not begin in this browser, took longer than five minutes, or was done already; begin again")

// open begins something that is good once. Its secret goes to the browser, so
// that only this browser can end it.
func (i *Identities) open(tx *store.Tx, kind string, v any) (string, error) {
	value := secret()
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("begin %s: %w", kind, err)
	}
	sealed, err := i.Keys.Seal(plain, "ceremony/"+kind)
	if err != nil {
		return "", err
	}
	return value, tx.InsertCeremony(store.Ceremony{SecretHash: hash(value), Kind: kind, Sealed: sealed, Expires: i.Now().Add(CeremonyLength)})
}

// look reads what was begun into v without ending it.
func (i *Identities) look(tx *store.Tx, kind, secret string, v any) error {
	if secret == "" || len(secret) > 100 {
		return ErrCeremony
	}
	c, err := tx.Ceremony(hash(secret), kind)
	if errors.Is(err, store.ErrNotFound) {
		return ErrCeremony
	}
	if err != nil {
		return err
	}
	// A clock that was set back must not make a challenge live longer.
	if left := c.Expires.Sub(i.Now()); left <= 0 || left > CeremonyLength {
		return ErrCeremony
	}
	return i.unseal("ceremony/"+kind, c.Sealed, v)
}

// done ends what was begun; ErrCeremony if another was faster.
func (i *Identities) done(tx *store.Tx, secret string) error {
	if err := tx.TakeCeremony(hash(secret)); errors.Is(err, store.ErrConflict) {
		return ErrCeremony
	} else if err != nil {
		return err
	}
	return nil
}

// take ends what was begun, whatever becomes of it then: a challenge that was
// answered wrongly is not answered again.
func (i *Identities) take(ctx context.Context, kind, secret string, v any) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.look(tx, kind, secret, v); err != nil {
			return err
		}
		return i.done(tx, secret)
	})
}
