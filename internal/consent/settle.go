package consent

import (
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/store"
)

// Settle withdraws, within tx, what still waits for a signature about the
// subject: its matter was settled otherwise. The tenant must be locked.
func (b *Book) Settle(tx *store.Tx, by access.Principal, tenant string, kind decision.Kind, subject string) error {
	all, err := tx.DecisionsAbout(tenant, kind, subject)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.State != store.DecisionPending {
			continue
		}
		if err := tx.Decide(d.ID, store.DecisionWithdrawn, b.Now()); err != nil {
			return err
		}
		if err := b.record(tx, by.Actor(), tenant, "decision.withdraw", "decision/"+d.ID, map[string]string{"decision": d.Digest}); err != nil {
			return err
		}
	}
	return nil
}
