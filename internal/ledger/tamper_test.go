package ledger

import (
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/demarc/demarc/internal/ledger/signed"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// grown makes a ledger with everything in it: full and partial tiles, three
// checkpoints, a rotated key and a cosignature.
func grown(t testing.TB, s *store.Store) *Log {
	t.Helper()
	l := open(t, s)
	checkpoint := func() store.LedgerCheckpoint {
		c, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	add(t, l, some(3)...)
	checkpoint()
	add(t, l, some(260)...)
	if _, err := l.Rotate(t.Context(), "provider-administrator/p-7"); err != nil {
		t.Fatal(err)
	}
	add(t, l, some(2)...)
	c := checkpoint()
	w, err := torchwood.NewCosignatureSigner("witness.test/w1", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := signed.Split([]byte(c.Note))
	if err != nil {
		t.Fatal(err)
	}
	cosigned, err := note.Sign(&note.Note{Text: text}, w)
	if err != nil {
		t.Fatal(err)
	}
	_, lines, err := signed.Split(cosigned)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		return tx.SetLedgerCosignature(store.LedgerCosignature{Size: c.Size, VKey: w.Verifier().String(), Line: lines[0]})
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustVerify(t testing.TB, l *Log) Verification {
	t.Helper()
	v, err := l.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerifyAcceptsAnUntouchedLedger(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := grown(t, s)
		add(t, l, some(4000)...)
		var done, total int64
		v, err := l.Verify(t.Context(), func(d, of int64) {
			if d <= done {
				t.Errorf("progress went from %d to %d", done, d)
			}
			done, total = d, of
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Err(); err != nil {
			t.Fatal(err)
		}
		if v.Entries != 4267 || v.Checkpoints != 3 || v.Cosignatures != 1 || done != 4267 || total != 4267 {
			t.Errorf("verified %+v, progress %d of %d", v, done, total)
		}
	})
}

// Every byte of every column of every table of the ledger is flipped in turn,
// past the database's guards, and found where it is. Of the tiles, and of the
// entries but three, a sample is taken.
//
//demarc:duty CLD.12.1.5/P-5.2b
func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	dsn := storetest.SQLite(t)
	l := grown(t, storetest.Open(t, dsn))
	db := raw(t, dsn)
	dropTriggers(t, db)

	tables := []struct{ name, where string }{
		{"ledger_entry", "WHERE idx IN (0, 3, 255)"}, {"ledger_tile", ""}, {"ledger_head", ""},
		{"ledger_checkpoint", ""}, {"ledger_cosignature", ""}, {"ledger_key", ""},
	}
	for _, table := range tables {
		t.Run(table.name, func(t *testing.T) {
			flips := 0
			for _, row := range rowsOf(t, db, "SELECT rowid AS number, * FROM "+table.name+" "+table.where) {
				for column, value := range row {
					if column == "number" {
						continue
					}
					step := 1
					if table.name == "ledger_tile" && column == "hashes" {
						step = 61
					}
					for at := 0; at < width(value); at += step {
						rowid := row["number"]
						changed := flipped(value, at)
						if _, err := db.Exec("UPDATE "+table.name+" SET "+column+" = ? WHERE rowid = ?", changed, rowid); err != nil {
							continue // the flip collides with another row
						}
						if column == "idx" && table.name == "ledger_entry" {
							rowid = changed
						}
						flips++
						v, err := l.Verify(t.Context(), nil)
						if err != nil {
							t.Errorf("%s of row %v, byte %d: %v", column, rowid, at, err)
						} else if len(v.Faults) == 0 {
							t.Errorf("%s of row %v, byte %d was flipped and not found", column, rowid, at)
						} else if v.Faults[0].Table != table.name {
							t.Errorf("%s of row %v, byte %d: first fault is %v", column, rowid, at, v.Faults[0])
						}
						if _, err := db.Exec("UPDATE "+table.name+" SET "+column+" = ? WHERE rowid = ?", value, rowid); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if flips < 20 {
				t.Errorf("only %d bytes were flipped", flips)
			}
			if err := mustVerify(t, l).Err(); err != nil {
				t.Errorf("after all was put back: %v", err)
			}
		})
	}
}

// A row that is removed, or added, is found too.
func TestVerifyFindsMissingAndAddedRows(t *testing.T) {
	for _, change := range []struct{ sql, table string }{
		{"DELETE FROM ledger_entry WHERE idx = 100", "ledger_entry"},
		{"DELETE FROM ledger_entry WHERE idx = 266", "ledger_entry"},
		{"INSERT INTO ledger_entry SELECT 267, time, tenant, 9999, actor, action, subject, digests, salt, leaf FROM ledger_entry WHERE idx = 9", "ledger_entry"},
		{"DELETE FROM ledger_tile WHERE level = 0", "ledger_tile"},
		{"DELETE FROM ledger_tile WHERE level = 1", "ledger_tile"},
		{"INSERT INTO ledger_tile VALUES (3, 0, x'00')", "ledger_tile"},
		{"UPDATE ledger_head SET size = 266", "ledger_head"},
		{"INSERT INTO ledger_checkpoint SELECT 999, note FROM ledger_checkpoint WHERE size = 4", "ledger_checkpoint"},
		{"INSERT INTO ledger_checkpoint SELECT 5, note FROM ledger_checkpoint WHERE size = 4", "ledger_checkpoint"},
		{"INSERT INTO ledger_cosignature SELECT 77, vkey, line FROM ledger_cosignature", "ledger_cosignature"},
		{"INSERT INTO ledger_cosignature SELECT 4, vkey, line FROM ledger_cosignature", "ledger_cosignature"},
		{"DELETE FROM ledger_key WHERE sealed <> x''", "ledger_key"},
		{"DELETE FROM ledger_key WHERE sealed = x''", "ledger_key"},
		{"INSERT INTO ledger_key SELECT from_size + 1, 'demarc/test+00000000+AAAA', sealed FROM ledger_key WHERE sealed <> x''", "ledger_key"},
	} {
		t.Run(change.sql, func(t *testing.T) {
			dsn := storetest.SQLite(t)
			l := grown(t, storetest.Open(t, dsn))
			db := raw(t, dsn)
			dropTriggers(t, db)
			res, err := db.Exec(change.sql)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := res.RowsAffected(); n != 1 {
				t.Fatalf("%d rows were changed", n)
			}
			v := mustVerify(t, l)
			for _, f := range v.Faults {
				if f.Table == change.table {
					return
				}
			}
			t.Errorf("faults %v, want one of %s", v.Faults, change.table)
		})
	}
}

// The database itself refuses to change the past.
func TestDatabaseGuardsTheLedger(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			address := dsn(t)
			grown(t, storetest.Open(t, address))
			db := raw(t, address)
			for _, statement := range []string{
				"UPDATE ledger_entry SET subject = 'vm/x' WHERE idx = 1", "DELETE FROM ledger_entry WHERE idx = 1",
				"UPDATE ledger_tile SET hashes = salt FROM ledger_entry e WHERE e.idx = 1 AND level = 1", "DELETE FROM ledger_tile",
				"UPDATE ledger_tile SET level = 5 WHERE level = 1",
				"UPDATE ledger_head SET size = 1", "DELETE FROM ledger_head", "UPDATE ledger_checkpoint SET note = 'x'",
				"DELETE FROM ledger_checkpoint WHERE size = 4", "UPDATE ledger_key SET from_size = 9 WHERE from_size = 4", "DELETE FROM ledger_key",
			} {
				if _, err := db.Exec(statement); err == nil {
					t.Errorf("%s was allowed", statement)
				}
			}
		})
	}
}

// raw opens the database past the store.
func raw(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(dsn, "sqlite://"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=ignore_check_constraints(1)&_pragma=synchronous(OFF)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func dropTriggers(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, row := range rowsOf(t, db, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'ledger%'") {
		if _, err := db.Exec(fmt.Sprintf("DROP TRIGGER %s", row["name"])); err != nil {
			t.Fatal(err)
		}
	}
}

// rowsOf returns rows as maps from column to value.
func rowsOf(t *testing.T, db *sql.DB, query string) (all []map[string]any) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for i, c := range columns {
			row[c] = values[i]
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// width is the number of bytes of a value.
func width(value any) int {
	switch v := value.(type) {
	case int64:
		return 8
	case string:
		return len(v)
	case []byte:
		return len(v)
	case time.Time:
		panic("the database should not know times")
	}
	return 0
}

// flipped returns value with a bit of the byte at changed.
func flipped(value any, at int) any {
	bit := byte(1) << (at % 7)
	switch v := value.(type) {
	case int64:
		return v ^ int64(bit)<<(8*at)
	case string:
		b := []byte(v)
		b[at] ^= bit
		return string(b)
	case []byte:
		b := append([]byte(nil), v...)
		b[at] ^= bit
		return b
	}
	return value
}
