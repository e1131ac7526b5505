package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/decision"
)

// KeySet is a version of a tenant's keys with where it comes from.
type KeySet struct {
	decision.KeySet
	Body, Digest string
	// Decision is the key-change that made it; empty for the first.
	Decision  string
	CreatedAt time.Time
	By        string
}

type keySetRow struct {
	bun.BaseModel `bun:"table:key_set"`
	TenantID      string `bun:",pk"`
	Version       int64  `bun:",pk"`
	Body          string
	Digest        string
	DecisionID    string
	CreatedAt     int64
	MadeBy        string
}

func (r keySetRow) keySet() (KeySet, error) {
	s, err := decision.ParseKeySet([]byte(r.Body))
	return KeySet{KeySet: s, Body: r.Body, Digest: r.Digest, Decision: r.DecisionID, CreatedAt: fromMicros(r.CreatedAt), By: r.MadeBy}, err
}

// InsertKeySet adds the next version of a tenant's keys; Body and Digest are
// made of it. ErrConflict where another came first.
func (tx *Tx) InsertKeySet(s *KeySet) error {
	body, err := s.Canonical()
	if err != nil {
		return err
	}
	s.Body = string(body)
	if s.Digest, err = s.KeySet.Digest(); err != nil {
		return err
	}
	return insert(tx, &keySetRow{
		TenantID: s.Tenant, Version: s.Version, Body: s.Body, Digest: s.Digest, DecisionID: s.Decision, CreatedAt: micros(s.CreatedAt), MadeBy: s.By,
	}, "key set")
}

// KeySet returns the keys that count for a tenant now; ErrNotFound if it has none.
func (tx *Tx) KeySet(tenant string) (KeySet, error) {
	var row keySetRow
	q := tx.db.NewSelect().Where("tenant_id = ?", tenant).Order("version DESC").Limit(1)
	return one(tx, q, &row, "key set of tenant", tenant, keySetRow.keySet)
}

// KeySets returns all versions of a tenant's keys, the first one first.
func (tx *Tx) KeySets(tenant string) ([]KeySet, error) {
	return many(tx, tx.db.NewSelect().Where("tenant_id = ?", tenant).Order("version"), "key sets", keySetRow.keySet)
}

// LockTenant keeps other transactions from deciding for the tenant until this
// one ends. With SQLite there is one writer anyway.
func (tx *Tx) LockTenant(tenant string) error {
	q := tx.db.NewSelect().Table("tenant").Column("id").Where("id = ?", tenant)
	if tx.postgres {
		q = q.For("NO KEY UPDATE")
	}
	var id string
	err := q.Scan(tx.ctx, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("tenant %q: %w", tenant, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("lock tenant %s: %w", tenant, err)
	}
	return nil
}
