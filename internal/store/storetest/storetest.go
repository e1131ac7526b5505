// Package storetest gives tests the state store on each database that the
// product runs on.
package storetest

import (
	"path/filepath"
	"testing"

	"github.com/demarc/demarc/internal/store"
)

// Each runs f once on a fresh SQLite file and once on a fresh PostgreSQL, as
// subtests "sqlite" and "postgres". The second is skipped, with the reason,
// where PostgreSQL's programs are missing. The store is closed afterwards.
func Each(t *testing.T, f func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t, SQLite(t))) })
	t.Run("postgres", func(t *testing.T) { f(t, Open(t, Postgres(t))) })
}

// SQLite returns the address of a database file that does not exist yet, in a
// directory that goes with the test.
func SQLite(t testing.TB) (dsn string) {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "state.db")
}

// Open opens the store at dsn and closes it when the test ends.
func Open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}
