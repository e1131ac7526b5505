package store

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/decision"
)

// DecisionState says how a decision stands.
type DecisionState string

// States of a decision. All but pending are final.
const (
	DecisionPending   DecisionState = "pending"
	DecisionSigned    DecisionState = "signed"
	DecisionWithdrawn DecisionState = "withdrawn"
	DecisionExpired   DecisionState = "expired"
)

// Decision is a decision of a tenant with what became of it.
type Decision struct {
	decision.Decision
	// Body is the canonical form, and Digest that of Body.
	Body, Digest string
	State        DecisionState
	// ProposedBy is ROLE/ID.
	ProposedBy string
	DecidedAt  *time.Time
}

// GivenSignature is a signature of a decision with who gave it and when.
type GivenSignature struct {
	decision.Signature
	At time.Time
	By string
}

type decisionRow struct {
	bun.BaseModel `bun:"table:decision"`
	ID            string `bun:",pk"`
	TenantID      string
	Kind          string
	Subject       string
	Version       int64
	Body          string
	Digest        string
	State         string
	IssuedAt      int64
	ExpiresAt     int64
	ProposedBy    string
	DecidedAt     *int64
}

func (r decisionRow) decision() (Decision, error) {
	d, err := decision.Parse([]byte(r.Body))
	return Decision{
		Decision: d, Body: r.Body, Digest: r.Digest, State: DecisionState(r.State), ProposedBy: r.ProposedBy,
		DecidedAt: fromMicrosPtr(r.DecidedAt),
	}, err
}

// InsertDecision adds a pending decision; Body and Digest are made of it.
func (tx *Tx) InsertDecision(d *Decision) error {
	body, err := d.Canonical()
	if err != nil {
		return err
	}
	d.Body, d.State = string(body), DecisionPending
	if d.Digest, err = d.Decision.Digest(); err != nil {
		return err
	}
	return insert(tx, &decisionRow{
		ID: d.ID, TenantID: d.Tenant, Kind: string(d.Kind), Subject: d.Subject, Version: d.Version, Body: d.Body, Digest: d.Digest,
		State: string(d.State), IssuedAt: micros(d.IssuedAt), ExpiresAt: micros(d.ExpiresAt), ProposedBy: d.ProposedBy,
	}, "decision")
}

// DecisionByID returns a decision of whatever tenant.
func (tx *Tx) DecisionByID(id string) (Decision, error) {
	var row decisionRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "decision", id, decisionRow.decision)
}

// Decisions lists the decisions of a tenant, oldest first, of one state if that
// is not empty.
func (tx *Tx) Decisions(tenant string, state DecisionState, p Page) ([]Decision, error) {
	q := p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant)
	if state != "" {
		q = q.Where("state = ?", string(state))
	}
	return many(tx, q, "decisions", decisionRow.decision)
}

// DecisionsAbout lists the decisions of a kind about a subject, oldest first.
func (tx *Tx) DecisionsAbout(tenant string, kind decision.Kind, subject string) ([]Decision, error) {
	q := tx.db.NewSelect().Where("tenant_id = ? AND kind = ? AND subject = ?", tenant, string(kind), subject).Order("id")
	return many(tx, q, "decisions", decisionRow.decision)
}

// OverdueDecisions lists at most a hundred pending decisions whose time is over.
func (tx *Tx) OverdueDecisions(now time.Time) ([]Decision, error) {
	q := tx.db.NewSelect().Where("state = ? AND expires_at <= ?", string(DecisionPending), micros(now)).Order("expires_at").Limit(100)
	return many(tx, q, "decisions", decisionRow.decision)
}

// Decide moves a pending decision to a final state, or is ErrConflict.
func (tx *Tx) Decide(id string, to DecisionState, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("decision").Set("state = ?", string(to)).Set("decided_at = ?", micros(now)).
		Where("id = ? AND state = ?", id, string(DecisionPending)).Exec(tx.ctx)
	return changed(res, err, "decision", id)
}

type signatureRow struct {
	bun.BaseModel     `bun:"table:decision_signature"`
	DecisionID        string `bun:",pk"`
	KeyID             string `bun:",pk"`
	Algorithm         string
	Signature         []byte
	AuthenticatorData []byte
	ClientData        []byte
	GivenAt           int64
	GivenBy           string
}

// InsertSignature adds a signature to a pending decision.
func (tx *Tx) InsertSignature(id string, s GivenSignature) error {
	present := func(b []byte) []byte {
		if b == nil {
			return []byte{}
		}
		return b
	}
	return insert(tx, &signatureRow{
		DecisionID: id, KeyID: s.Key, Algorithm: s.Algorithm, Signature: present(s.Signature.Signature), AuthenticatorData: present(s.AuthenticatorData),
		ClientData: present(s.ClientData), GivenAt: micros(s.At), GivenBy: s.By,
	}, "signature")
}

// Signatures returns the signatures of a decision in the order of their time.
func (tx *Tx) Signatures(id string) ([]GivenSignature, error) {
	q := tx.db.NewSelect().Where("decision_id = ?", id).Order("given_at", "key_id")
	return many(tx, q, "signatures", func(r signatureRow) (GivenSignature, error) {
		absent := func(b []byte) []byte {
			if len(b) == 0 {
				return nil
			}
			return b
		}
		return GivenSignature{
			Signature: decision.Signature{
				Key: r.KeyID, Algorithm: r.Algorithm, Signature: r.Signature, AuthenticatorData: absent(r.AuthenticatorData), ClientData: absent(r.ClientData),
			},
			At: fromMicros(r.GivenAt), By: r.GivenBy,
		}, nil
	})
}

// SignedDecision returns a decision with its signatures, as agents are given it.
func (tx *Tx) SignedDecision(id string) (decision.Signed, error) {
	d, err := tx.DecisionByID(id)
	if err != nil {
		return decision.Signed{}, err
	}
	given, err := tx.Signatures(id)
	out := decision.Signed{Decision: d.Decision}
	for _, g := range given {
		out.Signatures = append(out.Signatures, g.Signature)
	}
	return out, err
}
