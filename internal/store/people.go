package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/access"
)

// SealedPerson is a person as it is kept: name and mail are sealed.
type SealedPerson struct {
	Credential
	Handle string
	Sealed []byte
}

type personRow struct {
	bun.BaseModel `bun:"table:person"`
	PrincipalID   string `bun:",pk"`
	TenantID      string
	Handle        string
	Sealed        []byte
	CreatedAt     int64
}

// InsertPerson adds a person, and the principal that it is.
func (tx *Tx) InsertPerson(p SealedPerson) error {
	if err := tx.InsertPrincipal(p.Credential); err != nil {
		return err
	}
	return insert(tx, &personRow{PrincipalID: p.ID, TenantID: p.Tenant, Handle: p.Handle, Sealed: p.Sealed, CreatedAt: micros(p.CreatedAt)}, "person")
}

// person adds the principal to the row.
func (tx *Tx) person(r personRow) (SealedPerson, error) {
	c, err := tx.Principal(r.PrincipalID)
	return SealedPerson{Credential: c, Handle: r.Handle, Sealed: r.Sealed}, err
}

// Person returns the person of that principal id, removed ones too.
func (tx *Tx) Person(id string) (SealedPerson, error) {
	var row personRow
	return one(tx, tx.db.NewSelect().Where("principal_id = ?", id), &row, "person", id, tx.person)
}

// PersonByHandle returns the person of a WebAuthn user handle.
func (tx *Tx) PersonByHandle(handle string) (SealedPerson, error) {
	var row personRow
	return one(tx, tx.db.NewSelect().Where("handle = ?", handle), &row, "person", "", tx.person)
}

// People lists the people of a tenant, removed ones too; the provider's if
// tenant is empty.
func (tx *Tx) People(tenant string, p Page) ([]SealedPerson, error) {
	var rows []personRow
	if err := p.apply(tx.db.NewSelect(), "principal_id").Where("tenant_id = ?", tenant).Model(&rows).Scan(tx.ctx); err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	out := make([]SealedPerson, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = tx.person(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// PeopleWithRole returns the ids of the people of that role who were not
// removed; of the provider's if tenant is empty.
func (tx *Tx) PeopleWithRole(tenant string, role access.Role) (ids []string, err error) {
	err = tx.db.NewSelect().Table("principal").Column("id").
		Where("tenant_id = ? AND role = ? AND kind = ? AND revoked_at IS NULL", tenant, string(role), string(access.Person)).
		OrderBy("id", bun.OrderAsc).Scan(tx.ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("list people of a role: %w", err)
	}
	return ids, nil
}

// LockPeople keeps other transactions from changing who belongs to a side, and
// who is invited to it, until this one ends: so that what was counted still
// holds when it is written.
func (tx *Tx) LockPeople(tenant string) error {
	for _, table := range []string{"person", "invitation"} {
		if err := tx.exec("lock people", "UPDATE "+table+" SET tenant_id = tenant_id WHERE tenant_id = ?", tenant); err != nil {
			return err
		}
	}
	return nil
}

// SetRole changes the role of a principal that was not revoked.
func (tx *Tx) SetRole(id string, role access.Role) error {
	res, err := tx.db.NewUpdate().Table("principal").Set("role = ?", string(role)).Where("id = ? AND revoked_at IS NULL", id).Exec(tx.ctx)
	return changed(res, err, "principal", id)
}

// ForgetPerson removes what is personal and what signs in of a person who was
// removed. The principal stays, for the ledger names it.
func (tx *Tx) ForgetPerson(id string, now time.Time) error {
	if err := tx.exec("forget a person", "UPDATE person SET sealed = ? WHERE principal_id = ?", []byte{}, id); err != nil {
		return err
	}
	if err := tx.RevokePersonalTokens(id, now); err != nil {
		return err
	}
	for _, table := range []string{"session", "recovery_code", "authenticator"} {
		if err := tx.exec("forget a person", "DELETE FROM "+table+" WHERE principal_id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

// SealedInvitation is an invitation as it is kept.
type SealedInvitation struct {
	ID, Tenant string
	Role       access.Role
	// FirstOwner counts only while the tenant has no owner.
	FirstOwner bool
	SecretHash string
	Sealed     []byte
	By         string
	CreatedAt  time.Time
	Expires    time.Time
	Used       *time.Time
	UsedBy     string
	Revoked    *time.Time
}

type invitationRow struct {
	bun.BaseModel `bun:"table:invitation"`
	ID            string `bun:",pk"`
	TenantID      string
	Role          string
	FirstOwner    int64
	SecretHash    string
	Sealed        []byte
	MadeBy        string
	CreatedAt     int64
	ExpiresAt     int64
	UsedAt        *int64
	UsedBy        string
	RevokedAt     *int64
}

func (r invitationRow) invitation() (SealedInvitation, error) {
	return SealedInvitation{
		ID: r.ID, Tenant: r.TenantID, Role: access.Role(r.Role), FirstOwner: r.FirstOwner == 1, SecretHash: r.SecretHash, Sealed: r.Sealed, By: r.MadeBy,
		CreatedAt: fromMicros(r.CreatedAt), Expires: fromMicros(r.ExpiresAt), Used: fromMicrosPtr(r.UsedAt), UsedBy: r.UsedBy, Revoked: fromMicrosPtr(r.RevokedAt),
	}, nil
}

// InsertInvitation adds an invitation.
func (tx *Tx) InsertInvitation(v SealedInvitation) error {
	return insert(tx, &invitationRow{
		ID: v.ID, TenantID: v.Tenant, Role: string(v.Role), FirstOwner: bit(v.FirstOwner), SecretHash: v.SecretHash, Sealed: v.Sealed,
		MadeBy: v.By, CreatedAt: micros(v.CreatedAt), ExpiresAt: micros(v.Expires),
	}, "invitation")
}

// Invitation returns the invitation of that id.
func (tx *Tx) Invitation(id string) (SealedInvitation, error) {
	var row invitationRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "invitation", id, invitationRow.invitation)
}

// InvitationBySecret returns the invitation whose secret has that digest.
func (tx *Tx) InvitationBySecret(hash string) (SealedInvitation, error) {
	var row invitationRow
	return one(tx, tx.db.NewSelect().Where("secret_hash = ?", hash), &row, "invitation", "", invitationRow.invitation)
}

// Invitations lists the invitations to a tenant, past ones too; to the
// provider's side if tenant is empty.
func (tx *Tx) Invitations(tenant string, p Page) ([]SealedInvitation, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant), "invitations", invitationRow.invitation)
}

// UseInvitation marks an invitation that stands as used; ErrConflict unless it
// stands.
func (tx *Tx) UseInvitation(id, by string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("invitation").Set("used_at = ?", micros(now)).Set("used_by = ?", by).Set("sealed = ?", []byte{}).
		Where("id = ? AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?", id, micros(now)).Exec(tx.ctx)
	return changed(res, err, "invitation", id)
}

// RevokeInvitation ends an invitation that was not used; ErrConflict if it was.
func (tx *Tx) RevokeInvitation(id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("invitation").Set("revoked_at = ?", micros(now)).Set("sealed = ?", []byte{}).
		Where("id = ? AND used_at IS NULL AND revoked_at IS NULL", id).Exec(tx.ctx)
	return changed(res, err, "invitation", id)
}

// bit is a truth value as the tables keep it.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
