package ledger

import (
	"context"
	"sync"
	"time"
)

// Verifier verifies a ledger from time to time and remembers the outcome. It is
// safe for concurrent use.
type Verifier struct {
	log   *Log
	every time.Duration

	running sync.Mutex // held while verifying: one at a time

	mu    sync.Mutex
	at    time.Time // guarded by mu; of the last that came to an end
	fault string    // guarded by mu; its first fault
}

// NewVerifier returns a Verifier whose Run verifies l in that interval.
func NewVerifier(l *Log, every time.Duration) *Verifier { return &Verifier{log: l, every: every} }

// Run verifies at once and then in the interval, until ctx ends; then it returns
// nil. A fault is logged and remembered, and does not end Run: whoever reads the
// evidence must still be able to.
func (v *Verifier) Run(ctx context.Context) error {
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	for {
		if err := v.Verify(ctx); err != nil && ctx.Err() == nil {
			v.log.logger.ErrorContext(ctx, "the ledger does not verify", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Verify verifies the whole ledger now. It returns ErrCorrupt with the first
// fault, or why the ledger could not be verified.
func (v *Verifier) Verify(ctx context.Context) error {
	v.running.Lock()
	defer v.running.Unlock()
	result, err := v.log.Verify(ctx, nil)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at, v.fault = v.log.now(), ""
	if len(result.Faults) > 0 {
		v.fault = result.Faults[0].String()
	}
	return result.Err()
}

// Last returns when a verification last came to an end, the zero time if none
// has, and the first fault that it found, empty if none.
func (v *Verifier) Last() (at time.Time, fault string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at, v.fault
}
