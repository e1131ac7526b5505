package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// compiledStatements bounds how many statements a connection keeps compiled.
const compiledStatements = 200

// connector opens SQLite connections that compile a statement once. SQLite
// otherwise spends as much on that as on the rest of a small statement.
type connector struct {
	dsn    string
	driver *sqlite.Driver
}

func openSQLiteFile(dsn string) *sql.DB {
	return sql.OpenDB(connector{dsn: dsn, driver: &sqlite.Driver{}})
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(sqliteConn)
	if !ok {
		opened.Close()
		return nil, errors.New("the SQLite driver has lost an ability that the store needs")
	}
	return &compilingConn{sqliteConn: conn, idle: map[string]driver.Stmt{}}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// sqliteConn is what a connection of the driver can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// compilingConn keeps statements that have arguments: those without have their
// values in their text, so that hardly one comes twice.
type compilingConn struct {
	sqliteConn
	idle map[string]driver.Stmt // by text; a statement in use is not in it
}

// take returns the compiled statement, which is the caller's until put back.
func (c *compilingConn) take(ctx context.Context, query string) (driver.Stmt, error) {
	if s, ok := c.idle[query]; ok {
		delete(c.idle, query)
		return s, nil
	}
	return c.PrepareContext(ctx, query)
}

func (c *compilingConn) put(query string, s driver.Stmt) error {
	if _, twice := c.idle[query]; twice {
		return s.Close()
	}
	var err error
	for other, old := range c.idle { // any one: the frequent ones come back at once
		if len(c.idle) < compiledStatements {
			break
		}
		delete(c.idle, other)
		err = errors.Join(err, old.Close())
	}
	c.idle[query] = s
	return err
}

// ExecContext implements driver.ExecerContext.
func (c *compilingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.(driver.StmtExecContext).ExecContext(ctx, args)
	if err != nil {
		s.Close()
		return nil, err
	}
	return result, c.put(query, s)
}

// QueryContext implements driver.QueryerContext.
func (c *compilingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &compiledRows{Rows: rows, done: func() error { return c.put(query, s) }}, nil
}

// Close implements driver.Conn.
func (c *compilingConn) Close() error {
	var errs []error
	for _, s := range c.idle {
		errs = append(errs, s.Close())
	}
	c.idle = nil
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// compiledRows gives its statement back when it is closed.
type compiledRows struct {
	driver.Rows
	done func() error
}

// Close implements driver.Rows.
func (r *compiledRows) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		err = errors.Join(err, r.done())
		r.done = nil
	}
	return err
}
