package store

import (
	"database/sql"
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
	facts, err := tx.Facts([]evidence.Subject{s}, kind)
	if err == nil && len(facts) == 0 {
		err = fmt.Errorf("fact %q: %w", kind, ErrNotFound)
	}
	if err != nil {
		return evidence.Fact{}, err
	}
	return facts[0], nil
}

const factColumns = "scope, subject_id, kind, tenant_id, data, digest, observed_at, changed_at, source, again_at"

// Facts returns the latest facts about the subjects, of the given kinds or of
// all kinds if none is given.
func (tx *Tx) Facts(subjects []evidence.Subject, kinds ...string) ([]evidence.Fact, error) {
	var all []evidence.Fact
	for scope, ids := range byScope(subjects) {
		where, args := in("subject_id", ids)
		args = append([]any{scope}, args...)
		if len(kinds) > 0 {
			ofKind, names := in("kind", kinds)
			where, args = where+" AND "+ofKind, append(args, names...)
		}
		facts, err := list(tx, "facts", "SELECT "+factColumns+" FROM fact WHERE scope = ? AND "+where, args, scanFact)
		if err != nil {
			return nil, err
		}
		all = append(all, facts...)
	}
	return all, nil
}

func scanFact(rows *sql.Rows) (evidence.Fact, error) {
	var r factRow
	var data []byte
	err := rows.Scan(&r.Scope, &r.SubjectID, &r.Kind, &r.TenantID, &data, &r.Digest, &r.ObservedAt, &r.ChangedAt, &r.Source, &r.AgainAt)
	if err != nil {
		return evidence.Fact{}, err
	}
	f, err := r.fact()
	f.Data = data
	return f, err
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
	for _, f := range facts {
		err := tx.exec("write facts", "INSERT INTO fact ("+factColumns+") VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (scope, subject_id, kind) DO UPDATE SET "+
			"data = EXCLUDED.data, digest = EXCLUDED.digest, observed_at = EXCLUDED.observed_at, changed_at = EXCLUDED.changed_at, "+
			"source = EXCLUDED.source, again_at = EXCLUDED.again_at",
			string(f.Subject.Scope), f.Subject.ID, f.Kind, f.Subject.Tenant, string(f.Data), f.Digest,
			micros(f.ObservedAt), micros(f.ChangedAt), f.Source, microsOrNull(f.Again))
		if err != nil {
			return err
		}
	}
	return nil
}

// RenewFact notes when the stored fact was seen again, as it is, and when it
// is to be made again.
func (tx *Tx) RenewFact(f evidence.Fact) error {
	return tx.exec("renew a fact", "UPDATE fact SET observed_at = ?, again_at = ? WHERE scope = ? AND subject_id = ? AND kind = ?",
		micros(f.ObservedAt), microsOrNull(f.Again), string(f.Subject.Scope), f.Subject.ID, f.Kind)
}

// microsOrNull converts a time of which zero means never.
func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// ConfirmFacts notes that the stored facts of these kinds were seen again, as
// they are, at observed.
func (tx *Tx) ConfirmFacts(s evidence.Subject, kinds []string, observed time.Time) error {
	if len(kinds) == 0 {
		return nil
	}
	us := micros(observed)
	ofKind, names := in("kind", kinds)
	return tx.exec("confirm facts", "UPDATE fact SET observed_at = ? WHERE scope = ? AND subject_id = ? AND observed_at < ? AND "+ofKind,
		append([]any{us, string(s.Scope), s.ID, us}, names...)...)
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
