package ledger

import (
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/ledger/signed"
	"github.com/demarc/demarc/internal/store"
)

// verifiedKey is a stored key and what was seen of it.
type verifiedKey struct {
	store.LedgerKey
	verifier  note.Verifier // nil if the key is malformed
	announced bool
}

// readKeys verifies the stored keys by themselves.
func (v *recomputation) readKeys(tx *store.Tx) error {
	rows, err := tx.LedgerKeys()
	if err != nil {
		return err
	}
	for i, r := range rows {
		k := verifiedKey{LedgerKey: r}
		vk, cosigner, err := signed.Verifier(r.VKey)
		if err == nil && !cosigner && vk.Name() == v.log.origin {
			k.verifier = vk
		} else if err := v.fault("ledger_key", r.FromSize, "is not a verifier key of %s", v.log.origin); err != nil {
			return err
		}
		v.keys = append(v.keys, k)
		if reason := v.privateFault(r, i == len(rows)-1); reason != "" {
			if err := v.fault("ledger_key", r.FromSize, "%s", reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// privateFault says what is wrong with the private part of a key.
func (v *recomputation) privateFault(k store.LedgerKey, signs bool) string {
	if !signs {
		if len(k.Sealed) != 0 {
			return "another key has followed, yet its private part was kept"
		}
		return ""
	}
	if v.log.keyring == nil {
		return ""
	}
	if _, err := openSigner(v.log.keyring, k); err != nil {
		return err.Error()
	}
	return ""
}

// announces verifies that the entries that tell of keys are of stored keys.
func (v *recomputation) announces(line *Line) error {
	if !isKeyAction(line.Action) {
		return nil
	}
	for i := range v.keys {
		k := &v.keys[i]
		if k.FromSize != line.Index+1 {
			continue
		}
		k.announced = line.Digests["vkey"] == canonical.Digest([]byte(k.VKey)) && (line.Action == ActionKeyBegin) == (i == 0)
		if !k.announced {
			return v.fault("ledger_key", k.FromSize, "entry %d tells of another key", line.Index)
		}
		return nil
	}
	return v.fault("ledger_key", line.Index+1, "is missing, and entry %d tells of it", line.Index)
}

// keysAnnounced verifies that the ledger tells of every key.
func (v *recomputation) keysAnnounced() error {
	for _, k := range v.keys {
		if k.announced {
			continue
		}
		if err := v.fault("ledger_key", k.FromSize, "no entry tells of it"); err != nil {
			return err
		}
	}
	return nil
}

// checkpointsTo returns the next checkpoints up to a size.
func (v *recomputation) checkpointsTo(tx *store.Tx, to int64) ([]store.LedgerCheckpoint, error) {
	notes, err := tx.LedgerCheckpoints(v.noted, verifySlice)
	for i, n := range notes {
		if n.Size > to {
			notes = notes[:i]
			break
		}
	}
	if len(notes) > 0 {
		v.noted = notes[len(notes)-1].Size
	}
	return notes, err
}

// checkpoint verifies a checkpoint against the tree, which has its size.
func (v *recomputation) checkpoint(c store.LedgerCheckpoint) error {
	v.result.Checkpoints++
	var known []note.Verifier
	for i, k := range v.keys {
		// Both sign at the change.
		if k.verifier != nil && k.FromSize <= c.Size && (i == len(v.keys)-1 || c.Size <= v.keys[i+1].FromSize) {
			known = append(known, k.verifier)
		}
	}
	tree, err := signed.Checkpoint([]byte(c.Note), v.log.origin, known...)
	switch {
	case err != nil:
		return v.fault("ledger_checkpoint", c.Size, "%v", err)
	case tree.N != c.Size:
		return v.fault("ledger_checkpoint", c.Size, "says a size of %d", tree.N)
	case tree.Hash != v.frontier.Root():
		return v.fault("ledger_checkpoint", c.Size, "its root is not that of the entries")
	}
	return nil
}

// cosignatures verifies those of a checkpoint.
func (v *recomputation) cosignatures(tx *store.Tx, c store.LedgerCheckpoint) error {
	all, err := tx.LedgerCosignatures(c.Size)
	if err != nil {
		return err
	}
	text, _, err := signed.Split([]byte(c.Note))
	if err != nil {
		return nil // a fault already
	}
	for _, s := range all {
		v.result.Cosignatures++
		key, cosigner, err := signed.Verifier(s.VKey)
		if err != nil || !cosigner || !signed.Signs(text, s.Line, key) {
			if err := v.fault("ledger_cosignature", c.Size, "is not %s's signature on the checkpoint", s.VKey); err != nil {
				return err
			}
		}
	}
	return nil
}

func isKeyAction(action string) bool { return strings.HasPrefix(action, "ledger.key.") }
