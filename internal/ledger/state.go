package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/demarc/demarc/internal/store"
)

// State is how far the ledger is signed and cosigned.
type State struct {
	Entries int64
	// Signed is the size of the last checkpoint. UnsignedSince is the time of the
	// oldest entry that is not in it; zero if all are.
	Signed        int64
	UnsignedSince time.Time
	// Cosigned is the size of the last checkpoint that a witness has cosigned.
	// UncosignedSince is the time of the oldest entry that is not in it.
	Cosigned        int64
	UncosignedSince time.Time
}

// State returns how far the ledger is signed and cosigned.
func (l *Log) State(ctx context.Context) (s State, err error) {
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		s, err = l.StateWithin(tx)
		return err
	})
	return s, err
}

// StateWithin returns what State does, as tx sees it.
func (l *Log) StateWithin(tx *store.Tx) (s State, err error) {
	head, err := tx.LedgerHead()
	if err != nil {
		return s, err
	}
	s = State{Entries: head.Size}
	for _, c := range []struct {
		cosignatures int
		size         *int64
		since        *time.Time
	}{{0, &s.Signed, &s.UnsignedSince}, {1, &s.Cosigned, &s.UncosignedSince}} {
		last, err := tx.CosignedLedgerCheckpoint(c.cosignatures)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return s, err
		}
		*c.size = last.Size
		next, err := tx.LedgerEntries(last.Size, last.Size+1)
		if err != nil {
			return s, err
		}
		if len(next) > 0 {
			*c.since = next[0].Time
		}
	}
	return s, nil
}
