package grant

import (
	"context"
	"strings"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// actorID is the principal of ROLE/ID.
func actorID(actor string) string {
	_, id, _ := strings.Cut(actor, "/")
	return id
}

// Revoke ends access before its time; live sessions end with it.
func (g *Grants) Revoke(ctx context.Context, by access.Principal, tenant, id, reason string) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "reason", reason, func(tx *store.Tx, x *store.Grant, a act) error {
		switch {
		case x.State.Open():
			return refusef("grant %s is not approved yet: refuse it instead", id)
		case x.State.Over():
			return refusef("grant %s is over already: it is %s", id, x.State)
		}
		a.what = "revoke"
		return g.move(tx, by, x, access.Revoked, a)
	})
}

// Close ends access with its task, or withdraws the request. done says what was
// done.
func (g *Grants) Close(ctx context.Context, by access.Principal, tenant, id, done string) (store.Grant, error) {
	return g.say(ctx, by, tenant, id, "account of what was done", done, func(tx *store.Tx, x *store.Grant, a act) error {
		switch {
		case x.Holder != by.ID:
			return refusef("only its holder closes a grant; others revoke it")
		case x.State.Over():
			return refusef("grant %s is over already: it is %s", id, x.State)
		}
		a.what = "close"
		if x.State.Open() {
			a.what = "withdraw"
		}
		return g.move(tx, by, x, access.Closed, a)
	})
}

// Dismiss ends all that a principal holds or waits for, within the transaction
// that removes it.
func (g *Grants) Dismiss(tx *store.Tx, by access.Principal, principal string) error {
	all, err := tx.Grants(store.GrantFilter{Holder: principal, States: []access.GrantState{access.Requested, access.InReview, access.Approved, access.InForce}})
	if err != nil {
		return err
	}
	for _, x := range all {
		if err := tx.LockTenant(x.Tenant); err != nil {
			return err
		}
		if x, err = tx.GrantForChange(x.Tenant, x.ID); err != nil {
			return err
		}
		to, a := access.Revoked, act{what: "revoke", words: "its holder may no longer act for the provider"}
		if x.State.Open() {
			to, a.what = access.Closed, "withdraw"
		}
		if x.State.Over() {
			continue
		}
		if err := g.move(tx, by, &x, to, a); err != nil {
			return err
		}
	}
	return nil
}
