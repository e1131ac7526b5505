package store

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// LedgerFilter selects entries. Empty members select all.
type LedgerFilter struct {
	Tenant   *string // "" is the provider
	Action   string
	Subject  string
	From, To time.Time // From ≤ time < To
	// ActorPrefix selects by the beginning of the actor; entries of SystemActions
	// are selected too if the actor is a part of the product, system/….
	ActorPrefix   string
	SystemActions []string
	// Before, if not 0, is what SearchLedger returned as next.
	Before int64
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

// ledgerWindow bounds how many entries one search reads.
const ledgerWindow = 20_000

// SearchLedger returns up to limit entries, newest first. If more may follow,
// next is not 0; that can be so with fewer than limit found, because the work of
// one search is bounded.
func (tx *Tx) SearchLedger(f LedgerFilter, limit int) (found []LedgerEntry, next int64, err error) {
	// The order is that of an index: of all entries, or of a tenant's.
	order, window, windowArgs := "idx", "FROM ledger_entry WHERE TRUE", []any{}
	if f.Tenant != nil {
		order, window, windowArgs = "sequence", "FROM ledger_entry WHERE tenant = ?", []any{*f.Tenant}
	}
	if f.Before != 0 {
		window, windowArgs = window+" AND "+order+" < ?", append(windowArgs, f.Before)
	}
	window += " ORDER BY " + order + " DESC LIMIT ?"

	where, args := []string{"TRUE"}, append(slices.Clone(windowArgs), ledgerWindow)
	and := func(condition string, value any) { where, args = append(where, condition), append(args, value) }
	if f.Action != "" {
		and("action = ?", f.Action)
	}
	if f.Subject != "" {
		and("subject = ?", f.Subject)
	}
	if f.ActorPrefix != "" {
		condition := "substr(actor, 1, ?) = ?"
		args = append(args, len(f.ActorPrefix), f.ActorPrefix)
		if len(f.SystemActions) > 0 {
			some, names := in("action", f.SystemActions)
			condition, args = "("+condition+" OR (substr(actor, 1, 7) = 'system/' AND "+some+"))", append(args, names...)
		}
		where = append(where, condition)
	}
	if !f.From.IsZero() {
		and("time >= ?", f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		and("time < ?", f.To.UnixMicro())
	}
	found, err = tx.ledgerEntries("SELECT "+ledgerColumns+" FROM (SELECT "+ledgerColumns+" "+window+") w WHERE "+
		strings.Join(where, " AND ")+" ORDER BY "+order+" DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, 0, err
	}
	position := func(r LedgerEntry) int64 {
		if f.Tenant != nil {
			return r.Sequence
		}
		return r.Index
	}
	if len(found) == limit {
		return found, position(found[limit-1]), nil
	}
	end, err := tx.ledgerEntries("SELECT "+ledgerColumns+" "+window+" OFFSET ?", append(windowArgs, 1, ledgerWindow-1)...)
	if err == nil && len(end) == 1 {
		next = position(end[0])
	}
	return found, next, err
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
