// Package canonical gives JSON one byte form, so that it can be hashed and
// signed: RFC 8785, the JSON Canonicalization Scheme.
package canonical

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON returns v as RFC 8785 canonical JSON. Members of objects are sorted,
// numbers are printed as ECMAScript prints them, and strings are valid UTF-8.
func JSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("canonical: encode: %w", err)
	}
	return Bytes(bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}))
}

// Bytes returns the canonical form of raw JSON. It refuses duplicate member
// names and invalid UTF-8, as RFC 8785 section 3.1 asks. raw is not changed.
func Bytes(raw []byte) ([]byte, error) {
	v := jsontext.Value(bytes.Clone(raw))
	if err := v.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonical: %w", err)
	}
	return v, nil
}

// Digest returns the SHA-256 of already canonical bytes, in the form
// "sha256:<64 hex digits>" that entries and evidence carry.
func Digest(canonicalBytes []byte) string {
	sum := sha256.Sum256(canonicalBytes)
	return "sha256:" + hex.EncodeToString(sum[:])
}
