package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/evidence"
)

type factRow struct {
	bun.BaseModel `bun:"table:fact"`
	Scope         string `bun:",pk"`
	SubjectID     string `bun:",pk"`
	Kind          string `bun:",pk"`
	TenantID      string
	Data          string
	Digest        string
	ObservedAt    int64
	ChangedAt     int64
	Source        string
	AgainAt       *int64
}

func (r factRow) fact() (evidence.Fact, error) {
	f := evidence.Fact{
		Subject: subject(r.Scope, r.TenantID, r.SubjectID), Kind: r.Kind, Data: []byte(r.Data), Digest: r.Digest,
		ObservedAt: fromMicros(r.ObservedAt), ChangedAt: fromMicros(r.ChangedAt), Source: r.Source,
	}
	if r.AgainAt != nil {
		f.Again = fromMicros(*r.AgainAt)
	}
	return f, nil
}

func subject(scope, tenant, id string) evidence.Subject {
	return evidence.Subject{Scope: evidence.Scope(scope), Tenant: tenant, ID: id}
}

// Fact returns the latest fact of the kind about the subject.
func (tx *Tx) Fact(s evidence.Subject, kind string) (evidence.Fact, error) {
	var row factRow
	q := tx.db.NewSelect().Where("scope = ? AND subject_id = ? AND kind = ?", string(s.Scope), s.ID, kind)
	return one(tx, q, &row, "fact", kind, factRow.fact)
}

// Facts returns the latest facts about the subjects, of the given kinds or of
// all kinds if none is given.
func (tx *Tx) Facts(subjects []evidence.Subject, kinds ...string) ([]evidence.Fact, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	q := tx.db.NewSelect().WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		for scope, ids := range byScope(subjects) {
			q = q.WhereOr("scope = ? AND subject_id IN (?)", scope, bun.List(ids))
		}
		return q
	})
	if len(kinds) > 0 {
		q = q.Where("kind IN (?)", bun.List(kinds))
	}
	return many(tx, q, "facts", factRow.fact)
}

func byScope(subjects []evidence.Subject) map[string][]string {
	ids := map[string][]string{}
	for _, s := range subjects {
		ids[string(s.Scope)] = append(ids[string(s.Scope)], s.ID)
	}
	return ids
}

// PutFacts replaces facts by newer ones. ChangedAt is kept by the caller.
func (tx *Tx) PutFacts(facts []evidence.Fact) error {
	for chunk := range chunks(facts, 100) {
		rows := make([]factRow, len(chunk))
		for i, f := range chunk {
			rows[i] = factRow{
				Scope: string(f.Subject.Scope), SubjectID: f.Subject.ID, Kind: f.Kind, TenantID: f.Subject.Tenant,
				Data: string(f.Data), Digest: f.Digest, ObservedAt: micros(f.ObservedAt), ChangedAt: micros(f.ChangedAt), Source: f.Source,
			}
			if !f.Again.IsZero() {
				us := micros(f.Again)
				rows[i].AgainAt = &us
			}
		}
		_, err := tx.db.NewInsert().Model(&rows).On("CONFLICT (scope, subject_id, kind) DO UPDATE").
			Set("data = EXCLUDED.data").Set("digest = EXCLUDED.digest").Set("observed_at = EXCLUDED.observed_at").
			Set("changed_at = EXCLUDED.changed_at").Set("source = EXCLUDED.source").Set("again_at = EXCLUDED.again_at").Exec(tx.ctx)
		if err != nil {
			return fmt.Errorf("write facts: %w", err)
		}
	}
	return nil
}

// ConfirmFacts notes that the stored facts of these kinds were seen again, as
// they are, at observed.
func (tx *Tx) ConfirmFacts(s evidence.Subject, kinds []string, observed time.Time) error {
	if len(kinds) == 0 {
		return nil
	}
	us := micros(observed)
	_, err := tx.db.NewUpdate().Table("fact").Set("observed_at = ?", us).
		Where("scope = ? AND subject_id = ? AND kind IN (?) AND observed_at < ?", string(s.Scope), s.ID, bun.List(kinds), us).Exec(tx.ctx)
	if err != nil {
		return fmt.Errorf("confirm facts: %w", err)
	}
	return nil
}

// chunks yields s in pieces of at most n items.
func chunks[T any](s []T, n int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(s) > 0 {
			k := min(n, len(s))
			if !yield(s[:k]) {
				return
			}
			s = s[k:]
		}
	}
}
