package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/ledger/signed"
	"github.com/demarc/demarc/internal/store"
)

// CheckpointEvery is how often Run signs a tree that has grown.
const CheckpointEvery = time.Second

// lastCheckpointWithin bounds how long Run keeps its caller after it was told to end.
const lastCheckpointWithin = 10 * time.Second

// Run signs a checkpoint every second in which the ledger has grown, and a last
// one after ctx ends; end whatever appends before. A database that cannot be
// reached is waited for. Run returns nil after ctx, or ErrCorrupt when the stored
// tree does not continue what was signed.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(CheckpointEvery)
	defer tick.Stop()
	for {
		if _, err := l.Checkpoint(ctx); errors.Is(err, ErrCorrupt) {
			return err
		} else if err != nil && ctx.Err() == nil {
			l.logger.WarnContext(ctx, "no checkpoint of the ledger", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCheckpointWithin)
			defer cancel()
			if _, err := l.Checkpoint(end); err != nil {
				return fmt.Errorf("last checkpoint of the ledger: %w", err)
			}
			return nil
		}
	}
}

// Checkpoint signs the tree if it has grown since the last checkpoint, and
// returns the last. The first call makes the ledger's first key, of which the
// ledger tells. It returns ErrCorrupt, and signs nothing, if the stored tree does
// not continue the last checkpoint.
func (l *Log) Checkpoint(ctx context.Context) (last store.LedgerCheckpoint, err error) {
	done := false
	err = l.store.Read(ctx, func(tx *store.Tx) error {
		head, err := tx.LedgerHead()
		if err != nil {
			return err
		}
		last, err = tx.LastLedgerCheckpoint()
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		done = last.Size == head.Size
		return err
	})
	if err != nil || done {
		return last, err
	}
	err = l.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockLedger(); err != nil {
			return err
		}
		keys, err := tx.LedgerKeys()
		if err != nil {
			return err
		}
		var signer note.Signer
		if n := len(keys); n > 0 {
			signer, err = l.signer(keys[n-1])
		} else {
			_, signer, err = l.addKey(tx, systemActor, ActionKeyBegin)
		}
		if err != nil {
			return err
		}
		last, err = l.sign(tx, signer)
		return err
	})
	return last, err
}

// sign adds a checkpoint of the present tree, unless it has one. The head must
// be locked.
func (l *Log) sign(tx *store.Tx, signers ...note.Signer) (store.LedgerCheckpoint, error) {
	head, err := tx.LedgerHead()
	if err != nil {
		return store.LedgerCheckpoint{}, err
	}
	f, err := merkle.ParseFrontier(head.Size, head.Frontier)
	if err != nil {
		return store.LedgerCheckpoint{}, fmt.Errorf("%w: head: %w", ErrCorrupt, err)
	}
	last, err := tx.LastLedgerCheckpoint()
	if err == nil {
		if last.Size == head.Size {
			return last, nil
		}
		err = continues(tx, last, f)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.LedgerCheckpoint{}, err
	}
	text := torchwood.Checkpoint{Origin: l.origin, Tree: tlog.Tree{N: f.Size(), Hash: f.Root()}}.String()
	signedNote, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return store.LedgerCheckpoint{}, fmt.Errorf("sign a checkpoint of the ledger: %w", err)
	}
	c := store.LedgerCheckpoint{Size: head.Size, Note: string(signedNote)}
	return c, tx.InsertLedgerCheckpoint(c)
}

// continues makes sure that the tree to be signed has the last signed one as its
// beginning: a log must not contradict itself (C2SP tlog-checkpoint). Both are
// computed from the tiles, so a tile that was changed on the way is seen too.
func continues(tx *store.Tx, last store.LedgerCheckpoint, f *merkle.Frontier) error {
	text, _, err := signed.Split([]byte(last.Note))
	var old torchwood.Checkpoint
	if err == nil {
		old, err = signed.Parse(text)
	}
	if err != nil {
		return fmt.Errorf("%w: checkpoint %d: %w", ErrCorrupt, last.Size, err)
	}
	if f.Size() < last.Size || old.N != last.Size {
		return fmt.Errorf("%w: a checkpoint of %d entries was signed, and %d are stored", ErrCorrupt, old.N, f.Size())
	}
	for _, tree := range []tlog.Tree{old.Tree, {N: f.Size(), Hash: f.Root()}} {
		root, err := tlog.TreeHash(tree.N, hashReader{tx})
		if err != nil {
			return err
		}
		if root != tree.Hash {
			return fmt.Errorf("%w: the stored tiles do not give the root of the tree of %d entries", ErrCorrupt, tree.N)
		}
	}
	return nil
}
