package store

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The ledger's rows. What they mean, and whether they are right, is for package
// ledger to say; here they are kept.

// LedgerEntry is one row of the ledger.
type LedgerEntry struct {
	Index    int64     // position in the tree, from 0
	Time     time.Time // to the microsecond
	Tenant   string    // empty for the provider
	Sequence int64     // counts the tenant's entries from 1
	Actor    string
	Action   string
	Subject  string
	Digests  string // canonical JSON object
	Salt     []byte
	Leaf     []byte
}

// LedgerHead is where the next entry goes.
type LedgerHead struct {
	Size     int64
	Frontier []byte // roots of the complete subtrees, largest first, 32 bytes each
}

// The statements of an act with one entry.
const (
	selectLedgerHead  = "SELECT size, frontier FROM ledger_head WHERE id = 1"
	advanceLedgerHead = "UPDATE ledger_head SET size = ?, frontier = ? WHERE id = 1 AND size = ? AND frontier = ?"
	extendLedger      = "WITH advanced AS (" + advanceLedgerHead + " RETURNING 1) " +
		"INSERT INTO ledger_entry (idx, time, tenant, sequence, actor, action, subject, digests, salt, leaf) " +
		"SELECT v.* FROM (VALUES (?::bigint, ?::bigint, ?::text, ?::bigint, ?::text, ?::text, ?::text, ?::text, ?::bytea, ?::bytea)) v, advanced"
	updateLedgerHead     = "UPDATE ledger_head SET size = ?, frontier = ? WHERE id = 1"
	selectLedgerSequence = "SELECT coalesce(max(sequence), 0) FROM ledger_entry WHERE tenant = ?"
	insertLedgerEntry    = "INSERT INTO ledger_entry (idx, time, tenant, sequence, actor, action, subject, digests, salt, leaf) VALUES (?,?,?,?,?,?,?,?,?,?)"
)

func (tx *Tx) ledgerRow(query string, args ...any) *sql.Row {
	return tx.db.Tx.QueryRowContext(tx.ctx, tx.numbered(query), args...)
}

func (tx *Tx) ledgerExec(query string, args ...any) error {
	_, err := tx.ledgerExecCount(query, args...)
	return err
}

func (tx *Tx) ledgerExecCount(query string, args ...any) (changed int64, err error) {
	result, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// LockLedger returns the head and holds it until the transaction ends: others
// that append wait. Take it as late as possible.
func (tx *Tx) LockLedger() (LedgerHead, error) {
	if tx.postgres {
		return tx.ledgerHead(selectLedgerHead + " FOR UPDATE")
	}
	return tx.ledgerHead(selectLedgerHead) // SQLite's writer is alone
}

// LedgerHead returns the head as the transaction sees it.
func (tx *Tx) LedgerHead() (LedgerHead, error) { return tx.ledgerHead(selectLedgerHead) }

func (tx *Tx) ledgerHead(query string) (LedgerHead, error) {
	var h LedgerHead
	err := tx.ledgerRow(query).Scan(&h.Size, &h.Frontier)
	if errors.Is(err, sql.ErrNoRows) {
		return LedgerHead{}, fmt.Errorf("head of the ledger: %w", ErrNotFound)
	}
	if err != nil {
		return LedgerHead{}, fmt.Errorf("read the head of the ledger: %w", err)
	}
	return h, nil
}

// SetLedgerHead replaces the head, which must have grown.
func (tx *Tx) SetLedgerHead(h LedgerHead) error {
	if err := tx.ledgerExec(updateLedgerHead, h.Size, h.Frontier); err != nil {
		return fmt.Errorf("write the head of the ledger: %w", err)
	}
	return nil
}

// ExtendLedger replaces the head and adds rows if the head is still old, and then
// holds it until the transaction ends as LockLedger does. It reports whether it
// was; if not, nothing is written.
func (tx *Tx) ExtendLedger(old, next LedgerHead, rows []LedgerEntry) (ok bool, err error) {
	head := []any{next.Size, next.Frontier, old.Size, old.Frontier}
	if tx.postgres && len(rows) == 1 { // most often so; one trip to the server instead of two
		n, err := tx.ledgerExecCount(extendLedger, append(head, rows[0].columns()...)...)
		if err != nil {
			return false, fmt.Errorf("append entry %d to the ledger: %w", old.Size, err)
		}
		return n == 1, nil
	}
	n, err := tx.ledgerExecCount(advanceLedgerHead, head...)
	if err != nil {
		return false, fmt.Errorf("advance the head of the ledger: %w", err)
	}
	if n != 1 {
		return false, nil
	}
	return true, tx.InsertLedgerEntries(rows)
}

// insertRows bounds a statement: SQLite takes 32,766 values in one.
const insertRows = 250

func (r *LedgerEntry) columns() []any {
	return []any{r.Index, r.Time.UnixMicro(), r.Tenant, r.Sequence, r.Actor, r.Action, r.Subject, r.Digests, r.Salt, r.Leaf}
}

// InsertLedgerEntries adds rows, in as few statements as the databases allow.
func (tx *Tx) InsertLedgerEntries(rows []LedgerEntry) error {
	const columns = 10
	for len(rows) > 0 {
		n := min(len(rows), insertRows)
		args := make([]any, 0, n*columns)
		for i := range rows[:n] {
			args = append(args, rows[i].columns()...)
		}
		query := insertLedgerEntry + strings.Repeat(",(?,?,?,?,?,?,?,?,?,?)", n-1)
		if err := tx.ledgerExec(query, args...); err != nil {
			return fmt.Errorf("write ledger entries from %d: %w", rows[0].Index, err)
		}
		rows = rows[n:]
	}
	return nil
}

// LastLedgerSequence returns the greatest sequence of the tenant's entries, 0 if
// it has none.
func (tx *Tx) LastLedgerSequence(tenant string) (sequence int64, err error) {
	err = tx.ledgerRow(selectLedgerSequence, tenant).Scan(&sequence)
	if err != nil {
		return 0, fmt.Errorf("read the last ledger sequence of tenant %q: %w", tenant, err)
	}
	return sequence, nil
}

// LedgerLeaves returns the leaf hashes of the entries from ≤ index < to, joined.
// The database joins them: fetching rows one by one would take longer than all
// the rest of a proof.
func (tx *Tx) LedgerLeaves(from, to int64) ([]byte, error) {
	query := "SELECT coalesce(group_concat(hex(leaf), ''), '') FROM (SELECT leaf FROM ledger_entry WHERE idx >= ? AND idx < ? ORDER BY idx)"
	if tx.postgres {
		query = "SELECT coalesce(string_agg(encode(leaf, 'hex'), '' ORDER BY idx), '') FROM ledger_entry WHERE idx >= ? AND idx < ?"
	}
	var joined []byte
	if err := tx.ledgerRow(query, from, to).Scan(&joined); err != nil {
		return nil, fmt.Errorf("read ledger leaves from %d: %w", from, err)
	}
	leaves, err := hex.AppendDecode(nil, joined)
	if err != nil {
		return nil, fmt.Errorf("read ledger leaves from %d: %w", from, err)
	}
	return leaves, nil
}

// LedgerTile returns the hashes of a tile, or ErrNotFound.
func (tx *Tx) LedgerTile(level int, index int64) ([]byte, error) {
	var hashes []byte
	err := tx.db.Tx.QueryRowContext(tx.ctx, tx.numbered("SELECT hashes FROM ledger_tile WHERE level = ? AND idx = ?"), level, index).Scan(&hashes)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("ledger tile %d/%d: %w", level, index, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read ledger tile %d/%d: %w", level, index, err)
	}
	return hashes, nil
}

// SetLedgerTile writes a tile that is new or has grown.
func (tx *Tx) SetLedgerTile(level int, index int64, hashes []byte) error {
	_, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered("INSERT INTO ledger_tile (level, idx, hashes) VALUES (?, ?, ?) "+
		"ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes"), level, index, hashes)
	if err != nil {
		return fmt.Errorf("write ledger tile %d/%d: %w", level, index, err)
	}
	return nil
}

// numbered makes PostgreSQL's placeholders of ?. The ledger's statements go past
// bun, which writes values into the text: for batches, parsing that costs more
// than all the rest.
func (tx *Tx) numbered(query string) string {
	if !tx.postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// LedgerKept reports whether the database still refuses to change or delete
// entries: whether the guards of the migrations are there and on.
func (tx *Tx) LedgerKept() (bool, error) {
	query := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name IN ('ledger_entry_stays', 'ledger_entry_kept')"
	if tx.postgres {
		query = "SELECT COUNT(*) FROM pg_trigger WHERE tgenabled <> 'D' AND tgname IN ('ledger_entry_stays', 'ledger_entry_kept')"
	}
	var n int
	if err := tx.db.Tx.QueryRowContext(tx.ctx, query).Scan(&n); err != nil {
		return false, fmt.Errorf("look for the guards of the ledger: %w", err)
	}
	return n == 2, nil
}
