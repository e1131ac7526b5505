package store

import (
	"database/sql"
	"fmt"
	"strings"
)

// Statements that run for every changed fact go past bun: with placeholders
// instead of values in their text, the databases compile them once.

// list reads all rows of a query; scan reads one of them.
func list[T any](tx *Tx, what, query string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := tx.db.Tx.QueryContext(tx.ctx, tx.numbered(query), args...)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", what, err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return out, nil
}

// exec runs a statement.
func (tx *Tx) exec(what, query string, args ...any) error {
	if _, err := tx.db.Tx.ExecContext(tx.ctx, tx.numbered(query), args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// in returns "column IN (?, …)" and its arguments.
func in(column string, values []string) (condition string, args []any) {
	for _, v := range values {
		args = append(args, v)
	}
	return column + " IN (?" + strings.Repeat(",?", max(0, len(values)-1)) + ")", args
}
