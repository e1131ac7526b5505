package store

import (
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/evidence"
)

type attestationRow struct {
	bun.BaseModel `bun:"table:attestation"`
	ID            string `bun:",pk"`
	TenantID      string
	Scope         string
	SubjectID     string
	Duty          string
	MadeBy        string
	Statement     string
	Attachments   string
	CreatedAt     int64
	EffectiveAt   int64
	ExpiresAt     int64
	WithdrawnAt   *int64
}

func (r attestationRow) attestation() (evidence.Attestation, error) {
	att, err := decode[[]evidence.Attachment](r.Attachments, "attachments of "+r.ID)
	return evidence.Attestation{
		ID: r.ID, Duty: r.Duty, Subject: subject(r.Scope, r.TenantID, r.SubjectID), By: r.MadeBy, Statement: r.Statement,
		Attachments: att, CreatedAt: fromMicros(r.CreatedAt), Effective: fromMicros(r.EffectiveAt), Expires: fromMicros(r.ExpiresAt),
		Withdrawn: fromMicrosPtr(r.WithdrawnAt),
	}, err
}

// InsertAttestation adds an attestation.
func (tx *Tx) InsertAttestation(a evidence.Attestation) error {
	return insert(tx, &attestationRow{
		ID: a.ID, TenantID: a.Subject.Tenant, Scope: string(a.Subject.Scope), SubjectID: a.Subject.ID, Duty: a.Duty, MadeBy: a.By,
		Statement: a.Statement, Attachments: encode(a.Attachments), CreatedAt: micros(a.CreatedAt),
		EffectiveAt: micros(a.Effective), ExpiresAt: micros(a.Expires),
	}, "attestation")
}

// Attestations returns those about the subjects that were not withdrawn and
// end after t.
func (tx *Tx) Attestations(subjects []evidence.Subject, t time.Time) ([]evidence.Attestation, error) {
	const columns = "id, tenant_id, scope, subject_id, duty, made_by, statement, attachments, created_at, effective_at, expires_at, withdrawn_at"
	return standing(tx, "attestation", columns, subjects, t, func(rows *sql.Rows) (evidence.Attestation, error) {
		var r attestationRow
		err := rows.Scan(&r.ID, &r.TenantID, &r.Scope, &r.SubjectID, &r.Duty, &r.MadeBy, &r.Statement, &r.Attachments,
			&r.CreatedAt, &r.EffectiveAt, &r.ExpiresAt, &r.WithdrawnAt)
		if err != nil {
			return evidence.Attestation{}, err
		}
		return r.attestation()
	})
}

// AttestationList returns all attestations of a tenant, past ones too.
func (tx *Tx) AttestationList(tenant string, p Page) ([]evidence.Attestation, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant), "attestations", attestationRow.attestation)
}

// Attestation returns one attestation of a tenant.
func (tx *Tx) Attestation(tenant, id string) (evidence.Attestation, error) {
	var row attestationRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id), &row, "attestation", id, attestationRow.attestation)
}

type waiverRow struct {
	bun.BaseModel `bun:"table:waiver"`
	ID            string `bun:",pk"`
	TenantID      string
	Scope         string
	SubjectID     string
	Duty          string
	AcceptedBy    string
	Reason        string
	CreatedAt     int64
	EffectiveAt   int64
	ExpiresAt     int64
	WithdrawnAt   *int64
}

func (r waiverRow) waiver() (evidence.Waiver, error) {
	return evidence.Waiver{
		ID: r.ID, Duty: r.Duty, Subject: subject(r.Scope, r.TenantID, r.SubjectID), AcceptedBy: r.AcceptedBy, Reason: r.Reason,
		CreatedAt: fromMicros(r.CreatedAt), Effective: fromMicros(r.EffectiveAt), Expires: fromMicros(r.ExpiresAt),
		Withdrawn: fromMicrosPtr(r.WithdrawnAt),
	}, nil
}

// InsertWaiver adds a waiver.
func (tx *Tx) InsertWaiver(w evidence.Waiver) error {
	return insert(tx, &waiverRow{
		ID: w.ID, TenantID: w.Subject.Tenant, Scope: string(w.Subject.Scope), SubjectID: w.Subject.ID, Duty: w.Duty,
		AcceptedBy: w.AcceptedBy, Reason: w.Reason, CreatedAt: micros(w.CreatedAt), EffectiveAt: micros(w.Effective), ExpiresAt: micros(w.Expires),
	}, "waiver")
}

// Waivers returns those about the subjects that were not withdrawn and end after t.
func (tx *Tx) Waivers(subjects []evidence.Subject, t time.Time) ([]evidence.Waiver, error) {
	const columns = "id, tenant_id, scope, subject_id, duty, accepted_by, reason, created_at, effective_at, expires_at, withdrawn_at"
	return standing(tx, "waiver", columns, subjects, t, func(rows *sql.Rows) (evidence.Waiver, error) {
		var r waiverRow
		err := rows.Scan(&r.ID, &r.TenantID, &r.Scope, &r.SubjectID, &r.Duty, &r.AcceptedBy, &r.Reason,
			&r.CreatedAt, &r.EffectiveAt, &r.ExpiresAt, &r.WithdrawnAt)
		if err != nil {
			return evidence.Waiver{}, err
		}
		return r.waiver()
	})
}

// WaiverList returns all waivers of a tenant, past ones too.
func (tx *Tx) WaiverList(tenant string, p Page) ([]evidence.Waiver, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("tenant_id = ?", tenant), "waivers", waiverRow.waiver)
}

// Waiver returns one waiver of a tenant.
func (tx *Tx) Waiver(tenant, id string) (evidence.Waiver, error) {
	var row waiverRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id), &row, "waiver", id, waiverRow.waiver)
}

// standing is a query past bun: most subjects have no statement, and it is
// asked for at every change.
func standing[T any](tx *Tx, table, columns string, subjects []evidence.Subject, t time.Time, scan func(*sql.Rows) (T, error)) ([]T, error) {
	query := "SELECT " + columns + " FROM " + table + " WHERE withdrawn_at IS NULL AND expires_at > ? AND "
	where, args := about(subjects)
	return list(tx, table+"s", query+where+" ORDER BY id", append([]any{micros(t)}, args...), scan)
}

// about is the condition that a row concerns one of the subjects.
func about(subjects []evidence.Subject) (where string, args []any) {
	parts := make([]string, len(subjects))
	for i, s := range subjects {
		parts[i] = "(scope = ? AND subject_id = ?)"
		args = append(args, string(s.Scope), s.ID)
	}
	if len(parts) == 0 {
		return "1 = 0", nil
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// Withdraw ends an attestation or waiver ("attestation", "waiver") of a tenant
// before its time.
func (tx *Tx) Withdraw(what, tenant, id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table(what).Set("withdrawn_at = ?", micros(now)).
		Where("tenant_id = ? AND id = ? AND withdrawn_at IS NULL", tenant, id).Exec(tx.ctx)
	return changed(res, err, what, id)
}

// Policy is a version of a service's policy for a subject.
type Policy struct {
	Subject   evidence.Subject
	Service   string
	Version   int64
	Document  []byte // canonical JSON
	Digest    string
	CreatedAt time.Time
	By        string
	// Decision is the signed decision behind it; empty where there was none.
	Decision string
	// Until is when it ends; nil is when another replaces it.
	Until *time.Time
}

type policyRow struct {
	bun.BaseModel `bun:"table:policy"`
	Scope         string `bun:",pk"`
	SubjectID     string `bun:",pk"`
	Service       string `bun:",pk"`
	Version       int64  `bun:",pk"`
	TenantID      string
	Document      string
	Digest        string
	CreatedAt     int64
	MadeBy        string
	DecisionID    string
	UntilAt       *int64
}

func (r policyRow) policy() (Policy, error) {
	return Policy{
		Subject: subject(r.Scope, r.TenantID, r.SubjectID), Service: r.Service, Version: r.Version, Document: []byte(r.Document),
		Digest: r.Digest, CreatedAt: fromMicros(r.CreatedAt), By: r.MadeBy, Decision: r.DecisionID, Until: fromMicrosPtr(r.UntilAt),
	}, nil
}

// NextPolicy returns the version that the next policy of a service has.
func (tx *Tx) NextPolicy(s evidence.Subject, service string) (int64, error) {
	var last int64
	err := tx.db.NewSelect().Table("policy").ColumnExpr("COALESCE(MAX(version), 0)").
		Where("scope = ? AND subject_id = ? AND service = ?", string(s.Scope), s.ID, service).Scan(tx.ctx, &last)
	if err != nil {
		return 0, fmt.Errorf("number the policy: %w", err)
	}
	return last + 1, nil
}

// AddPolicy writes the next version of a policy and sets p.Version.
func (tx *Tx) AddPolicy(p *Policy) error {
	var err error
	if p.Version, err = tx.NextPolicy(p.Subject, p.Service); err != nil {
		return err
	}
	return insert(tx, &policyRow{
		Scope: string(p.Subject.Scope), SubjectID: p.Subject.ID, Service: p.Service, Version: p.Version, TenantID: p.Subject.Tenant,
		Document: string(p.Document), Digest: p.Digest, CreatedAt: micros(p.CreatedAt), MadeBy: p.By, DecisionID: p.Decision, UntilAt: microsPtr(p.Until),
	}, "policy")
}

// Policies returns the newest version of each service's policy about the subjects.
func (tx *Tx) Policies(subjects []evidence.Subject) ([]Policy, error) {
	where, args := about(subjects)
	const columns = "scope, subject_id, service, version, tenant_id, document, digest, created_at, made_by, decision_id, until_at"
	query := "SELECT " + columns + " FROM policy WHERE " + where + " AND version = (SELECT MAX(p.version) FROM policy AS p " +
		"WHERE p.scope = policy.scope AND p.subject_id = policy.subject_id AND p.service = policy.service)"
	return list(tx, "policies", query, args, func(rows *sql.Rows) (Policy, error) {
		var r policyRow
		err := rows.Scan(&r.Scope, &r.SubjectID, &r.Service, &r.Version, &r.TenantID, &r.Document, &r.Digest, &r.CreatedAt, &r.MadeBy, &r.DecisionID, &r.UntilAt)
		if err != nil {
			return Policy{}, err
		}
		return r.policy()
	})
}

// TenantPolicies returns the newest version of every policy of a tenant and
// its VMs.
func (tx *Tx) TenantPolicies(tenant string) ([]Policy, error) {
	q := tx.db.NewSelect().Where("tenant_id = ?", tenant).Order("service", "scope", "subject_id", "version")
	all, err := many(tx, q, "policies", policyRow.policy)
	// Of one service and subject the last is the newest.
	var out []Policy
	for _, p := range all {
		if n := len(out); n > 0 && out[n-1].Service == p.Service && out[n-1].Subject == p.Subject {
			out[n-1] = p
			continue
		}
		out = append(out, p)
	}
	return out, err
}
