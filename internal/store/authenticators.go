package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Authenticator is something that a person signs in with.
type Authenticator struct {
	ID, Principal string
	// Kind is passkey, password, totp or oidc; Lookup is what it is found by,
	// once for each kind.
	Kind, Lookup string
	Sealed       []byte
	// Counter is a passkey's signature counter, or the last time step of a TOTP
	// that counted.
	Counter   int64
	CreatedAt time.Time
	Used      *time.Time
}

type authenticatorRow struct {
	bun.BaseModel `bun:"table:authenticator"`
	ID            string `bun:",pk"`
	PrincipalID   string
	Kind          string
	Lookup        string
	Sealed        []byte
	Counter       int64
	CreatedAt     int64
	UsedAt        *int64
}

func (r authenticatorRow) authenticator() (Authenticator, error) {
	return Authenticator{
		ID: r.ID, Principal: r.PrincipalID, Kind: r.Kind, Lookup: r.Lookup, Sealed: r.Sealed, Counter: r.Counter,
		CreatedAt: fromMicros(r.CreatedAt), Used: fromMicrosPtr(r.UsedAt),
	}, nil
}

// InsertAuthenticator adds an authenticator; ErrConflict if one of its kind is
// found by the same.
func (tx *Tx) InsertAuthenticator(a Authenticator) error {
	return insert(tx, &authenticatorRow{
		ID: a.ID, PrincipalID: a.Principal, Kind: a.Kind, Lookup: a.Lookup, Sealed: a.Sealed, Counter: a.Counter, CreatedAt: micros(a.CreatedAt), UsedAt: microsPtr(a.Used),
	}, "authenticator")
}

// AuthenticatorBy returns the authenticator of a kind that is found by lookup.
func (tx *Tx) AuthenticatorBy(kind, lookup string) (Authenticator, error) {
	var row authenticatorRow
	return one(tx, tx.db.NewSelect().Where("kind = ? AND lookup = ?", kind, lookup), &row, "authenticator", "", authenticatorRow.authenticator)
}

// Authenticators lists those of a person, of one kind unless kind is empty.
func (tx *Tx) Authenticators(principal, kind string) ([]Authenticator, error) {
	q := tx.db.NewSelect().Where("principal_id = ?", principal).OrderBy("created_at", bun.OrderAsc).OrderBy("id", bun.OrderAsc)
	if kind != "" {
		q = q.Where("kind = ?", kind)
	}
	return many(tx, q, "authenticators", authenticatorRow.authenticator)
}

// AdvanceAuthenticator notes a use. ErrConflict unless the counter is still the
// one that was read: of two uses at once, one counts.
func (tx *Tx) AdvanceAuthenticator(id string, from, to int64, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("authenticator").Set("counter = ?", to).Set("used_at = ?", micros(now)).
		Where("id = ? AND counter = ?", id, from).Exec(tx.ctx)
	return changed(res, err, "authenticator", id)
}

// UsedAuthenticator notes a use of an authenticator that counts nothing.
func (tx *Tx) UsedAuthenticator(id string, now time.Time) error {
	return tx.exec("note the use of an authenticator", "UPDATE authenticator SET used_at = ? WHERE id = ?", micros(now), id)
}

// DeleteAuthenticator removes an authenticator of a person.
func (tx *Tx) DeleteAuthenticator(principal, id string) error {
	res, err := tx.db.NewDelete().Table("authenticator").Where("principal_id = ? AND id = ?", principal, id).Exec(tx.ctx)
	return changed(res, err, "authenticator", id)
}

// ReplaceRecoveryCodes makes these the person's codes; former ones end.
func (tx *Tx) ReplaceRecoveryCodes(principal string, hashes []string, expires time.Time) error {
	if err := tx.exec("end recovery codes", "DELETE FROM recovery_code WHERE principal_id = ?", principal); err != nil {
		return err
	}
	for _, h := range hashes {
		if err := tx.exec("add a recovery code", "INSERT INTO recovery_code (principal_id, code_hash, expires_at) VALUES (?, ?, ?)", principal, h, micros(expires)); err != nil {
			return err
		}
	}
	return nil
}

// UseRecoveryCode spends a code; ErrConflict unless it stands at now.
func (tx *Tx) UseRecoveryCode(principal, hash string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("recovery_code").Set("used_at = ?", micros(now)).
		Where("principal_id = ? AND code_hash = ? AND used_at IS NULL AND expires_at > ?", principal, hash, micros(now)).Exec(tx.ctx)
	return changed(res, err, "recovery code", "")
}

// RecoveryCodes returns how many codes the person has left at now, and until
// when they count.
func (tx *Tx) RecoveryCodes(principal string, now time.Time) (left int, until time.Time, err error) {
	var expires []int64
	err = tx.db.NewSelect().Table("recovery_code").Column("expires_at").
		Where("principal_id = ? AND used_at IS NULL AND expires_at > ?", principal, micros(now)).Scan(tx.ctx, &expires)
	if err != nil {
		return 0, until, fmt.Errorf("count recovery codes: %w", err)
	}
	if len(expires) > 0 {
		until = fromMicros(expires[0])
	}
	return len(expires), until, nil
}
