package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/estate"
)

// SealedContact is a contact as it is kept: what is personal is sealed.
type SealedContact struct {
	ID, Tenant string
	Role       estate.ContactRole
	Sealed     []byte
	Verified   *time.Time
	CreatedAt  time.Time
	Version    int64
}

type contactRow struct {
	bun.BaseModel `bun:"table:contact"`
	ID            string `bun:",pk"`
	TenantID      string
	Role          string
	Sealed        []byte
	VerifiedAt    *int64
	CreatedAt     int64
	Version       int64
}

func (r contactRow) contact() (SealedContact, error) {
	return SealedContact{
		ID: r.ID, Tenant: r.TenantID, Role: estate.ContactRole(r.Role), Sealed: r.Sealed,
		Verified: fromMicrosPtr(r.VerifiedAt), CreatedAt: fromMicros(r.CreatedAt), Version: r.Version,
	}, nil
}

// InsertContact adds a contact.
func (tx *Tx) InsertContact(c *SealedContact) error {
	c.Version = 1
	return insert(tx, &contactRow{
		ID: c.ID, TenantID: c.Tenant, Role: string(c.Role), Sealed: c.Sealed,
		VerifiedAt: microsPtr(c.Verified), CreatedAt: micros(c.CreatedAt), Version: 1,
	}, "contact")
}

// Contact returns one contact of a tenant.
func (tx *Tx) Contact(tenant, id string) (SealedContact, error) {
	var row contactRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id), &row, "contact", id, contactRow.contact)
}

// Contacts lists the contacts of a tenant.
func (tx *Tx) Contacts(tenant string, p Page) ([]SealedContact, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant), "contacts", contactRow.contact)
}

// UpdateContact writes role, sealed data and verification if the version still holds.
func (tx *Tx) UpdateContact(c *SealedContact) error {
	res, err := tx.db.NewUpdate().Table("contact").Set("role = ?", string(c.Role)).Set("sealed = ?", c.Sealed).
		Set("verified_at = ?", microsPtr(c.Verified)).Set("version = version + 1").
		Where("id = ? AND version = ?", c.ID, c.Version).Exec(tx.ctx)
	if err := changed(res, err, "contact", c.ID); err != nil {
		return err
	}
	c.Version++
	return nil
}

// DeleteContact removes a contact.
func (tx *Tx) DeleteContact(tenant, id string, version int64) error {
	res, err := tx.db.NewDelete().Table("contact").Where("tenant_id = ? AND id = ? AND version = ?", tenant, id, version).Exec(tx.ctx)
	return changed(res, err, "contact", id)
}

// TenantKey returns the tenant's wrapped data key, or nil if it has none yet.
func (tx *Tx) TenantKey(tenant string) ([]byte, error) {
	var wrapped []byte
	err := tx.db.NewSelect().Table("tenant_key").Column("wrapped").Where("tenant_id = ?", tenant).Scan(tx.ctx, &wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of tenant %s: %w", tenant, err)
	}
	return wrapped, nil
}

// InsertTenantKey stores the tenant's wrapped data key. A second one is ErrConflict.
func (tx *Tx) InsertTenantKey(tenant string, wrapped []byte) error {
	row := map[string]any{"tenant_id": tenant, "wrapped": wrapped}
	if _, err := tx.db.NewInsert().Model(&row).Table("tenant_key").Exec(tx.ctx); err != nil {
		return fmt.Errorf("store the key of tenant %s: %w", tenant, err)
	}
	return nil
}

// Setting returns the value of that name, or ErrNotFound.
func (tx *Tx) Setting(name string) ([]byte, error) {
	var value []byte
	err := tx.db.NewSelect().Table("setting").Column("value").Where("name = ?", name).Scan(tx.ctx, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("setting %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read setting %s: %w", name, err)
	}
	return value, nil
}

// Settings returns the values whose names begin with prefix, by name.
func (tx *Tx) Settings(prefix string) (map[string][]byte, error) {
	var rows []struct {
		Name  string
		Value []byte
	}
	err := tx.db.NewSelect().Table("setting").Column("name", "value").Where("substr(name, 1, ?) = ?", len(prefix), prefix).Scan(tx.ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the settings %s: %w", prefix, err)
	}
	out := map[string][]byte{}
	for _, r := range rows {
		out[r.Name] = r.Value
	}
	return out, nil
}

// PutSetting writes the value of that name.
func (tx *Tx) PutSetting(name string, value []byte) error {
	row := map[string]any{"name": name, "value": value}
	_, err := tx.db.NewInsert().Model(&row).Table("setting").On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value").Exec(tx.ctx)
	if err != nil {
		return fmt.Errorf("write setting %s: %w", name, err)
	}
	return nil
}

// AddSetting writes the value of that name; ErrConflict if there is one.
func (tx *Tx) AddSetting(name string, value []byte) error {
	row := map[string]any{"name": name, "value": value}
	if _, err := tx.db.NewInsert().Model(&row).Table("setting").Exec(tx.ctx); err != nil {
		return fmt.Errorf("add setting %s: %w", name, err)
	}
	return nil
}

// TenantsWithoutKey counts tenants whose contacts could not be sealed.
func (tx *Tx) TenantsWithoutKey() (int, error) {
	n, err := tx.db.NewSelect().Table("tenant").Where("id NOT IN (SELECT tenant_id FROM tenant_key)").Count(tx.ctx)
	if err != nil {
		return 0, fmt.Errorf("count tenants without a key: %w", err)
	}
	return int(n), nil
}
