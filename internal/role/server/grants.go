package server

import (
	"context"
	"fmt"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/store"
)

// openGrants makes the just-in-time access to customers' environments.
func (s *server) openGrants(ctx context.Context) error {
	s.grants = grant.New(grant.Config{
		Store: s.store, Ledger: s.ledger, Judge: s.posture, Policy: s.policy, People: people{s}, Consent: unsigned{}, Now: s.cfg.Now,
		Log: s.cfg.Log.With("part", "grants"),
	})
	return s.grants.Load(ctx)
}

// grantSources are what the product knows about access to environments.
func (s *server) grantSources() []posture.Source { return nil }

// people knows principals for grants.
type people struct{ s *server }

// Standing implements grant.People.
func (p people) Standing(tx *store.Tx, id string) (access.Principal, error) {
	c, err := tx.Principal(id)
	if err != nil {
		return access.Principal{}, err
	}
	if c.Revoked != nil || c.Expires != nil && !p.s.cfg.Now().Before(*c.Expires) {
		return access.Principal{}, fmt.Errorf("principal %q: %w", id, store.ErrNotFound)
	}
	return c.Principal, nil
}

// Same implements grant.People.
func (people) Same(_ *store.Tx, a, b string) (bool, error) { return a == b, nil }

// unsigned stands where no decision can be signed yet.
type unsigned struct{}

// Propose implements grant.Consent.
func (unsigned) Propose(*store.Tx, access.Principal, grant.Matter) (string, error) {
	return "", fmt.Errorf("the tenant has no keys to sign with: %w", store.ErrConflict)
}

// Verified implements grant.Consent.
func (unsigned) Verified(*store.Tx, string, string, string) (bool, error) { return false, nil }
