package gateway

import (
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/crypto/ssh"
)

// fingerprint is the digest of a key or certificate as the ledger has it.
func fingerprint(k ssh.PublicKey) string {
	sum := sha256.Sum256(k.Marshal())
	return "sha256:" + hex.EncodeToString(sum[:])
}
