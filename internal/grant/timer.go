package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// lookAgain is how soon a change that another server made is seen here.
const lookAgain = 500 * time.Millisecond

// due is when time alone changes the grant next; zero is never.
func due(x store.Grant) time.Time {
	var at time.Time
	switch x.State {
	case access.Requested, access.InReview:
		at = x.LapsesAt
	case access.Approved:
		at = x.From
	case access.InForce:
		at = x.Until
	}
	if x.Notice == store.NoticeOwed && (at.IsZero() || x.NoticeDue.Before(at)) {
		at = x.NoticeDue
	}
	return at
}

// fall returns what time alone does to the grant, and whether it does anything.
func fall(x store.Grant, now time.Time) (to access.GrantState, notice store.Notice, what string, ok bool) {
	to, notice = x.State, x.Notice
	reached := func(t time.Time) bool { return !now.Before(t) }
	switch {
	case x.State.Open() && reached(x.LapsesAt):
		return access.Lapsed, notice, "lapse", true
	case (x.State == access.Approved || x.State == access.InForce) && reached(x.Until):
		return access.Expired, notice, "expire", true
	case x.State == access.Approved && reached(x.From):
		return access.InForce, notice, "begin", true
	case x.Notice == store.NoticeOwed && reached(x.NoticeDue):
		return to, store.NoticeOverdue, "notice-overdue", true
	}
	return to, notice, "", false
}

// Run moves what time alone moves, and follows what other servers change, until
// ctx ends. Failures of the store are logged and tried again.
func (g *Grants) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.wake:
		case <-t.C:
		}
		if err := g.Step(ctx); err != nil && ctx.Err() == nil {
			g.cfg.Log.Error("timer of grants", "error", err)
		}
		t.Reset(g.pause(ctx))
	}
}

// pause is how long nothing is to be done.
func (g *Grants) pause(ctx context.Context) time.Duration {
	var next time.Time
	err := g.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
		next, err = tx.NextGrantDue()
		return err
	})
	if err != nil || next.IsZero() {
		return lookAgain
	}
	return min(lookAgain, max(time.Millisecond, next.Sub(g.cfg.Now())))
}

// atOnce bounds what one look takes from the store.
const atOnce = 100

// Step does what is due now, and takes in what other servers changed.
func (g *Grants) Step(ctx context.Context) error {
	for ctx.Err() == nil {
		var all []store.Grant
		err := g.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
			all, err = tx.GrantsDue(g.now(), atOnce)
			return err
		})
		if err != nil {
			return err
		}
		var failed []error
		for _, x := range all {
			if err := g.fire(ctx, x.ID); err != nil {
				failed = append(failed, fmt.Errorf("grant %s: %w", x.ID, err))
			}
		}
		if len(failed) > 0 {
			return errors.Join(append(failed, g.Load(ctx))...) // again at the next look
		}
		if len(all) < atOnce {
			break
		}
	}
	return g.Load(ctx)
}

// fire moves a grant by time, unless somebody else did.
func (g *Grants) fire(ctx context.Context, id string) error {
	_, err := g.change(ctx, "", id, func(tx *store.Tx, x *store.Grant) error {
		for {
			to, notice, what, ok := fall(*x, g.now())
			if !ok {
				return nil
			}
			x.Notice = notice
			if err := g.move(tx, timer, x, to, act{what: what}); err != nil {
				return err
			}
		}
	})
	return err
}

// Load takes in what is stored and not known here yet.
func (g *Grants) Load(ctx context.Context) error {
	return g.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		n, err := tx.GrantChanges()
		if err != nil {
			return err
		}
		after := g.index.loaded()
		if after == 0 {
			return g.loadLive(tx, n)
		}
		for after < n {
			all, err := tx.GrantsChanged(after, store.MaxPage)
			if err != nil {
				return err
			}
			for _, x := range all {
				g.index.take(x)
				after = x.Changed
			}
			if len(all) < store.MaxPage {
				after = n
			}
			g.index.load(after)
		}
		return nil
	})
}

// loadLive takes in what is in force, at change n.
func (g *Grants) loadLive(tx *store.Tx, n int64) error {
	f := store.GrantFilter{States: []access.GrantState{access.InForce}}
	for {
		all, err := tx.Grants(f)
		if err != nil {
			return err
		}
		for _, x := range all {
			g.index.take(x)
		}
		if len(all) < store.MaxPage {
			break
		}
		f.Before = all[len(all)-1].ID
	}
	g.index.load(n)
	return nil
}
