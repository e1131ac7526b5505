// Package agent is the program on an enrolled machine: it runs observers,
// keeps what they emit in a spool, and sends it to the server over the bus. It
// connects outbound only.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/spool"
	"github.com/demarc/demarc/internal/wire"
)

// Config says what to run.
type Config struct {
	// Dir holds identity and spool. Required.
	Dir string
	// Root stands for "/"; empty means "/".
	Root string
	// Observers are the services to run.
	Observers []service.Observer
	// Software names this program and its version.
	Software string
	// SpoolBytes bounds the spool; 0 means 256 MiB.
	SpoolBytes int64
	// Log is required.
	Log *slog.Logger
}

// Run runs the agent until ctx ends, and returns nil then when everything has
// stopped and the spool is closed.
func Run(ctx context.Context, cfg Config) error {
	id, err := LoadIdentity(cfg.Dir)
	if err != nil {
		return err
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	sp, err := spool.Open(spool.Config{Dir: filepath.Join(cfg.Dir, "spool"), MaxBytes: cfg.SpoolBytes, Log: cfg.Log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	rep := &reporter{software: cfg.Software, startedAt: time.Now().UTC().Truncate(time.Second), dir: cfg.Dir, log: cfg.Log,
		spool: sp, emit: newEmitter(sp), shed: openShedding(cfg.Dir), changes: make(chan struct{}, 1)}
	rep.creds = newCredentials(cfg.Dir, id, cfg.Log, rep.changed)
	rep.link = &link{creds: rep.creds, log: cfg.Log, onNote: rep.onNote}
	rep.publisher = &publisher{spool: sp, send: rep.link.request, log: cfg.Log, changed: rep.changed, retry: make(chan struct{}, 1)}
	if rep.policies, err = openPolicies(cfg.Dir, rep.creds, cfg.Log, rep.changed, rep.policyChanged); err != nil {
		return errors.Join(err, sp.Close())
	}
	// Notes that came while there was no connection are lost.
	rep.link.onConnect = func() { rep.publisher.again(); rep.policies.ask() }
	host := service.Host{Root: cfg.Root, Dir: filepath.Join(cfg.Dir, "state"), Log: cfg.Log, Emit: rep.emit.emit}
	for _, o := range cfg.Observers {
		host.Policy = func() (json.RawMessage, int64) { return rep.policies.of(o.Name()) }
		rep.observers = append(rep.observers, supervise(o, host, rep.changed))
	}

	var parts sync.WaitGroup
	parts.Go(func() { _ = rep.link.run(ctx) })
	parts.Go(func() { rep.creds.run(ctx) })
	parts.Go(func() { rep.policies.run(ctx) })
	parts.Go(func() { rep.run(ctx) })
	parts.Go(func() {
		// Without its publisher the agent is of no use: it ends and is started again.
		if err := rep.publisher.run(ctx); err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("publish records: %w", err))
		}
	})
	for _, o := range rep.observers {
		parts.Go(func() { o.run(ctx) })
	}
	cfg.Log.Info("agent runs", slog.String("agent", id.Agent), slog.String("vm", id.VMName), slog.Int("services", len(rep.observers)))
	parts.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return errors.Join(cause, sp.Close())
	}
	return sp.Close()
}

// onNote does what the server asks.
func (r *reporter) onNote(n wire.Note) {
	switch n.Type {
	case wire.NotePolicy:
		r.policies.ask()
		return
	case wire.NoteResync:
		r.emit.forget()
	}
	for _, o := range r.observers {
		o.ask()
	}
	r.changed()
}

// policyChanged tells the observer of a service that its policy is another.
func (r *reporter) policyChanged(service string) {
	for _, o := range r.observers {
		if o.observer.Name() == service {
			o.retell()
		}
	}
}
