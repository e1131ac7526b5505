package consent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
)

// Sign gives a decision a signature. With the last one that is needed it takes
// effect. Giving the same key's signature again changes nothing; of concurrent
// calls one has the effect. Its errors are those of package decision, ErrForbidden,
// and those of package store.
func (b *Book) Sign(ctx context.Context, by access.Principal, id string, sig decision.Signature) (d store.Decision, err error) {
	err = b.Store.Write(ctx, func(tx *store.Tx) error {
		if d, err = tx.DecisionByID(id); err != nil {
			return err
		}
		// Whoever decides for the tenant at the same time waits here; what was
		// read before may be old.
		if err := tx.LockTenant(d.Tenant); err != nil {
			return err
		}
		if d, err = tx.DecisionByID(id); err != nil {
			return err
		}
		return b.sign(tx, by, &d, sig)
	})
	return d, err
}

func (b *Book) sign(tx *store.Tx, by access.Principal, d *store.Decision, sig decision.Signature) error {
	given, err := tx.Signatures(d.ID)
	if err != nil {
		return err
	}
	if again(given, sig.Key) && (d.State == store.DecisionPending || d.State == store.DecisionSigned) {
		return nil
	}
	if err := b.pending(*d); err != nil {
		return err
	}
	set, err := tx.KeySet(d.Tenant)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: the tenant has no keys yet: an owner adds the first one (demarc key add)", decision.ErrKey)
	}
	if err != nil {
		return err
	}
	if err := b.holder(tx, by, d.Decision, set.KeySet, sig.Key); err != nil {
		return err
	}
	signed := decision.Signed{Decision: d.Decision}
	for _, g := range given {
		if err := b.stillCounts(tx, d.Decision, set.KeySet, g); err != nil {
			return err
		}
		signed.Signatures = append(signed.Signatures, g.Signature)
	}
	signed.Signatures = append(signed.Signatures, sig)
	_, err = set.Verify(signed, b.Now())
	if errors.Is(err, decision.ErrUnsigned) {
		return b.keep(tx, by, *d, sig) // a good signature, and others are needed
	}
	if err != nil {
		return err
	}
	return b.effect(tx, by, d, signed, sig)
}

func again(given []store.GivenSignature, key string) bool {
	for _, g := range given {
		if g.Key == key {
			return true
		}
	}
	return false
}

// keep stores a signature with its ledger entry.
func (b *Book) keep(tx *store.Tx, by access.Principal, d store.Decision, sig decision.Signature) error {
	if err := tx.InsertSignature(d.ID, store.GivenSignature{Signature: sig, At: b.Now(), By: by.Actor()}); err != nil {
		return err
	}
	sum := sha256.Sum256(sig.Signature)
	return b.record(tx, by.Actor(), d.Tenant, "decision.sign", "decision/"+d.ID, map[string]string{
		"decision": d.Digest, "signature": "sha256:" + hex.EncodeToString(sum[:]),
	})
}

// effect stores the last signature, makes the decision final and puts it into
// force.
func (b *Book) effect(tx *store.Tx, by access.Principal, d *store.Decision, signed decision.Signed, sig decision.Signature) error {
	if err := b.keep(tx, by, *d, sig); err != nil {
		return err
	}
	now := b.Now()
	d.State, d.DecidedAt = store.DecisionSigned, &now
	if err := tx.Decide(d.ID, d.State, now); err != nil {
		return err
	}
	if d.Kind == decision.KeyChange {
		if err := b.changeKeys(tx, by, signed); err != nil {
			return err
		}
	}
	if e := b.effects[d.Kind]; e != nil {
		if err := e(tx, by, signed); err != nil {
			return fmt.Errorf("put decision %s into force: %w", d.ID, err)
		}
	}
	return nil
}

// holder checks that by may sign d with the key, and that the key is by's own.
func (b *Book) holder(tx *store.Tx, by access.Principal, d decision.Decision, set decision.KeySet, key string) error {
	k, recovery, ok := set.Key(key)
	switch {
	case !ok:
		return fmt.Errorf("%w: %.60s is not among the tenant's keys: it is unknown or was removed", decision.ErrKey, key)
	case recovery && d.Kind != decision.KeyChange:
		return fmt.Errorf("%w: %s is a recovery key, which signs nothing but a change of keys", decision.ErrKey, k.ID)
	case !recovery && k.Holder != by.ID:
		return fmt.Errorf("%w: %s is another's key: sign with your own", decision.ErrKey, k.ID)
	}
	return b.permitted(tx, by, d)
}

// stillCounts refuses to build upon a signature that was given before and does
// not count any more.
func (b *Book) stillCounts(tx *store.Tx, d decision.Decision, set decision.KeySet, g store.GivenSignature) error {
	gone := fmt.Errorf("decision %s was signed by %s, who may not sign it any more; withdraw it and propose it anew: %w", d.ID, g.By, store.ErrConflict)
	k, recovery, ok := set.Key(g.Key)
	if !ok {
		return gone
	}
	if recovery {
		return nil
	}
	who, stands, err := b.People.Standing(tx, k.Holder)
	if err != nil {
		return err
	}
	who.MFA = true // it was shown when the signature was given
	if !stands || b.permitted(tx, who, d) != nil {
		return gone
	}
	return nil
}

// needs are the actions that signing a kind needs besides sign-decision.
var needs = map[decision.Kind]access.Action{
	decision.AccessApproval: access.DecideAccess,
	decision.WaiverKind:     access.Waive,
	decision.KeyChange:      access.ManageKeys,
}

func (b *Book) permitted(tx *store.Tx, by access.Principal, d decision.Decision) error {
	t, err := tx.Tenant(d.Tenant)
	if err != nil {
		return err
	}
	on, c := authz.Resource{Tenant: t.ID, Own: t.Own}, authz.Case{}
	if d.Kind == decision.AccessApproval {
		content, err := decision.Content[decision.ApprovalContent](d, d.Kind)
		if err != nil {
			return fmt.Errorf("%w: %w", estate.ErrInvalid, err)
		}
		c.Requester = content.Holder
	}
	for _, a := range []access.Action{access.SignDecision, needs[d.Kind]} {
		if a != "" && !b.Policy.Permits(by, a, on, c) {
			if c.Requester == by.ID {
				return fmt.Errorf("%w: nobody approves their own request", ErrForbidden)
			}
			return fmt.Errorf("%w: a decision of kind %s is signed by somebody who may %s; the role %s may not", ErrForbidden, d.Kind, a, by.Role)
		}
	}
	return nil
}
