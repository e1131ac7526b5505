package review

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Outcomes of a review.
const (
	Fine     = "fine"
	FollowUp = "follow-up"
)

// ErrPersonOnly: a review is signed off by a person, not by a program.
var ErrPersonOnly = errors.New("a review is signed off by a person: sign in as one")

// SignOff is what a reviewer says.
type SignOff struct {
	// Through is that of the sheet that was looked at.
	Through int64
	// LookedAt are the items looked at, with the digest that each showed.
	LookedAt []Seen
	// Outcome is Fine or FollowUp. Notes are needed for FollowUp.
	Outcome, Notes string
}

// Seen is an item as the reviewer saw it.
type Seen struct{ Item, Digest string }

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (s *SignOff) check() error {
	s.Notes = strings.TrimSpace(s.Notes)
	switch {
	case len(s.LookedAt) == 0:
		return fmt.Errorf("%w: name what was looked at: a review of nothing is none", estate.ErrInvalid)
	case len(s.LookedAt) > 2*maxItems:
		return fmt.Errorf("%w: %d items are named; a review has at most %d", estate.ErrInvalid, len(s.LookedAt), 2*maxItems)
	case s.Outcome != Fine && s.Outcome != FollowUp:
		return fmt.Errorf("%w: the outcome is %s or %s", estate.ErrInvalid, Fine, FollowUp)
	case s.Outcome == FollowUp && s.Notes == "":
		return fmt.Errorf("%w: say in the notes what is to be followed up", estate.ErrInvalid)
	case len(s.Notes) > 4000 || !utf8.ValidString(s.Notes) ||
		strings.ContainsFunc(s.Notes, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' }):
		return fmt.Errorf("%w: notes are plain text of at most 4000 bytes", estate.ErrInvalid)
	}
	for _, seen := range s.LookedAt {
		if !digestForm.MatchString(seen.Digest) {
			return fmt.Errorf("%w: an item is named with the digest that it showed, sha256:<64 hex digits>", estate.ErrInvalid)
		}
	}
	return nil
}

// SignOff signs an open review off for good. What the items showed must still
// be so where it bears on the verdict; otherwise it is an ErrConflict, and the
// review must be looked at again.
func (r *Reviews) SignOff(ctx context.Context, by access.Principal, tenant, id string, in SignOff) (v store.Review, err error) {
	if by.Kind != access.Person && by.Kind != "" {
		return v, ErrPersonOnly
	}
	if err := in.check(); err != nil {
		return v, err
	}
	err = r.Store.Write(ctx, func(tx *store.Tx) error {
		if v, err = tx.Review(tenant, id); err != nil {
			return err
		}
		if v.Signed != nil {
			return fmt.Errorf("this review was signed off already: %w", store.ErrConflict)
		}
		p, err := tx.ReviewPlan(tenant, v.Kind)
		if err != nil {
			return err
		}
		last, err := tx.LastLedgerSequence(tenant)
		if err != nil {
			return err
		}
		if in.Through < v.After || in.Through > last {
			return fmt.Errorf("%w: through must be the number that the review shows", estate.ErrInvalid)
		}
		sheet, err := r.prepare(tx, v, p, in.Through)
		if err != nil {
			return err
		}
		if v.LookedAt, err = pick(sheet.Items, in.LookedAt); err != nil {
			return err
		}
		return r.sign(tx, by, &v, p, in)
	})
	return v, err
}

// pick finds the items named among those offered.
func pick(offered []Item, seen []Seen) ([]store.LookedAt, error) {
	out := make([]store.LookedAt, 0, len(seen))
	for _, s := range seen {
		i := slices.IndexFunc(offered, func(o Item) bool { return o.ID == s.Item })
		if i < 0 {
			return nil, fmt.Errorf("%w: the review has no item %q", estate.ErrInvalid, clip(s.Item))
		}
		o := offered[i]
		if o.Digest != s.Digest && !o.Moves {
			return nil, fmt.Errorf("%s changed while it was looked at: open the review again: %w", o.Title, store.ErrConflict)
		}
		if slices.ContainsFunc(out, func(l store.LookedAt) bool { return l.Item == s.Item }) {
			continue
		}
		out = append(out, store.LookedAt{Item: o.ID, Title: o.Title, Digest: s.Digest, Count: o.Count, From: o.From, To: o.To})
	}
	return out, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "..."
	}
	return s
}

// sign writes the sign-off, what follows from it, and the ledger entry.
func (r *Reviews) sign(tx *store.Tx, by access.Principal, v *store.Review, p store.ReviewPlan, in SignOff) error {
	now := r.Now()
	v.Signed, v.SignedBy, v.Outcome, v.Notes, v.Through = &now, by.Actor(), in.Outcome, in.Notes, in.Through
	if err := tx.SignReview(*v); err != nil {
		return err
	}
	if v.Kind == Network {
		if err := r.settle(tx, v.LookedAt); err != nil {
			return err
		}
	}
	var err error
	if p.Known, err = r.acquaint(tx, v, p.Known); err != nil {
		return err
	}
	p.Signed, p.Review, p.Sequence = &now, v.ID, in.Through
	opens := now.Add(days(p.EveryDays) - lead(p.EveryDays))
	p.Opens = &opens
	if err := tx.UpdateReviewPlan(p); err != nil {
		return err
	}
	if v.Tenant != "" {
		if err := r.Judge.Rejudge(tx, tenantSubject(v.Tenant)); err != nil {
			return err
		}
	}
	raw, err := canonical.JSON(v)
	if err != nil {
		return err
	}
	_, err = r.Ledger.Append(tx, ledger.Entry{
		Time: now, Tenant: v.Tenant, Actor: by.Actor(), Action: "review.sign", Subject: "review/" + v.ID,
		Digests: map[string]string{"review": canonical.Digest(raw)},
	})
	return err
}

// settle makes the configurations that were looked at the reviewed ones.
func (r *Reviews) settle(tx *store.Tx, items []store.LookedAt) error {
	for _, i := range items {
		vm, ok := vmOf(i.Item)
		if !ok {
			continue
		}
		st, err := tx.NetworkState(vm)
		if err != nil {
			return err
		}
		now := r.Now()
		st.Reviewed, st.ReviewedDigest, st.Changes, st.ReviewedAt = st.Present, st.PresentDigest, 0, &now
		if err := tx.PutNetworkState(st); err != nil {
			return err
		}
	}
	return nil
}

// maxKnown bounds how many actors are remembered.
const maxKnown = 5000

// acquaint adds the actors of the reviewed entries to those known.
func (r *Reviews) acquaint(tx *store.Tx, v *store.Review, known []string) ([]string, error) {
	if v.Kind != Logs {
		return known, nil
	}
	tally, err := tx.TallyLedger(v.Tenant, max(v.After, v.Through-mostEntries), v.Through)
	if err != nil {
		return nil, err
	}
	for _, t := range tally {
		if stranger(t.Actor, known) && len(known) < maxKnown {
			known = append(known, t.Actor)
		}
	}
	return known, nil
}
