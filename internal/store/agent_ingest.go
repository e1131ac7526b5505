package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// AgentIngest is how far the records of an agent were taken in, and what
// became of those that were not.
type AgentIngest struct {
	ID, Tenant, VM string
	// TenantOrdinal is the tenant's number in the event store.
	TenantOrdinal uint32
	Revoked       bool
	// SeenAt is when the last batch came; zero if none ever did.
	SeenAt time.Time
	// Skew is what is added to the agent's times; Offset is the present
	// estimate of the server's clock minus the agent's, which Skew follows in
	// steps.
	Skew, Offset time.Duration
	// Epoch and Sequence name the last record accepted.
	Epoch    string
	Sequence uint64
	// Former are the epochs that ended, the oldest first.
	Former []Epoch
	// Lost counts records that never came although later ones did.
	Lost uint64
	// Rejected counts records that came and were refused; Rejections are the
	// last reasons why a record was refused or, without a kind, never came.
	Rejected   uint64
	Rejections []Rejection
}

// Epoch is the life of one spool of an agent.
type Epoch struct {
	Name string `json:"name"`
	// Sequence is the last record accepted of it.
	Sequence uint64 `json:"sequence"`
}

// Rejection is a record that was refused, or records that never came.
type Rejection struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
}

type agentIngestRow struct {
	bun.BaseModel `bun:"table:agent,alias:a"`
	ID            string
	TenantID      string
	VmID          string
	Ordinal       int64
	RevokedAt     *int64
	SeenAt        *int64
	SkewUs        int64
	Epoch         string
	Sequence      int64
	OffsetUs      *int64
	Lost          *int64
	Rejected      *int64
	Rejections    *string
	Former        *string
}

func (r agentIngestRow) agent() (AgentIngest, error) {
	a := AgentIngest{
		ID: r.ID, Tenant: r.TenantID, VM: r.VmID, TenantOrdinal: uint32(r.Ordinal), Revoked: r.RevokedAt != nil,
		Skew: time.Duration(r.SkewUs) * time.Microsecond, Epoch: r.Epoch, Sequence: uint64(r.Sequence),
	}
	if r.SeenAt != nil {
		a.SeenAt = fromMicros(*r.SeenAt)
	}
	if r.Lost == nil { // never ingested
		return a, nil
	}
	a.Offset = time.Duration(*r.OffsetUs) * time.Microsecond
	a.Lost, a.Rejected = uint64(*r.Lost), uint64(*r.Rejected)
	var err error
	if a.Rejections, err = decode[[]Rejection](*r.Rejections, "rejections of agent "+r.ID); err != nil {
		return a, err
	}
	a.Former, err = decode[[]Epoch](*r.Former, "epochs of agent "+r.ID)
	return a, err
}

// AgentsForIngest returns the agents of those ids by id, revoked ones too, and
// keeps others from advancing them until tx ends. Unknown ids are left out.
func (tx *Tx) AgentsForIngest(ids []string) (map[string]AgentIngest, error) {
	return tx.agentsForIngest(ids, tx.postgres)
}

// AgentsIngest returns what ingest knows of agents by id, for showing. Unknown
// ids are left out.
func (tx *Tx) AgentsIngest(ids []string) (map[string]AgentIngest, error) {
	return tx.agentsForIngest(ids, false)
}

// AgentIngest returns what ingest knows of an agent, for showing.
func (tx *Tx) AgentIngest(id string) (AgentIngest, error) {
	m, err := tx.agentsForIngest([]string{id}, false)
	if err != nil {
		return AgentIngest{}, err
	}
	a, ok := m[id]
	if !ok {
		return a, fmt.Errorf("agent %q: %w", id, ErrNotFound)
	}
	return a, nil
}

func (tx *Tx) agentsForIngest(ids []string, lock bool) (map[string]AgentIngest, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	q := tx.db.NewSelect().
		ColumnExpr("a.id, a.tenant_id, a.vm_id, a.revoked_at, a.seen_at, a.skew_us, a.epoch, a.sequence").
		ColumnExpr("t.ordinal").
		ColumnExpr("i.offset_us, i.lost, i.rejected, i.rejections, i.former").
		Join("JOIN tenant AS t ON t.id = a.tenant_id").
		Join("LEFT JOIN agent_ingest AS i ON i.agent_id = a.id").
		Where("a.id IN (?)", bun.List(ids)).
		Order("a.id") // one order for all, so that two servers cannot wait for each other
	if lock {
		q = q.For("UPDATE OF a")
	}
	list, err := many(tx, q, "agents", agentIngestRow.agent)
	if err != nil {
		return nil, err
	}
	m := make(map[string]AgentIngest, len(list))
	for _, a := range list {
		m[a.ID] = a
	}
	return m, nil
}

// AdvanceAgents writes down how far ingest came with agents that
// AgentsForIngest returned within tx.
func (tx *Tx) AdvanceAgents(agents []AgentIngest) error {
	slices.SortFunc(agents, func(a, b AgentIngest) int { return cmp.Compare(a.ID, b.ID) })
	update := tx.numbered(`UPDATE agent SET seen_at = ?, skew_us = ?, epoch = ?, sequence = ? WHERE id = ?`)
	upsert := tx.numbered(`INSERT INTO agent_ingest (agent_id, offset_us, lost, rejected, rejections, former) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (agent_id) DO UPDATE SET offset_us = EXCLUDED.offset_us, lost = EXCLUDED.lost, rejected = EXCLUDED.rejected,
rejections = EXCLUDED.rejections, former = EXCLUDED.former`)
	for _, a := range agents {
		_, err := tx.db.Tx.ExecContext(tx.ctx, update, micros(a.SeenAt), a.Skew.Microseconds(), a.Epoch, int64(a.Sequence), a.ID)
		if err != nil {
			return fmt.Errorf("advance agent %s: %w", a.ID, err)
		}
		_, err = tx.db.Tx.ExecContext(tx.ctx, upsert, a.ID, a.Offset.Microseconds(), int64(a.Lost), int64(a.Rejected), encode(a.Rejections), encode(a.Former))
		if err != nil {
			return fmt.Errorf("advance agent %s: %w", a.ID, err)
		}
	}
	return nil
}
