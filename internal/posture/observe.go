package posture

import (
	"slices"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// Observer follows what is observed about subjects, beside the duties: what it
// writes is committed together with the facts, or not at all.
type Observer interface {
	// Observes lists the kinds of fact that it follows.
	Observes() []string
	// Observe is called within the transaction that has stored facts of these
	// kinds about the subject, when what they say changed. It reads them from tx.
	Observe(tx *store.Tx, s evidence.Subject) error
}

// observe tells the observers of changed kinds.
func (e *Engine) observe(v *view, changed changes) error {
	for _, o := range e.cfg.Observers {
		concerns := slices.ContainsFunc(o.Observes(), func(kind string) bool { _, ok := changed[kind]; return ok })
		if !concerns {
			continue
		}
		if err := o.Observe(v.tx, v.subject); err != nil {
			return err
		}
	}
	return nil
}
