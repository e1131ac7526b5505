package store

import (
	"database/sql"
	"errors"
	"fmt"
)

// LedgerCheckpoint is a signed statement of the ledger's tree at a size.
type LedgerCheckpoint struct {
	Size int64
	Note string
}

// LastLedgerCheckpoint returns the checkpoint of the greatest size, or
// ErrNotFound when none was signed yet.
func (tx *Tx) LastLedgerCheckpoint() (LedgerCheckpoint, error) {
	return tx.ledgerCheckpoint("ORDER BY size DESC LIMIT 1")
}

// LedgerCheckpoint returns the checkpoint of that size, or ErrNotFound.
func (tx *Tx) LedgerCheckpoint(size int64) (LedgerCheckpoint, error) {
	return tx.ledgerCheckpoint("WHERE size = ?", size)
}

func (tx *Tx) ledgerCheckpoint(which string, args ...any) (LedgerCheckpoint, error) {
	var c LedgerCheckpoint
	err := tx.db.Tx.QueryRowContext(tx.ctx, tx.numbered("SELECT size, note FROM ledger_checkpoint "+which), args...).Scan(&c.Size, &c.Note)
	if errors.Is(err, sql.ErrNoRows) {
		return LedgerCheckpoint{}, fmt.Errorf("ledger checkpoint: %w", ErrNotFound)
	}
	if err != nil {
		return LedgerCheckpoint{}, fmt.Errorf("read ledger checkpoint: %w", err)
	}
	return c, nil
}

// LedgerCheckpoints returns up to limit checkpoints of a size greater than
// after, smallest first.
func (tx *Tx) LedgerCheckpoints(after int64, limit int) ([]LedgerCheckpoint, error) {
	return ledgerRows(tx, "checkpoints", "SELECT size, note FROM ledger_checkpoint WHERE size > ? ORDER BY size LIMIT ?",
		func(c *LedgerCheckpoint) []any { return []any{&c.Size, &c.Note} }, after, limit)
}

// InsertLedgerCheckpoint adds a checkpoint; ErrConflict if its size has one.
func (tx *Tx) InsertLedgerCheckpoint(c LedgerCheckpoint) error {
	_, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)"), c.Size, c.Note)
	if err != nil {
		return fmt.Errorf("write ledger checkpoint of size %d: %w", c.Size, err)
	}
	return nil
}

// LedgerCosignature is a witness's signature on a checkpoint.
type LedgerCosignature struct {
	Size int64
	VKey string // the witness
	Line string // signature line, with its newline
}

// LedgerCosignatures returns those of the checkpoint of that size.
func (tx *Tx) LedgerCosignatures(size int64) ([]LedgerCosignature, error) {
	return ledgerRows(tx, "cosignatures", "SELECT size, vkey, line FROM ledger_cosignature WHERE size = ? ORDER BY vkey",
		func(c *LedgerCosignature) []any { return []any{&c.Size, &c.VKey, &c.Line} }, size)
}

// LastLedgerCosignatures returns each witness's cosignature of the greatest size.
func (tx *Tx) LastLedgerCosignatures() ([]LedgerCosignature, error) {
	return ledgerRows(tx, "cosignatures", "SELECT c.size, c.vkey, c.line FROM ledger_cosignature c JOIN "+
		"(SELECT vkey, max(size) AS size FROM ledger_cosignature GROUP BY vkey) l ON l.vkey = c.vkey AND l.size = c.size ORDER BY c.vkey",
		func(c *LedgerCosignature) []any { return []any{&c.Size, &c.VKey, &c.Line} })
}

// SetLedgerCosignature adds a cosignature, or replaces the witness's earlier one
// of the same checkpoint.
func (tx *Tx) SetLedgerCosignature(c LedgerCosignature) error {
	_, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered("INSERT INTO ledger_cosignature (size, vkey, line) VALUES (?, ?, ?) "+
		"ON CONFLICT (size, vkey) DO UPDATE SET line = excluded.line"), c.Size, c.VKey, c.Line)
	if err != nil {
		return fmt.Errorf("write cosignature of ledger checkpoint %d: %w", c.Size, err)
	}
	return nil
}

// LedgerKey is a key that signs checkpoints from a size on.
type LedgerKey struct {
	FromSize int64
	VKey     string
	Sealed   []byte // the private key; empty once another has followed
}

// LedgerKeys returns all keys, oldest first.
func (tx *Tx) LedgerKeys() ([]LedgerKey, error) {
	return ledgerRows(tx, "keys", "SELECT from_size, vkey, sealed FROM ledger_key ORDER BY from_size",
		func(k *LedgerKey) []any { return []any{&k.FromSize, &k.VKey, &k.Sealed} })
}

// InsertLedgerKey adds a key.
func (tx *Tx) InsertLedgerKey(k LedgerKey) error {
	_, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered("INSERT INTO ledger_key (from_size, vkey, sealed) VALUES (?, ?, ?)"), k.FromSize, k.VKey, k.Sealed)
	if err != nil {
		return fmt.Errorf("write ledger key %s: %w", k.VKey, err)
	}
	return nil
}

// EraseLedgerKey removes the private part of the key that signs from a size on.
func (tx *Tx) EraseLedgerKey(fromSize int64) error {
	_, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered("UPDATE ledger_key SET sealed = ? WHERE from_size = ?"), []byte{}, fromSize)
	if err != nil {
		return fmt.Errorf("erase ledger key: %w", err)
	}
	return nil
}

// ledgerRows reads all rows of a query into a slice; fields gives where a row's
// columns go.
func ledgerRows[T any](tx *Tx, what, query string, fields func(*T) []any, args ...any) ([]T, error) {
	rows, err := tx.db.Tx.QueryContext(tx.ctx, tx.numbered(query), args...)
	if err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", what, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var row T
		if err := rows.Scan(fields(&row)...); err != nil {
			return nil, fmt.Errorf("read ledger %s: %w", what, err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", what, err)
	}
	return all, nil
}

// CosignedLedgerCheckpoint returns the checkpoint of the greatest size that has
// at least so many cosignatures, or ErrNotFound.
func (tx *Tx) CosignedLedgerCheckpoint(cosignatures int) (LedgerCheckpoint, error) {
	if cosignatures <= 0 {
		return tx.LastLedgerCheckpoint()
	}
	return tx.ledgerCheckpoint("WHERE size = (SELECT max(size) FROM (SELECT size FROM ledger_cosignature GROUP BY size HAVING count(*) >= ?) s)", cosignatures)
}
