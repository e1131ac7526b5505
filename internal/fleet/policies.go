package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// Policies gives an agent what the customer signed for its machine: the newest
// policy of each service for its tenant and for its VM, and how the customer's
// keys came to be.
func (f *Fleet) Policies(ctx context.Context, req wire.PoliciesRequest) (wire.Policies, error) {
	out := wire.Policies{Policies: []json.RawMessage{}}
	err := f.Store.Read(ctx, func(tx *store.Tx) error {
		a, err := tx.Agent(req.Agent)
		if errors.Is(err, store.ErrNotFound) {
			return ErrSignature
		}
		if err != nil {
			return err
		}
		if len(req.Nonce) > 100 || req.Verify(a.PublicKey) != nil || req.Time.Sub(f.Now()).Abs() > MaxRenewalAge {
			return ErrSignature
		}
		if a.RevokedAt != nil {
			return ErrRevoked
		}
		if out.Keys, err = keyHistory(tx, a.Tenant); err != nil {
			return err
		}
		policies, err := tx.Policies([]evidence.Subject{
			{Scope: evidence.ScopeVM, Tenant: a.Tenant, ID: a.VM}, {Scope: evidence.ScopeTenant, Tenant: a.Tenant, ID: a.Tenant},
		})
		if err != nil {
			return err
		}
		for _, p := range policies {
			if p.Decision == "" {
				continue // set before decisions were signed: no agent could obey it
			}
			s, err := tx.SignedDecision(p.Decision)
			if err != nil {
				return err
			}
			raw, err := json.Marshal(s)
			if err != nil {
				return fmt.Errorf("encode decision %s: %w", p.Decision, err)
			}
			out.Policies = append(out.Policies, raw)
		}
		return nil
	})
	return out, err
}

// keyHistory returns the decision.History of a tenant's keys; nil if it has none.
func keyHistory(tx *store.Tx, tenant string) (json.RawMessage, error) {
	sets, err := tx.KeySets(tenant)
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	h := decision.History{First: sets[0].KeySet, Changes: []decision.Signed{}}
	for _, s := range sets[1:] {
		c, err := tx.SignedDecision(s.Decision)
		if err != nil {
			return nil, err
		}
		h.Changes = append(h.Changes, c)
	}
	return json.Marshal(h)
}

// keySetDigest is the digest of the keys that count for a tenant now; zero if it
// has none.
func keySetDigest(tx *store.Tx, tenant string) (sum [sha256.Size]byte, err error) {
	s, err := tx.KeySet(tenant)
	if errors.Is(err, store.ErrNotFound) {
		return sum, nil
	}
	if err != nil {
		return sum, err
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(s.Digest, "sha256:"))
	if err != nil || copy(sum[:], raw) != len(sum) {
		return sum, fmt.Errorf("the digest of the keys of tenant %s is damaged", tenant)
	}
	return sum, nil
}
