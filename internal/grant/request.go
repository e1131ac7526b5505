package grant

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/store"
)

const (
	// LapsesAfter is how long a request waits for a decision.
	LapsesAfter = 72 * time.Hour
	// openAtMost bounds the undecided requests of one holder for one tenant.
	openAtMost = 20
	// historyAtMost bounds what is said about one grant.
	historyAtMost = 200
	// late is how far in the past a wanted start may lie, for slow hands and
	// clocks; it means now.
	late = 5 * time.Minute
)

// Request is what somebody of the provider asks for.
type Request struct {
	// Ticket names the customer's matter that the access is for.
	Ticket  string
	Purpose string
	Scope   []access.Ability
	// Duration is in whole minutes, at most access.LongestGrant.
	Duration time.Duration
	// From is when it should begin; zero is as soon as it is approved.
	From time.Time
}

func (r *Request) check(now time.Time, longest time.Duration) error {
	r.Purpose = strings.TrimSpace(r.Purpose)
	if err := plainText("purpose", r.Purpose); err != nil {
		return err
	}
	if err := checkScope(r.Scope); err != nil {
		return err
	}
	if err := checkDuration(r.Duration, longest); err != nil {
		return err
	}
	return checkFrom(&r.From, now)
}

var ticketForm = regexp.MustCompile(`^[A-Za-z0-9#][A-Za-z0-9#._/:-]{0,63}$`)

func checkTicket(ticket string) error {
	if !ticketForm.MatchString(ticket) {
		return fmt.Errorf("%w: name the ticket that the access is for, as in INC-1234: up to 64 letters, digits, '#', '.', '_', '/', ':' or '-'", estate.ErrInvalid)
	}
	return nil
}

func plainText(what, s string) error {
	switch {
	case len(s) < 3 || len(s) > 2000:
		return fmt.Errorf("%w: give the %s in 3 to 2000 characters", estate.ErrInvalid, what)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
	}):
		return fmt.Errorf("%w: the %s must be plain text without control characters", estate.ErrInvalid, what)
	}
	return nil
}

func checkScope(scope []access.Ability) error {
	if len(scope) == 0 || len(scope) > access.GrantScopes {
		return fmt.Errorf("%w: name 1 to %d abilities, as in shell at hv-1", estate.ErrInvalid, access.GrantScopes)
	}
	for i, a := range scope {
		if err := a.Check(); err != nil {
			return fmt.Errorf("%w: %w", estate.ErrInvalid, err)
		}
		if slices.Contains(scope[:i], a) {
			return fmt.Errorf("%w: %s at %s is named twice", estate.ErrInvalid, a.Do, a.Target)
		}
	}
	return nil
}

func checkDuration(d, longest time.Duration) error {
	if d < time.Minute || d > longest || d%time.Minute != 0 {
		return fmt.Errorf("%w: it lasts from one minute to %s, in whole minutes", estate.ErrInvalid, hours(longest))
	}
	return nil
}

func hours(d time.Duration) string {
	if d == time.Hour {
		return "1 hour"
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}

// checkFrom also makes a start that is just past the present.
func checkFrom(from *time.Time, now time.Time) error {
	if from.IsZero() {
		return nil
	}
	*from = from.UTC().Truncate(time.Microsecond)
	switch {
	case from.Before(now.Add(-late)):
		return fmt.Errorf("%w: it cannot begin in the past; leave the start out to begin with the approval", estate.ErrInvalid)
	case from.After(now.Add(access.GrantAhead)):
		return fmt.Errorf("%w: it can begin within %d days; ask again nearer to the time", estate.ErrInvalid, int(access.GrantAhead.Hours()/24))
	case !from.After(now):
		*from = time.Time{}
	}
	return nil
}

// Request asks for access; the customer's approvers have it before them from
// then on.
func (g *Grants) Request(ctx context.Context, by access.Principal, tenant string, r Request) (x store.Grant, err error) {
	if err := checkTicket(r.Ticket); err != nil {
		return x, err
	}
	now := g.now()
	if err := r.check(now, access.LongestGrant); err != nil {
		return x, err
	}
	err = g.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		x = g.fresh(by, tenant, r, now)
		return g.request(tx, by, &x)
	})
	return x, err
}

// fresh is a request that nobody has seen yet.
func (g *Grants) fresh(by access.Principal, tenant string, r Request, now time.Time) store.Grant {
	x := store.Grant{
		ID: ident.New("gr"), Tenant: tenant, Holder: by.ID, Ticket: r.Ticket, Purpose: r.Purpose, Scope: r.Scope, Duration: r.Duration,
		Wanted: r.From, State: access.Requested, RequestedAt: now, LapsesAt: now.Add(LapsesAfter),
	}
	if !x.Wanted.IsZero() && x.Wanted.Before(x.LapsesAt) {
		x.LapsesAt = x.Wanted
	}
	return x
}

func (g *Grants) request(tx *store.Tx, by access.Principal, x *store.Grant) error {
	if err := noGuests(tx, *x); err != nil {
		return err
	}
	open, err := tx.Grants(store.GrantFilter{Tenant: x.Tenant, Holder: x.Holder, States: []access.GrantState{access.Requested, access.InReview}, Limit: openAtMost})
	if err != nil {
		return err
	}
	if len(open) == openAtMost {
		return refusef("%d requests of yours wait for a decision of this tenant: withdraw some", openAtMost)
	}
	return g.insert(tx, by, x, "request")
}

func (g *Grants) insert(tx *store.Tx, by access.Principal, x *store.Grant, what string) error {
	x.Due = due(*x)
	raw, err := canonical.JSON(map[string]any{
		"holder": x.Holder, "ticket": x.Ticket, "purpose": x.Purpose, "scope": x.Scope, "minutes": int(x.Duration.Minutes()), "extends": x.Extends,
	})
	if err != nil {
		return err
	}
	if err := tx.InsertGrant(x, store.GrantEvent{At: x.RequestedAt, Actor: by.Actor(), What: what}); err != nil {
		return err
	}
	return g.record(tx, by, *x, act{what: what, digests: map[string]string{"request": canonical.Digest(raw)}})
}

// noGuests refuses a scope that names a VM of the tenant: a login to a guest is
// nothing that can be granted.
func noGuests(tx *store.Tx, x store.Grant) error {
	for _, a := range x.Scope {
		if _, err := tx.VM(x.Tenant, a.Target); err == nil {
			return fmt.Errorf("%w: %s is a VM of the customer: a login to a guest cannot be granted; ask the customer to do it", estate.ErrInvalid, a.Target)
		}
	}
	return nil
}

// Extend asks for more time: a new request that is to begin when the old grant
// ends, which goes on until then.
func (g *Grants) Extend(ctx context.Context, by access.Principal, tenant, id string, d time.Duration, purpose string) (x store.Grant, err error) {
	err = g.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		old, err := tx.GrantForChange(tenant, id)
		if err != nil {
			return err
		}
		now := g.now()
		switch {
		case old.Holder != by.ID:
			return refusef("only its holder extends a grant")
		case old.BreakGlass:
			return refusef("access in an emergency is not extended: ask for access with a ticket")
		case old.State != access.InForce && old.State != access.Approved || !now.Before(old.Until):
			return refusef("grant %s is %s: ask for another", id, old.State)
		}
		r := Request{Ticket: old.Ticket, Purpose: purpose, Scope: old.Granted, Duration: d}
		if r.Purpose == "" {
			r.Purpose = old.Purpose
		}
		if err := r.check(now, access.LongestGrant); err != nil {
			return err
		}
		r.From = old.Until
		x = g.fresh(by, tenant, r, now)
		x.Extends = old.ID
		return g.request(tx, by, &x)
	})
	return x, err
}

// Ask asks the holder for more information.
func (g *Grants) Ask(ctx context.Context, by access.Principal, tenant, id, words string) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "question", words, func(tx *store.Tx, x *store.Grant, a act) error {
		if err := g.mayDecide(tx, by, *x); err != nil {
			return err
		}
		if !x.State.Open() {
			return refusef("grant %s is %s: there is nothing left to ask", id, x.State)
		}
		if x.Version >= historyAtMost {
			return refusef("%d things were said about grant %s, which is enough: approve it or refuse it", historyAtMost, id)
		}
		a.what = "ask"
		return g.move(tx, by, x, access.InReview, a)
	})
}

// Answer gives the information that was asked for.
func (g *Grants) Answer(ctx context.Context, by access.Principal, tenant, id, words string) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "answer", words, func(tx *store.Tx, x *store.Grant, a act) error {
		switch {
		case x.Holder != by.ID:
			return refusef("only who asked for access answers the customer's question")
		case x.State != access.InReview:
			return refusef("grant %s is %s: no question is open", id, x.State)
		}
		a.what = "answer"
		return g.move(tx, by, x, access.Requested, a)
	})
}

// Refuse says no.
func (g *Grants) Refuse(ctx context.Context, by access.Principal, tenant, id, words string) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "reason", words, func(tx *store.Tx, x *store.Grant, a act) error {
		if err := g.mayDecide(tx, by, *x); err != nil {
			return err
		}
		if !x.State.Open() {
			return refusef("grant %s is %s: only a request can be refused; to end access, revoke it", id, x.State)
		}
		a.what = "refuse"
		return g.move(tx, by, x, access.Refused, a)
	})
}

// say moves a grant with words.
func (g *Grants) say(ctx context.Context, by access.Principal, tenant, id, what, words string, f func(*store.Tx, *store.Grant, act) error) (store.Grant, error) {
	words = strings.TrimSpace(words)
	if err := plainText(what, words); err != nil {
		return store.Grant{}, err
	}
	return g.change(ctx, tenant, id, func(tx *store.Tx, x *store.Grant) error {
		return f(tx, x, act{words: words})
	})
}
