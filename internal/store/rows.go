package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"
)

// Page bounds a list: at most Limit items whose id follows After.
type Page struct {
	After string
	Limit int
}

// MaxPage is the most items that a list returns at once.
const MaxPage = 1000

func (p Page) apply(q *bun.SelectQuery, column string) *bun.SelectQuery {
	limit := p.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	if p.After != "" {
		q = q.Where("? > ?", bun.Ident(column), p.After)
	}
	return q.OrderBy(column, bun.OrderAsc).Limit(int64(limit))
}

// one scans a single row into R and converts it.
func one[R, D any](tx *Tx, q *bun.SelectQuery, row *R, what, ref string, convert func(R) (D, error)) (D, error) {
	var zero D
	if !utf8.ValidString(ref) || strings.ContainsRune(ref, 0) {
		return zero, fmt.Errorf("%s %q: %w", what, ref, ErrNotFound) // no database can look for it
	}
	err := q.Model(row).Scan(tx.ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return zero, fmt.Errorf("%s %q: %w", what, ref, ErrNotFound)
	}
	if err != nil {
		return zero, fmt.Errorf("read %s: %w", what, err)
	}
	return convert(*row)
}

// many scans all rows into R and converts them.
func many[R, D any](tx *Tx, q *bun.SelectQuery, what string, convert func(R) (D, error)) ([]D, error) {
	var rows []R
	if err := q.Model(&rows).Scan(tx.ctx); err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	out := make([]D, 0, len(rows))
	for _, r := range rows {
		d, err := convert(r)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// insert writes one row.
func insert[R any](tx *Tx, row *R, what string) error {
	_, err := tx.db.NewInsert().Model(row).Exec(tx.ctx)
	if err == nil {
		return nil
	}
	if text, kind := diagnose(err); kind != nil {
		return &refusal{kind, what + ": " + text, err}
	}
	return fmt.Errorf("write %s: %w", what, err)
}

// changed turns "no row was updated" into ErrConflict: the row was changed
// meanwhile, or a condition of the update does not hold.
func changed(res sql.Result, err error, what, ref string) error {
	if err != nil {
		if text, kind := diagnose(err); kind != nil {
			return &refusal{kind, what + " " + ref + ": " + text, err}
		}
		return fmt.Errorf("change %s: %w", what, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("%s %q was changed meanwhile: %w", what, ref, ErrStale)
	}
	return nil
}

// decode reads JSON that this package wrote.
func decode[T any](text, what string) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, fmt.Errorf("stored %s is damaged: %w", what, err)
	}
	return v, nil
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: encode: " + err.Error()) // only types of this module come here
	}
	return string(b)
}
