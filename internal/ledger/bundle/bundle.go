// Package bundle is the ledger's evidence in one file: entries with the salts
// that open their commitments, the proof that they are in a signed and cosigned
// tree, and the history of the keys that signed it. It is verified offline and
// needs no database.
package bundle

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/demarc/demarc/internal/canonical"
)

// Format names this format in its files.
const Format = "demarc-ledger-bundle/v1"

// MaxBytes bounds a bundle.
const MaxBytes = 256 << 20

// Bundle is written as RFC 8785 canonical JSON, and read in no other form.
type Bundle struct {
	Format string `json:"format"`
	// Tenant whose entries are shown; empty is the provider. Those that tell of
	// the ledger's keys are always shown too.
	Tenant string `json:"tenant"`
	// All shows the entries of everybody.
	All bool `json:"all"`
	// Checkpoint is the signed tree that everything is proved in: C2SP
	// tlog-checkpoint, signed by the ledger and by Witnesses.
	Checkpoint string `json:"checkpoint"`
	// Witnesses are the verifier keys of those who cosigned Checkpoint.
	Witnesses []string `json:"witnesses"`
	// Keys is the history of the ledger's keys up to Checkpoint, oldest first.
	Keys []Key `json:"keys"`
	// Rotations prove each key of Keys but the first.
	Rotations []Linked `json:"rotations"`
	// Entries, ascending by index.
	Entries []Entry `json:"entries"`
	// Proof is the multiproof of Entries in the tree of Checkpoint, joined.
	Proof []byte `json:"proof"`
	// Earlier is a checkpoint that the tree continues.
	Earlier *Linked `json:"earlier,omitempty"`
}

// Key is a key of the ledger and the least size of tree that it signs.
type Key struct {
	FromSize int64  `json:"from_size"`
	VKey     string `json:"vkey"`
}

// Linked is a checkpoint signed by the ledger, and the RFC 6962 consistency proof
// from it to the bundle's checkpoint, joined.
type Linked struct {
	Checkpoint string `json:"checkpoint"`
	Proof      []byte `json:"proof"`
}

// Entry is an entry of the ledger with its salt.
type Entry struct {
	Index int64           `json:"index"`
	Salt  []byte          `json:"salt"`
	Entry json.RawMessage `json:"entry"`
}

// Write writes b.
func (b *Bundle) Write(w io.Writer) error {
	data, err := b.encode()
	if err != nil {
		return err
	}
	if len(data) > MaxBytes {
		return fmt.Errorf("the bundle would have %d bytes, and %d are allowed: show fewer entries", len(data), MaxBytes)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

func (b *Bundle) encode() ([]byte, error) {
	data, err := canonical.JSON(b)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}
