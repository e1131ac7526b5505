package store

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/responsibility"
)

type subscriptionRow struct {
	bun.BaseModel `bun:"table:subscription"`
	ID            string `bun:",pk"`
	TenantID      string
	Service       string
	Covers        string
	CoversID      string
	FromAt        int64
	ToAt          *int64
	CreatedAt     int64
	Version       int64
}

func (r subscriptionRow) subscription() (responsibility.Subscription, error) {
	s := responsibility.Subscription{
		ID: r.ID, Tenant: r.TenantID, Service: r.Service, From: fromMicros(r.FromAt), To: fromMicrosPtr(r.ToAt),
	}
	switch r.Covers {
	case "all":
		s.Covers.All = true
	case "vdc":
		s.Covers.VDC = r.CoversID
	default:
		s.Covers.VM = r.CoversID
	}
	return s, nil
}

// InsertSubscription adds a subscription.
func (tx *Tx) InsertSubscription(s responsibility.Subscription, now time.Time) error {
	covers, id := "all", ""
	switch {
	case s.Covers.VDC != "":
		covers, id = "vdc", s.Covers.VDC
	case s.Covers.VM != "":
		covers, id = "vm", s.Covers.VM
	}
	return insert(tx, &subscriptionRow{
		ID: s.ID, TenantID: s.Tenant, Service: s.Service, Covers: covers, CoversID: id,
		FromAt: micros(s.From), ToAt: microsPtr(s.To), CreatedAt: micros(now), Version: 1,
	}, "subscription")
}

// Subscriptions returns all subscriptions of a tenant, past ones too.
func (tx *Tx) Subscriptions(tenant string) ([]responsibility.Subscription, error) {
	const query = "SELECT id, tenant_id, service, covers, covers_id, from_at, to_at FROM subscription WHERE tenant_id = ? ORDER BY from_at, id"
	return list(tx, "subscriptions", query, []any{tenant}, func(rows *sql.Rows) (responsibility.Subscription, error) {
		var r subscriptionRow
		if err := rows.Scan(&r.ID, &r.TenantID, &r.Service, &r.Covers, &r.CoversID, &r.FromAt, &r.ToAt); err != nil {
			return responsibility.Subscription{}, err
		}
		return r.subscription()
	})
}

// Subscription returns one subscription of a tenant.
func (tx *Tx) Subscription(tenant, id string) (responsibility.Subscription, error) {
	var row subscriptionRow
	q := tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id)
	return one(tx, q, &row, "subscription", id, subscriptionRow.subscription)
}

// EndSubscription sets the end of a subscription that has none, or whose end
// lies after now.
func (tx *Tx) EndSubscription(tenant, id string, to, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("subscription").Set("to_at = ?", micros(to)).Set("version = version + 1").
		Where("tenant_id = ? AND id = ?", tenant, id).Where("to_at IS NULL OR to_at > ?", micros(now)).Exec(tx.ctx)
	return changed(res, err, "subscription", id)
}

// SubscriptionMoments returns the tenants for which a subscription begins or
// ends in (after, until], so that their duties are judged anew.
func (tx *Tx) SubscriptionMoments(after, until time.Time) ([]string, error) {
	var tenants []string
	a, u := micros(after), micros(until)
	err := tx.db.NewSelect().Table("subscription").ColumnExpr("DISTINCT tenant_id").
		Where("(from_at > ? AND from_at <= ?) OR (to_at > ? AND to_at <= ?)", a, u, a, u).Scan(tx.ctx, &tenants)
	if err != nil {
		return nil, fmt.Errorf("find subscriptions that begin or end: %w", err)
	}
	return tenants, nil
}
