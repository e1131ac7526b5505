package observer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service"
)

// workers is how many collectors run at once: enough that a slow one does not
// hold up the others, few enough that the machine does not notice.
const workers = 2

// dutyCycle bounds the share of a core that one dear collector takes: it rests
// for that many times as long as it ran, if that is longer than its interval.
const dutyCycle = 400

// refreshRest is the same for runs that somebody asks for.
const refreshRest = 10

// scheduler runs every task at its interval. Its fields belong to the
// goroutine of run; a job belongs to its worker while it is busy.
type scheduler struct {
	host  service.Host
	probe *probe
	jobs  []*job
	// released delivers jobs whose worker slot is free again; over says
	// whether the collector has also returned.
	released chan release
}

type job struct {
	task
	due  time.Time
	busy bool
	// again asks for another run as soon as the present one is over.
	again bool
	// ended and took tell of the last run.
	ended   time.Time
	took    time.Duration
	emitter emitter
	// said is the coverage last told, so that it is told only when it changes.
	said     service.Coverage
	everSaid bool
}

type release struct {
	job  *job
	took time.Duration
	over bool
}

func newScheduler(host service.Host, p *probe, tasks []task) *scheduler {
	s := &scheduler{host: host, probe: p, released: make(chan release)}
	for _, t := range tasks {
		s.jobs = append(s.jobs, &job{task: t, emitter: emitter{kind: t.kind, emit: host.Emit}})
	}
	return s
}

// run returns nil when ctx has ended and every collector has returned.
func (s *scheduler) run(ctx context.Context) error {
	free, running := workers, 0
	for {
		now := s.probe.now()
		for _, j := range s.jobs {
			if ctx.Err() != nil || free == 0 {
				break
			}
			if !j.busy && !j.due.After(now) {
				j.busy, j.again = true, false
				free, running = free-1, running+1
				go s.work(ctx, j)
			}
		}
		if ctx.Err() != nil && running == 0 {
			return nil
		}
		timer := time.NewTimer(s.untilNext(now, free))
		select {
		case r := <-s.released:
			if r.took >= 0 {
				free++
				s.plan(r.job, r.took)
			}
			if r.over {
				running--
				r.job.busy = false
			}
		case <-timer.C:
		case <-s.host.Refresh:
			s.refresh()
		case <-doneUnless(ctx, running):
		}
		timer.Stop()
	}
}

// doneUnless is ctx.Done while nothing runs and before the end; once ctx has
// ended only the running collectors are waited for.
func doneUnless(ctx context.Context, running int) <-chan struct{} {
	if ctx.Err() != nil && running > 0 {
		return nil
	}
	return ctx.Done()
}

// plan sets when a job is due again, with a jitter of five per cent.
func (s *scheduler) plan(j *job, took time.Duration) {
	j.ended, j.took = s.probe.now(), took
	if j.again {
		j.due = j.soonest()
		return
	}
	pause := max(j.every, dutyCycle*took)
	spread := int64(pause / 10)
	j.due = s.probe.now().Add(pause - time.Duration(spread/2) + time.Duration(rand.Int64N(spread+1)))
}

// refresh makes every job due.
func (s *scheduler) refresh() {
	s.probe.memory.epoch.Add(1)
	for _, j := range s.jobs {
		j.again = j.busy
		j.due = j.soonest()
	}
}

// soonest is when a job may run again if somebody asks: at once if it is
// cheap, and with a rest after a dear one, so that nobody can make the agent
// busy by asking.
func (j *job) soonest() time.Time { return j.ended.Add(refreshRest * j.took) }

// untilNext is the time to the next job that could start.
func (s *scheduler) untilNext(now time.Time, free int) time.Duration {
	next := time.Hour
	if free == 0 {
		return next
	}
	for _, j := range s.jobs {
		if !j.busy {
			next = min(next, max(j.due.Sub(now), 0))
		}
	}
	return next
}

// work runs the collector of j within its time limit, emits what it found, and
// releases the worker slot. A collector that does not heed its limit keeps the
// job busy until it returns, but not the slot.
func (s *scheduler) work(ctx context.Context, j *job) {
	limited, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	start := time.Now()
	p := s.probe.forRun()
	out := make(chan outcome, 1)
	go func() { out <- collectSafely(limited, j.collect, p) }()
	select {
	case o := <-out:
		s.deliver(ctx, j, o, p.gaps())
		s.released <- release{j, time.Since(start), true}
	case <-limited.Done():
		if ctx.Err() == nil {
			s.cover(j, fmt.Sprintf("reading it took longer than %s; the machine may be overloaded or a file system may hang", j.limit))
		}
		s.released <- release{j, time.Since(start), false}
		<-out
		s.released <- release{j, -1, true}
	}
}

type outcome struct {
	fact any
	err  error
}

// collectSafely turns a panic of the collector into an error.
func collectSafely(ctx context.Context, c collector, p *probe) (o outcome) {
	defer func() {
		if r := recover(); r != nil {
			o = outcome{err: fmt.Errorf("the collector failed (%v); this is a defect, please report it", r)}
		}
	}()
	fact, err := c(ctx, p)
	return outcome{fact, err}
}

func (s *scheduler) deliver(ctx context.Context, j *job, o outcome, gaps []string) {
	if ctx.Err() != nil {
		return
	}
	if o.err == nil {
		o.err = j.emitter.send(ctx, s.probe.now(), o.fact)
	}
	switch {
	case errors.Is(o.err, service.ErrShed), errors.Is(o.err, context.Canceled):
		// The agent counts and reports what it sheds; the next run sends in full.
	case o.err != nil:
		s.cover(j, o.err.Error())
	case len(gaps) > 0:
		s.cover(j, strings.Join(gaps, "; "))
	default:
		s.cover(j, "")
	}
}

// cover tells the coverage of the job's kind if it changed. An empty reason
// means that all of it is watched.
func (s *scheduler) cover(j *job, reason string) {
	c := service.Coverage{Aspect: j.kind, Watched: reason == "", Reason: reason}
	if j.everSaid && c == j.said {
		return
	}
	j.said, j.everSaid = c, true
	s.host.Coverage(c)
}
