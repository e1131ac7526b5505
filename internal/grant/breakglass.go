package grant

import (
	"context"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

// Emergency is access that nobody approved.
type Emergency struct {
	Reason string
	Scope  []access.Ability
	// Duration is in whole minutes, at most access.LongestBreakGlass.
	Duration time.Duration
	// Ticket may be empty: the notice names it then.
	Ticket string
}

// BreakGlass gives access at once. Within access.NoticeWithin the customer has
// to be told what was done.
func (g *Grants) BreakGlass(ctx context.Context, by access.Principal, tenant string, e Emergency) (x store.Grant, err error) {
	r := Request{Ticket: e.Ticket, Purpose: e.Reason, Scope: e.Scope, Duration: e.Duration}
	now := g.now()
	if e.Ticket != "" {
		if err := checkTicket(e.Ticket); err != nil {
			return x, err
		}
	}
	if err := r.check(now, access.LongestBreakGlass); err != nil {
		return x, err
	}
	err = g.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		x = store.Grant{
			ID: ident.New("gr"), Tenant: tenant, Holder: by.ID, Ticket: r.Ticket, Purpose: r.Purpose, Scope: r.Scope, Duration: r.Duration,
			BreakGlass: true, State: access.InForce, RequestedAt: now, LapsesAt: now, Granted: r.Scope, From: now, Until: now.Add(r.Duration),
			NoticeDue: now.Add(access.NoticeWithin), Notice: store.NoticeOwed,
		}
		if err := noGuests(tx, x); err != nil {
			return err
		}
		return g.insert(tx, by, &x, "break-glass")
	})
	return x, err
}

// Notify tells the customer what was done in the emergency. ticket is needed
// where none was named before.
func (g *Grants) Notify(ctx context.Context, by access.Principal, tenant, id, done, ticket string) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "account of what was done", done, func(tx *store.Tx, x *store.Grant, a act) error {
		switch {
		case !x.BreakGlass:
			return refusef("grant %s was approved: no notice is owed", id)
		case x.Notice != store.NoticeOwed && x.Notice != store.NoticeOverdue:
			return refusef("the notice of grant %s was given at %s", id, moment(x.NoticeAt))
		case x.Ticket == "" || ticket != "" && ticket != x.Ticket:
			if x.Ticket != "" {
				return refusef("grant %s names ticket %s already", id, x.Ticket)
			}
			if err := checkTicket(ticket); err != nil {
				return err
			}
			x.Ticket = ticket
		}
		a.what, x.Notice, x.NoticeAt = "notice", store.NoticeGiven, g.now()
		return g.move(tx, by, x, x.State, a)
	})
}

// Acknowledge accepts the notice for the customer, also one that was disputed.
func (g *Grants) Acknowledge(ctx context.Context, by access.Principal, tenant, id, words string) (store.Grant, error) {
	if strings.TrimSpace(words) == "" {
		words = "acknowledged"
	}
	return g.judgeNotice(ctx, by, tenant, id, words, "acknowledge", store.NoticeAcknowledged)
}

// Dispute says for the customer that the emergency does not justify the access.
func (g *Grants) Dispute(ctx context.Context, by access.Principal, tenant, id, words string) (store.Grant, error) {
	return g.judgeNotice(ctx, by, tenant, id, words, "dispute", store.NoticeDisputed)
}

func (g *Grants) judgeNotice(ctx context.Context, by access.Principal, tenant, id, words, what string, to store.Notice) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "reason", words, func(tx *store.Tx, x *store.Grant, a act) error {
		if err := g.mayDecide(tx, by, *x); err != nil {
			return err
		}
		switch {
		case !x.BreakGlass:
			return refusef("grant %s was approved: there is no notice", id)
		case x.Notice == store.NoticeOwed || x.Notice == store.NoticeOverdue:
			return refusef("the provider has not given notice of grant %s yet; it is due by %s", id, moment(x.NoticeDue))
		case x.Notice == to, x.Notice == store.NoticeAcknowledged:
			return refusef("the notice of grant %s is %s already", id, x.Notice)
		}
		a.what, x.Notice = what, to
		return g.move(tx, by, x, x.State, a)
	})
}
