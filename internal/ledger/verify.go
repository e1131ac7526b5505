package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
)

// Fault is a place where what is stored contradicts the rest.
type Fault struct {
	// Table is that of the state store: "ledger_entry".
	Table string `json:"table"`
	// Row names the row: an index, a size, a tile's "level/index".
	Row string `json:"row"`
	// Reason says what is wrong with it.
	Reason string `json:"reason"`
}

func (f Fault) String() string { return f.Table + " " + f.Row + ": " + f.Reason }

// Verification is the result of Verify.
type Verification struct {
	Entries      int64 `json:"entries"`
	Checkpoints  int64 `json:"checkpoints"`
	Cosignatures int64 `json:"cosignatures"`
	// Faults, the first first; what follows from one fault may be among them.
	// Verifying ends at the twentieth.
	Faults []Fault `json:"faults"`
}

// Err returns ErrCorrupt with the first fault, or nil.
func (v Verification) Err() error {
	if len(v.Faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, v.Faults[0])
}

const (
	maxFaults   = 20
	verifySlice = 2048 // entries read in one transaction
)

// errEnough ends a verification that has found enough.
var errEnough = errors.New("enough faults")

// Verify recomputes the tree from the stored entries and compares all else that
// is stored with it: leaves, tiles, head, checkpoints with their signatures,
// cosignatures and keys. Any single byte that was changed is found. It reads in
// slices, so that appending goes on meanwhile, and needs little memory; progress,
// if not nil, is told after each how many of how many entries are verified.
//
// What it cannot find is a ledger replaced as a whole by one who holds the
// signing key; witnesses do.
func (l *Log) Verify(ctx context.Context, progress func(done, total int64)) (Verification, error) {
	v := &recomputation{log: l, frontier: new(merkle.Frontier), sequences: map[string]int64{}, open: map[int][]byte{}}
	err := v.run(ctx, progress)
	if err != nil && !errors.Is(err, errEnough) {
		return v.result, fmt.Errorf("verify the ledger: %w", err)
	}
	return v.result, nil
}

// recomputation holds what one verification has recomputed so far.
type recomputation struct {
	log       *Log
	result    Verification
	keys      []verifiedKey
	frontier  *merkle.Frontier
	sequences map[string]int64 // last of each tenant
	open      map[int][]byte   // hashes of each level's unfinished tile
	tiles     int64            // finished ones
	noted     int64            // size of the last checkpoint seen
}

func (v *recomputation) fault(table string, row any, format string, args ...any) error {
	v.result.Faults = append(v.result.Faults, Fault{Table: table, Row: fmt.Sprint(row), Reason: fmt.Sprintf(format, args...)})
	if len(v.result.Faults) >= maxFaults {
		return errEnough
	}
	return nil
}

func (v *recomputation) run(ctx context.Context, progress func(done, total int64)) error {
	for last := false; !last; {
		err := v.log.store.Read(ctx, func(tx *store.Tx) error {
			head, err := tx.LedgerHead()
			if errors.Is(err, store.ErrNotFound) {
				return errors.Join(v.fault("ledger_head", 1, "is missing"), errEnough)
			}
			if err != nil {
				return err
			}
			if v.frontier.Size() == 0 {
				if err := v.readKeys(tx); err != nil {
					return err
				}
			}
			before := v.frontier.Size()
			if err := v.slice(tx, head, min(head.Size, before+verifySlice)); err != nil {
				return err
			}
			if progress != nil {
				progress(v.frontier.Size(), head.Size)
			}
			if v.frontier.Size() >= head.Size {
				last = true
				return v.finish(tx, head)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// slice verifies the entries up to index to and the checkpoints on the way.
func (v *recomputation) slice(tx *store.Tx, head store.LedgerHead, to int64) error {
	rows, err := tx.LedgerEntries(v.frontier.Size(), to)
	if err != nil {
		return err
	}
	notes, err := v.checkpointsTo(tx, to)
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Index != v.frontier.Size() {
			return errors.Join(v.fault("ledger_entry", v.frontier.Size(), "is missing"), errEnough)
		}
		if err := v.entry(&rows[i]); err != nil {
			return err
		}
		if err := v.grow(tx, tlog.Hash(pad(rows[i].Leaf))); err != nil {
			return err
		}
		if len(notes) > 0 && notes[0].Size == v.frontier.Size() {
			if err := v.checkpoint(notes[0]); err != nil {
				return err
			}
			if err := v.cosignatures(tx, notes[0]); err != nil {
				return err
			}
			notes = notes[1:]
		}
	}
	if v.frontier.Size() < to {
		if bytes.Equal(head.Frontier, v.frontier.Bytes()) {
			return errors.Join(v.fault("ledger_head", 1, "has a size of %d and the tree of %d entries", head.Size, v.frontier.Size()), errEnough)
		}
		return errors.Join(v.fault("ledger_entry", v.frontier.Size(), "is missing"), errEnough)
	}
	return nil
}

// pad makes a leaf of the wrong length, which is a fault already, hashable.
func pad(leaf []byte) []byte {
	return append(leaf[:len(leaf):len(leaf)], make([]byte, tlog.HashSize)...)
}

// entry verifies a row by itself.
func (v *recomputation) entry(r *store.LedgerEntry) error {
	v.result.Entries++
	line, err := lineOf(r)
	if err == nil {
		err = line.Check()
	}
	if err != nil {
		return v.fault("ledger_entry", r.Index, "%v", err)
	}
	if len(r.Salt) != entry.SaltSize {
		return v.fault("ledger_entry", r.Index, "its salt has %d bytes", len(r.Salt))
	}
	leaf := entry.Commit(r.Salt, line.AppendCanonical(nil)).Leaf()
	if !bytes.Equal(leaf[:], r.Leaf) {
		return v.fault("ledger_entry", r.Index, "the entry and its salt do not give its leaf")
	}
	want := v.sequences[r.Tenant] + 1
	v.sequences[r.Tenant] = r.Sequence
	if r.Sequence != want {
		return v.fault("ledger_entry", r.Index, "has sequence %d of its tenant, where %d comes next", r.Sequence, want)
	}
	return v.announces(&line)
}

// grow adds a leaf and compares the tiles that it finishes.
func (v *recomputation) grow(tx *store.Tx, leaf tlog.Hash) error {
	var faults error
	add := func(level int, index int64, h tlog.Hash) {
		v.open[level] = append(v.open[level], h[:]...)
		if len(v.open[level]) == merkle.TileWidth*tlog.HashSize {
			v.tiles++
			faults = errors.Join(faults, v.tile(tx, tileID{level, index / merkle.TileWidth}, v.open[level]))
			v.open[level] = v.open[level][:0]
		}
	}
	add(0, v.frontier.Size(), leaf)
	v.frontier.Append(leaf, add)
	return faults
}

// tile compares a stored tile with what it must begin with.
func (v *recomputation) tile(tx *store.Tx, id tileID, want []byte) error {
	row := fmt.Sprintf("%d/%d", id.level, id.index)
	got, err := tx.LedgerTile(id.level, id.index)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return v.fault("ledger_tile", row, "is missing")
	case err != nil:
		return err
	case !bytes.Equal(got, want):
		return v.fault("ledger_tile", row, "has %d bytes that are not the hashes of the entries", len(got))
	}
	return nil
}

// finish compares what only the whole tree determines.
func (v *recomputation) finish(tx *store.Tx, head store.LedgerHead) error {
	size := v.frontier.Size()
	if head.Size != size || !bytes.Equal(head.Frontier, v.frontier.Bytes()) {
		if err := v.fault("ledger_head", 1, "is not that of the %d entries", size); err != nil {
			return err
		}
	}
	for level, hashes := range v.open {
		if level == 0 || len(hashes) == 0 {
			continue
		}
		v.tiles++
		if err := v.tile(tx, tileID{level, size >> (merkle.TileHeight * (level + 1))}, hashes); err != nil {
			return err
		}
	}
	counts, err := tx.CountLedger(size)
	if err != nil {
		return err
	}
	if counts.Tiles != v.tiles {
		err = v.fault("ledger_tile", "count", "%d tiles are stored, and %d entries have %d", counts.Tiles, size, v.tiles)
	}
	if err == nil && counts.EntriesBeyond > 0 {
		err = v.fault("ledger_entry", size, "%d rows lie beyond the head, which is at %d", counts.EntriesBeyond, size)
	}
	if err == nil && counts.Checkpoints != v.result.Checkpoints {
		err = v.fault("ledger_checkpoint", "count", "%d are stored, of which %d are of a size that the ledger had", counts.Checkpoints, v.result.Checkpoints)
	}
	if err == nil && counts.Cosignatures != v.result.Cosignatures {
		err = v.fault("ledger_cosignature", "count", "%d are stored, of which %d are of a checkpoint", counts.Cosignatures, v.result.Cosignatures)
	}
	if err == nil {
		err = v.keysAnnounced()
	}
	return err
}
