// Package rungroup runs the parts of a program: started in order, stopped in
// reverse. When one part fails or ends by itself, all are stopped and the
// failure is returned: a program does not go on without a part of itself.
package rungroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Part is a long-running part of a program.
type Part struct {
	Name string
	// Run blocks until ctx ends and everything that it started has ended. It
	// returns nil if that was why.
	Run func(ctx context.Context) error
}

// Run runs the parts until ctx ends or one of them does.
func Run(ctx context.Context, parts ...Part) error {
	ended := make(chan error, len(parts))
	stops := make([]func(), len(parts))
	for i, p := range parts {
		// Each part is stopped in its turn, not by the end of ctx.
		pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := p.Run(pctx)
			switch {
			case err != nil && pctx.Err() == nil:
				ended <- fmt.Errorf("%s: %w", p.Name, err)
			case pctx.Err() == nil:
				ended <- fmt.Errorf("%s ended by itself", p.Name)
			case err != nil && !errors.Is(err, context.Canceled):
				ended <- fmt.Errorf("%s did not stop cleanly: %w", p.Name, err)
			}
		}()
		stops[i] = func() { cancel(); <-done }
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-ended:
	}
	for _, stop := range slices.Backward(stops) {
		stop()
	}
	close(ended)
	for err := range ended {
		failure = errors.Join(failure, err)
	}
	return failure
}
