package agent

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/wire"
)

// Pauses before a failed observer runs again.
const (
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// supervised is one observer and what is known of it.
type supervised struct {
	observer service.Observer
	host     service.Host
	refresh  chan struct{}
	policy   chan struct{}
	changed  func()

	mu       sync.Mutex // guards what follows
	running  bool
	fault    string
	coverage map[string]service.Coverage // by aspect
}

// supervise prepares an observer. host lacks what belongs to one observer.
func supervise(o service.Observer, host service.Host, changed func()) *supervised {
	s := &supervised{observer: o, refresh: make(chan struct{}, 1), policy: make(chan struct{}, 1), changed: changed, coverage: map[string]service.Coverage{}}
	host.Log = host.Log.With(slog.String("service", o.Name()))
	if host.Dir != "" {
		host.Dir = filepath.Join(host.Dir, o.Name())
	}
	host.Refresh, host.PolicyChanged = s.refresh, s.policy
	host.Coverage = s.cover
	s.host = host
	return s
}

// run keeps the observer running until ctx ends. What one observer does wrong
// does not touch the others.
func (s *supervised) run(ctx context.Context) {
	pause := firstPause
	for {
		started := time.Now()
		s.set(true, "")
		s.checkNeeds()
		err := s.once(ctx)
		if ctx.Err() != nil {
			s.set(false, "")
			return
		}
		if time.Since(started) > longestPause {
			pause = firstPause
		}
		if err == nil {
			err = fmt.Errorf("stopped by itself")
		}
		s.host.Log.Warn("observer stopped", slog.Any("error", err), slog.Duration("again_in", pause))
		s.set(false, clip(err.Error(), 500))
		if !sleep(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

func (s *supervised) once(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.host.Log.Error("observer panicked", slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return s.observer.Run(ctx, s.host)
}

// checkNeeds reports each need that the host does not fulfil.
func (s *supervised) checkNeeds() {
	defer func() {
		if p := recover(); p != nil {
			s.cover(service.Coverage{Aspect: "needs", Reason: fmt.Sprintf("the check of needs failed: %v", p)})
		}
	}()
	for _, n := range s.observer.Needs() {
		if n.Check == nil {
			continue
		}
		if err := n.Check(s.host); err != nil {
			s.cover(service.Coverage{Aspect: n.What, Reason: fmt.Sprintf("%s: without it there is no view of %s", err, n.For)})
		} else {
			s.uncover(n.What)
		}
	}
}

func (s *supervised) set(running bool, fault string) {
	s.mu.Lock()
	same := s.running == running && s.fault == fault
	s.running = running
	if fault != "" || running {
		s.fault = fault
	}
	s.mu.Unlock()
	if !same {
		s.changed()
	}
}

func (s *supervised) cover(c service.Coverage) {
	s.mu.Lock()
	was, known := s.coverage[c.Aspect]
	s.coverage[c.Aspect] = c
	s.mu.Unlock()
	if !known || was != c {
		s.changed()
	}
}

func (s *supervised) uncover(aspect string) {
	s.mu.Lock()
	_, known := s.coverage[aspect]
	delete(s.coverage, aspect)
	s.mu.Unlock()
	if known {
		s.changed()
	}
}

// ask tells the observer to look now; one request that waits is enough.
func (s *supervised) ask() {
	select {
	case s.refresh <- struct{}{}:
	default:
	}
}

// retell tells the observer that its policy is another.
func (s *supervised) retell() {
	select {
	case s.policy <- struct{}{}:
	default:
	}
}

func (s *supervised) state() wire.AgentService {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := wire.AgentService{Name: s.observer.Name(), Running: s.running, Fault: s.fault, Coverage: []wire.AgentCoverage{}}
	for _, c := range s.coverage {
		out.Coverage = append(out.Coverage, wire.AgentCoverage{Aspect: c.Aspect, Watched: c.Watched, Reason: c.Reason})
	}
	slices.SortFunc(out.Coverage, func(a, b wire.AgentCoverage) int { return strings.Compare(a.Aspect, b.Aspect) })
	return out
}
