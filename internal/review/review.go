// Package review keeps the regular reviews: of a tenant's logs and of its
// network configuration. A timer opens each review; the review prepares what
// there is to look at; a person says what was looked at and signs off, for
// good. The provider has a review of its own logs; the network configuration
// of its hosts is reviewed in its own tenants.
package review

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Kinds of review.
const (
	Logs    = "logs"
	Network = "network"
)

// Interval bounds how often reviews of a kind are due, in days.
type Interval struct{ Default, Least, Most int }

// Intervals are the bounds by kind.
var Intervals = map[string]Interval{
	Logs:    {Default: 30, Least: 1, Most: 90},
	Network: {Default: 90, Least: 1, Most: 180},
}

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Judge judges subjects anew within a transaction.
type Judge interface {
	Rejudge(tx *store.Tx, subjects ...evidence.Subject) error
}

// Reviews keeps the reviews. It is safe for concurrent use. All members are
// required.
type Reviews struct {
	Store  *store.Store
	Ledger Recorder
	Judge  Judge
	Now    func() time.Time
	Log    *slog.Logger
}

// lead is how long before a review is due it opens.
func lead(days int) time.Duration {
	return min(7*24*time.Hour, time.Duration(days)*24*time.Hour/4)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// Run opens reviews as their time comes, until ctx ends. Failures of the store
// are logged and tried again.
func (r *Reviews) Run(ctx context.Context) error {
	if err := r.CatchUp(ctx); err != nil && ctx.Err() == nil {
		r.Log.Error("read the network configurations that came before their review", "error", err)
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		if err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("open reviews", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// atOnce bounds what one transaction of a sweep does.
const atOnce = 50

// Sweep plans the reviews of new tenants and opens those whose time has come.
// A review opens once, however often and wherever Sweep runs.
func (r *Reviews) Sweep(ctx context.Context) error {
	for ctx.Err() == nil {
		again, err := r.plan(ctx)
		if err != nil {
			return err
		}
		due := 0
		err = r.Store.Read(ctx, func(tx *store.Tx) error {
			plans, err := tx.DueReviewPlans(r.Now(), atOnce)
			due = len(plans)
			return err
		})
		if err != nil {
			return err
		}
		if due > 0 {
			if err := r.Store.Write(ctx, r.open); err != nil {
				return err
			}
		}
		if !again && due < atOnce {
			return nil
		}
	}
	return nil
}

// plan makes the plans of tenants that have none, and reports whether there may
// be more.
func (r *Reviews) plan(ctx context.Context) (again bool, err error) {
	missing := func(tx *store.Tx) (plans []store.ReviewPlan, err error) {
		now := r.Now()
		add := func(tenant, kind string) {
			plans = append(plans, store.ReviewPlan{Tenant: tenant, Kind: kind, EveryDays: Intervals[kind].Default, Since: now, Opens: &now})
		}
		if _, err := tx.ReviewPlan("", Logs); errors.Is(err, store.ErrNotFound) {
			add("", Logs)
		} else if err != nil {
			return nil, err
		}
		for _, kind := range []string{Logs, Network} {
			ids, err := tx.TenantsWithoutReviewPlan(kind, atOnce)
			if err != nil {
				return nil, err
			}
			again = again || len(ids) == atOnce
			for _, id := range ids {
				add(id, kind)
			}
		}
		return plans, nil
	}
	var some []store.ReviewPlan
	err = r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		some, err = missing(tx)
		return err
	})
	if err != nil || len(some) == 0 {
		return false, err
	}
	return again, r.Store.Write(ctx, func(tx *store.Tx) error {
		plans, err := missing(tx) // another server may have been faster
		if err != nil {
			return err
		}
		for _, p := range plans {
			if err := tx.InsertReviewPlan(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// open opens the reviews whose time has come.
func (r *Reviews) open(tx *store.Tx) error {
	now := r.Now()
	plans, err := tx.DueReviewPlans(now, atOnce)
	if err != nil {
		return err
	}
	var entries []ledger.Entry
	for _, p := range plans {
		v := store.Review{ID: ident.New("rv"), Tenant: p.Tenant, Kind: p.Kind, Opened: now, Due: DueOf(p), After: p.Sequence}
		if err := tx.InsertReview(v); err != nil {
			return err
		}
		p.Opens = nil
		if err := tx.UpdateReviewPlan(p); err != nil {
			return err
		}
		if p.Tenant != "" {
			if err := r.Judge.Rejudge(tx, tenantSubject(p.Tenant)); err != nil {
				return err
			}
		}
		entries = append(entries, ledger.Entry{Time: now, Tenant: p.Tenant, Actor: "system/review", Action: "review.open", Subject: "review/" + v.ID})
	}
	_, err = r.Ledger.Append(tx, entries...)
	return err
}

// DueOf is when the plan's next review must be signed off.
func DueOf(p store.ReviewPlan) time.Time {
	last := p.Since
	if p.Signed != nil {
		last = *p.Signed
	}
	return last.Add(days(p.EveryDays))
}

func tenantSubject(id string) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeTenant, Tenant: id, ID: id}
}

// Plans returns how often a tenant's reviews are due; the provider's if tenant
// is empty.
func (r *Reviews) Plans(ctx context.Context, tenant string) (plans []store.ReviewPlan, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		plans, err = tx.ReviewPlans(tenant)
		return err
	})
	return plans, err
}

// List returns reviews of a tenant, newest first; the provider's if tenant is empty.
func (r *Reviews) List(ctx context.Context, tenant string, p store.Page) (list []store.Review, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.Reviews(tenant, p)
		return err
	})
	return list, err
}

// SetInterval changes how often reviews of a kind are due.
func (r *Reviews) SetInterval(ctx context.Context, by access.Principal, tenant, kind string, every int) (p store.ReviewPlan, err error) {
	bounds, ok := Intervals[kind]
	switch {
	case !ok:
		return p, fmt.Errorf("%w: there is no review of %q: say %s or %s", estate.ErrInvalid, kind, Logs, Network)
	case every < bounds.Least || every > bounds.Most:
		return p, fmt.Errorf("%w: a %s review is due every %d to %d days, not every %d", estate.ErrInvalid, kind, bounds.Least, bounds.Most, every)
	}
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		if p, err = tx.ReviewPlan(tenant, kind); err != nil {
			return err
		}
		p.EveryDays = every
		v, err := tx.OpenReview(tenant, kind)
		switch {
		case err == nil:
			err = tx.MoveReview(tenant, v.ID, DueOf(p))
		case errors.Is(err, store.ErrNotFound):
			opens := DueOf(p).Add(-lead(every))
			p.Opens, err = &opens, nil
		}
		if err != nil {
			return err
		}
		if err := tx.UpdateReviewPlan(p); err != nil {
			return err
		}
		if tenant != "" {
			if err := r.Judge.Rejudge(tx, tenantSubject(tenant)); err != nil {
				return err
			}
		}
		_, err = r.Ledger.Append(tx, ledger.Entry{
			Time: r.Now(), Tenant: tenant, Actor: by.Actor(), Action: "review.schedule", Subject: fmt.Sprintf("review-plan/%s/%d", kind, every),
		})
		return err
	})
	return p, err
}
