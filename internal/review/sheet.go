package review

import (
	"context"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/store"
)

// Item is one thing to look at.
type Item struct {
	// ID names the item within its review: "entries/grant.approve",
	// "logins/<vm>", "duties/not-met", "network/<vm>".
	ID, Title string
	// Unusual says why it deserves a look before others; empty if nothing is.
	Unusual string
	Count   int
	// Lines are the details, a bounded number.
	Lines []string
	// From and To are indexes of ledger entries, where the item is of entries.
	From, To *int64
	// Digest is of what the item shows.
	Digest string
	// Moves: what the item shows changes with time, so that its digest is of
	// the moment at which it was looked at.
	Moves bool
}

// digest sets the item's digest: of its id and what it shows.
func (i *Item) digest(shown any) error {
	raw, err := canonical.JSON(struct {
		Item  string `json:"item"`
		Shown any    `json:"shown"`
	}{i.ID, shown})
	i.Digest = canonical.Digest(raw)
	return err
}

// Sheet is a review with what there is to look at. Of a signed review, what
// was looked at is in the review itself.
type Sheet struct {
	store.Review
	EveryDays int
	// Through is the last of the tenant's ledger entries that the items cover,
	// and is given back at sign-off: what comes later is for the next review.
	Through int64
	// Entries is how many ledger entries the review covers, and Omitted how many
	// of them, the oldest, are too many to be counted here.
	Entries, Omitted int64
	Items            []Item
}

// Overdue reports whether the review should have been signed off before now.
func (s Sheet) Overdue(now time.Time) bool { return s.Signed == nil && now.After(s.Due) }

// Get returns a review of a tenant with what there is to look at; of the
// provider if tenant is empty.
func (r *Reviews) Get(ctx context.Context, tenant, id string) (s Sheet, err error) {
	err = r.Store.Read(ctx, func(tx *store.Tx) error {
		v, err := tx.Review(tenant, id)
		if err != nil {
			return err
		}
		p, err := tx.ReviewPlan(tenant, v.Kind)
		if err != nil {
			return err
		}
		if v.Signed != nil {
			s = Sheet{Review: v, EveryDays: p.EveryDays, Through: v.Through, Entries: max(0, v.Through-v.After)}
			return nil
		}
		through, err := tx.LastLedgerSequence(tenant)
		if err != nil {
			return err
		}
		s, err = r.prepare(tx, v, p, through)
		return err
	})
	return s, err
}

// prepare lays out what an open review is about.
func (r *Reviews) prepare(tx *store.Tx, v store.Review, p store.ReviewPlan, through int64) (Sheet, error) {
	s := Sheet{Review: v, EveryDays: p.EveryDays, Through: through}
	var err error
	if v.Kind == Network {
		s.Items, err = networkItems(tx, v.Tenant)
		return s, err
	}
	if s.Items, s.Entries, s.Omitted, err = entryItems(tx, v, p.Known, through); err != nil {
		return s, err
	}
	if v.Tenant == "" {
		return s, nil
	}
	more, err := stateItems(tx, v.Tenant)
	s.Items = append(s.Items, more...)
	return s, err
}

// plural is "1 entry" or "3 entries".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
