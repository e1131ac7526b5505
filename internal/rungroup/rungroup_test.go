package rungroup_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/demarc/demarc/internal/rungroup"
)

// journal notes in which order parts ended.
type journal struct {
	mu    sync.Mutex
	ended []string
}

func (j *journal) part(name string, stopping time.Duration, fail error) rungroup.Part {
	return rungroup.Part{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(stopping) // the bubble's clock
		j.mu.Lock()
		defer j.mu.Unlock()
		j.ended = append(j.ended, name)
		return fail
	}}
}

func TestStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		j := &journal{}
		time.AfterFunc(time.Hour, cancel)
		err := rungroup.Run(ctx, j.part("store", 0, nil), j.part("bus", time.Minute, nil), j.part("http", time.Second, context.Canceled))
		if err != nil || !slices.Equal(j.ended, []string{"http", "bus", "store"}) {
			t.Errorf("%v, ended as %v", err, j.ended)
		}
	})
}

func TestOneFailureEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		broken := errors.New("disk is gone")
		err := rungroup.Run(t.Context(), j.part("first", 0, nil), rungroup.Part{Name: "ledger", Run: func(context.Context) error {
			time.Sleep(time.Minute)
			return broken
		}}, j.part("last", 0, nil))
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "ledger: ") || !slices.Equal(j.ended, []string{"last", "first"}) {
			t.Errorf("%v, ended as %v", err, j.ended)
		}
	})
}

func TestEndingByItselfIsAFailure(t *testing.T) {
	err := rungroup.Run(t.Context(), rungroup.Part{Name: "consumer", Run: func(context.Context) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "consumer ended by itself") {
		t.Errorf("%v", err)
	}
}

func TestUncleanStopsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		j := &journal{}
		one, two := errors.New("one"), errors.New("two")
		time.AfterFunc(time.Second, cancel)
		err := rungroup.Run(ctx, j.part("a", 0, one), j.part("b", 0, two))
		if !errors.Is(err, one) || !errors.Is(err, two) {
			t.Errorf("%v", err)
		}
	})
}
