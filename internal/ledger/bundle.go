package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
)

// MaxBundleEntries bounds a bundle; its file has some 500 bytes for each.
const MaxBundleEntries = 200_000

// BundleOptions select what a bundle shows and proves.
type BundleOptions struct {
	// Tenant whose entries are shown; empty is the provider. Whoever asks must be
	// allowed to read them.
	Tenant string
	// All shows the entries of everybody instead: for auditors of the provider.
	All bool
	// From is the sequence of the tenant, or with All the index, to begin with.
	From int64
	// Cosignatures is how many witnesses must have cosigned the checkpoint; the
	// last that has so many is taken.
	Cosignatures int
	// Since, if not 0, is the size of an earlier checkpoint that the bundle proves
	// to be continued.
	Since int64
}

// Bundle writes entries with all that is needed to verify them offline, in the
// format of package bundle. Entries after the last fitting checkpoint are not in
// it. It returns ErrRange when nothing is there to show.
func (l *Log) Bundle(ctx context.Context, w io.Writer, o BundleOptions) error {
	var b *bundle.Bundle
	err := l.store.Read(ctx, func(tx *store.Tx) (err error) {
		b, err = l.bundle(tx, o)
		return err
	})
	if err != nil {
		return fmt.Errorf("bundle of the ledger: %w", err)
	}
	return b.Write(w)
}

func (l *Log) bundle(tx *store.Tx, o BundleOptions) (*bundle.Bundle, error) {
	c, err := tx.CosignedLedgerCheckpoint(o.Cosignatures)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no checkpoint with %d cosignatures yet", ErrRange, o.Cosignatures)
	}
	if err != nil {
		return nil, err
	}
	b := &bundle.Bundle{
		Format: bundle.Format, Tenant: o.Tenant, All: o.All,
		Witnesses: []string{}, Keys: []bundle.Key{}, Rotations: []bundle.Linked{}, Entries: []bundle.Entry{},
	}
	if o.All {
		b.Tenant = ""
	}
	noted, err := cosigned(tx, c)
	if err != nil {
		return nil, err
	}
	b.Checkpoint = string(noted)
	witnesses, err := tx.LedgerCosignatures(c.Size)
	if err != nil {
		return nil, err
	}
	for _, s := range witnesses {
		b.Witnesses = append(b.Witnesses, s.VKey)
	}
	slices.Sort(b.Witnesses) // a database may sort by language

	rows, err := shown(tx, o, c.Size)
	if err != nil {
		return nil, err
	}
	keyRows, err := addKeys(tx, b, c.Size)
	if err != nil {
		return nil, err
	}
	if err := addEntries(tx, b, append(rows, keyRows...), c.Size); err != nil {
		return nil, err
	}
	if o.Since != 0 {
		old, err := link(tx, o.Since, c.Size)
		if errors.Is(err, store.ErrNotFound) {
			err = fmt.Errorf("%w: no checkpoint of %d entries was signed", ErrRange, o.Since)
		}
		if err != nil {
			return nil, err
		}
		b.Earlier = &old
	}
	return b, nil
}

// shown returns the entries that o selects in the tree of size.
func shown(tx *store.Tx, o BundleOptions, size int64) (rows []store.LedgerEntry, err error) {
	if o.All {
		if size-o.From > MaxBundleEntries {
			return nil, fmt.Errorf("%w: %d entries from %d on; a bundle shows at most %d", ErrRange, size-o.From, o.From, MaxBundleEntries)
		}
		rows, err = tx.LedgerEntries(o.From, size)
	} else {
		rows, err = tx.TenantLedgerEntries(o.Tenant, max(o.From-1, 0), MaxBundleEntries+1)
		if len(rows) > MaxBundleEntries && rows[MaxBundleEntries].Index < size {
			return nil, fmt.Errorf("%w: more than %d entries from number %d on; begin later", ErrRange, MaxBundleEntries, o.From)
		}
	}
	rows = slices.DeleteFunc(rows, func(r store.LedgerEntry) bool { return r.Index >= size })
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("%w: no entries from %d on in the tree of %d", ErrRange, o.From, size)
	}
	return rows, err
}

// addKeys adds the history of keys and returns the entries that tell of them.
func addKeys(tx *store.Tx, b *bundle.Bundle, size int64) (told []store.LedgerEntry, err error) {
	keys, err := tx.LedgerKeys()
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if k.FromSize > size {
			break
		}
		b.Keys = append(b.Keys, bundle.Key{FromSize: k.FromSize, VKey: k.VKey})
		if i > 0 {
			r, err := link(tx, k.FromSize, size)
			if err != nil {
				return nil, err
			}
			b.Rotations = append(b.Rotations, r)
		}
		rows, err := tx.LedgerEntries(k.FromSize-1, k.FromSize)
		if err != nil {
			return nil, err
		}
		told = append(told, rows...)
	}
	return told, nil
}

// addEntries adds rows, of which some may come twice, and their proof.
func addEntries(tx *store.Tx, b *bundle.Bundle, rows []store.LedgerEntry, size int64) error {
	slices.SortFunc(rows, func(a, b store.LedgerEntry) int { return int(a.Index - b.Index) })
	rows = slices.CompactFunc(rows, func(a, b store.LedgerEntry) bool { return a.Index == b.Index })
	indexes := make([]int64, len(rows))
	for i := range rows {
		line, err := lineOf(&rows[i])
		if err != nil {
			return err
		}
		indexes[i] = line.Index
		b.Entries = append(b.Entries, bundle.Entry{Index: line.Index, Salt: line.Salt, Entry: line.AppendCanonical(nil)})
	}
	needed, err := merkle.MultiproofIndexes(size, indexes)
	if err != nil {
		return err
	}
	const atOnce = 2048 // each can need a tile of 8 KiB
	b.Proof = []byte{}
	for part := range slices.Chunk(needed, atOnce) {
		hashes, err := hashReader{tx}.ReadHashes(part)
		if err != nil {
			return err
		}
		b.Proof = append(b.Proof, merkle.Join(hashes)...)
	}
	return nil
}

// link returns a signed checkpoint and the proof that the tree of size continues it.
func link(tx *store.Tx, old, size int64) (bundle.Linked, error) {
	c, err := tx.LedgerCheckpoint(old)
	if err != nil {
		return bundle.Linked{}, err
	}
	if old > size {
		return bundle.Linked{}, fmt.Errorf("%w: the checkpoint of %d entries is not older than that of %d", ErrRange, old, size)
	}
	proof, err := tlog.ProveTree(size, old, hashReader{tx})
	if err != nil {
		return bundle.Linked{}, err
	}
	return bundle.Linked{Checkpoint: c.Note, Proof: merkle.Join(proof)}, nil
}
