package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/ledger/signed"
)

// originHash is how C2SP tlog-witness names a ledger in URLs.
func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// openKey reads the witness's key from its directory, or makes one. The file has
// the key's seed in hex, and is of the owner alone.
func openKey(dir, name string) (*torchwood.CosignatureSigner, error) {
	path := filepath.Join(dir, "key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		text = []byte(hex.EncodeToString(seed) + "\n")
		err = durable.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("key of the witness: %w", err)
	}
	seed := make([]byte, ed25519.SeedSize)
	if len(text) != 2*ed25519.SeedSize+1 {
		return nil, fmt.Errorf("key of the witness: %s is not a key", path)
	}
	if _, err := hex.Decode(seed, text[:2*ed25519.SeedSize]); err != nil {
		return nil, fmt.Errorf("key of the witness: %s is not a key", path)
	}
	s, err := torchwood.NewCosignatureSigner(name, ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return nil, fmt.Errorf("name %q of the witness: %w", name, err)
	}
	return s, nil
}

// load reads what was cosigned last. It must bear the witness's own signature:
// a damaged file is not taken for an empty one.
func (l *watched) load(origin string, own note.Verifier) error {
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("last checkpoint of %s: %w", origin, err)
	}
	n, err := note.Open(data, note.VerifierList(own))
	if err != nil {
		return fmt.Errorf("last checkpoint of %s, in %s: it is not as this witness has signed it: %w", origin, l.path, err)
	}
	c, err := signed.Parse(n.Text)
	if err != nil || c.Origin != origin {
		return fmt.Errorf("last checkpoint of %s, in %s: it is of another ledger or malformed", origin, l.path)
	}
	l.tree, l.note = c.Tree, data
	return nil
}
