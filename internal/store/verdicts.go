package store

import (
	"bytes"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/evidence"
)

type verdictRow struct {
	bun.BaseModel `bun:"table:verdict"`
	Scope         string `bun:",pk"`
	SubjectID     string `bun:",pk"`
	Duty          string `bun:",pk"`
	TenantID      string
	Control       string
	Party         string
	Verdict       string
	Reason        string
	Since         int64
	EvaluatedAt   int64
	DueAt         *int64
	Evidence      string
}

func (r verdictRow) judgement() (evidence.Judgement, error) {
	refs, err := decode[[]evidence.Reference](r.Evidence, "evidence of "+r.Duty)
	j := evidence.Judgement{
		Subject: subject(r.Scope, r.TenantID, r.SubjectID), Duty: r.Duty, Control: r.Control, Party: r.Party,
		Verdict: evidence.Verdict(r.Verdict), Reason: r.Reason, Since: fromMicros(r.Since), EvaluatedAt: fromMicros(r.EvaluatedAt),
		Evidence: refs,
	}
	if r.DueAt != nil {
		j.DueAt = fromMicros(*r.DueAt)
	}
	return j, err
}

// VerdictFilter selects judgements; empty members select all.
type VerdictFilter struct {
	Tenant  string
	Subject *evidence.Subject
	// VM selects the judgements of one VM.
	VM, Control, Duty, Party string
	Verdict                  evidence.Verdict
	Scope                    evidence.Scope
	// After is the last item of the former page.
	After *evidence.Judgement
	Limit int
}

// Verdicts lists judgements by duty, then subject.
func (tx *Tx) Verdicts(f VerdictFilter) ([]evidence.Judgement, error) {
	q := tx.db.NewSelect()
	equal := func(column, value string) {
		if value != "" {
			q = q.Where("? = ?", bun.Ident(column), value)
		}
	}
	equal("tenant_id", f.Tenant)
	equal("control", f.Control)
	equal("duty", f.Duty)
	equal("party", f.Party)
	equal("verdict", string(f.Verdict))
	equal("scope", string(f.Scope))
	if f.VM != "" {
		q = q.Where("scope = 'vm' AND subject_id = ?", f.VM)
	}
	if f.Subject != nil {
		q = q.Where("scope = ? AND subject_id = ?", string(f.Subject.Scope), f.Subject.ID)
	}
	if a := f.After; a != nil {
		q = q.Where("(duty, scope, subject_id) > (?, ?, ?)", a.Duty, string(a.Subject.Scope), a.Subject.ID)
	}
	if f.Limit > 0 {
		q = q.Limit(int64(f.Limit))
	}
	return many(tx, q.Order("duty", "scope", "subject_id"), "verdicts", verdictRow.judgement)
}

// VerdictCount is how many judgements of a tenant have a verdict.
type VerdictCount struct {
	Duty, Party, Verdict string
	Count                int
	Since                time.Time // when the latest of them became so
}

// VerdictCounts summarizes judgements by duty, party and verdict: of all
// subjects, of a tenant, or of the provider scope if tenant is empty.
func (tx *Tx) VerdictCounts(tenant string, all bool) ([]VerdictCount, error) {
	var rows []struct {
		Duty, Party, Verdict string
		N, Since             int64
	}
	q := tx.db.NewSelect().Table("verdict").Column("duty", "party", "verdict").ColumnExpr("COUNT(*) AS n").
		ColumnExpr("MAX(since) AS since").Group("duty", "party", "verdict")
	if !all {
		q = q.Where("tenant_id = ?", tenant)
	}
	err := q.Scan(tx.ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("count verdicts: %w", err)
	}
	out := make([]VerdictCount, len(rows))
	for i, r := range rows {
		out[i] = VerdictCount{Duty: r.Duty, Party: r.Party, Verdict: r.Verdict, Count: int(r.N), Since: fromMicros(r.Since)}
	}
	return out, nil
}

// StandingVerdict is a judgement as it is stored. Its Evidence is not read
// until Full is called.
type StandingVerdict struct {
	evidence.Judgement
	evidence string
}

// Full returns the judgement with its evidence.
func (s StandingVerdict) Full() (evidence.Judgement, error) {
	refs, err := decode[[]evidence.Reference](s.evidence, "evidence of "+s.Duty)
	s.Evidence = refs
	return s.Judgement, err
}

// SameEvidence reports whether j stands on the same evidence. When it was
// looked at does not count.
func (s StandingVerdict) SameEvidence(j evidence.Judgement) bool {
	const at = `"at":"` // a string in JSON cannot hold this: its quotes are escaped
	a, b := s.evidence, appendEvidence(make([]byte, 0, len(s.evidence)+64), j.Evidence)
	for {
		beforeA, restA, more := strings.Cut(a, at)
		beforeB, restB, moreB := bytes.Cut(b, []byte(at))
		if beforeA != string(beforeB) || more != moreB {
			return false
		}
		if !more {
			return true
		}
		_, a, _ = strings.Cut(restA, `"`)
		_, b, _ = bytes.Cut(restB, []byte{'"'})
	}
}

// Standing returns the judgements of the subject: of the duties, or of all if
// none is given.
func (tx *Tx) Standing(s evidence.Subject, duties ...string) ([]StandingVerdict, error) {
	query := "SELECT duty, control, party, verdict, reason, since, evaluated_at, due_at, evidence FROM verdict WHERE scope = ? AND subject_id = ?"
	args := []any{string(s.Scope), s.ID}
	if len(duties) > 0 {
		ofDuty, ids := in("duty", duties)
		query, args = query+" AND "+ofDuty, append(args, ids...)
	}
	return list(tx, "verdicts", query, args, func(rows *sql.Rows) (StandingVerdict, error) {
		v := StandingVerdict{Judgement: evidence.Judgement{Subject: s}}
		var since, evaluated int64
		var due *int64
		err := rows.Scan(&v.Duty, &v.Control, &v.Party, &v.Verdict, &v.Reason, &since, &evaluated, &due, &v.evidence)
		v.Since, v.EvaluatedAt = fromMicros(since), fromMicros(evaluated)
		if due != nil {
			v.DueAt = fromMicros(*due)
		}
		return v, err
	})
}

// PutVerdicts writes judgements over the former ones of the same duty and subject.
func (tx *Tx) PutVerdicts(js []evidence.Judgement) error {
	var refs []byte
	for i := range js {
		j := &js[i]
		refs = appendEvidence(refs[:0], j.Evidence)
		err := tx.exec("write verdicts", "INSERT INTO verdict (scope, subject_id, duty, tenant_id, control, party, verdict, reason, since, evaluated_at, due_at, evidence) "+
			"VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (scope, subject_id, duty) DO UPDATE SET control = EXCLUDED.control, party = EXCLUDED.party, "+
			"verdict = EXCLUDED.verdict, reason = EXCLUDED.reason, since = EXCLUDED.since, evaluated_at = EXCLUDED.evaluated_at, "+
			"due_at = EXCLUDED.due_at, evidence = EXCLUDED.evidence",
			string(j.Subject.Scope), j.Subject.ID, j.Duty, j.Subject.Tenant, j.Control, j.Party, string(j.Verdict), j.Reason,
			micros(j.Since), micros(j.EvaluatedAt), microsOrNull(j.DueAt), string(refs))
		if err != nil {
			return err
		}
	}
	return nil
}

// appendEvidence encodes references as encoding/json would, in a tenth of the
// time: every judgement of a fleet is compared by it.
func appendEvidence(b []byte, refs []evidence.Reference) []byte {
	text := func(name, value string) {
		b = append(b, name...)
		b, _ = jsontext.AppendQuote(b, value)
	}
	b = append(b, '[')
	for i := range refs {
		r := &refs[i]
		if i > 0 {
			b = append(b, ',')
		}
		text(`{"type":`, r.Type)
		text(`,"ref":`, r.Ref)
		text(`,"subject":{"scope":`, string(r.Subject.Scope))
		if r.Subject.Tenant != "" {
			text(`,"tenant":`, r.Subject.Tenant)
		}
		text(`,"id":`, r.Subject.ID)
		b = append(b, '}')
		if r.Digest != "" {
			text(`,"digest":`, r.Digest)
		}
		b = append(b, `,"at":"`...)
		b = r.At.AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
		if r.Source != "" {
			text(`,"source":`, r.Source)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// DropVerdicts removes the judgements of duties that no catalogue has any more.
func (tx *Tx) DropVerdicts(s evidence.Subject, duties []string) error {
	if len(duties) == 0 {
		return nil
	}
	_, err := tx.db.NewDelete().Table("verdict").
		Where("scope = ? AND subject_id = ? AND duty IN (?)", string(s.Scope), s.ID, bun.List(duties)).Exec(tx.ctx)
	if err != nil {
		return fmt.Errorf("remove verdicts: %w", err)
	}
	return nil
}

// DueSubjects returns subjects that have a judgement due at or before t, the
// longest overdue first.
func (tx *Tx) DueSubjects(t time.Time, limit int) ([]evidence.Subject, error) {
	var rows []struct{ Scope, TenantID, SubjectID string }
	err := tx.db.NewSelect().Table("verdict").Column("scope", "tenant_id", "subject_id").
		Where("due_at <= ?", micros(t)).Group("scope", "tenant_id", "subject_id").OrderExpr("MIN(due_at)").
		Limit(int64(limit)).Scan(tx.ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("find due verdicts: %w", err)
	}
	out := make([]evidence.Subject, len(rows))
	for i, r := range rows {
		out[i] = subject(r.Scope, r.TenantID, r.SubjectID)
	}
	return out, nil
}

type historyRow struct {
	bun.BaseModel `bun:"table:verdict_history"`
	Scope         string `bun:",pk"`
	SubjectID     string `bun:",pk"`
	Duty          string `bun:",pk"`
	FromAt        int64  `bun:",pk"`
	ToAt          int64  `bun:",pk"`
	TenantID      string
	Party         string
	Verdict       string
	Reason        string
	Evidence      string
}

// PastJudgement is a judgement that has been replaced.
type PastJudgement struct {
	evidence.Judgement
	Until time.Time
}

// AddHistory keeps judgements that end at until.
func (tx *Tx) AddHistory(js []evidence.Judgement, until time.Time) error {
	for chunk := range chunks(js, 200) {
		rows := make([]historyRow, len(chunk))
		for i, j := range chunk {
			rows[i] = historyRow{
				Scope: string(j.Subject.Scope), SubjectID: j.Subject.ID, Duty: j.Duty, FromAt: micros(j.Since), ToAt: micros(until),
				TenantID: j.Subject.Tenant, Party: j.Party, Verdict: string(j.Verdict), Reason: j.Reason, Evidence: encode(j.Evidence),
			}
		}
		if _, err := tx.db.NewInsert().Model(&rows).On("CONFLICT DO NOTHING").Exec(tx.ctx); err != nil {
			return fmt.Errorf("write verdict history: %w", err)
		}
	}
	return nil
}

// History returns the former judgements of a duty of a subject, the latest first.
func (tx *Tx) History(s evidence.Subject, duty string, limit int) ([]PastJudgement, error) {
	q := tx.db.NewSelect().Where("scope = ? AND subject_id = ? AND duty = ?", string(s.Scope), s.ID, duty).
		Order("to_at DESC").Limit(int64(limit))
	return many(tx, q, "verdict history", func(r historyRow) (PastJudgement, error) {
		refs, err := decode[[]evidence.Reference](r.Evidence, "evidence of "+r.Duty)
		return PastJudgement{Until: fromMicros(r.ToAt), Judgement: evidence.Judgement{
			Subject: subject(r.Scope, r.TenantID, r.SubjectID), Duty: r.Duty, Party: r.Party, Verdict: evidence.Verdict(r.Verdict),
			Reason: r.Reason, Since: fromMicros(r.FromAt), Evidence: refs,
		}}, err
	})
}
