package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
)

// KeyChange is a change of a tenant's keys.
type KeyChange struct {
	// Add are keys to be added. ID may be empty; Holder is the caller if it is.
	Add []decision.Key
	// Remove are the ids of keys to be removed.
	Remove []string
	// Recovery replaces the recovery keys, if not nil, and Threshold how many of
	// them are needed.
	Recovery  []decision.Key
	Threshold int
	// Required replaces how many must sign which kind, if not nil.
	Required map[decision.Kind]int
}

// ChangeKeys makes the first key set of a tenant, and returns it; afterwards it
// proposes the change as a decision, and returns that.
//
// Nobody can sign for the first set: whoever reads it, an agent at its enrolment
// above all, compares its digest with what the customer says.
func (b *Book) ChangeKeys(ctx context.Context, by access.Principal, tenant string, c KeyChange) (first *store.KeySet, pending *store.Decision, err error) {
	err = b.Store.Write(ctx, func(tx *store.Tx) error {
		first, pending = nil, nil
		if err := tx.LockTenant(tenant); err != nil {
			return err
		}
		was, err := tx.KeySet(tenant)
		if errors.Is(err, store.ErrNotFound) {
			first, err = b.firstKeys(tx, by, tenant, c)
			return err
		}
		if err != nil {
			return err
		}
		next, err := b.apply(tx, by, was.KeySet, c)
		if err != nil {
			return err
		}
		content, err := decision.Encode(decision.KeyChangeContent{Previous: was.Digest, KeySet: next})
		if err != nil {
			return err
		}
		d, err := b.Propose(tx, by, decision.Decision{
			Kind: decision.KeyChange, Tenant: tenant, Subject: "tenant/" + tenant, Version: next.Version, Content: content,
		})
		if err != nil {
			return err
		}
		row, err := tx.DecisionByID(d.ID)
		pending = &row
		return err
	})
	return first, pending, err
}

func (b *Book) firstKeys(tx *store.Tx, by access.Principal, tenant string, c KeyChange) (*store.KeySet, error) {
	set, err := b.apply(tx, by, decision.KeySet{Tenant: tenant}, c)
	if err != nil {
		return nil, err
	}
	row := &store.KeySet{KeySet: set, CreatedAt: b.Now(), By: by.Actor()}
	if err := tx.InsertKeySet(row); err != nil {
		return nil, err
	}
	return row, b.record(tx, by.Actor(), tenant, "key-set.first", "tenant/"+tenant, map[string]string{"key_set": row.Digest})
}

// apply makes the next set of s.
func (b *Book) apply(tx *store.Tx, by access.Principal, s decision.KeySet, c KeyChange) (decision.KeySet, error) {
	next := decision.KeySet{
		Tenant: s.Tenant, Version: s.Version + 1, Keys: slices.Clone(s.Keys), Recovery: s.Recovery, Threshold: s.Threshold, Required: s.Required,
	}
	for _, id := range c.Remove {
		i := slices.IndexFunc(next.Keys, func(k decision.Key) bool { return k.ID == id })
		if i < 0 {
			return next, fmt.Errorf("key %.60q: %w", id, store.ErrNotFound)
		}
		next.Keys = slices.Delete(next.Keys, i, i+1)
	}
	for _, k := range c.Add {
		if k.Holder == "" {
			k.Holder = by.ID
		}
		k.ID = decision.KeyID(k.Public)
		if err := b.mayHold(tx, s.Tenant, k); err != nil {
			return next, err
		}
		next.Keys = append(next.Keys, k)
	}
	if c.Recovery != nil {
		next.Recovery, next.Threshold = nil, c.Threshold
		for _, k := range c.Recovery {
			k.ID, k.Holder = decision.KeyID(k.Public), ""
			next.Recovery = append(next.Recovery, k)
		}
	}
	if c.Required != nil {
		if next.Required = c.Required; len(c.Required) == 0 {
			next.Required = nil
		}
	}
	if err := next.Check(); err != nil {
		return next, fmt.Errorf("%w: %w", estate.ErrInvalid, err)
	}
	return next, nil
}

// mayHold refuses a key whose holder could never sign.
func (b *Book) mayHold(tx *store.Tx, tenant string, k decision.Key) error {
	who, ok, err := b.People.Standing(tx, k.Holder)
	if err != nil {
		return err
	}
	t, err := tx.Tenant(tenant)
	if err != nil {
		return err
	}
	who.MFA = true // asked for when it signs
	if !ok || !b.Policy.Permits(who, access.SignDecision, authz.Resource{Tenant: t.ID, Own: t.Own}, authz.Case{}) {
		return fmt.Errorf("%w: the holder of a key must be somebody who may sign for this tenant", estate.ErrInvalid)
	}
	return nil
}

// changeKeys puts a signed change of keys into force.
func (b *Book) changeKeys(tx *store.Tx, by access.Principal, s decision.Signed) error {
	set, err := tx.KeySet(s.Decision.Tenant)
	if err != nil {
		return err
	}
	next, err := set.Next(s, b.Now())
	if err != nil {
		return err
	}
	row := &store.KeySet{KeySet: next, Decision: s.Decision.ID, CreatedAt: b.Now(), By: by.Actor()}
	if err := tx.InsertKeySet(row); err != nil {
		return err
	}
	return b.record(tx, by.Actor(), set.Tenant, "key-set.change", "tenant/"+set.Tenant, map[string]string{"key_set": row.Digest})
}
