package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/demarc/demarc/internal/store"
)

// warnings are how long before its end a session is told of it, shortest first.
var warnings = []struct {
	left  time.Duration
	words string
}{
	{time.Minute, "your access ends within a minute"},
	{5 * time.Minute, "your access ends within 5 minutes"},
}

// Watch closes sessions whose grant ends: at once where this process ended it,
// within a fraction of a second where another server did or its time is over.
func (g *Gateway) Watch(ctx context.Context) error {
	ended, cancel := g.Grants.Ended()
	defer func() { cancel() }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	read := time.Now() // when grants were last read
	for {
		select {
		case <-ctx.Done():
			return nil
		case id, ok := <-ended:
			if !ok { // it was behind; the poll finds what it missed
				cancel()
				ended, cancel = g.Grants.Ended()
				continue
			}
			g.endAll(func(m member) bool { return m.grant().ID == id }, "your access was ended")
			continue
		case <-tick.C:
		}
		err := g.poll(ctx)
		switch {
		case err == nil:
			read = time.Now()
		case ctx.Err() != nil:
			return nil
		case time.Since(read) > blind:
			g.Log.Error("sessions are closed, because grants cannot be read", "error", err)
			g.endAll(func(member) bool { return true }, "it cannot be made sure that your access still stands")
		}
	}
}

// poll asks for the grants of all open sessions.
func (g *Gateway) poll(ctx context.Context) error {
	members := g.members()
	if len(members) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	now := g.Now()
	known := map[string]standing{}
	err := g.Store.Read(ctx, func(tx *store.Tx) error {
		for _, m := range members {
			gr := m.grant()
			if _, seen := known[gr.ID]; seen || gr.ID == "" {
				continue
			}
			s, err := g.standing(tx, gr, now)
			if err != nil {
				return err
			}
			known[gr.ID] = s
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range members {
		s, ok := known[m.grant().ID]
		switch {
		case !ok: // it is only just coming in
		case s.over != "":
			m.end(s.over)
		default:
			m.renew(s.grant)
			remind(m, now)
		}
	}
	return nil
}

// standing is how it stands with a grant that sessions are open under.
type standing struct {
	grant Grant
	over  string // why its sessions must end; empty if they need not
}

func (g *Gateway) standing(tx *store.Tx, gr Grant, now time.Time) (standing, error) {
	fresh, err := g.Grants.Active(tx, gr.ID, now)
	gone := errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict)
	switch {
	case gone && !now.Before(gr.Until):
		return standing{over: "the time of your access is over"}, nil
	case gone:
		return standing{over: "your access was ended"}, nil
	case err != nil:
		return standing{}, err
	}
	_, err = g.People.Standing(tx, gr.Holder)
	if errors.Is(err, store.ErrNotFound) {
		return standing{over: "you are no longer one of the provider's people"}, nil
	}
	return standing{grant: fresh}, err
}

// remind warns a session of its end, once for each warning.
func remind(m member, now time.Time) {
	left := m.grant().Until.Sub(now)
	for _, w := range warnings {
		if left > w.left {
			continue
		}
		if former := m.warned(w.left); former == 0 || former > w.left {
			m.warn(w.words)
		}
		return
	}
}
