package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// What a customer signs is worked out here, from the bytes alone: whoever signs
// does not have to believe what else the server says about them.

// SigningMessage returns what an Ed25519 key signs for a decision's canonical
// bytes.
func SigningMessage(canonical []byte) []byte {
	return append([]byte("demarc-decision-v1\n"), canonical...)
}

// Digest returns "sha256:" and the hex SHA-256 of canonical bytes.
func Digest(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// KeyID names a public key, given as SubjectPublicKeyInfo in DER.
func KeyID(public []byte) string {
	sum := sha256.Sum256(public)
	return "k-" + hex.EncodeToString(sum[:16])
}

// Matter is what the bytes of a decision say.
type Matter struct {
	ID        string          `json:"id"`
	Kind      string          `json:"kind"`
	Tenant    string          `json:"tenant"`
	Subject   string          `json:"subject"`
	Version   int64           `json:"version"`
	IssuedAt  time.Time       `json:"issued_at"`
	ExpiresAt time.Time       `json:"expires_at"`
	Content   json.RawMessage `json:"content"`
}

// ReadMatter reads the canonical bytes of a decision. Bytes that could be read
// in more than one way are an error: they are not in canonical form (RFC 8785),
// or have members that no decision has.
func ReadMatter(canonical []byte) (Matter, error) {
	var m Matter
	if err := readCanonical(canonical, &m); err != nil {
		return Matter{}, fmt.Errorf("the decision: %w", err)
	}
	again, err := json.Marshal(m)
	if err != nil {
		return Matter{}, fmt.Errorf("the decision: %w", err)
	}
	if v := jsontext.Value(again); v.Canonicalize() != nil || !bytes.Equal(v, canonical) {
		return Matter{}, errors.New("the decision: it has other members than a decision")
	}
	return m, nil
}

// ReadKeySet reads the canonical bytes of a key set and works out its digest.
// What the bytes do not say is left empty.
func ReadKeySet(canonical []byte) (KeySet, error) {
	var s KeySet
	if err := readCanonical(canonical, &s); err != nil {
		return KeySet{}, fmt.Errorf("the key set: %w", err)
	}
	for _, k := range append(append([]Key{}, s.Keys...), s.Recovery...) {
		if k.ID != KeyID(k.Public) {
			return KeySet{}, fmt.Errorf("the key set: %.60q is not the id of its key", k.ID)
		}
	}
	s.Digest, s.Canonical = Digest(canonical), canonical
	return s, nil
}

// readCanonical decodes canonical JSON without unknown members.
func readCanonical(canonical []byte, out any) error {
	v := jsontext.Value(bytes.Clone(canonical))
	if err := v.Canonicalize(); err != nil || !bytes.Equal(v, canonical) {
		return errors.New("it is not in canonical form (RFC 8785)")
	}
	d := json.NewDecoder(bytes.NewReader(canonical))
	d.DisallowUnknownFields()
	return d.Decode(out)
}

// SigningFile carries a decision to a machine without a network, where it is
// signed.
type SigningFile struct {
	// Canonical are the bytes that are signed.
	Canonical []byte `json:"canonical"`
}

// SignatureFile carries the signature back.
type SignatureFile struct {
	Tenant    string       `json:"tenant"`
	Decision  string       `json:"decision"`
	Signature NewSignature `json:"signature"`
}
