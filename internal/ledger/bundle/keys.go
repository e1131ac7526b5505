package bundle

import (
	"fmt"
	"slices"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/ledger/signed"
)

// ledgerKeys is the history of the ledger's keys, oldest first.
type ledgerKeys []ledgerKey

type ledgerKey struct {
	Key
	note.Verifier
}

// parseKeys reads the keys, which must be of one ledger and in order.
func parseKeys(keys []Key) (ledgerKeys, error) {
	if len(keys) == 0 {
		return nil, invalid("it has no key of the ledger")
	}
	var all ledgerKeys
	for i, k := range keys {
		v, cosigner, err := signed.Verifier(k.VKey)
		if err != nil || cosigner {
			return nil, invalid("key %d: it is not a verifier key of a ledger", i)
		}
		if i > 0 && (v.Name() != all[0].Name() || k.FromSize <= all[i-1].FromSize) {
			return nil, invalid("key %d: it is of another ledger or out of order", i)
		}
		all = append(all, ledgerKey{k, v})
	}
	return all, nil
}

func (ks ledgerKeys) origin() string { return ks[0].Name() }

// pinned verifies that the history has a key that the verifier named. With that
// key its rotations are trusted, one after the other.
func (ks ledgerKeys) pinned(named []string) (bool, error) {
	for _, vkey := range named {
		if slices.ContainsFunc(ks, func(k ledgerKey) bool { return k.VKey == vkey }) {
			return true, nil
		}
	}
	if len(named) > 0 {
		return false, invalid("it is signed by %s, and none of the keys you named is in the history of its keys", ks.origin())
	}
	return false, nil
}

// signing returns the keys that sign a tree of that size: two where one follows another.
func (ks ledgerKeys) signing(size int64) (signers ledgerKeys) {
	for i, k := range ks {
		if k.FromSize <= size && (i == len(ks)-1 || size <= ks[i+1].FromSize) {
			signers = append(signers, k)
		}
	}
	return signers
}

// at returns the verifiers of a tree of that size.
func (ks ledgerKeys) at(size int64) (signers []note.Verifier) {
	for _, k := range ks.signing(size) {
		signers = append(signers, k.Verifier)
	}
	return signers
}

// checkpoint verifies a checkpoint that the ledger, and nobody else, signed.
func (ks ledgerKeys) checkpoint(note string) (torchwood.Checkpoint, error) {
	text, _, err := signed.Split([]byte(note))
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	c, err := signed.Parse(text)
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	return signed.Checkpoint([]byte(note), ks.origin(), ks.at(c.N)...)
}

// cosigned verifies the bundle's checkpoint and the witnesses that are asked for.
func (ks ledgerKeys) cosigned(b *Bundle, o Options) (torchwood.Checkpoint, []Cosigned, error) {
	text, lines, err := signed.Split([]byte(b.Checkpoint))
	if err != nil {
		return torchwood.Checkpoint{}, nil, invalid("checkpoint: %w", err)
	}
	c, err := signed.Parse(text)
	if err != nil {
		return torchwood.Checkpoint{}, nil, invalid("checkpoint: %w", err)
	}
	signers := ks.at(c.N)
	var witnesses []Cosigned
	trusted := map[string]bool{}
	for i, vkey := range b.Witnesses {
		v, cosigner, err := signed.Verifier(vkey)
		if err != nil || !cosigner || i > 0 && vkey <= b.Witnesses[i-1] {
			return torchwood.Checkpoint{}, nil, invalid("witness %d: it is not the verifier key of a witness, or out of order", i)
		}
		signers = append(signers, v)
		w := Cosigned{Name: v.Name(), Trusted: slices.Contains(o.Witnesses, vkey)}
		for _, line := range lines {
			if signed.Signs(text, line, v) {
				w.At, _ = signed.CosignedAt(line)
			}
		}
		if w.Trusted {
			trusted[publicPart(vkey)] = true
		}
		witnesses = append(witnesses, w)
	}
	if c, err = signed.Checkpoint([]byte(b.Checkpoint), ks.origin(), signers...); err != nil {
		return torchwood.Checkpoint{}, nil, invalid("checkpoint: %w", err)
	}
	if c.N < ks[len(ks)-1].FromSize {
		return torchwood.Checkpoint{}, nil, invalid("key %d: it signs from size %d, beyond the checkpoint", len(ks)-1, ks[len(ks)-1].FromSize)
	}
	if len(trusted) < o.Threshold {
		return torchwood.Checkpoint{}, nil, invalid("checkpoint: %d of the witnesses you named have cosigned it, and you ask for %d", len(trusted), o.Threshold)
	}
	return c, witnesses, nil
}

// publicPart is what tells witnesses apart: one key under two names is one witness.
func publicPart(vkey string) string { return strings.SplitN(vkey, "+", 3)[2] }

// history verifies that the ledger tells of each key, and of no other, and that
// each key was introduced by the one before: both signed the tree whose last
// entry tells of the new one. A signature of the old key alone would not do, since
// anybody can add a second one to it.
func (ks ledgerKeys) history(b *Bundle, tree torchwood.Checkpoint, lines []Line) error {
	told := 0
	for _, l := range lines {
		if !isKeyEntry(l.Entry) {
			continue
		}
		if told == len(ks) || l.Index+1 != ks[told].FromSize || l.Digests["vkey"] != canonical.Digest([]byte(ks[told].VKey)) {
			return invalid("entry %d: it tells of a key that is not in the history", l.Index)
		}
		told++
	}
	if told != len(ks) {
		return invalid("key %d: no entry tells of it", told)
	}
	if len(b.Rotations) != len(ks)-1 {
		return invalid("%d rotations for %d keys", len(b.Rotations), len(ks))
	}
	for i, r := range b.Rotations {
		c, err := ks.checkpoint(r.Checkpoint)
		if err == nil && c.N != ks[i+1].FromSize {
			err = fmt.Errorf("it is of size %d instead of %d", c.N, ks[i+1].FromSize)
		}
		if err == nil {
			err = linked(c, r.Proof, tree)
		}
		if err != nil {
			return invalid("rotation %d: %w", i, err)
		}
	}
	return nil
}

// earlier verifies that the tree continues the bundle's earlier checkpoint, and
// that this is the verifier's own if it gave one. It returns its size.
func (ks ledgerKeys) earlier(b *Bundle, tree torchwood.Checkpoint, o Options) (int64, error) {
	var old torchwood.Checkpoint
	if b.Earlier != nil {
		var err error
		if old, err = ks.checkpoint(b.Earlier.Checkpoint); err == nil {
			err = linked(old, b.Earlier.Proof, tree)
		}
		if err != nil {
			return 0, invalid("earlier checkpoint: %w", err)
		}
	}
	if len(o.Earlier) == 0 {
		return old.N, nil
	}
	text, _, err := signed.Split(o.Earlier)
	if err != nil {
		return 0, fmt.Errorf("your earlier checkpoint: %w", err)
	}
	kept, err := torchwood.ParseCheckpoint(text)
	if err != nil {
		return 0, fmt.Errorf("your earlier checkpoint: %w", err)
	}
	if kept.Origin != tree.Origin {
		return 0, invalid("it is of %s, and your earlier checkpoint of %s", tree.Origin, kept.Origin)
	}
	for _, c := range []torchwood.Checkpoint{old, tree} {
		if c.N == kept.N && c.Hash != kept.Hash {
			return 0, invalid("your earlier checkpoint has another root for the same %d entries: the ledger was rewritten; keep both as evidence", kept.N)
		}
		if c.N == kept.N {
			return kept.N, nil
		}
	}
	return 0, invalid("it has no proof that it continues your earlier checkpoint of %d entries: ask for a bundle since that size", kept.N)
}

func isKeyEntry(e entry.Entry) bool { return strings.HasPrefix(e.Action, "ledger.key.") }
