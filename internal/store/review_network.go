package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// NetworkState is a VM's network configuration in lines, as it is and as it
// was when somebody last went over it.
type NetworkState struct {
	VM, Tenant                    string
	Present, Reviewed             []string
	PresentDigest, ReviewedDigest string
	// Changes is how many lines differ.
	Changes  int
	Observed time.Time
	// ReviewedAt is nil if nobody has gone over it yet.
	ReviewedAt *time.Time
}

type networkRow struct {
	bun.BaseModel  `bun:"table:review_network"`
	VmID           string `bun:",pk"`
	TenantID       string
	Present        string
	PresentDigest  string
	Reviewed       string
	ReviewedDigest string
	Changes        int64
	ObservedAt     int64
	ReviewedAt     *int64
}

func (r networkRow) state() (NetworkState, error) {
	s := NetworkState{
		VM: r.VmID, Tenant: r.TenantID, PresentDigest: r.PresentDigest, ReviewedDigest: r.ReviewedDigest, Changes: int(r.Changes),
		Observed: fromMicros(r.ObservedAt), ReviewedAt: fromMicrosPtr(r.ReviewedAt),
	}
	var err error
	if s.Present, err = decode[[]string](r.Present, "network state"); err != nil {
		return s, err
	}
	s.Reviewed, err = decode[[]string](r.Reviewed, "network state")
	return s, err
}

// NetworkState returns the state of a VM, or ErrNotFound.
func (tx *Tx) NetworkState(vm string) (NetworkState, error) {
	var row networkRow
	return one(tx, tx.db.NewSelect().Where("vm_id = ?", vm), &row, "network state", vm, networkRow.state)
}

// NetworkStates returns up to limit states of a tenant, those with most changes first.
func (tx *Tx) NetworkStates(tenant string, limit int) ([]NetworkState, error) {
	q := tx.db.NewSelect().Where("tenant_id = ?", tenant).OrderBy("changes", bun.OrderDesc).OrderBy("vm_id", bun.OrderAsc).Limit(int64(limit))
	return many(tx, q, "network states", networkRow.state)
}

// NetworkChanges sums the changes of a tenant's VMs, and counts the VMs.
func (tx *Tx) NetworkChanges(tenant string) (changes, vms int, err error) {
	err = tx.ledgerRow("SELECT CAST(coalesce(sum(changes), 0) AS BIGINT), count(*) FROM review_network WHERE tenant_id = ?", tenant).Scan(&changes, &vms)
	if err != nil {
		return 0, 0, fmt.Errorf("sum network changes: %w", err)
	}
	return changes, vms, nil
}

// PutNetworkState writes a state.
func (tx *Tx) PutNetworkState(s NetworkState) error {
	row := networkRow{
		VmID: s.VM, TenantID: s.Tenant, Present: encode(s.Present), PresentDigest: s.PresentDigest, Reviewed: encode(s.Reviewed),
		ReviewedDigest: s.ReviewedDigest, Changes: int64(s.Changes), ObservedAt: micros(s.Observed), ReviewedAt: microsPtr(s.ReviewedAt),
	}
	_, err := tx.db.NewInsert().Model(&row).On("CONFLICT (vm_id) DO UPDATE").
		Set("present = EXCLUDED.present").Set("present_digest = EXCLUDED.present_digest").Set("reviewed = EXCLUDED.reviewed").
		Set("reviewed_digest = EXCLUDED.reviewed_digest").Set("changes = EXCLUDED.changes").Set("observed_at = EXCLUDED.observed_at").
		Set("reviewed_at = EXCLUDED.reviewed_at").Exec(tx.ctx)
	if err != nil {
		return fmt.Errorf("write network state: %w", err)
	}
	return nil
}

// VMsWithFact returns up to limit ids of VMs after a given one that have a
// fact of the kind, in order.
func (tx *Tx) VMsWithFact(kind, after string, limit int) (ids []string, err error) {
	err = tx.db.NewSelect().Table("fact").Column("subject_id").Where("scope = 'vm' AND kind = ? AND subject_id > ?", kind, after).
		Order("subject_id").Limit(int64(limit)).Scan(tx.ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("list VMs with %s: %w", kind, err)
	}
	return ids, nil
}
