package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/tenancy"
	"github.com/demarc/demarc/internal/wire"
)

// openConsent constructs what asks the customer, and says what signed decisions
// do.
func (s *server) openConsent(context.Context) error {
	s.consent = &consent.Book{
		Store: s.store, Ledger: s.ledger, Policy: s.policy, People: standing{s.cfg.Now}, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "consent"),
	}
	s.consent.On(decision.AgentPolicy, s.policySigned)
	s.consent.On(decision.WaiverKind, s.waiverSigned)
	s.consent.On(decision.KeyChange, func(tx *store.Tx, _ access.Principal, d decision.Signed) error {
		return s.tellAgents(tx, d.Decision)
	})
	return nil
}

// standing tells who may still act.
type standing struct{ now func() time.Time }

// Standing implements consent.People.
func (n standing) Standing(tx *store.Tx, id string) (access.Principal, bool, error) {
	c, err := tx.Principal(id)
	if errors.Is(err, store.ErrNotFound) {
		return access.Principal{}, false, nil
	}
	return c.Principal, err == nil && c.Stands(n.now()), err
}

// about is the subject of a decision about a tenant or a part of it.
func about(d decision.Decision) (evidence.Subject, error) {
	for _, scope := range []evidence.Scope{evidence.ScopeTenant, evidence.ScopeVDC, evidence.ScopeVM} {
		if id, ok := cut(d.Subject, string(scope)); ok {
			return evidence.Subject{Scope: scope, Tenant: d.Tenant, ID: id}, nil
		}
	}
	return evidence.Subject{}, fmt.Errorf("decision %s is about %s, which is no tenant, VDC or VM: %w", d.ID, d.Subject, store.ErrConflict)
}

func cut(subject, scope string) (string, bool) {
	n := len(scope) + 1
	if len(subject) > n && subject[:n] == scope+"/" {
		return subject[n:], true
	}
	return "", false
}

// policySigned puts a policy in force, on the server and at the agents.
func (s *server) policySigned(tx *store.Tx, by access.Principal, d decision.Signed) error {
	c, err := decision.Content[decision.PolicyContent](d.Decision, decision.AgentPolicy)
	if err != nil {
		return err
	}
	subject, err := about(d.Decision)
	if err != nil {
		return err
	}
	p, err := s.estate.SetPolicyIn(tx, by, store.Policy{Subject: subject, Service: c.Service, Document: c.Document, Decision: d.Decision.ID, Until: c.Until})
	if err != nil {
		return err
	}
	if p.Version != d.Decision.Version {
		return fmt.Errorf("%w: version %d of the policy of %s is in force already; propose yours anew", decision.ErrRolledBack, p.Version-1, c.Service)
	}
	return s.tellAgents(tx, d.Decision)
}

// waiverSigned accepts a risk. It counts from its signature on, if not later.
func (s *server) waiverSigned(tx *store.Tx, by access.Principal, d decision.Signed) error {
	c, err := decision.Content[decision.WaiverContent](d.Decision, decision.WaiverKind)
	if err != nil {
		return err
	}
	subject, err := about(d.Decision)
	if err != nil {
		return err
	}
	claim := tenancy.Claim{Duty: c.Duty, Subject: subject, Text: c.Reason, Effective: c.Effective, Expires: c.Expires}
	if now := s.cfg.Now(); claim.Effective.Before(now) {
		claim.Effective = now
	}
	_, err = s.estate.WaiveIn(tx, by, s.contract, claim)
	return err
}

// tellAgents asks the agents that a decision concerns to look for policies, once
// it is durable. One that does not hear of it looks by itself.
func (s *server) tellAgents(tx *store.Tx, d decision.Decision) error {
	agents, err := tx.Agents(d.Tenant, store.Page{})
	if err != nil {
		return err
	}
	tx.OnCommit(func() {
		for _, a := range agents {
			if vm, ok := cut(d.Subject, "vm"); a.RevokedAt != nil || ok && vm != a.VM {
				continue
			}
			if err := s.bus.NotifyAgent(tx.Context(), a.Tenant, a.ID, wire.Note{Type: wire.NotePolicy}); err != nil {
				s.cfg.Log.Warn("tell an agent of its policy", "agent", a.ID, "error", err)
			}
		}
	})
	return nil
}
