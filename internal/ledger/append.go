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
	head, err := tx.LockLedger()
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 {
		return head.Size, nil
	}
	if err := setSequences(tx, entries); err != nil {
		return 0, err
	}
	f, err := merkle.ParseFrontier(head.Size, head.Frontier)
	if err != nil {
		return 0, fmt.Errorf("%w: head: %w", ErrCorrupt, err)
	}

	grown := map[tileID][]tlog.Hash{}
	rows := commit(entries)
	leaves := make([]tlog.Hash, len(rows))
	for i := range rows {
		rows[i].Index = head.Size + int64(i)
		leaves[i] = tlog.Hash(rows[i].Leaf)
		f.Append(leaves[i], func(level int, index int64, h tlog.Hash) {
			id := tileID{level, index / merkle.TileWidth}
			grown[id] = append(grown[id], h)
		})
	}
	if err := tx.InsertLedgerEntries(rows); err != nil {
		return 0, err
	}
	if err := setLeafTiles(tx, head.Size, leaves); err != nil {
		return 0, err
	}
	if err := growTiles(tx, head.Size, grown); err != nil {
		return 0, err
	}
	if err := tx.SetLedgerHead(store.LedgerHead{Size: f.Size(), Frontier: f.Bytes()}); err != nil {
		return 0, err
	}
	return head.Size, nil
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

// setSequences continues each tenant's count. The head must be locked.
func setSequences(tx *store.Tx, entries []Entry) error {
	last := map[string]int64{}
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

// tileID is a tile's place: its level and its index there.
type tileID struct {
	level int
	index int64
}

// setLeafTiles writes the tiles of level 0 that leaves, the first of which has
// index size, fill up.
func setLeafTiles(tx *store.Tx, size int64, leaves []tlog.Hash) error {
	for {
		tile := size / merkle.TileWidth
		n := (tile+1)*merkle.TileWidth - size
		if n > int64(len(leaves)) {
			return nil
		}
		before, err := tx.LedgerLeaves(tile*merkle.TileWidth, size)
		if err != nil {
			return err
		}
		hashes := append(before, merkle.Join(leaves[:n])...)
		if len(hashes) != merkle.TileWidth*tlog.HashSize {
			return fmt.Errorf("%w: entries between %d and %d are missing", ErrCorrupt, tile*merkle.TileWidth, size)
		}
		if err := tx.SetLedgerTile(0, tile, hashes); err != nil {
			return err
		}
		size, leaves = size+n, leaves[n:]
	}
}

// growTiles adds hashes to the tiles above level 0 of a tree that had size leaves.
func growTiles(tx *store.Tx, size int64, grown map[tileID][]tlog.Hash) error {
	for id, hashes := range grown {
		var before []byte
		if had := tileHashes(size, id); had > 0 {
			var err error
			if before, err = tx.LedgerTile(id.level, id.index); err != nil {
				return err
			}
			if len(before) != had*tlog.HashSize {
				return fmt.Errorf("%w: tile %d/%d has %d bytes; a tree of %d entries has %d there", ErrCorrupt, id.level, id.index, len(before), size, had*tlog.HashSize)
			}
		}
		if err := tx.SetLedgerTile(id.level, id.index, slices.Concat(before, merkle.Join(hashes))); err != nil {
			return err
		}
	}
	return nil
}

// tileHashes returns how many hashes the tile has in a tree of size leaves.
func tileHashes(size int64, id tileID) int {
	n := size>>(merkle.TileHeight*id.level) - id.index*merkle.TileWidth
	return int(max(0, min(n, merkle.TileWidth)))
}
