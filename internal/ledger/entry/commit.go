package entry

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// SaltSize is the length of an entry's salt in bytes.
const SaltSize = 32

// Commitment hides an entry until its salt is shown: without the salt, nobody
// can test guesses of what an entry says. It is the data of the tree's leaf.
type Commitment [sha256.Size]byte

// Commit returns SHA-256(salt ‖ canonical), where salt has SaltSize random
// bytes and canonical is the entry's RFC 8785 JSON. The salt's fixed length
// keeps the border between both unambiguous.
func Commit(salt, canonical []byte) Commitment {
	var room [512]byte
	b := append(room[:0], salt...)
	return sha256.Sum256(append(b, canonical...))
}

// Leaf returns the RFC 6962 leaf hash of the commitment, SHA-256(0x00 ‖ c).
func (c Commitment) Leaf() tlog.Hash { return tlog.RecordHash(c[:]) }
