// Package ledger keeps the record of every administrative act in a Merkle tree
// (RFC 6962) inside the state store, so that an act and its entry are written
// together or not at all. It signs checkpoints of the tree, has witnesses
// cosign them, proves entries to those whose matter they are, and finds any
// byte of its own storage that was changed.
package ledger

import (
	"errors"
	"time"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/store"
)

// Entry is one line of the ledger.
type Entry = entry.Entry

// ErrCorrupt: what is stored is not what was appended. Nothing further is
// appended upon it where that shows.
var ErrCorrupt = errors.New("ledger is corrupt")

// Log is the ledger of one instance. It is safe for concurrent use, also by
// several processes on one database.
type Log struct {
	store *store.Store
	now   func() time.Time
}

// Open returns the ledger that is kept in s.
func Open(s *store.Store) *Log { return &Log{store: s, now: time.Now} }
