package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// ReviewPlan is the timer of one regular review, and how far the last came.
type ReviewPlan struct {
	Tenant    string // empty for the provider
	Kind      string // "logs" or "network"
	EveryDays int
	Since     time.Time
	// Opens is nil while a review is open.
	Opens  *time.Time
	Signed *time.Time
	Review string // signed last
	// Sequence is, of the tenant's ledger entries, the last that was reviewed.
	Sequence int64
	// Known are the actors that former reviews saw.
	Known []string
}

type reviewPlanRow struct {
	bun.BaseModel `bun:"table:review_plan"`
	TenantID      string `bun:",pk"`
	Kind          string `bun:",pk"`
	EveryDays     int64
	Since         int64
	OpensAt       *int64
	SignedAt      *int64
	ReviewID      string
	Sequence      int64
	Known         string
}

func (r reviewPlanRow) plan() (ReviewPlan, error) {
	known, err := decode[[]string](r.Known, "review plan")
	return ReviewPlan{
		Tenant: r.TenantID, Kind: r.Kind, EveryDays: int(r.EveryDays), Since: fromMicros(r.Since), Opens: fromMicrosPtr(r.OpensAt),
		Signed: fromMicrosPtr(r.SignedAt), Review: r.ReviewID, Sequence: r.Sequence, Known: known,
	}, err
}

func reviewPlanRowOf(p ReviewPlan) *reviewPlanRow {
	if p.Known == nil {
		p.Known = []string{}
	}
	return &reviewPlanRow{
		TenantID: p.Tenant, Kind: p.Kind, EveryDays: int64(p.EveryDays), Since: micros(p.Since), OpensAt: microsPtr(p.Opens),
		SignedAt: microsPtr(p.Signed), ReviewID: p.Review, Sequence: p.Sequence, Known: encode(p.Known),
	}
}

// InsertReviewPlan adds a plan.
func (tx *Tx) InsertReviewPlan(p ReviewPlan) error {
	return insert(tx, reviewPlanRowOf(p), "review plan")
}

// ReviewPlan returns the plan of a tenant's reviews of a kind.
func (tx *Tx) ReviewPlan(tenant, kind string) (ReviewPlan, error) {
	var row reviewPlanRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND kind = ?", tenant, kind), &row, "review plan", kind, reviewPlanRow.plan)
}

// ReviewPlans returns the plans of a tenant.
func (tx *Tx) ReviewPlans(tenant string) ([]ReviewPlan, error) {
	return many(tx, tx.db.NewSelect().Where("tenant_id = ?", tenant).Order("kind"), "review plans", reviewPlanRow.plan)
}

// DueReviewPlans returns up to limit plans whose next review opens at t or before.
func (tx *Tx) DueReviewPlans(t time.Time, limit int) ([]ReviewPlan, error) {
	q := tx.db.NewSelect().Where("opens_at <= ?", micros(t)).Order("opens_at", "tenant_id", "kind").Limit(int64(limit))
	return many(tx, q, "review plans", reviewPlanRow.plan)
}

// UpdateReviewPlan writes all members of a plan but tenant and kind.
func (tx *Tx) UpdateReviewPlan(p ReviewPlan) error {
	res, err := tx.db.NewUpdate().Model(reviewPlanRowOf(p)).WherePK().Exec(tx.ctx)
	return changed(res, err, "review plan", p.Kind)
}

// TenantsWithoutReviewPlan returns up to limit tenants that have no plan of the kind.
func (tx *Tx) TenantsWithoutReviewPlan(kind string, limit int) (ids []string, err error) {
	err = tx.db.NewSelect().Table("tenant").Column("id").
		Where("NOT EXISTS (SELECT 1 FROM review_plan AS p WHERE p.tenant_id = tenant.id AND p.kind = ?)", kind).
		Order("id").Limit(int64(limit)).Scan(tx.ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("list tenants without a review plan: %w", err)
	}
	return ids, nil
}

// LookedAt is one thing that a reviewer looked at.
type LookedAt struct {
	Item   string `json:"item"`
	Title  string `json:"title"`
	Digest string `json:"digest"`
	Count  int    `json:"count"`
	// From and To are indexes of ledger entries, where the item is of entries.
	From *int64 `json:"from,omitempty"`
	To   *int64 `json:"to,omitempty"`
}

// Review is one review, open or signed off.
type Review struct {
	ID, Tenant, Kind string
	Opened, Due      time.Time
	// After is, of the tenant's ledger entries, the last that the review before
	// covered; Through the last that this one was signed off through.
	After, Through int64
	Signed         *time.Time
	SignedBy       string
	Outcome, Notes string
	LookedAt       []LookedAt
}

type reviewRow struct {
	bun.BaseModel `bun:"table:review"`
	ID            string `bun:",pk"`
	TenantID      string
	Kind          string
	OpenedAt      int64
	DueAt         int64
	AfterSequence int64
	Through       int64
	SignedAt      *int64
	SignedBy      string
	Outcome       string
	Notes         string
	LookedAt      string
}

func (r reviewRow) review() (Review, error) {
	items, err := decode[[]LookedAt](r.LookedAt, "review "+r.ID)
	return Review{
		ID: r.ID, Tenant: r.TenantID, Kind: r.Kind, Opened: fromMicros(r.OpenedAt), Due: fromMicros(r.DueAt), After: r.AfterSequence,
		Through: r.Through, Signed: fromMicrosPtr(r.SignedAt), SignedBy: r.SignedBy, Outcome: r.Outcome, Notes: r.Notes, LookedAt: items,
	}, err
}

// InsertReview opens a review; ErrConflict if one of its kind is open.
func (tx *Tx) InsertReview(r Review) error {
	return insert(tx, &reviewRow{
		ID: r.ID, TenantID: r.Tenant, Kind: r.Kind, OpenedAt: micros(r.Opened), DueAt: micros(r.Due), AfterSequence: r.After, LookedAt: "[]",
	}, "review")
}

// Review returns one review of a tenant.
func (tx *Tx) Review(tenant, id string) (Review, error) {
	var row reviewRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id), &row, "review", id, reviewRow.review)
}

// OpenReview returns the open review of a kind, or ErrNotFound.
func (tx *Tx) OpenReview(tenant, kind string) (Review, error) {
	var row reviewRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND kind = ? AND signed_at IS NULL", tenant, kind), &row, "open review", kind, reviewRow.review)
}

// Reviews lists reviews, newest first; After of the page is the id before.
func (tx *Tx) Reviews(tenant string, p Page) ([]Review, error) {
	q := tx.db.NewSelect().Where("tenant_id = ?", tenant).OrderBy("id", bun.OrderDesc)
	if p.After != "" {
		q = q.Where("id < ?", p.After)
	}
	if p.Limit <= 0 || p.Limit > MaxPage {
		p.Limit = MaxPage
	}
	return many(tx, q.Limit(int64(p.Limit)), "reviews", reviewRow.review)
}

// MoveReview sets when an open review is due.
func (tx *Tx) MoveReview(tenant, id string, due time.Time) error {
	res, err := tx.db.NewUpdate().Table("review").Set("due_at = ?", micros(due)).
		Where("tenant_id = ? AND id = ? AND signed_at IS NULL", tenant, id).Exec(tx.ctx)
	return changed(res, err, "review", id)
}

// SignReview signs an open review off. Of concurrent calls one succeeds; the
// others get ErrConflict.
func (tx *Tx) SignReview(r Review) error {
	res, err := tx.db.NewUpdate().Table("review").Set("signed_at = ?", micros(*r.Signed)).Set("signed_by = ?", r.SignedBy).
		Set("outcome = ?", r.Outcome).Set("notes = ?", r.Notes).Set("looked_at = ?", encode(r.LookedAt)).Set("through = ?", r.Through).
		Where("tenant_id = ? AND id = ? AND signed_at IS NULL", r.Tenant, r.ID).Exec(tx.ctx)
	return changed(res, err, "review", r.ID)
}

// Tally counts a tenant's ledger entries of one action by one actor.
type Tally struct {
	Action, Actor string
	Count         int
	// First and Last are the indexes of the first and the last of them.
	First, Last int64
	FirstAt     time.Time
	LastAt      time.Time
}

// maxTally bounds the groups of one tally.
const maxTally = 2000

// TallyLedger counts a tenant's entries with after < sequence ≤ through by
// action and actor. The caller bounds the span; at most 2,000 groups come back.
func (tx *Tx) TallyLedger(tenant string, after, through int64) ([]Tally, error) {
	const query = "SELECT action, actor, count(*), min(idx), max(idx), min(time), max(time) FROM ledger_entry " +
		"WHERE tenant = ? AND sequence > ? AND sequence <= ? GROUP BY action, actor ORDER BY action, actor LIMIT ?"
	type row struct {
		Tally
		first, last int64
	}
	rows, err := ledgerRows(tx, "tally", query, func(r *row) []any {
		return []any{&r.Action, &r.Actor, &r.Count, &r.First, &r.Last, &r.first, &r.last}
	}, tenant, after, through, maxTally)
	out := make([]Tally, len(rows))
	for i, r := range rows {
		out[i] = r.Tally
		out[i].FirstAt, out[i].LastAt = fromMicros(r.first), fromMicros(r.last)
	}
	return out, err
}
