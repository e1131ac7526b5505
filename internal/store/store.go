// Package store keeps the state of demarc in SQLite or PostgreSQL through one
// query layer. A state change, the ledger entry that tells of it and the jobs
// that follow from it are written in one transaction, or none of them is.
//
// Times are kept as microseconds since 1970 in UTC, JSON as text, so that both
// databases order and compare them alike.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql driver "pgx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
)

// Errors that callers tell apart. Others are faults of the database.
var (
	// ErrNotFound: no such object, or none that the caller may know of.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the object exists already, was changed meanwhile, or the
	// database refuses the move.
	ErrConflict = errors.New("conflict")
	// ErrStale: the version that was to be changed is no longer the present
	// one. It is an ErrConflict.
	ErrStale = fmt.Errorf("%w: another version is there now", ErrConflict)
	// ErrUnavailable: the database cannot be reached or has no room; nothing
	// was written and the call may be repeated.
	ErrUnavailable = errors.New("state store unavailable")
)

// Store is an open database. It is safe for concurrent use.
type Store struct {
	dialect string // "sqlite" or "postgres"
	writer  *bun.DB
	reader  *bun.DB
	// checkpointer is nil with PostgreSQL.
	checkpointer *checkpointer
}

// Open opens the database that dsn names and brings its schema up to date:
// "sqlite:///path/to/dir-or-file" or "postgres://user@host/db". The caller
// closes it.
func Open(ctx context.Context, dsn string) (*Store, error) {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		return nil, fmt.Errorf("store address %q must begin with sqlite:// or postgres://", redact(dsn))
	}
	var s *Store
	var err error
	switch scheme {
	case "sqlite":
		s = openSQLite(ctx, rest)
	case "postgres", "postgresql":
		s, err = openPostgres(dsn)
	default:
		err = fmt.Errorf("store address has scheme %q; sqlite and postgres are known", scheme)
	}
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// redact hides a password in an address.
func redact(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

func openSQLite(ctx context.Context, path string) *Store {
	dsn := "file:" + filepath.ToSlash(path) + "?_txlock=immediate" +
		"&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_pragma=cache_size(-16000)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(0)"
	w := openSQLiteFile(dsn)
	w.SetMaxOpenConns(1) // SQLite has one writer; queueing here beats SQLITE_BUSY
	r := openSQLiteFile(dsn + "&_pragma=query_only(1)")
	r.SetMaxOpenConns(4)
	c := openSQLiteFile(dsn)
	c.SetMaxOpenConns(1)
	return &Store{
		dialect: "sqlite", writer: bun.NewDB(w, sqlitedialect.New()), reader: bun.NewDB(r, sqlitedialect.New()),
		checkpointer: startCheckpointer(ctx, c, w),
	}
}

func openPostgres(dsn string) (*Store, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", redact(dsn), err)
	}
	db.SetMaxOpenConns(16)
	db.SetConnMaxIdleTime(5 * time.Minute)
	b := bun.NewDB(db, pgdialect.New())
	return &Store{dialect: "postgres", writer: b, reader: b}, nil
}

// Close ends all connections.
func (s *Store) Close() error {
	var err error
	if s.checkpointer != nil {
		err = s.checkpointer.close()
	}
	err = errors.Join(err, s.writer.Close())
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// Dialect is "sqlite" or "postgres".
func (s *Store) Dialect() string { return s.dialect }

// Tx is a transaction. It is not safe for concurrent use and ends with the
// function that it was given to.
type Tx struct {
	ctx      context.Context
	db       bun.Tx
	postgres bool
	after    []func()
}

// Context returns the context of the transaction.
func (tx *Tx) Context() context.Context { return tx.ctx }

// OnCommit registers f to run once the transaction is durable. It does not run
// when the transaction is undone.
func (tx *Tx) OnCommit(f func()) { tx.after = append(tx.after, f) }

// Write runs fn in a transaction that is durable when Write returns nil, and
// undone when fn or the commit fails. With PostgreSQL fn is run again when the
// database asks for it, so it must change nothing but tx.
func (s *Store) Write(ctx context.Context, fn func(tx *Tx) error) error {
	for attempt := 0; ; attempt++ {
		after, err := s.run(ctx, s.writer, nil, fn)
		if err == nil {
			for _, f := range after {
				f()
			}
			return nil
		}
		if attempt == 5 || !retryable(err) {
			return err
		}
	}
}

// Read runs fn on one consistent state. fn must not write.
func (s *Store) Read(ctx context.Context, fn func(tx *Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.dialect == "postgres" {
		opts.Isolation = sql.LevelRepeatableRead
	}
	_, err := s.run(ctx, s.reader, opts, fn)
	return err
}

func (s *Store) run(ctx context.Context, db *bun.DB, opts *sql.TxOptions, fn func(tx *Tx) error) (after []func(), err error) {
	btx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return nil, s.classify(err)
	}
	tx := &Tx{ctx: ctx, db: btx, postgres: s.dialect == "postgres"}
	defer func() {
		if p := recover(); p != nil {
			btx.Rollback()
			panic(p)
		}
	}()
	if err := fn(tx); err != nil {
		btx.Rollback()
		return nil, s.classify(err)
	}
	if err := btx.Commit(); err != nil {
		return nil, s.classify(err)
	}
	return tx.after, nil
}

// retryable reports serialization failures and deadlocks of PostgreSQL.
func retryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.reader.PingContext(ctx); err != nil {
		return s.classify(err)
	}
	return nil
}
