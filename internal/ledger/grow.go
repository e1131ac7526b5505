package ledger

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
)

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
