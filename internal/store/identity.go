package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/access"
)

// Credential is a principal with what is needed to check its secret.
type Credential struct {
	access.Principal
	SecretHash string
	CreatedAt  time.Time
	Expires    *time.Time
	Revoked    *time.Time
}

// Stands reports whether the principal may act at now: it was not revoked and
// has not expired.
func (c Credential) Stands(now time.Time) bool {
	return c.Revoked == nil && (c.Expires == nil || now.Before(*c.Expires))
}

type principalRow struct {
	bun.BaseModel `bun:"table:principal"`
	ID            string `bun:",pk"`
	Name          string
	Role          string
	TenantID      string
	Kind          string
	MFA           int64 `bun:"mfa"`
	Scope         *string
	SecretHash    string
	CreatedAt     int64
	ExpiresAt     *int64
	RevokedAt     *int64
}

func (r principalRow) credential() (Credential, error) {
	p := access.Principal{
		ID: r.ID, Name: r.Name, Role: access.Role(r.Role), Tenant: r.TenantID, Kind: access.Kind(r.Kind), MFA: r.MFA == 1, Scope: scopeOf(r.Scope),
	}
	return Credential{
		Principal:  p,
		SecretHash: r.SecretHash, CreatedAt: fromMicros(r.CreatedAt), Expires: fromMicrosPtr(r.ExpiresAt), Revoked: fromMicrosPtr(r.RevokedAt),
	}, nil
}

// InsertPrincipal adds a principal.
func (tx *Tx) InsertPrincipal(c Credential) error {
	return insert(tx, &principalRow{
		ID: c.ID, Name: c.Name, Role: string(c.Role), TenantID: c.Tenant, Kind: string(c.Kind), MFA: bit(c.MFA), Scope: scopeText(c.Scope), SecretHash: c.SecretHash,
		CreatedAt: micros(c.CreatedAt), ExpiresAt: microsPtr(c.Expires),
	}, "principal")
}

// Principal returns the principal of that id, revoked ones too.
func (tx *Tx) Principal(id string) (Credential, error) {
	var row principalRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "principal", id, principalRow.credential)
}

// Principals lists the principals of a tenant; the provider's if tenant is empty.
func (tx *Tx) Principals(tenant string, p Page) ([]Credential, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant), "principals", principalRow.credential)
}

// CountPrincipals returns how many principals there are.
func (tx *Tx) CountPrincipals() (int, error) {
	n, err := tx.db.NewSelect().Table("principal").Count(tx.ctx)
	if err != nil {
		return 0, fmt.Errorf("count principals: %w", err)
	}
	return int(n), nil
}

// RevokePrincipal ends a principal and its sessions.
func (tx *Tx) RevokePrincipal(id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("principal").Set("revoked_at = ?", micros(now)).
		Where("id = ? AND revoked_at IS NULL", id).Exec(tx.ctx)
	if err := changed(res, err, "principal", id); err != nil {
		return err
	}
	if _, err := tx.db.NewDelete().Table("session").Where("principal_id = ?", id).Exec(tx.ctx); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// Answer is the response to a request that carried an idempotency key.
type Answer struct {
	Request string // digest of method, path and body
	// Status is 0 while the request is still being answered.
	Status   int
	Response []byte
	// Since is when the request came.
	Since time.Time
}

type idempotencyRow struct {
	bun.BaseModel `bun:"table:idempotency"`
	PrincipalID   string `bun:",pk"`
	Key           string `bun:",pk"`
	Request       string
	Status        int64
	Response      []byte
	CreatedAt     int64
}

// Answered returns the answer already given to the principal's key.
func (tx *Tx) Answered(principal, key string) (Answer, error) {
	var row idempotencyRow
	q := tx.db.NewSelect().Where("principal_id = ? AND key = ?", principal, key)
	return one(tx, q, &row, "idempotency key", key, func(r idempotencyRow) (Answer, error) {
		return Answer{Request: r.Request, Status: int(r.Status), Response: r.Response, Since: fromMicros(r.CreatedAt)}, nil
	})
}

// ClaimKey notes that the request is being answered; ErrConflict if the key
// was used already.
func (tx *Tx) ClaimKey(principal, key, request string, now time.Time) error {
	return insert(tx, &idempotencyRow{PrincipalID: principal, Key: key, Request: request, Response: []byte{}, CreatedAt: micros(now)}, "idempotency key")
}

// KeepAnswer stores the answer to a key that was claimed with that request.
func (tx *Tx) KeepAnswer(principal, key string, a Answer) error {
	res, err := tx.db.NewUpdate().Table("idempotency").Set("status = ?", a.Status).Set("response = ?", a.Response).
		Where("principal_id = ? AND key = ? AND request = ? AND status = 0", principal, key, a.Request).Exec(tx.ctx)
	return changed(res, err, "idempotency key", key)
}

// ReleaseKey forgets a key that was claimed before t and never answered.
func (tx *Tx) ReleaseKey(principal, key string, t time.Time) error {
	_, err := tx.db.NewDelete().Table("idempotency").
		Where("principal_id = ? AND key = ? AND status = 0 AND created_at <= ?", principal, key, micros(t)).Exec(tx.ctx)
	if err != nil {
		return fmt.Errorf("release an idempotency key: %w", err)
	}
	return nil
}

// ForgetAnswers removes answers given before t.
func (tx *Tx) ForgetAnswers(t time.Time) error {
	if _, err := tx.db.NewDelete().Table("idempotency").Where("created_at < ?", micros(t)).Exec(tx.ctx); err != nil {
		return fmt.Errorf("forget answers: %w", err)
	}
	return nil
}
