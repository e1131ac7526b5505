package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"database/sql/driver"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"github.com/demarc/demarc/internal/lifecycle"
)

//go:embed migrations
var migrations embed.FS

// layers is one directory made of several; names must differ.
type layers []fs.FS

// Open implements fs.FS.
func (l layers) Open(name string) (fs.File, error) {
	for _, f := range l {
		file, err := f.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements fs.ReadDirFS.
func (l layers) ReadDir(name string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry
	for _, f := range l {
		entries, err := fs.ReadDir(f, name)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// migrate brings the schema up to date: tables that both databases share,
// then the guards that each writes in its own tongue.
func (s *Store) migrate(ctx context.Context) error {
	dialect := goose.DialectSQLite3
	if s.dialect == "postgres" {
		dialect = goose.DialectPostgres
	}
	var dirs layers
	for _, d := range []string{"migrations/tables", "migrations/" + s.dialect} {
		sub, err := fs.Sub(migrations, d)
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		dirs = append(dirs, sub)
	}
	// Guards have higher numbers than tables that came later.
	p, err := goose.NewProvider(dialect, s.writer.DB, dirs, goose.WithAllowOutofOrder(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return s.classify(fmt.Errorf("bring the schema of the state store up to date: %w", err))
	}
	return s.Write(ctx, seedMoves)
}

// seedMoves puts the lifecycle table into the database, whose guard refuses
// every move that is not in it.
func seedMoves(tx *Tx) error {
	if _, err := tx.db.NewDelete().Table("lifecycle_move").Where("1 = 1").Exec(tx.ctx); err != nil {
		return fmt.Errorf("seed lifecycle moves: %w", err)
	}
	for _, m := range lifecycle.Moves {
		row := map[string]any{"from_state": string(m.From), "to_state": string(m.To)}
		if _, err := tx.db.NewInsert().Model(&row).Table("lifecycle_move").Exec(tx.ctx); err != nil {
			return fmt.Errorf("seed lifecycle moves: %w", err)
		}
	}
	for _, s := range lifecycle.Initial {
		row := map[string]any{"from_state": "", "to_state": string(s)}
		if _, err := tx.db.NewInsert().Model(&row).Table("lifecycle_move").Exec(tx.ctx); err != nil {
			return fmt.Errorf("seed lifecycle moves: %w", err)
		}
	}
	return seedGrantMoves(tx)
}

// unreachable reports that the server did not answer.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	// A connection found closed: nothing was sent. The same is said of a caller
	// who is gone, which is no fault of the server.
	if pgconn.SafeToRetry(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// micros converts a time for the database.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros converts a time of the database; 0 is the zero time.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// microsPtr and fromMicrosPtr convert times that may be missing.
func microsPtr(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func fromMicrosPtr(us *int64) *time.Time {
	if us == nil {
		return nil
	}
	t := time.UnixMicro(*us).UTC()
	return &t
}
