package merkle

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// Any choice of leaves of any tree is proved, the proof has no hash too few or
// too many, and no changed leaf or hash passes.
func TestMultiproof(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 600).Draw(t, "size")
		chosen := rapid.SliceOfDistinct(rapid.Int64Range(0, size-1), rapid.ID[int64]).Draw(t, "chosen")
		var stored hashes
		for i := range size {
			more, err := tlog.StoredHashesForRecordHash(i, tlog.RecordHash([]byte{byte(i), byte(i >> 8)}), stored)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		root, err := tlog.TreeHash(size, stored)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(chosen)
		leaves := make([]Leaf, len(chosen))
		for i, x := range chosen {
			leaves[i] = Leaf{x, stored[tlog.StoredHashIndex(0, x)]}
		}
		indexes, err := MultiproofIndexes(size, chosen)
		if err != nil {
			t.Fatal(err)
		}
		proof, _ := stored.ReadHashes(indexes)
		if got, err := MultiproofRoot(size, leaves, proof); err != nil || got != root {
			t.Fatalf("root is %v, error %v, want %v", got, err, root)
		}
		if _, err := MultiproofRoot(size, leaves, append(proof[:len(proof):len(proof)], root)); !errors.Is(err, ErrProof) {
			t.Errorf("a hash too many: %v", err)
		}
		if len(proof) > 0 {
			if _, err := MultiproofRoot(size, leaves, proof[1:]); !errors.Is(err, ErrProof) {
				t.Errorf("a hash too few: %v", err)
			}
			i := rapid.IntRange(0, len(proof)-1).Draw(t, "changed hash")
			proof[i][7] ^= 1
			if got, _ := MultiproofRoot(size, leaves, proof); got == root {
				t.Error("a changed proof gives the root")
			}
			proof[i][7] ^= 1
		}
		if len(leaves) > 0 {
			i := rapid.IntRange(0, len(leaves)-1).Draw(t, "changed leaf")
			leaves[i].Hash[3] ^= 1
			if got, _ := MultiproofRoot(size, leaves, proof); got == root {
				t.Error("a changed leaf gives the root")
			}
		}
	})
}

func TestMultiproofRefusesLeavesOutOfPlace(t *testing.T) {
	for _, c := range []struct {
		size   int64
		leaves []int64
	}{{0, nil}, {-1, nil}, {4, []int64{4}}, {4, []int64{-1}}, {4, []int64{2, 2}}, {4, []int64{2, 1}}, {1<<60 + 1, nil}} {
		if _, err := MultiproofIndexes(c.size, c.leaves); err == nil {
			t.Errorf("size %d, leaves %v: no error", c.size, c.leaves)
		}
		leaves := make([]Leaf, len(c.leaves))
		for i, x := range c.leaves {
			leaves[i].Index = x
		}
		if _, err := MultiproofRoot(c.size, leaves, nil); err == nil {
			t.Errorf("size %d, leaves %v: no error", c.size, c.leaves)
		}
	}
}
