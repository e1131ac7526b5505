// Package merkle grows and reads the ledger's RFC 6962 tree: SHA-256 with leaf
// prefix 0x00 and node prefix 0x01, cut into the tiles of C2SP tlog-tiles.
package merkle

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Dimensions of C2SP tlog-tiles.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// Frontier is the least that must be known of a tree to append to it: its size
// and the roots of the complete subtrees it consists of. Its zero value is the
// empty tree. It is not safe for concurrent use.
type Frontier struct {
	size  int64
	roots []tlog.Hash // one for each bit set in size, largest first
}

// ParseFrontier reads what Bytes wrote.
func ParseFrontier(size int64, roots []byte) (*Frontier, error) {
	if size < 0 || len(roots) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return nil, fmt.Errorf("a tree of %d leaves cannot have a frontier of %d bytes", size, len(roots))
	}
	hashes, _ := Hashes(roots)
	return &Frontier{size: size, roots: hashes}, nil
}

// Bytes returns the roots, joined.
func (f *Frontier) Bytes() []byte { return Join(f.roots) }

// Size is the number of leaves.
func (f *Frontier) Size() int64 { return f.size }

// Append adds a leaf. It calls complete for every subtree of 256, 65536, … leaves
// that the leaf completes, with the level and index of that subtree's hash in
// the tiles: the index-th hash of level is in tile index/256 of that level.
func (f *Frontier) Append(leaf tlog.Hash, complete func(level int, index int64, h tlog.Hash)) {
	h := leaf
	for height := 0; ; height++ {
		if height > 0 && height%TileHeight == 0 {
			complete(height/TileHeight, f.size>>height, h)
		}
		if f.size>>height&1 == 0 {
			break
		}
		last := len(f.roots) - 1
		h = tlog.NodeHash(f.roots[last], h)
		f.roots = f.roots[:last]
	}
	f.roots = append(f.roots, h)
	f.size++
}

// Root returns the tree's root hash; of the empty tree, SHA-256 of nothing
// (RFC 6962 section 2.1).
func (f *Frontier) Root() tlog.Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	h := f.roots[len(f.roots)-1]
	for i := len(f.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.roots[i], h)
	}
	return h
}

// Hashes cuts joined hashes. It fails if a part remains.
func Hashes(joined []byte) ([]tlog.Hash, error) {
	if len(joined)%tlog.HashSize != 0 {
		return nil, fmt.Errorf("%d bytes are not a whole number of hashes", len(joined))
	}
	hashes := make([]tlog.Hash, len(joined)/tlog.HashSize)
	for i := range hashes {
		hashes[i] = tlog.Hash(joined[i*tlog.HashSize:])
	}
	return hashes, nil
}

// Join is the inverse of Hashes.
func Join(hashes []tlog.Hash) []byte {
	joined := make([]byte, 0, len(hashes)*tlog.HashSize)
	for i := range hashes {
		joined = append(joined, hashes[i][:]...)
	}
	return joined
}
