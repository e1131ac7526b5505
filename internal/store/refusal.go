package store

import (
	"database/sql"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// refusal is a fault of the database in words that may be shown to the caller;
// the database's own words are kept for the log.
type refusal struct {
	kind  error // ErrNotFound, ErrConflict or ErrUnavailable
	text  string
	cause error
}

// Error implements error. It does not repeat the database's words.
func (r *refusal) Error() string { return r.text }

// Unwrap lets errors.Is find the kind, and the cause.
func (r *refusal) Unwrap() []error { return []error{r.kind, r.cause} }

// Cause returns what the database said about an error of this package, for
// the log; nil if it said nothing.
func Cause(err error) error {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.cause
	}
	return nil
}

// classify makes database faults into the package's errors, and leaves others alone.
func (s *Store) classify(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) {
		return &refusal{ErrNotFound, ErrNotFound.Error(), err}
	}
	if text, kind := diagnose(err); kind != nil {
		return &refusal{kind, text, err}
	}
	if s.dialect == "postgres" && unreachable(err) {
		return &refusal{ErrUnavailable, ErrUnavailable.Error(), err}
	}
	return err
}

// diagnose reads the error code of either database.
func diagnose(err error) (text string, kind error) {
	const (
		exists   = "it exists already"
		dangling = "it refers to something that is not there, or something refers to it"
		malform  = "the state store refuses it"
	)
	if le, ok := errors.AsType[*sqlite.Error](err); ok {
		switch le.Code() {
		case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
			return exists, ErrConflict
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return dangling, ErrConflict
		case sqlite3.SQLITE_CONSTRAINT_TRIGGER:
			return guard(le.Error()), ErrConflict
		}
		switch le.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT:
			return malform, ErrConflict
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return ErrUnavailable.Error(), ErrUnavailable
		}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case pg.Code == "23505":
			return exists, ErrConflict
		case pg.Code == "23503":
			return dangling, ErrConflict
		case pg.Code[:2] == "23":
			return malform, ErrConflict
		case pg.Code == "P0001":
			return pg.Message, ErrConflict
		case strings.Contains("53 57 58 08", pg.Code[:2]): // resources, shutdown, system, connection
			return ErrUnavailable.Error(), ErrUnavailable
		}
	}
	return "", nil
}

// guard takes a trigger's own words out of SQLite's message
// "constraint failed: WORDS (1811)".
func guard(message string) string {
	_, words, ok := strings.Cut(message, ": ")
	if !ok {
		return message
	}
	if i := strings.LastIndex(words, " ("); i > 0 {
		words = words[:i]
	}
	return words
}
