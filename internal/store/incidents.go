package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// ProviderIdentity is a name, key or network of the provider's people.
type ProviderIdentity struct {
	ID string
	// Kind is "account", "fingerprint" or "address".
	Kind, Value string
	// Holder is a principal's id; empty if it belongs to no one person.
	Holder  string
	Added   time.Time
	AddedBy string
	Until   *time.Time
	Removed *time.Time
}

type identityRow struct {
	bun.BaseModel `bun:"table:provider_identity"`
	ID            string `bun:",pk"`
	Kind          string
	Value         string
	Holder        string
	AddedAt       int64
	AddedBy       string
	Until         *int64
	RemovedAt     *int64
}

func (r identityRow) identity() (ProviderIdentity, error) {
	return ProviderIdentity{
		ID: r.ID, Kind: r.Kind, Value: r.Value, Holder: r.Holder, Added: fromMicros(r.AddedAt), AddedBy: r.AddedBy,
		Until: fromMicrosPtr(r.Until), Removed: fromMicrosPtr(r.RemovedAt),
	}, nil
}

// InsertProviderIdentity adds an identity; ErrConflict if it is there already.
func (tx *Tx) InsertProviderIdentity(p ProviderIdentity) error {
	return insert(tx, &identityRow{
		ID: p.ID, Kind: p.Kind, Value: p.Value, Holder: p.Holder, AddedAt: micros(p.Added), AddedBy: p.AddedBy, Until: microsPtr(p.Until),
	}, "provider identity")
}

// ProviderIdentities lists identities that were not removed, by id.
func (tx *Tx) ProviderIdentities(p Page) ([]ProviderIdentity, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("removed_at IS NULL"), "provider identities", identityRow.identity)
}

// StandingIdentities returns the identities that count at t.
func (tx *Tx) StandingIdentities(t time.Time) ([]ProviderIdentity, error) {
	q := tx.db.NewSelect().Where("removed_at IS NULL AND (until IS NULL OR until > ?)", micros(t)).Order("kind", "value")
	return many(tx, q, "provider identities", identityRow.identity)
}

// ProviderIdentity returns one that was not removed.
func (tx *Tx) ProviderIdentity(id string) (ProviderIdentity, error) {
	var row identityRow
	return one(tx, tx.db.NewSelect().Where("id = ? AND removed_at IS NULL", id), &row, "provider identity", id, identityRow.identity)
}

// RemoveProviderIdentity ends an identity.
func (tx *Tx) RemoveProviderIdentity(id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("provider_identity").Set("removed_at = ?", micros(now)).Where("id = ? AND removed_at IS NULL", id).Exec(tx.ctx)
	return changed(res, err, "provider identity", id)
}

// Incident is something that must not have happened and that somebody answers for.
type Incident struct {
	ID, Tenant, Kind, VM string
	// Occurrence is the digest of what happened: it opens one incident.
	Occurrence string
	Happened   time.Time
	Opened     time.Time
	Words      string
	Evidence   map[string]string // digests by name
	Closed     *time.Time
	ClosedBy   string
	Note       string
}

type incidentRow struct {
	bun.BaseModel `bun:"table:incident"`
	ID            string `bun:",pk"`
	TenantID      string
	Kind          string
	VmID          string
	Occurrence    string
	HappenedAt    int64
	OpenedAt      int64
	Words         string
	Evidence      string
	ClosedAt      *int64
	ClosedBy      string
	Note          string
}

func (r incidentRow) incident() (Incident, error) {
	ev, err := decode[map[string]string](r.Evidence, "incident "+r.ID)
	return Incident{
		ID: r.ID, Tenant: r.TenantID, Kind: r.Kind, VM: r.VmID, Occurrence: r.Occurrence, Happened: fromMicros(r.HappenedAt),
		Opened: fromMicros(r.OpenedAt), Words: r.Words, Evidence: ev, Closed: fromMicrosPtr(r.ClosedAt), ClosedBy: r.ClosedBy, Note: r.Note,
	}, err
}

// OpenIncident adds an incident and reports whether it is new: what happened
// opens one incident, however often it is reported.
func (tx *Tx) OpenIncident(i Incident) (opened bool, err error) {
	row := incidentRow{
		ID: i.ID, TenantID: i.Tenant, Kind: i.Kind, VmID: i.VM, Occurrence: i.Occurrence, HappenedAt: micros(i.Happened), OpenedAt: micros(i.Opened),
		Words: i.Words, Evidence: encode(i.Evidence),
	}
	res, err := tx.db.NewInsert().Model(&row).On("CONFLICT (vm_id, kind, occurrence) DO NOTHING").Exec(tx.ctx)
	if err != nil {
		return false, fmt.Errorf("open an incident: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Incidents lists a tenant's incidents, newest first; of all tenants if tenant
// is empty. After of the page is the id before.
func (tx *Tx) Incidents(tenant string, p Page) ([]Incident, error) {
	q := tx.db.NewSelect().OrderBy("id", bun.OrderDesc)
	if tenant != "" {
		q = q.Where("tenant_id = ?", tenant)
	}
	if p.After != "" {
		q = q.Where("id < ?", p.After)
	}
	if p.Limit <= 0 || p.Limit > MaxPage {
		p.Limit = MaxPage
	}
	return many(tx, q.Limit(int64(p.Limit)), "incidents", incidentRow.incident)
}

// Incident returns one incident of a tenant.
func (tx *Tx) Incident(tenant, id string) (Incident, error) {
	var row incidentRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id), &row, "incident", id, incidentRow.incident)
}

// CloseIncident closes an incident of a tenant; ErrConflict if it is closed.
func (tx *Tx) CloseIncident(tenant, id, by, note string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("incident").Set("closed_at = ?", micros(now)).Set("closed_by = ?", by).Set("note = ?", note).
		Where("tenant_id = ? AND id = ? AND closed_at IS NULL", tenant, id).Exec(tx.ctx)
	return changed(res, err, "incident", id)
}
