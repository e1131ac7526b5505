package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Review is one regular review, open or signed off.
type Review struct {
	ID        string     `json:"id"`
	Tenant    string     `json:"tenant,omitempty"`
	Kind      string     `json:"kind" enum:"logs,network"`
	State     string     `json:"state" enum:"open,overdue,signed"`
	OpenedAt  time.Time  `json:"opened_at" doc:"when it opened"`
	DueAt     time.Time  `json:"due_at" doc:"when it must be signed off"`
	SignedAt  *time.Time `json:"signed_at,omitempty" doc:"when it was signed off"`
	SignedBy  string     `json:"signed_by,omitempty" doc:"who signed it off: ROLE/ID"`
	Outcome   string     `json:"outcome,omitempty" enum:"fine,follow-up"`
	Notes     string     `json:"notes,omitempty" doc:"what the reviewer has to say"`
	EveryDays int        `json:"every_days,omitempty" doc:"how often such a review is due"`
	// LookedAt is what the reviewer looked at, of a signed review.
	LookedAt []ReviewItem `json:"looked_at,omitempty"`
	// Through goes back with the sign-off: what comes later is for the next
	// review.
	Through int64 `json:"through" doc:"the last of the tenant's ledger entries that it covers; goes back with the sign-off"`
	Entries int64 `json:"entries" doc:"ledger entries that it covers"`
	Omitted int64 `json:"omitted,omitempty" doc:"of these, the oldest, that are too many to be counted in items"`
	// Items are what there is to look at, of an open review, the unusual first.
	Items []ReviewItem `json:"items,omitempty"`
}

// ReviewItem is one thing to look at.
type ReviewItem struct {
	ID      string   `json:"id" doc:"names it within the review, as in entries/grant.approve"`
	Title   string   `json:"title"`
	Unusual string   `json:"unusual,omitempty" doc:"why it deserves a look before others"`
	Count   int      `json:"count"`
	Lines   []string `json:"lines,omitempty" doc:"details; of networks the difference, + added, - gone"`
	From    *int64   `json:"from,omitempty" doc:"index of its first ledger entry"`
	To      *int64   `json:"to,omitempty" doc:"index of its last ledger entry"`
	Digest  string   `json:"digest" doc:"of what it shows; goes back with the sign-off"`
}

// ReviewSignOff signs a review off.
type ReviewSignOff struct {
	Through  int64        `json:"through" doc:"as the review shows it" minimum:"0"`
	LookedAt []ReviewSeen `json:"looked_at" doc:"what was looked at; at least one item"`
	Outcome  string       `json:"outcome" enum:"fine,follow-up"`
	Notes    string       `json:"notes,omitempty" doc:"what the reviewer has to say; required for follow-up" maxLength:"4000"`
}

// ReviewSeen is an item as the reviewer saw it.
type ReviewSeen struct {
	Item   string `json:"item" doc:"id of the item" maxLength:"400"`
	Digest string `json:"digest" doc:"as the item shows it" maxLength:"71"`
}

// ReviewPlan is how often a review is due.
type ReviewPlan struct {
	Kind      string     `json:"kind" enum:"logs,network"`
	EveryDays int        `json:"every_days" doc:"how often it is due"`
	Least     int        `json:"least" doc:"the least that every_days may be"`
	Most      int        `json:"most" doc:"the most that every_days may be"`
	SignedAt  *time.Time `json:"signed_at,omitempty" doc:"last sign-off"`
	DueAt     time.Time  `json:"due_at" doc:"when the next must be signed off"`
}

// ReviewInterval changes how often a review is due.
type ReviewInterval struct {
	EveryDays int `json:"every_days" doc:"how often it is due, within the bounds of the plan" minimum:"1" maximum:"366"`
}

// within are the segments below which a tenant's matters lie, or the
// provider's if tenant is empty.
func within(tenant string, rest ...string) []string {
	if tenant == "" {
		return append([]string{"v1", "provider"}, rest...)
	}
	return append([]string{"v1", "tenants", tenant}, rest...)
}

// Reviews lists a tenant's reviews, newest first; the provider's if tenant is empty.
func (c *Client) Reviews(ctx context.Context, tenant string) iter.Seq2[Review, error] {
	return list[Review](ctx, c, nil, within(tenant, "reviews")...)
}

// Review reads one review with what there is to look at.
func (c *Client) Review(ctx context.Context, tenant, id string) (Review, error) {
	return get[Review](ctx, c, nil, within(tenant, "reviews", id)...)
}

// SignOffReview signs a review off, for good.
func (c *Client) SignOffReview(ctx context.Context, tenant, id string, in ReviewSignOff) (Review, error) {
	return post[Review](ctx, c, in, within(tenant, "reviews", id, "sign-off")...)
}

// ReviewPlans says how often a tenant's reviews are due; the provider's if
// tenant is empty.
func (c *Client) ReviewPlans(ctx context.Context, tenant string) iter.Seq2[ReviewPlan, error] {
	return list[ReviewPlan](ctx, c, nil, within(tenant, "review-plans")...)
}

// SetReviewInterval changes how often reviews of a kind are due.
func (c *Client) SetReviewInterval(ctx context.Context, tenant, kind string, in ReviewInterval) (ReviewPlan, error) {
	var out ReviewPlan
	err := c.do(ctx, call{method: http.MethodPut, segments: within(tenant, "review-plans", kind), body: in}, &out)
	return out, err
}
