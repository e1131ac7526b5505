package ledger

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
)

// Append adds entries within tx and returns the index of the first. Either all
// of tx takes effect, entries and acts alike, or nothing does. An entry without
// a time gets the present one.
//
// Appending locks the head of the ledger until tx ends: do it last. Errors are
// entry.ErrInvalid, and those of store.
func (l *Log) Append(tx *store.Tx, entries ...Entry) (first int64, err error) {
	for i := range entries {
		if isKeyAction(entries[i].Action) {
			return 0, fmt.Errorf("%w: only the ledger itself says %s", entry.ErrInvalid, entries[i].Action)
		}
	}
	return l.append(tx, entries)
}

func (l *Log) append(tx *store.Tx, entries []Entry) (first int64, err error) {
	entries, err = l.prepare(entries)
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 {
		head, err := tx.LockLedger()
		return head.Size, err
	}
	// Most often the ledger is as this process has left it. Then one statement
	// both makes sure of that and takes the lock.
	if head, sequences, ok := l.tip.of(entries); ok {
		g, err := grow(tx, head, sequences, entries)
		if err != nil {
			return 0, err
		}
		if ok, err = tx.ExtendLedger(head, g.head, g.rows); err != nil {
			return 0, err
		}
		if ok {
			return head.Size, l.writeTiles(tx, head, g)
		}
	}
	head, err := tx.LockLedger()
	if err != nil {
		return 0, err
	}
	g, err := grow(tx, head, nil, entries)
	if err != nil {
		return 0, err
	}
	if err := tx.SetLedgerHead(g.head); err != nil {
		return 0, err
	}
	if err := tx.InsertLedgerEntries(g.rows); err != nil {
		return 0, err
	}
	return head.Size, l.writeTiles(tx, head, g)
}

// growth is what entries add to a ledger.
type growth struct {
	head      store.LedgerHead
	sequences map[string]int64 // last of each tenant of the entries
	rows      []store.LedgerEntry
	leaves    []tlog.Hash
	inner     map[tileID][]tlog.Hash // hashes of the tiles above level 0
}

// grow computes what entries add to the ledger of head. sequences are the last of
// tenants as far as they are known; the others are read.
func grow(tx *store.Tx, head store.LedgerHead, sequences map[string]int64, entries []Entry) (*growth, error) {
	f, err := merkle.ParseFrontier(head.Size, head.Frontier)
	if err != nil {
		return nil, fmt.Errorf("%w: head: %w", ErrCorrupt, err)
	}
	g := &growth{sequences: sequences, inner: map[tileID][]tlog.Hash{}, leaves: make([]tlog.Hash, len(entries))}
	if g.sequences == nil {
		g.sequences = map[string]int64{}
	}
	if err := setSequences(tx, g.sequences, entries); err != nil {
		return nil, err
	}
	g.rows = commit(entries)
	for i := range g.rows {
		g.rows[i].Index = head.Size + int64(i)
		g.leaves[i] = tlog.Hash(g.rows[i].Leaf)
		f.Append(g.leaves[i], func(level int, index int64, h tlog.Hash) {
			id := tileID{level, index / merkle.TileWidth}
			g.inner[id] = append(g.inner[id], h)
		})
	}
	g.head = store.LedgerHead{Size: f.Size(), Frontier: f.Bytes()}
	return g, nil
}

// writeTiles stores the tiles of g, whose head and rows are.
func (l *Log) writeTiles(tx *store.Tx, old store.LedgerHead, g *growth) error {
	if err := setLeafTiles(tx, old.Size, g.leaves); err != nil {
		return err
	}
	if err := growTiles(tx, old.Size, g.inner); err != nil {
		return err
	}
	tx.OnCommit(func() { l.tip.moved(old, g) })
	return nil
}

// prepare returns entries as they will be appended, but for their sequence.
func (l *Log) prepare(entries []Entry) ([]Entry, error) {
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		if e.Time.IsZero() {
			e.Time = l.now()
		}
		e.Time, e.Sequence = e.Time.UTC().Truncate(time.Microsecond), 0
		if err := e.Check(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// setSequences continues each tenant's count from last, which it keeps up to date.
func setSequences(tx *store.Tx, last map[string]int64, entries []Entry) error {
	for i := range entries {
		tenant := entries[i].Tenant
		n, ok := last[tenant]
		if !ok {
			var err error
			if n, err = tx.LastLedgerSequence(tenant); err != nil {
				return err
			}
		}
		entries[i].Sequence = n + 1
		last[tenant] = n + 1
	}
	return nil
}

// commit makes rows, each with a salt of its own.
func commit(entries []Entry) []store.LedgerEntry {
	salts := make([]byte, len(entries)*entry.SaltSize)
	rand.Read(salts)
	rows := make([]store.LedgerEntry, len(entries))
	var canonical []byte
	for i := range entries {
		e := &entries[i]
		salt := salts[i*entry.SaltSize:][:entry.SaltSize]
		canonical = e.AppendCanonical(canonical[:0])
		leaf := entry.Commit(salt, canonical).Leaf()
		rows[i] = store.LedgerEntry{
			Time: e.Time, Tenant: e.Tenant, Sequence: e.Sequence, Actor: e.Actor, Action: e.Action, Subject: e.Subject,
			Digests: string(entry.AppendDigests(nil, e.Digests)), Salt: salt, Leaf: leaf[:],
		}
	}
	return rows
}
