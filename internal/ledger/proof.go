package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
)

// ErrRange: an index or size that the tree does not reach.
var ErrRange = errors.New("outside of the ledger")

// Size returns the number of entries.
func (l *Log) Size(ctx context.Context) (size int64, err error) {
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		head, err := tx.LedgerHead()
		size = head.Size
		return err
	})
	return size, err
}

// Inclusion proves that the entry at index is in the tree of size entries: the
// audit path of RFC 6962 section 2.1.1, from the leaf upwards.
func (l *Log) Inclusion(ctx context.Context, index, size int64) (proof tlog.RecordProof, err error) {
	err = l.within(ctx, size, func(r tlog.HashReader) error {
		if index < 0 || index >= size {
			return fmt.Errorf("%w: entry %d in a tree of %d", ErrRange, index, size)
		}
		proof, err = tlog.ProveRecord(size, index, r)
		return err
	})
	return proof, err
}

// Consistency proves that the tree of size entries begins with the tree of old
// entries: RFC 6962 section 2.1.2. From the empty tree the proof is empty.
func (l *Log) Consistency(ctx context.Context, old, size int64) (proof tlog.TreeProof, err error) {
	err = l.within(ctx, size, func(r tlog.HashReader) error {
		if old < 0 || old > size {
			return fmt.Errorf("%w: from a tree of %d to one of %d", ErrRange, old, size)
		}
		if old == 0 {
			return nil
		}
		proof, err = tlog.ProveTree(size, old, r)
		return err
	})
	return proof, err
}

// Root returns the root hash that the tree had at size.
func (l *Log) Root(ctx context.Context, size int64) (root tlog.Hash, err error) {
	err = l.within(ctx, size, func(r tlog.HashReader) error {
		root, err = tlog.TreeHash(size, r)
		return err
	})
	return root, err
}

// within reads on one state of a tree that has at least size entries.
func (l *Log) within(ctx context.Context, size int64, read func(tlog.HashReader) error) error {
	return l.store.Read(ctx, func(tx *store.Tx) error {
		head, err := tx.LedgerHead()
		if err != nil {
			return err
		}
		if size < 0 || size > head.Size {
			return fmt.Errorf("%w: a tree of %d, where %d are", ErrRange, size, head.Size)
		}
		return read(hashReader{tx})
	})
}

// hashReader computes inner nodes of the tree from its tiles.
type hashReader struct{ tx *store.Tx }

// ReadHashes implements tlog.HashReader.
func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	widest := map[tileID]int{}
	for _, x := range indexes {
		t := tlog.TileForIndex(merkle.TileHeight, x)
		id := tileID{t.L, t.N}
		widest[id] = max(widest[id], t.W)
	}
	data := make(map[tileID][]byte, len(widest))
	for id, width := range widest {
		hashes, err := readTile(r.tx, id, width)
		if err != nil {
			return nil, err
		}
		data[id] = hashes
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		t := tlog.TileForIndex(merkle.TileHeight, x)
		h, err := tlog.HashFromTile(t, data[tileID{t.L, t.N}], x)
		if err != nil {
			return nil, fmt.Errorf("%w: tile %d/%d: %w", ErrCorrupt, t.L, t.N, err)
		}
		hashes[i] = h
	}
	return hashes, nil
}

// readTile returns the first width hashes of a tile.
func readTile(tx *store.Tx, id tileID, width int) ([]byte, error) {
	hashes, err := tx.LedgerTile(id.level, id.index)
	if errors.Is(err, store.ErrNotFound) && id.level == 0 {
		first := id.index * merkle.TileWidth
		hashes, err = tx.LedgerLeaves(first, first+int64(width))
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if len(hashes) < width*tlog.HashSize {
		return nil, fmt.Errorf("%w: tile %d/%d has %d bytes instead of %d", ErrCorrupt, id.level, id.index, len(hashes), width*tlog.HashSize)
	}
	return hashes[:width*tlog.HashSize], nil
}
