// Package witness watches over ledgers for those who do not trust their keepers:
// it cosigns a ledger's checkpoint only if it continues all that it has cosigned
// before (C2SP tlog-witness and tlog-cosignature). A customer runs one; then the
// provider can neither rewrite the past nor show the customer another ledger than
// it shows the witness.
package witness

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/ledger/signed"
)

// Config is what a Witness needs.
type Config struct {
	// Dir keeps the witness's key and what it has cosigned. It is made if it does
	// not exist, and is of one witness at a time. Whoever restores it from a backup
	// makes the witness forget: start a new witness instead. Required.
	Dir string
	// Name is in the witness's signatures: "witness.example.org/w1". Required.
	Name string
	// Logs are the verifier keys of the ledgers to watch. Keys of the same name
	// are of one ledger, whose key was rotated. Required.
	Logs []string
	// Logger is told of refused checkpoints. Optional.
	Logger *slog.Logger
}

// Witness cosigns checkpoints. It is an http.Handler and safe for concurrent use.
type Witness struct {
	dir    string
	signer *torchwood.CosignatureSigner
	logs   map[string]*watched // by origin; never changed
	logger *slog.Logger
	lock   *os.File
}

// watched is a ledger under watch.
type watched struct {
	keys note.Verifiers
	path string

	mu   sync.Mutex
	tree tlog.Tree // guarded by mu; the last that was cosigned, and is on disk
	note []byte    // guarded by mu; with the ledger's and the witness's signatures
}

// Open makes or opens the witness of cfg.Dir. The caller closes it. It refuses a
// directory in which anything was changed: a witness that forgets would cosign
// a second history.
func Open(cfg Config) (*Witness, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the witness: %w", err)
	}
	lock, err := lockDir(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("directory %s of the witness is in use by another: %w", cfg.Dir, err)
	}
	w := &Witness{dir: cfg.Dir, logs: map[string]*watched{}, logger: cfg.Logger, lock: lock}
	if w.logger == nil {
		w.logger = slog.New(slog.DiscardHandler)
	}
	if err := w.open(cfg); err != nil {
		lock.Close()
		return nil, err
	}
	return w, nil
}

func (w *Witness) open(cfg Config) (err error) {
	if w.signer, err = openKey(cfg.Dir, cfg.Name); err != nil {
		return err
	}
	byOrigin := map[string][]note.Verifier{}
	for _, vkey := range cfg.Logs {
		v, cosigner, err := signed.Verifier(vkey)
		if err != nil || cosigner {
			return fmt.Errorf("%q is not the verifier key of a ledger", vkey)
		}
		byOrigin[v.Name()] = append(byOrigin[v.Name()], v)
	}
	if len(byOrigin) == 0 {
		return errors.New("a witness needs the verifier key of a ledger to watch")
	}
	for origin, keys := range byOrigin {
		l := &watched{keys: note.VerifierList(keys...), path: filepath.Join(cfg.Dir, originHash(origin)+".checkpoint")}
		if err := l.load(origin, w.signer.Verifier()); err != nil {
			return err
		}
		w.logs[origin] = l
	}
	return nil
}

// Close ends the use of the directory.
func (w *Witness) Close() error { return w.lock.Close() }

// VKey is the witness's verifier key, for those who want to rely on it.
func (w *Witness) VKey() string { return w.signer.Verifier().String() }

// refusal is why a checkpoint is not cosigned.
type refusal struct {
	status int // of HTTP
	reason string
	size   int64 // with 409: of the last tree that was cosigned
}

func (r *refusal) Error() string { return r.reason }

// cosign returns the signature lines for a request's checkpoint, after it is on
// disk.
func (w *Witness) cosign(r request) ([]byte, error) {
	log, ok := w.logs[r.origin]
	if !ok {
		return nil, &refusal{status: 404, reason: "this ledger is not watched here"}
	}
	n, err := note.Open(r.note, log.keys)
	if err != nil {
		return nil, &refusal{status: 403, reason: "the checkpoint is not signed by a key of the ledger that is known here"}
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, &refusal{status: 400, reason: err.Error()}
	}
	if c.String() != n.Text {
		return nil, &refusal{status: 400, reason: "the checkpoint's base64 is not in its usual form"}
	}
	if r.old > c.N {
		return nil, &refusal{status: 400, reason: "the old size is greater than the checkpoint's"}
	}

	log.mu.Lock()
	defer log.mu.Unlock()
	if r.old != log.tree.N {
		return nil, &refusal{status: 409, reason: "another tree was cosigned last", size: log.tree.N}
	}
	if err := continues(log.tree, c.Tree, r.proof); err != nil {
		w.logger.Warn("a ledger contradicts itself", "origin", r.origin, "cosigned", log.tree.N, "submitted", c.N, "error", err)
		return nil, &refusal{status: 422, reason: err.Error()}
	}
	cosigned, err := note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs}, w.signer)
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	if err := durable.WriteFile(log.path, cosigned, 0o600); err != nil {
		return nil, fmt.Errorf("keep the checkpoint: %w", err)
	}
	log.tree, log.note = c.Tree, cosigned
	_, lines, err := signed.Split(cosigned)
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	// note.Sign puts signatures that were there after its own, in no order that
	// it promises.
	v := w.signer.Verifier()
	for _, line := range lines {
		if signed.Signs(n.Text, line, v) {
			return []byte(line), nil
		}
	}
	return nil, errors.New("cosign: the signature is missing")
}

// continues verifies that next has old as its beginning.
func continues(old, next tlog.Tree, proof tlog.TreeProof) error {
	switch {
	case next.N == 0:
		if empty, _ := tlog.TreeHash(0, nil); next.Hash != empty {
			return errors.New("an empty tree has another root")
		}
		fallthrough
	case old.N == 0:
		if len(proof) > 0 {
			return errors.New("a proof from the empty tree is empty")
		}
	case old.N == next.N:
		if len(proof) > 0 || old.Hash != next.Hash {
			return errors.New("a tree of this size and another root was cosigned before")
		}
	default:
		if err := tlog.CheckTree(proof, next.N, next.Hash, old.N, old.Hash); err != nil {
			return errors.New("the consistency proof does not lead from the tree that was cosigned to this one")
		}
	}
	return nil
}
