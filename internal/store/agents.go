package store

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Agent is an enrolled agent.
type Agent struct {
	ID, Tenant, VM string
	PublicKey      string
	EnrolledAt     time.Time
	RevokedAt      *time.Time
	SeenAt         *time.Time
	// Skew is the server's clock minus the agent's.
	Skew     time.Duration
	Epoch    string
	Sequence uint64
	Software string
}

type agentRow struct {
	bun.BaseModel `bun:"table:agent"`
	ID            string `bun:",pk"`
	TenantID      string
	VmID          string
	PublicKey     string
	EnrolledAt    int64
	RevokedAt     *int64
	SeenAt        *int64
	SkewUs        int64
	Epoch         string
	Sequence      int64
	Software      string
}

func (r agentRow) agent() (Agent, error) {
	return Agent{
		ID: r.ID, Tenant: r.TenantID, VM: r.VmID, PublicKey: r.PublicKey, EnrolledAt: fromMicros(r.EnrolledAt),
		RevokedAt: fromMicrosPtr(r.RevokedAt), SeenAt: fromMicrosPtr(r.SeenAt), Skew: time.Duration(r.SkewUs) * time.Microsecond,
		Epoch: r.Epoch, Sequence: uint64(r.Sequence), Software: r.Software,
	}, nil
}

// InsertAgent adds an agent.
func (tx *Tx) InsertAgent(a Agent) error {
	return insert(tx, &agentRow{
		ID: a.ID, TenantID: a.Tenant, VmID: a.VM, PublicKey: a.PublicKey, EnrolledAt: micros(a.EnrolledAt), Software: a.Software,
	}, "agent")
}

// Agent returns the agent of that id, revoked ones too.
func (tx *Tx) Agent(id string) (Agent, error) {
	var row agentRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "agent", id, agentRow.agent)
}

// Agents lists the agents of a tenant, of all tenants if tenant is empty.
func (tx *Tx) Agents(tenant string, p Page) ([]Agent, error) {
	q := p.apply(tx.db.NewSelect(), "id")
	if tenant != "" {
		q = q.Where("tenant_id = ?", tenant)
	}
	return many(tx, q, "agents", agentRow.agent)
}

// AgentsOfVM returns the agents of a VM that are not revoked.
func (tx *Tx) AgentsOfVM(vm string) ([]Agent, error) {
	const query = "SELECT id, tenant_id, vm_id, public_key, enrolled_at, revoked_at, seen_at, skew_us, epoch, sequence, software " +
		"FROM agent WHERE vm_id = ? AND revoked_at IS NULL ORDER BY id"
	return list(tx, "agents", query, []any{vm}, func(rows *sql.Rows) (Agent, error) {
		var r agentRow
		err := rows.Scan(&r.ID, &r.TenantID, &r.VmID, &r.PublicKey, &r.EnrolledAt, &r.RevokedAt, &r.SeenAt, &r.SkewUs, &r.Epoch, &r.Sequence, &r.Software)
		if err != nil {
			return Agent{}, err
		}
		return r.agent()
	})
}

// RevokeAgent ends an agent's identity for good.
func (tx *Tx) RevokeAgent(id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("agent").Set("revoked_at = ?", micros(now)).Where("id = ? AND revoked_at IS NULL", id).Exec(tx.ctx)
	return changed(res, err, "agent", id)
}

// EnrolmentToken lets one machine enrol, once.
type EnrolmentToken struct {
	ID, Tenant, VDC string
	// VMName is the VM that it enrols; empty for the machine's own name.
	VMName     string
	SecretHash string
	CreatedAt  time.Time
	Expires    time.Time
	UsedAt     *time.Time
	Agent      string
}

type tokenRow struct {
	bun.BaseModel `bun:"table:enrolment_token"`
	ID            string `bun:",pk"`
	TenantID      string
	VdcID         string
	VmName        string
	SecretHash    string
	CreatedAt     int64
	ExpiresAt     int64
	UsedAt        *int64
	AgentID       *string
}

func (r tokenRow) token() (EnrolmentToken, error) {
	t := EnrolmentToken{
		ID: r.ID, Tenant: r.TenantID, VDC: r.VdcID, VMName: r.VmName, SecretHash: r.SecretHash,
		CreatedAt: fromMicros(r.CreatedAt), Expires: fromMicros(r.ExpiresAt), UsedAt: fromMicrosPtr(r.UsedAt),
	}
	if r.AgentID != nil {
		t.Agent = *r.AgentID
	}
	return t, nil
}

// InsertEnrolmentToken adds a token.
func (tx *Tx) InsertEnrolmentToken(t EnrolmentToken) error {
	return insert(tx, &tokenRow{
		ID: t.ID, TenantID: t.Tenant, VdcID: t.VDC, VmName: t.VMName, SecretHash: t.SecretHash,
		CreatedAt: micros(t.CreatedAt), ExpiresAt: micros(t.Expires),
	}, "enrolment token")
}

// EnrolmentToken returns the token of that id.
func (tx *Tx) EnrolmentToken(id string) (EnrolmentToken, error) {
	var row tokenRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "enrolment token", id, tokenRow.token)
}

// EnrolmentTokens lists the tokens of a tenant.
func (tx *Tx) EnrolmentTokens(tenant string, p Page) ([]EnrolmentToken, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant), "enrolment tokens", tokenRow.token)
}

// UseEnrolmentToken marks the token as used by the agent. Of concurrent calls
// exactly one succeeds; the others get ErrConflict.
func (tx *Tx) UseEnrolmentToken(id, agent string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("enrolment_token").Set("used_at = ?", micros(now)).Set("agent_id = ?", agent).
		Where("id = ? AND used_at IS NULL AND expires_at > ?", id, micros(now)).Exec(tx.ctx)
	if err := changed(res, err, "enrolment token", id); err != nil {
		return fmt.Errorf("use enrolment token: %w", err)
	}
	return nil
}
