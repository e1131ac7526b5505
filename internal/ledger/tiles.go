package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
)

// ErrNoResource: the path is not one of C2SP tlog-tiles, or the tree has not
// grown to it.
var ErrNoResource = errors.New("no such resource of the ledger")

// Resource returns what C2SP tlog-tiles publishes at path: "checkpoint",
// "tile/<L>/<N>[.p/<W>]", or "tile/entries/<N>[.p/<W>]", where an entry is its
// 32-byte commitment and says nothing of what it commits to. All but the
// checkpoint never change. It returns ErrNoResource for any other path.
func (l *Log) Resource(ctx context.Context, path string) ([]byte, error) {
	if path == "checkpoint" {
		return l.PublishedCheckpoint(ctx)
	}
	t, err := torchwood.ParseTilePath(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrNoResource, path)
	}
	var data []byte
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		head, err := tx.LedgerHead()
		if err != nil {
			return err
		}
		id := tileID{max(t.L, 0), t.N}
		if t.L*merkle.TileHeight > 62 || tileHashes(head.Size, id) < t.W {
			return fmt.Errorf("%w: %q", ErrNoResource, path)
		}
		if t.L < 0 {
			data, err = commitments(tx, t)
		} else {
			data, err = readTile(tx, id, t.W)
		}
		return err
	})
	return data, err
}

// PublishedCheckpoint returns the last checkpoint with the cosignatures that it
// has, or ErrNoResource when none was signed yet.
func (l *Log) PublishedCheckpoint(ctx context.Context) (signed []byte, err error) {
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		c, err := tx.LastLedgerCheckpoint()
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%w: nothing was signed yet", ErrNoResource)
		}
		if err != nil {
			return err
		}
		signed, err = cosigned(tx, c)
		return err
	})
	return signed, err
}

// cosigned adds the stored cosignatures to a checkpoint.
func cosigned(tx *store.Tx, c store.LedgerCheckpoint) ([]byte, error) {
	all, err := tx.LedgerCosignatures(c.Size)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(c.Note)
	for _, s := range all {
		b.WriteString(s.Line)
	}
	return []byte(b.String()), nil
}

// commitments returns an entry bundle of C2SP tlog-tiles.
func commitments(tx *store.Tx, t tlog.Tile) ([]byte, error) {
	first := t.N * merkle.TileWidth
	rows, err := tx.LedgerEntries(first, first+int64(t.W))
	if err != nil {
		return nil, err
	}
	if len(rows) != t.W {
		return nil, fmt.Errorf("%w: entries between %d and %d are missing", ErrCorrupt, first, first+int64(t.W))
	}
	var bundle []byte
	for i := range rows {
		line, err := lineOf(&rows[i])
		if err != nil {
			return nil, err
		}
		c := entry.Commit(line.Salt, line.AppendCanonical(nil))
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(c)))
		bundle = append(bundle, c[:]...)
	}
	return bundle, nil
}
