package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
)

// Terms are how an approver wants a request to be granted. Zero members are as
// it was asked for; none can be wider.
type Terms struct {
	Scope    []access.Ability
	Duration time.Duration
	// From is when it begins; zero is when it was wanted from, or the approval.
	From time.Time
}

// content is what the customer signs. Its JSON is canonical and read again when
// it is signed.
type content struct {
	Grant   string           `json:"grant"`
	Holder  string           `json:"holder"`
	Ticket  string           `json:"ticket"`
	Purpose string           `json:"purpose"`
	Scope   []access.Ability `json:"scope"`
	Minutes int              `json:"minutes"`
	// From is missing where the clock runs from the signature.
	From *time.Time `json:"from,omitempty"`
}

// Approve puts an approval of the request before the tenant, to be signed. The
// signature is the approval; until then nothing is granted.
func (g *Grants) Approve(ctx context.Context, by access.Principal, tenant, id string, t Terms) (x store.Grant, decision string, err error) {
	x, err = g.change(ctx, tenant, id, func(tx *store.Tx, x *store.Grant) error {
		if err := g.mayDecide(tx, by, *x); err != nil {
			return err
		}
		now := g.now()
		if err := decidable(*x, now); err != nil {
			return err
		}
		if x.Version >= historyAtMost {
			return refusef("grant %s has %d lines of history, which is enough: sign what is proposed, or refuse", id, historyAtMost)
		}
		c, err := t.content(*x, now)
		if err != nil {
			return err
		}
		raw, err := canonical.JSON(c)
		if err != nil {
			return err
		}
		decision, err = g.cfg.Consent.Propose(tx, by, Matter{Tenant: x.Tenant, Subject: "grant/" + x.ID, Content: raw, Expires: x.LapsesAt})
		if err != nil {
			return err
		}
		return g.move(tx, by, x, x.State, act{what: "propose", decision: decision, digests: map[string]string{"terms": canonical.Digest(raw)}})
	})
	return x, decision, err
}

// decidable reports why a request cannot be approved.
func decidable(x store.Grant, now time.Time) error {
	switch {
	case x.State == access.Approved || x.State == access.InForce:
		return refusef("grant %s was approved already, by %s", x.ID, x.ApprovedBy)
	case !x.State.Open():
		return refusef("grant %s is %s: it cannot be approved; it has to be asked for anew", x.ID, x.State)
	case !now.Before(x.LapsesAt):
		return refusef("the request lapsed at %s: it has to be asked for anew", moment(x.LapsesAt))
	}
	return nil
}

func (t Terms) content(x store.Grant, now time.Time) (content, error) {
	c := content{Grant: x.ID, Holder: x.Holder, Ticket: x.Ticket, Purpose: x.Purpose, Scope: x.Scope, Minutes: int(x.Duration.Minutes())}
	if t.Scope != nil {
		c.Scope = t.Scope
	}
	if t.Duration != 0 {
		if err := checkDuration(t.Duration, x.Duration); err != nil {
			return c, fmt.Errorf("%w; the request can be shortened, not lengthened", err)
		}
		c.Minutes = int(t.Duration.Minutes())
	}
	if err := checkFrom(&t.From, now); err != nil {
		return c, err
	}
	if t.From.IsZero() {
		t.From = x.Wanted
	}
	if t.From.After(now) {
		c.From = &t.From
	}
	return c, c.fits(x)
}

// fits checks that what is to be signed grants no more than was asked for.
func (c content) fits(x store.Grant) error {
	if err := checkScope(c.Scope); err != nil {
		return err
	}
	if !access.Narrower(c.Scope, x.Scope) {
		return fmt.Errorf("%w: an approval can grant less than was asked for, not more", estate.ErrInvalid)
	}
	if c.Grant != x.ID || c.Holder != x.Holder || c.Ticket != x.Ticket || c.Purpose != x.Purpose || c.duration() > x.Duration {
		return fmt.Errorf("%w: the decision is not about this request", estate.ErrInvalid)
	}
	return checkDuration(c.duration(), access.LongestGrant)
}

func (c content) duration() time.Duration { return time.Duration(c.Minutes) * time.Minute }

// Signed is a decision that the tenant's signature was verified for.
type Signed struct {
	ID, Tenant, Subject string
	Content             []byte
	// Digest is that of the whole decision.
	Digest string
	// Holders are the principals whose keys signed.
	Holders []string
}

// Approved gives effect to a signed approval, within the transaction that
// stores the signature of by. The clock runs from here, or from the beginning
// that was signed if that is later.
func (g *Grants) Approved(tx *store.Tx, by access.Principal, s Signed) error {
	var c content
	if err := json.Unmarshal(s.Content, &c); err != nil {
		return fmt.Errorf("%w: the decision is no approval of access: %w", estate.ErrInvalid, err)
	}
	if s.Subject != "grant/"+c.Grant {
		return fmt.Errorf("%w: the decision is about %s, its content about grant %s", estate.ErrInvalid, s.Subject, c.Grant)
	}
	x, err := tx.GrantForChange(s.Tenant, c.Grant)
	if err != nil {
		return err
	}
	now := g.now()
	if err := decidable(x, now); err != nil {
		return err
	}
	if err := c.fits(x); err != nil {
		return err
	}
	if err := g.stillStand(tx, by, x, s); err != nil {
		return err
	}
	x.Granted, x.ApprovedBy, x.Decision = c.Scope, by.ID, s.ID
	x.From = now
	if c.From != nil && c.From.After(now) {
		x.From = c.From.UTC()
	}
	x.Until = x.From.Add(c.duration())
	to := access.InForce
	if x.From.After(now) {
		to = access.Approved
	}
	return g.move(tx, by, &x, to, act{what: "approve", decision: s.ID, digests: map[string]string{"decision": s.Digest}})
}

// stillStand checks, at the signature, that all who brought the approval about
// may: who signs, whose keys signed, and who proposed it.
func (g *Grants) stillStand(tx *store.Tx, by access.Principal, x store.Grant, s Signed) error {
	if err := g.mayDecide(tx, by, x); err != nil {
		return err
	}
	history, err := tx.GrantHistory(x.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(history, func(e store.GrantEvent) bool { return e.What == "propose" && e.Decision == s.ID })
	if i < 0 {
		return fmt.Errorf("%w: decision %s was not proposed for grant %s", estate.ErrInvalid, s.ID, x.ID)
	}
	for _, id := range append([]string{actorID(history[i].Actor)}, s.Holders...) {
		if id == by.ID {
			continue
		}
		who, err := g.cfg.People.Standing(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			return refusef("%s, who proposed or signed the approval, was removed: another approver has to approve anew", id)
		}
		if err != nil {
			return err
		}
		who.MFA = true // shown for the session in which it was proposed or signed
		if err := g.mayDecide(tx, who, x); err != nil {
			return err
		}
	}
	return nil
}
