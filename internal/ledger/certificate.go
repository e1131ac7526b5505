package ledger

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/store"
)

// Certificate proves one entry in the form of C2SP tlog-proof, for certificates
// that others verify with tools of their own. Its extra data are canonical JSON
// of the entry with its index and salt, as in a bundle; the logged record is the
// entry's commitment. It returns ErrRange until a checkpoint covers the entry.
func (l *Log) Certificate(ctx context.Context, index int64) (proof []byte, err error) {
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		c, err := tx.LastLedgerCheckpoint()
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if index < 0 || index >= c.Size {
			return fmt.Errorf("%w: entry %d in the signed tree of %d", ErrRange, index, c.Size)
		}
		rows, err := tx.LedgerEntries(index, index+1)
		if err != nil {
			return err
		}
		if len(rows) != 1 {
			return fmt.Errorf("%w: entry %d is missing", ErrCorrupt, index)
		}
		line, err := lineOf(&rows[0])
		if err != nil {
			return err
		}
		extra, err := canonical.JSON(bundle.Entry{Index: index, Salt: line.Salt, Entry: line.AppendCanonical(nil)})
		if err != nil {
			return err
		}
		path, err := tlog.ProveRecord(c.Size, index, hashReader{tx})
		if err != nil {
			return err
		}
		noted, err := cosigned(tx, c)
		if err != nil {
			return err
		}
		proof = torchwood.FormatProofWithExtraData(index, extra, path, noted)
		return nil
	})
	return proof, err
}
