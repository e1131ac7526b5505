package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/decision"
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

// Approve puts an approval of the request before the tenant, to be signed. The
// signature is the approval; until then nothing is granted.
func (g *Grants) Approve(ctx context.Context, by access.Principal, tenant, id string, t Terms) (x store.Grant, proposed string, err error) {
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
		raw, err := decision.Encode(c)
		if err != nil {
			return err
		}
		d, err := g.cfg.Consent.Propose(tx, by, decision.Decision{
			Kind: decision.AccessApproval, Tenant: x.Tenant, Subject: "grant/" + x.ID, Content: raw, ExpiresAt: x.LapsesAt,
		})
		if err != nil {
			return err
		}
		proposed = d.ID
		return g.move(tx, by, x, x.State, act{what: "propose", decision: d.ID, digests: map[string]string{"terms": canonical.Digest(raw)}})
	})
	return x, proposed, err
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

func (t Terms) content(x store.Grant, now time.Time) (decision.ApprovalContent, error) {
	c := decision.ApprovalContent{Grant: x.ID, Holder: x.Holder, Ticket: x.Ticket, Purpose: x.Purpose, Seconds: int64(x.Duration.Seconds())}
	scope := x.Scope
	if t.Scope != nil {
		scope = t.Scope
	}
	for _, a := range scope {
		c.Scope = append(c.Scope, decision.Ability(a))
	}
	if t.Duration != 0 {
		if err := checkDuration(t.Duration, x.Duration); err != nil {
			return c, fmt.Errorf("%w; the request can be shortened, not lengthened", err)
		}
		c.Seconds = int64(t.Duration.Seconds())
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
	return c, fits(c, x)
}

// fits checks that what is to be signed grants no more than was asked for.
func fits(c decision.ApprovalContent, x store.Grant) error {
	scope := scopeOf(c)
	if err := checkScope(scope); err != nil {
		return err
	}
	if !access.Narrower(scope, x.Scope) {
		return fmt.Errorf("%w: an approval can grant less than was asked for, not more", estate.ErrInvalid)
	}
	if c.Grant != x.ID || c.Holder != x.Holder || c.Ticket != x.Ticket || c.Purpose != x.Purpose || c.BreakGlass || duration(c) > x.Duration {
		return fmt.Errorf("%w: the decision is not about this request", estate.ErrInvalid)
	}
	return checkDuration(duration(c), access.LongestGrant)
}

func duration(c decision.ApprovalContent) time.Duration {
	return time.Duration(c.Seconds) * time.Second
}

func scopeOf(c decision.ApprovalContent) (out []access.Ability) {
	for _, a := range c.Scope {
		out = append(out, access.Ability(a))
	}
	return out
}

// Approved gives effect to a signed approval, within the transaction that
// stores the last signature, which is by's. The clock runs from here, or from
// the beginning that was signed if that is later.
func (g *Grants) Approved(tx *store.Tx, by access.Principal, s decision.Signed) error {
	d := s.Decision
	c, err := decision.Content[decision.ApprovalContent](d, decision.AccessApproval)
	if err != nil {
		return fmt.Errorf("%w: %w", estate.ErrInvalid, err)
	}
	if d.Subject != "grant/"+c.Grant {
		return fmt.Errorf("%w: the decision is about %s, its content about grant %s", estate.ErrInvalid, d.Subject, c.Grant)
	}
	x, err := tx.GrantForChange(d.Tenant, c.Grant)
	if err != nil {
		return err
	}
	now := g.now()
	if err := decidable(x, now); err != nil {
		return err
	}
	if err := fits(c, x); err != nil {
		return err
	}
	if err := g.stillStand(tx, by, x, d.ID); err != nil {
		return err
	}
	digest, err := d.Digest()
	if err != nil {
		return err
	}
	x.Granted, x.ApprovedBy, x.Decision = scopeOf(c), by.ID, d.ID
	x.From = now
	if c.From != nil && c.From.After(now) {
		x.From = c.From.UTC()
	}
	x.Until = x.From.Add(duration(c))
	to := access.InForce
	if x.From.After(now) {
		to = access.Approved
	}
	return g.move(tx, by, &x, to, act{what: "approve", decision: d.ID, digests: map[string]string{"decision": digest}})
}

// stillStand checks, at the last signature, that all who brought the approval
// about may decide still: who proposed it, and who signed.
func (g *Grants) stillStand(tx *store.Tx, by access.Principal, x store.Grant, id string) error {
	if err := g.mayDecide(tx, by, x); err != nil {
		return err
	}
	history, err := tx.GrantHistory(x.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(history, func(e store.GrantEvent) bool { return e.What == "propose" && e.Decision == id })
	if i < 0 {
		return fmt.Errorf("%w: decision %s was not proposed for grant %s", estate.ErrInvalid, id, x.ID)
	}
	given, err := tx.Signatures(id)
	if err != nil {
		return err
	}
	others := []string{actorID(history[i].Actor)}
	for _, s := range given {
		others = append(others, actorID(s.By))
	}
	for _, id := range others {
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
