package grant

import (
	"errors"
	"slices"
	"sync"
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

// Proofs remembers for a minute which grants were proven, so that every move of
// one does not prove all others anew. It is safe for concurrent use.
type Proofs struct {
	mu sync.Mutex
	at map[string]proof // guarded by mu
}

type proof struct {
	version int64
	at      time.Time
}

func (p *Proofs) unproven(tx *store.Tx, x store.Grant, sets []store.KeySet, now time.Time) (string, error) {
	if p == nil {
		return Unproven(tx, x, sets)
	}
	p.mu.Lock()
	was, ok := p.at[x.ID]
	p.mu.Unlock()
	if age := now.Sub(was.at); ok && was.version == x.Version && age >= 0 && age < again {
		return "", nil
	}
	fault, err := Unproven(tx, x, sets)
	if err != nil || fault != "" {
		return fault, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	const most = 100_000
	if p.at == nil || len(p.at) >= most {
		p.at = map[string]proof{}
	}
	p.at[x.ID] = proof{x.Version, now}
	return "", nil
}
