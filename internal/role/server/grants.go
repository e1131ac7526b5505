package server

import (
	"context"
	"fmt"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
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
	s.identities.Left = s.dismiss
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
	if !c.Stands(p.s.cfg.Now()) {
		return access.Principal{}, fmt.Errorf("principal %q: %w", id, store.ErrNotFound)
	}
	return c.Principal, nil
}

// Same implements grant.People.
func (p people) Same(tx *store.Tx, a, b string) (bool, error) { return p.s.identities.Same(tx, a, b) }

// dismiss ends the access of somebody who may no longer ask for any.
func (s *server) dismiss(tx *store.Tx, by access.Principal, c store.Credential) error {
	c.MFA = true // what counts is the role
	on := authz.Resource{Tenant: "any"}
	if c.Revoked == nil && s.policy.Permits(c.Principal, access.RequestAccess, on, authz.Case{}) {
		return nil
	}
	return s.grants.Dismiss(tx, by, c.ID)
}

// sessions knows live sessions by their recordings: there is no session that is
// not recorded from its first byte on.
type sessions struct{ s *server }

// Live implements grant.Sessions.
func (l sessions) Live(tx *store.Tx, tenant string) ([]grant.Session, error) {
	return l.s.liveSessions(tx, tenant)
}
