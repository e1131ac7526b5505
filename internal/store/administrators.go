package store

import (
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
)

// SetUp tells whether the first start's credential stands, and whether the
// provider is settled: a person who is its administrator, with a second factor,
// stands.
func (tx *Tx) SetUp(now time.Time) (credential, settled bool, err error) {
	const stands = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
	n, err := tx.db.NewSelect().Table("principal").Where("kind = ?", access.Setup).Where(stands, micros(now)).Count(tx.ctx)
	if err != nil {
		return false, false, fmt.Errorf("look for the first start's credential: %w", err)
	}
	m, err := tx.db.NewSelect().Table("principal").Where("kind = ? AND role = ? AND mfa = 1", access.Person, access.ProviderAdministrator).
		Where(stands, micros(now)).Count(tx.ctx)
	if err != nil {
		return false, false, fmt.Errorf("look for an administrator: %w", err)
	}
	return n > 0, m > 0, nil
}
