// Package ledger keeps the record of every administrative act in a Merkle tree
// (RFC 6962) inside the state store, so that an act and its entry are written
// together or not at all. It signs checkpoints of the tree, has witnesses
// cosign them, proves entries to those whose matter they are, and finds any
// byte of its own storage that was changed.
package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/store"
)

// Entry is one line of the ledger.
type Entry = entry.Entry

// ErrCorrupt: what is stored is not what was appended. Nothing is appended or
// signed upon it where that shows.
var ErrCorrupt = errors.New("ledger is corrupt")

// Keyring keeps private keys of the ledger readable to this instance only.
// Both methods are called seldom, and from several goroutines.
type Keyring interface {
	// Seal encrypts secret and binds it to context.
	Seal(secret []byte, context string) (sealed []byte, err error)
	// Open undoes Seal; it fails if sealed or context were changed.
	Open(sealed []byte, context string) (secret []byte, err error)
}

// Config is what a Log needs.
type Config struct {
	// Store keeps the ledger. Required.
	Store *store.Store
	// Origin names the ledger in its checkpoints and never changes: "demarc/"
	// and the instance's id. Required.
	Origin string
	// Keyring seals the signing keys. Required to sign checkpoints.
	Keyring Keyring
	// Logger is told of faults that are waited out. Optional.
	Logger *slog.Logger
	// Now is the clock. Optional.
	Now func() time.Time
}

// Log is the ledger of one instance. It is safe for concurrent use, also by
// several processes on one database.
type Log struct {
	store   *store.Store
	origin  string
	keyring Keyring
	logger  *slog.Logger
	now     func() time.Time
	tip     tip

	mu      sync.Mutex
	signers map[string]note.Signer // guarded by mu; by verifier key
}

// New returns the ledger that is kept in cfg.Store.
func New(cfg Config) (*Log, error) {
	if cfg.Store == nil {
		return nil, errors.New("ledger: a store is required")
	}
	if !isOrigin(cfg.Origin) {
		return nil, fmt.Errorf("ledger: origin %q must have 1 to 200 letters, digits or . _ / -", cfg.Origin)
	}
	l := Open(cfg.Store)
	l.origin, l.keyring = cfg.Origin, cfg.Keyring
	if cfg.Logger != nil {
		l.logger = cfg.Logger
	}
	if cfg.Now != nil {
		l.now = cfg.Now
	}
	return l, nil
}

// Open returns the ledger that is kept in s, to append to, read and prove. It
// signs nothing and cannot be verified: see New.
func Open(s *store.Store) *Log {
	return &Log{store: s, logger: slog.New(slog.DiscardHandler), now: time.Now, signers: map[string]note.Signer{}}
}

// Origin returns the name in the ledger's checkpoints and keys.
func (l *Log) Origin() string { return l.origin }

// isOrigin accepts what can stand in a checkpoint, a key's name and a URL alike.
func isOrigin(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '/', c == '-':
		default:
			return false
		}
	}
	return true
}
