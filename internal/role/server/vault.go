package server

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/selfcheck"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

// openVault makes the source of how credentials are kept.
func (s *server) openVault() selfcheck.Vault {
	return selfcheck.Vault{Sealed: s.secrets.sealed, Outside: s.outside, Certificate: sshca.HolderLife}
}

// sealed reports whether every secret opens with the master key.
func (s secrets) sealed(tx *store.Tx) (bool, error) {
	all, err := tx.Settings("secret.")
	if err != nil {
		return false, err
	}
	for name, value := range all {
		if _, err := s.keys.Open(value, "secret/"+strings.TrimPrefix(name, "secret.")); err != nil {
			return false, nil
		}
	}
	return len(all) > 0, nil
}

// outside names the first start's token, which lies in a file until somebody
// deletes it, while it counts.
func (s *server) outside(tx *store.Tx, now time.Time) ([]string, error) {
	counts, _, err := s.identities.SetUp(tx, now)
	if err != nil || !counts {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(s.cfg.DataDir, TokenFile)); err != nil {
		return nil, nil
	}
	return []string{"the first start's token (" + TokenFile + " in the data directory)"}, nil
}
