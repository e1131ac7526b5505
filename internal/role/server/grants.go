package server

import (
	"context"
	"fmt"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
)

// openGrants makes the just-in-time access to customers' environments.
func (s *server) openGrants(ctx context.Context) error {
	s.grants = grant.New(grant.Config{
		Store: s.store, Ledger: s.ledger, Judge: s.posture, Policy: s.policy, People: people{s}, Consent: s.consent, Now: s.cfg.Now,
		Log: s.cfg.Log.With("part", "grants"),
	})
	s.consent.On(decision.AccessApproval, s.grants.Approved)
	return s.grants.Load(ctx)
}

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

// sessions knows live sessions for the facts about grants.
type sessions struct{ s *server }

// Live implements grant.Sessions.
func (sessions) Live(*store.Tx, string) ([]grant.Session, error) { return nil, nil }
