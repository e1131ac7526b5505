package server

import (
	"context"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/rights"
	"github.com/demarc/demarc/internal/store"
)

// settling is how soon a server notices that the set-up is finished, or that
// there is no administrator any more, whichever server it happened at.
const settling = 500 * time.Millisecond

// openRights makes the source of what the policy lets happen. The API is there
// once somebody asks.
func (s *server) openRights() *rights.Source {
	src := rights.New(s.policy, access.Doings)
	src.SetUp, src.Unauthorized = s.identities.SetUp, func() []string { return s.api.Unauthorized() }
	return src
}

// lookAtSetUp tells the policy whether the set-up is finished, and has the
// provider judged again if that has changed. One call at a time.
func (s *server) lookAtSetUp(ctx context.Context) error {
	settled := false
	err := s.store.Read(ctx, func(tx *store.Tx) (err error) {
		_, settled, err = s.identities.SetUp(tx, s.cfg.Now())
		return err
	})
	if err != nil {
		return err
	}
	// Who finished the set-up has told the policy already.
	s.policy.Settle(settled)
	if settled == s.judgedSettled {
		return nil
	}
	err = s.store.Write(ctx, func(tx *store.Tx) error { return s.posture.Rejudge(tx, evidence.Provider) })
	if err == nil {
		s.judgedSettled = settled
	}
	return err
}

// followSetUp looks until ctx ends.
func (s *server) followSetUp(ctx context.Context) error {
	tick := time.NewTicker(settling)
	defer tick.Stop()
	for {
		if err := s.lookAtSetUp(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("see whether the provider has an administrator", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
