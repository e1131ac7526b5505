package observer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/telemetry"
)

// running starts a scheduler over tasks inside a synctest bubble, and stops it
// with the test.
func startScheduler(t *testing.T, c *collected, refresh chan struct{}, tasks ...task) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	host := c.host("/")
	host.Refresh = refresh
	s := newScheduler(host, newProbe(t.TempDir(), time.Now), tasks)
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func fact(value *atomic.Int64, runs *atomic.Int64) collector {
	return func(context.Context, *probe) (any, error) {
		runs.Add(1)
		return telemetry.Resources{CPUs: int(value.Load())}, nil
	}
}

func (c *collected) take() []evidence.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records
	c.records = nil
	return r
}

func TestUnchangedFactsCarryNoData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var value, runs atomic.Int64
		c := newCollected()
		stop := startScheduler(t, c, nil, task{"host.resources", time.Minute, time.Second, fact(&value, &runs)})
		time.Sleep(3*time.Minute + 30*time.Second) // the bubble's clock
		synctest.Wait()
		got := c.take()
		if len(got) < 3 || len(got[0].Data) == 0 {
			t.Fatalf("%d records in three minutes, the first with %d bytes", len(got), len(got[0].Data))
		}
		for _, r := range got[1:] {
			if len(r.Data) != 0 || r.Digest != got[0].Digest {
				t.Errorf("an unchanged fact was sent as %s %q", r.Digest, r.Data)
			}
		}
		value.Store(7)
		time.Sleep(70 * time.Second)
		if got := c.take(); len(got) == 0 || len(got[0].Data) == 0 {
			t.Errorf("a changed fact was not sent in full: %v", got)
		}
		time.Sleep(time.Hour)
		full := 0
		for _, r := range c.take() {
			if len(r.Data) > 0 {
				full++
			}
		}
		if full != 1 {
			t.Errorf("%d full facts in an hour without change, want 1", full)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedFactIsSentInFullAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var value, runs atomic.Int64
		c := newCollected()
		c.refuse = service.ErrShed
		stop := startScheduler(t, c, nil, task{"host.resources", time.Minute, time.Second, fact(&value, &runs)})
		time.Sleep(90 * time.Second)
		c.mu.Lock()
		c.refuse = nil
		c.mu.Unlock()
		time.Sleep(time.Minute)
		if got := c.take(); len(got) == 0 || len(got[0].Data) == 0 {
			t.Errorf("after the spool had room again: %v", got)
		}
		if len(c.coverage) != 1 || !c.coverage["host.resources"].Watched {
			t.Errorf("coverage %v; the agent counts what it sheds itself", c.coverage)
		}
		_ = stop()
	})
}

func TestRefreshRunsEverythingNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var value, a, b atomic.Int64
		refresh := make(chan struct{})
		stop := startScheduler(t, newCollected(), refresh,
			task{"host.resources", time.Hour, time.Second, fact(&value, &a)}, task{"host.os", time.Hour, time.Second, fact(&value, &b)})
		synctest.Wait()
		refresh <- struct{}{}
		synctest.Wait()
		if a.Load() != 2 || b.Load() != 2 {
			t.Errorf("runs after a refresh: %d and %d, want 2 and 2", a.Load(), b.Load())
		}
		_ = stop()
	})
}

func TestFaultsBecomeCoverage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := func(context.Context, *probe) (any, error) { panic("index out of range") }
		blind := func(context.Context, *probe) (any, error) { return nil, errors.New("nothing can be seen") }
		partly := func(_ context.Context, p *probe) (any, error) {
			p.gap("one part is hidden")
			return telemetry.Banners{}, nil
		}
		release := make(chan struct{})
		var hangs atomic.Int64
		hanging := func(context.Context, *probe) (any, error) {
			hangs.Add(1)
			<-release
			return telemetry.Banners{}, nil
		}
		var value, runs atomic.Int64
		c := newCollected()
		stop := startScheduler(t, c, nil,
			task{"hanging", time.Minute, 10 * time.Second, hanging}, task{"hanging2", time.Minute, 10 * time.Second, hanging},
			task{"broken", time.Minute, time.Second, broken}, task{"blind", time.Minute, time.Second, blind},
			task{"partly", time.Minute, time.Second, partly}, task{"host.resources", time.Minute, time.Second, fact(&value, &runs)})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for kind, want := range map[string]string{
			"broken":  "the collector failed (index out of range); this is a defect, please report it",
			"blind":   "nothing can be seen",
			"partly":  "one part is hidden",
			"hanging": "reading it took longer than 10s; the machine may be overloaded or a file system may hang",
		} {
			if got := c.coverage[kind]; got.Watched || got.Reason != want {
				t.Errorf("%s: %+v, want %q", kind, got, want)
			}
		}
		if !c.coverage["host.resources"].Watched || runs.Load() < 4 {
			t.Errorf("others did not go on: %d runs", runs.Load())
		}
		if hangs.Load() != 2 {
			t.Errorf("collectors that hang were started %d times, want once each", hangs.Load())
		}
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("run returned before its collectors")
		default:
		}
		close(release)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestDearCollectorsRest keeps a collector that takes long to a share of a core.
func TestDearCollectorsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		dear := func(context.Context, *probe) (any, error) {
			runs.Add(1)
			time.Sleep(5 * time.Second)
			return telemetry.Banners{}, nil
		}
		stop := startScheduler(t, newCollected(), nil, task{"dear", time.Minute, time.Minute, dear})
		time.Sleep(2 * time.Hour)
		if n := runs.Load(); n < 3 || n > 5 {
			t.Errorf("%d runs of five seconds in two hours, want about four", n)
		}
		_ = stop()
	})
}
