package store

import (
	"database/sql"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/lifecycle"
)

type tenantRow struct {
	bun.BaseModel `bun:"table:tenant"`
	ID            string `bun:",pk"`
	Name          string
	Ordinal       int64
	CreatedAt     int64
	Version       int64
	Own           int64
}

func (r tenantRow) tenant() (estate.Tenant, error) {
	return estate.Tenant{ID: r.ID, Name: r.Name, Ordinal: uint32(r.Ordinal), Own: r.Own == 1, CreatedAt: fromMicros(r.CreatedAt), Version: r.Version}, nil
}

// InsertTenant adds a tenant and sets its Ordinal and Version.
func (tx *Tx) InsertTenant(t *estate.Tenant) error {
	var last int64
	if err := tx.db.NewSelect().Table("tenant").ColumnExpr("COALESCE(MAX(ordinal), 0)").Scan(tx.ctx, &last); err != nil {
		return fmt.Errorf("number the tenant: %w", err)
	}
	t.Ordinal, t.Version = uint32(last+1), 1
	row := tenantRow{ID: t.ID, Name: t.Name, Ordinal: last + 1, CreatedAt: micros(t.CreatedAt), Version: 1}
	if t.Own {
		row.Own = 1
	}
	return insert(tx, &row, "tenant "+t.Name)
}

// Tenant returns the tenant whose id or name is ref.
func (tx *Tx) Tenant(ref string) (estate.Tenant, error) {
	var row tenantRow
	return one(tx, byRef(tx.db.NewSelect(), ref), &row, "tenant", ref, tenantRow.tenant)
}

// byRef selects what has the id ref, or else the name: nobody can take the
// place of another by taking its id as a name.
func byRef(q *bun.SelectQuery, ref string) *bun.SelectQuery {
	return q.Where("id = ? OR name = ?", ref, ref).OrderExpr("id = ? DESC", ref).Limit(1)
}

// Tenants lists tenants by id.
func (tx *Tx) Tenants(p Page) ([]estate.Tenant, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id"), "tenants", tenantRow.tenant)
}

// RenameTenant changes the name if the tenant still has the version.
func (tx *Tx) RenameTenant(id, name string, version int64) error {
	res, err := tx.db.NewUpdate().Table("tenant").Set("name = ?", name).Set("version = version + 1").
		Where("id = ? AND version = ?", id, version).Exec(tx.ctx)
	return changed(res, err, "tenant", id)
}

type vdcRow struct {
	bun.BaseModel `bun:"table:vdc"`
	ID            string `bun:",pk"`
	TenantID      string
	Name          string
	CreatedAt     int64
	Version       int64
}

func (r vdcRow) vdc() (estate.VDC, error) {
	return estate.VDC{ID: r.ID, Tenant: r.TenantID, Name: r.Name, CreatedAt: fromMicros(r.CreatedAt), Version: r.Version}, nil
}

// InsertVDC adds a VDC to its tenant.
func (tx *Tx) InsertVDC(v *estate.VDC) error {
	v.Version = 1
	return insert(tx, &vdcRow{ID: v.ID, TenantID: v.Tenant, Name: v.Name, CreatedAt: micros(v.CreatedAt), Version: 1}, "VDC "+v.Name)
}

// VDC returns the tenant's VDC whose id or name is ref.
func (tx *Tx) VDC(tenant, ref string) (estate.VDC, error) {
	var row vdcRow
	q := byRef(tx.db.NewSelect().Where("tenant_id = ?", tenant), ref)
	return one(tx, q, &row, "VDC", ref, vdcRow.vdc)
}

// VDCs lists the VDCs of a tenant, of all tenants if tenant is empty.
func (tx *Tx) VDCs(tenant string, p Page) ([]estate.VDC, error) {
	q := p.apply(tx.db.NewSelect(), "id")
	if tenant != "" {
		q = q.Where("tenant_id = ?", tenant)
	}
	return many(tx, q, "VDCs", vdcRow.vdc)
}

type vmRow struct {
	bun.BaseModel `bun:"table:vm"`
	ID            string `bun:",pk"`
	TenantID      string
	VdcID         string
	Name          string
	State         string
	Declared      string
	CreatedAt     int64
	Version       int64
}

func (r vmRow) vm() (estate.VM, error) {
	d, err := decode[estate.Declaration](r.Declared, "declaration of VM "+r.ID)
	return estate.VM{
		ID: r.ID, Tenant: r.TenantID, VDC: r.VdcID, Name: r.Name, State: lifecycle.State(r.State),
		Declared: d, CreatedAt: fromMicros(r.CreatedAt), Version: r.Version,
	}, err
}

// InsertVM adds a VM to its VDC. The database refuses a state that no life
// begins in.
func (tx *Tx) InsertVM(v *estate.VM) error {
	v.Version = 1
	return insert(tx, &vmRow{
		ID: v.ID, TenantID: v.Tenant, VdcID: v.VDC, Name: v.Name, State: string(v.State),
		Declared: encode(v.Declared), CreatedAt: micros(v.CreatedAt), Version: 1,
	}, "VM "+v.Name)
}

// VM returns the tenant's VM whose id or name is ref.
func (tx *Tx) VM(tenant, ref string) (estate.VM, error) {
	var row vmRow
	q := byRef(tx.db.NewSelect().Where("tenant_id = ?", tenant), ref)
	return one(tx, q, &row, "VM", ref, vmRow.vm)
}

// VMsNamed returns the VM whose id is ref, or else those of all tenants whose
// name it is.
func (tx *Tx) VMsNamed(ref string) ([]estate.VM, error) {
	vms, err := many(tx, tx.db.NewSelect().Where("id = ? OR name = ?", ref, ref).OrderExpr("id = ? DESC, id", ref).Limit(10), "VMs", vmRow.vm)
	if len(vms) > 0 && vms[0].ID == ref {
		vms = vms[:1]
	}
	return vms, err
}

// VMByID returns the VM of that id, of whichever tenant.
func (tx *Tx) VMByID(id string) (estate.VM, error) {
	vms, err := list(tx, "VMs", "SELECT id, tenant_id, vdc_id, name, state, declared, created_at, version FROM vm WHERE id = ?", []any{id},
		func(rows *sql.Rows) (estate.VM, error) {
			var r vmRow
			if err := rows.Scan(&r.ID, &r.TenantID, &r.VdcID, &r.Name, &r.State, &r.Declared, &r.CreatedAt, &r.Version); err != nil {
				return estate.VM{}, err
			}
			return r.vm()
		})
	if err == nil && len(vms) == 0 {
		err = fmt.Errorf("VM %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return estate.VM{}, err
	}
	return vms[0], nil
}

// VMs lists the VMs of a tenant, of all tenants if tenant is empty.
func (tx *Tx) VMs(tenant string, p Page) ([]estate.VM, error) {
	q := p.apply(tx.db.NewSelect(), "id")
	if tenant != "" {
		q = q.Where("tenant_id = ?", tenant)
	}
	return many(tx, q, "VMs", vmRow.vm)
}

// OwnVMs lists the VMs of the provider's own tenants: its hosts.
func (tx *Tx) OwnVMs() ([]estate.VM, error) {
	q := tx.db.NewSelect().Where("tenant_id IN (SELECT id FROM tenant WHERE own = 1)").Order("id")
	return many(tx, q, "the provider's own hosts", vmRow.vm)
}

// UpdateVM writes state and declaration if the VM still has v.Version, and
// raises the version. The database refuses an illegal move.
func (tx *Tx) UpdateVM(v *estate.VM) error {
	res, err := tx.db.NewUpdate().Table("vm").Set("state = ?", string(v.State)).Set("declared = ?", encode(v.Declared)).
		Set("version = version + 1").Where("id = ? AND version = ?", v.ID, v.Version).Exec(tx.ctx)
	if err := changed(res, err, "VM", v.Name); err != nil {
		return err
	}
	v.Version++
	return nil
}
