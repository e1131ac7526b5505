package grant

import (
	"errors"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/store"
)

// Unproven says why a grant is not what the customer signed, by what is stored
// now: the decision, its signatures, and the keys that counted when it was
// signed. It is empty if all is well.
func Unproven(tx *store.Tx, x store.Grant, sets []store.KeySet) (string, error) {
	d, err := tx.DecisionByID(x.Decision)
	if errors.Is(err, store.ErrNotFound) {
		return "no decision of the customer", nil
	}
	if err != nil {
		return "", err
	}
	if d.State != store.DecisionSigned || d.DecidedAt == nil || d.Subject != "grant/"+x.ID {
		return "its decision is not signed", nil
	}
	c, err := decision.Content[decision.ApprovalContent](d.Decision, decision.AccessApproval)
	if err != nil || fits(c, x) != nil || !slices.Equal(scopeOf(c), x.Granted) || x.Until.Sub(x.From) > duration(c) || c.From != nil && x.From.Before(*c.From) {
		return "it is not what the customer signed", nil
	}
	s, err := tx.SignedDecision(x.Decision)
	if err != nil {
		return "", err
	}
	if _, err := keysAt(sets, *d.DecidedAt).Verify(s, *d.DecidedAt); err != nil {
		return "the signature of its decision does not verify", nil
	}
	return "", nil
}

// keysAt are the keys that counted at that time; sets are in order. Before the
// first, by a clock that went back, it is the first.
func keysAt(sets []store.KeySet, at time.Time) (keys decision.KeySet) {
	for _, s := range sets {
		if !s.CreatedAt.After(at) || keys.Version == 0 {
			keys = s.KeySet
		}
	}
	return keys
}
