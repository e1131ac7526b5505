package store

import (
	"fmt"
	"strings"
	"time"
)

// LedgerFilter selects entries. Empty members select all.
type LedgerFilter struct {
	Tenant   *string // "" is the provider
	Action   string
	Subject  string
	From, To time.Time // From ≤ time < To
	// BeforeTime and BeforeIndex, if the first is not zero, are of the entry
	// after which to go on.
	BeforeTime  time.Time
	BeforeIndex int64
}

const ledgerColumns = "idx, time, tenant, sequence, actor, action, subject, digests, salt, leaf"

// LedgerEntries returns the entries from ≤ index < to in order.
func (tx *Tx) LedgerEntries(from, to int64) ([]LedgerEntry, error) {
	return tx.ledgerEntries("SELECT "+ledgerColumns+" FROM ledger_entry WHERE idx >= ? AND idx < ? ORDER BY idx", from, to)
}

// TenantLedgerEntries returns up to limit entries of the tenant that have a
// greater sequence than after, in order.
func (tx *Tx) TenantLedgerEntries(tenant string, after int64, limit int) ([]LedgerEntry, error) {
	return tx.ledgerEntries("SELECT "+ledgerColumns+" FROM ledger_entry WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?", tenant, after, limit)
}

// ledgerWindow bounds how many entries one search by subject reads.
const ledgerWindow = 20_000

// SearchLedger returns up to limit entries, newest first. If more may follow,
// last is the entry to go on after; that can be so with fewer than limit found,
// because the work of one search is bounded.
func (tx *Tx) SearchLedger(f LedgerFilter, limit int) (found []LedgerEntry, last *LedgerEntry, err error) {
	var where []string
	var args []any
	and := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if f.Tenant != nil {
		and("tenant = ?", *f.Tenant)
	}
	if f.Action != "" {
		and("action = ?", f.Action)
	}
	if !f.From.IsZero() {
		and("time >= ?", f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		and("time < ?", f.To.UnixMicro())
	}
	if !f.BeforeTime.IsZero() {
		at := f.BeforeTime.UnixMicro()
		and("time <= ? AND (time < ? OR idx < ?)", at, at, f.BeforeIndex)
	}
	window := "FROM ledger_entry"
	if len(where) > 0 {
		window += " WHERE " + strings.Join(where, " AND ")
	}
	window += " ORDER BY time DESC, idx DESC LIMIT ?"

	if f.Subject == "" {
		found, err = tx.ledgerEntries("SELECT "+ledgerColumns+" "+window, append(args, limit+1)...)
		if err == nil && len(found) > limit {
			found = found[:limit]
			last = &found[limit-1]
		}
		return found, last, err
	}

	inner := "SELECT " + ledgerColumns + " " + window
	found, err = tx.ledgerEntries("SELECT "+ledgerColumns+" FROM ("+inner+") w WHERE subject = ? ORDER BY time DESC, idx DESC LIMIT ?",
		append(args, ledgerWindow, f.Subject, limit)...)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == limit {
		return found, &found[limit-1], nil
	}
	end, err := tx.ledgerEntries("SELECT "+ledgerColumns+" "+window+" OFFSET ?", append(args, 1, ledgerWindow-1)...)
	if err == nil && len(end) == 1 {
		last = &end[0]
	}
	return found, last, err
}

func (tx *Tx) ledgerEntries(query string, args ...any) ([]LedgerEntry, error) {
	type row struct {
		LedgerEntry
		micros int64
	}
	rows, err := ledgerRows(tx, "entries", query, func(r *row) []any {
		return []any{&r.Index, &r.micros, &r.Tenant, &r.Sequence, &r.Actor, &r.Action, &r.Subject, &r.Digests, &r.Salt, &r.Leaf}
	}, args...)
	if err != nil {
		return nil, err
	}
	entries := make([]LedgerEntry, len(rows))
	for i, r := range rows {
		entries[i] = r.LedgerEntry
		entries[i].Time = time.UnixMicro(r.micros).UTC()
	}
	return entries, nil
}

// LedgerCounts are of everything that is stored, for comparison with what ought
// to be.
type LedgerCounts struct {
	EntriesBeyond int64 // outside of 0 ≤ index < size
	Tiles         int64
	Checkpoints   int64
	Cosignatures  int64
}

// CountLedger counts the rows of a ledger of that size.
func (tx *Tx) CountLedger(size int64) (c LedgerCounts, err error) {
	err = tx.db.Tx.QueryRowContext(tx.ctx, tx.numbered("SELECT (SELECT count(*) FROM ledger_entry WHERE idx >= ? OR idx < 0), "+
		"(SELECT count(*) FROM ledger_tile), (SELECT count(*) FROM ledger_checkpoint), (SELECT count(*) FROM ledger_cosignature)"), size).
		Scan(&c.EntriesBeyond, &c.Tiles, &c.Checkpoints, &c.Cosignatures)
	if err != nil {
		return LedgerCounts{}, fmt.Errorf("count the ledger's rows: %w", err)
	}
	return c, nil
}
