package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Session is a console session. Only digests of its secrets are kept.
type Session struct {
	ID, Principal string
	SecretHash    string
	// FormerHash is the digest of the secret before the last rotation. It
	// counts until FormerUntil; until the present secret is first used where
	// that is zero.
	FormerHash  string
	FormerUntil time.Time
	MFA         bool
	Method      string
	Client      string
	CreatedAt, Authenticated,
	Seen, Rotated, Expires time.Time
}

type sessionRow struct {
	bun.BaseModel   `bun:"table:session"`
	ID              string `bun:",pk"`
	PrincipalID     string
	SecretHash      string
	FormerHash      string
	FormerUntil     int64
	MFA             int64 `bun:"mfa"`
	Method          string
	Client          string
	CreatedAt       int64
	AuthenticatedAt int64
	SeenAt          int64
	RotatedAt       int64
	ExpiresAt       int64
}

func (r sessionRow) session() (Session, error) {
	return Session{
		ID: r.ID, Principal: r.PrincipalID, SecretHash: r.SecretHash, FormerHash: r.FormerHash, FormerUntil: fromMicros(r.FormerUntil), MFA: r.MFA == 1,
		Method: r.Method, Client: r.Client, CreatedAt: fromMicros(r.CreatedAt), Authenticated: fromMicros(r.AuthenticatedAt), Seen: fromMicros(r.SeenAt),
		Rotated: fromMicros(r.RotatedAt), Expires: fromMicros(r.ExpiresAt),
	}, nil
}

func sessionRowOf(s Session) *sessionRow {
	return &sessionRow{
		ID: s.ID, PrincipalID: s.Principal, SecretHash: s.SecretHash, FormerHash: s.FormerHash, FormerUntil: micros(s.FormerUntil), MFA: bit(s.MFA),
		Method: s.Method, Client: s.Client, CreatedAt: micros(s.CreatedAt), AuthenticatedAt: micros(s.Authenticated), SeenAt: micros(s.Seen),
		RotatedAt: micros(s.Rotated), ExpiresAt: micros(s.Expires),
	}
}

// InsertSession adds a session.
func (tx *Tx) InsertSession(s Session) error { return insert(tx, sessionRowOf(s), "session") }

// SessionBySecret returns the session that has or had a secret of that digest.
func (tx *Tx) SessionBySecret(hash string) (Session, error) {
	var row sessionRow
	return one(tx, tx.db.NewSelect().Where("secret_hash = ? OR former_hash = ?", hash, hash).Limit(1), &row, "session", "", sessionRow.session)
}

// Session returns the session of that id.
func (tx *Tx) Session(id string) (Session, error) {
	var row sessionRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "session", id, sessionRow.session)
}

// Sessions lists the sessions of a principal.
func (tx *Tx) Sessions(principal string) ([]Session, error) {
	return many(tx, tx.db.NewSelect().Where("principal_id = ?", principal).OrderBy("created_at", bun.OrderAsc), "sessions", sessionRow.session)
}

// UpdateSession writes the session if its secret is still the one of hash.
func (tx *Tx) UpdateSession(s Session, hash string) error {
	res, err := tx.db.NewUpdate().Model(sessionRowOf(s)).WherePK().Where("secret_hash = ?", hash).Exec(tx.ctx)
	return changed(res, err, "session", s.ID)
}

// EndSession removes a session by its id; one that is gone is no error.
func (tx *Tx) EndSession(principal, id string) error {
	return tx.exec("end session", "DELETE FROM session WHERE principal_id = ? AND id = ?", principal, id)
}

// EndSessions removes the sessions of a principal but the one of that id.
func (tx *Tx) EndSessions(principal, but string) error {
	return tx.exec("end sessions", "DELETE FROM session WHERE principal_id = ? AND id <> ?", principal, but)
}

// LastSeen returns when any of a principal's sessions was last used; zero if
// it has none.
func (tx *Tx) LastSeen(principal string) (time.Time, error) {
	var us *int64
	if err := tx.db.NewSelect().Table("session").ColumnExpr("MAX(seen_at)").Where("principal_id = ?", principal).Scan(tx.ctx, &us); err != nil {
		return time.Time{}, fmt.Errorf("read when a session was last used: %w", err)
	}
	if us == nil {
		return time.Time{}, nil
	}
	return fromMicros(*us), nil
}

// Ceremony is something that has begun and is good once.
type Ceremony struct {
	SecretHash, Kind string
	Sealed           []byte
	Expires          time.Time
}

// InsertCeremony adds a ceremony.
func (tx *Tx) InsertCeremony(c Ceremony) error {
	return tx.exec("add a ceremony", "INSERT INTO ceremony (secret_hash, kind, sealed, expires_at) VALUES (?, ?, ?, ?)", c.SecretHash, c.Kind, c.Sealed, micros(c.Expires))
}

type ceremonyRow struct {
	bun.BaseModel `bun:"table:ceremony"`
	SecretHash    string `bun:",pk"`
	Kind          string
	Sealed        []byte
	ExpiresAt     int64
}

// Ceremony returns the ceremony of that kind and digest.
func (tx *Tx) Ceremony(hash, kind string) (Ceremony, error) {
	var row ceremonyRow
	return one(tx, tx.db.NewSelect().Where("secret_hash = ? AND kind = ?", hash, kind), &row, "ceremony", "", func(r ceremonyRow) (Ceremony, error) {
		return Ceremony{SecretHash: r.SecretHash, Kind: r.Kind, Sealed: r.Sealed, Expires: fromMicros(r.ExpiresAt)}, nil
	})
}

// TakeCeremony removes the ceremony; ErrConflict if another was faster.
func (tx *Tx) TakeCeremony(hash string) error {
	res, err := tx.db.NewDelete().Table("ceremony").Where("secret_hash = ?", hash).Exec(tx.ctx)
	return changed(res, err, "ceremony", "")
}

// ForgetIdentity removes what ended before now: sessions, ceremonies, device
// sign-ins, who was invited; and failures that were counted before then.
func (tx *Tx) ForgetIdentity(now, failures time.Time) error {
	for _, table := range []string{"session", "ceremony", "device_login"} {
		if err := tx.exec("forget what ended", "DELETE FROM "+table+" WHERE expires_at <= ?", micros(now)); err != nil {
			return err
		}
	}
	err := tx.exec("forget who was invited in vain", "UPDATE invitation SET sealed = ? WHERE expires_at <= ? AND LENGTH(sealed) > 0", []byte{}, micros(now))
	if err != nil {
		return err
	}
	return tx.exec("forget failed sign-ins", "DELETE FROM attempt WHERE last_at <= ?", micros(failures))
}
