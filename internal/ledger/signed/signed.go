// Package signed verifies checkpoints strictly: C2SP signed-note lets unknown
// signatures pass and base64 be written in several ways, which is right for a
// client of the network and wrong for a copy in which no byte may be changed.
package signed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// MaxNote bounds a signed checkpoint in bytes.
const MaxNote = 64 << 10

// Checkpoint returns the checkpoint that is signed by each of signers, by nobody
// else, and written in the only form that it has.
func Checkpoint(signedNote []byte, origin string, signers ...note.Verifier) (torchwood.Checkpoint, error) {
	text, lines, err := Split(signedNote)
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	c, err := Parse(text)
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	if c.Origin != origin {
		return torchwood.Checkpoint{}, fmt.Errorf("is of %q instead of %q", c.Origin, origin)
	}
	if len(lines) != len(signers) {
		return torchwood.Checkpoint{}, fmt.Errorf("has %d signatures instead of %d", len(lines), len(signers))
	}
	left := append([]note.Verifier(nil), signers...)
next:
	for _, line := range lines {
		for i, v := range left {
			if Signs(text, line, v) {
				left = append(left[:i], left[i+1:]...)
				continue next
			}
		}
		return torchwood.Checkpoint{}, fmt.Errorf("signature %q is of none of the keys that should sign it", abbreviated(line))
	}
	return c, nil
}

// Parse reads a checkpoint's text in its only form, which has no extension lines.
func Parse(text string) (torchwood.Checkpoint, error) {
	c, err := torchwood.ParseCheckpoint(text)
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	if c.Extension != "" || c.String() != text {
		return torchwood.Checkpoint{}, errors.New("malformed checkpoint")
	}
	return c, nil
}

// Split separates a note into its text, with the final newline, and its
// signature lines, with theirs. It verifies nothing.
func Split(signedNote []byte) (text string, lines []string, err error) {
	if len(signedNote) > MaxNote {
		return "", nil, fmt.Errorf("signed note of %d bytes; at most %d are allowed", len(signedNote), MaxNote)
	}
	text, signatures, ok := strings.Cut(string(signedNote), "\n\n")
	if !ok || signatures == "" || !strings.HasSuffix(signatures, "\n") {
		return "", nil, errors.New("malformed signed note")
	}
	lines = strings.SplitAfter(signatures, "\n")
	return text + "\n", lines[:len(lines)-1], nil
}

// Signs reports whether line, with its newline, is v's valid signature on text.
func Signs(text, line string, v note.Verifier) bool {
	name, encoded, ok := strings.Cut(strings.TrimPrefix(line, "— "), " ")
	encoded, ended := strings.CutSuffix(encoded, "\n")
	if !ok || !ended || name != v.Name() {
		return false
	}
	// Decoding ignores line ends, and bits that padding leaves over unless strict.
	sig, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(sig) < 4 || "— "+name+" "+base64.StdEncoding.EncodeToString(sig)+"\n" != line {
		return false
	}
	return binary.BigEndian.Uint32(sig) == v.KeyHash() && v.Verify([]byte(text), sig[4:])
}

// Verifier reads a verifier key of a ledger's own signature (Ed25519) or of a
// cosignature, written in the only form that it has.
func Verifier(vkey string) (v note.Verifier, cosigner bool, err error) {
	parts := strings.SplitN(vkey, "+", 3) // the last, base64, may have more of them
	if len(parts) != 3 {
		return nil, false, errors.New("malformed verifier key")
	}
	encoded := parts[2]
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || base64.StdEncoding.EncodeToString(key) != encoded {
		return nil, false, errors.New("malformed verifier key")
	}
	if v, err := note.NewVerifier(vkey); err == nil {
		return v, false, written(v, key, vkey)
	}
	c, err := torchwood.NewCosignatureVerifier(vkey)
	if err != nil {
		return nil, false, fmt.Errorf("verifier key: %w", err)
	}
	return c, true, written(c, key, vkey)
}

// written compares vkey with its only form: hex digits have two.
func written(v note.Verifier, key []byte, vkey string) error {
	if fmt.Sprintf("%s+%08x+%s", v.Name(), v.KeyHash(), base64.StdEncoding.EncodeToString(key)) != vkey {
		return errors.New("malformed verifier key")
	}
	return nil
}

func abbreviated(line string) string {
	if len(line) > 80 {
		line = line[:80]
	}
	return strings.TrimSpace(line)
}
