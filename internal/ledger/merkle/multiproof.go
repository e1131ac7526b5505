package merkle

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A multiproof proves many leaves of one tree at once: it has the roots of the
// largest complete subtrees without any of the leaves, from left to right. The
// right edge of the tree is cut into complete subtrees too, so that every hash of
// a proof is one that the tree stores.

// Leaf is a leaf to be proved.
type Leaf struct {
	Index int64
	Hash  tlog.Hash
}

// maxSize bounds a tree so that arithmetic on indexes cannot overflow.
const maxSize = 1 << 60

// ErrProof: the proof does not belong to the leaves and the size.
var ErrProof = errors.New("proof does not fit the leaves and the size of the tree")

// MultiproofIndexes returns where the hashes of a multiproof are stored, in its
// order, as tlog.StoredHashIndex counts. leaves are strictly ascending and less
// than size.
func MultiproofIndexes(size int64, leaves []int64) ([]int64, error) {
	if err := checkLeaves(size, len(leaves), func(i int) int64 { return leaves[i] }); err != nil {
		return nil, err
	}
	var indexes []int64
	var walk func(lo, hi int64, leaves []int64)
	walk = func(lo, hi int64, leaves []int64) {
		n := hi - lo
		switch {
		case len(leaves) == 0 && n&(n-1) == 0:
			level := bits.TrailingZeros64(uint64(n))
			indexes = append(indexes, tlog.StoredHashIndex(level, lo>>level))
		case n > 1:
			mid := lo + split(n)
			i, _ := slices.BinarySearch(leaves, mid)
			walk(lo, mid, leaves[:i])
			walk(mid, hi, leaves[i:])
		}
	}
	walk(0, size, leaves)
	return indexes, nil
}

// MultiproofRoot computes the root of a tree of size leaves from some of them
// and the multiproof of the others. It returns ErrProof if the proof has too few
// or too many hashes.
func MultiproofRoot(size int64, leaves []Leaf, proof []tlog.Hash) (tlog.Hash, error) {
	if err := checkLeaves(size, len(leaves), func(i int) int64 { return leaves[i].Index }); err != nil {
		return tlog.Hash{}, err
	}
	short := false
	var walk func(lo, hi int64, leaves []Leaf) tlog.Hash
	walk = func(lo, hi int64, leaves []Leaf) tlog.Hash {
		n := hi - lo
		if len(leaves) == 0 && n&(n-1) == 0 {
			if len(proof) == 0 {
				short = true
				return tlog.Hash{}
			}
			h := proof[0]
			proof = proof[1:]
			return h
		}
		if n == 1 {
			return leaves[0].Hash
		}
		mid := lo + split(n)
		i, _ := slices.BinarySearchFunc(leaves, mid, func(l Leaf, mid int64) int { return cmp.Compare(l.Index, mid) })
		left := walk(lo, mid, leaves[:i])
		return tlog.NodeHash(left, walk(mid, hi, leaves[i:]))
	}
	root := walk(0, size, leaves)
	if short || len(proof) > 0 {
		return tlog.Hash{}, ErrProof
	}
	return root, nil
}

func checkLeaves(size int64, n int, index func(int) int64) error {
	if size < 1 || size > maxSize {
		return fmt.Errorf("a tree of %d leaves has no proofs", size)
	}
	last := int64(-1)
	for i := range n {
		if x := index(i); x <= last || x >= size {
			return fmt.Errorf("leaf %d is out of order or outside of the tree of %d", x, size)
		}
		last = index(i)
	}
	return nil
}

// split returns the size of the left subtree of a tree of n > 1 leaves: the
// largest power of two less than n (RFC 6962 section 2.1).
func split(n int64) int64 { return 1 << (bits.Len64(uint64(n-1)) - 1) }
