package storetest

import (
	"testing"

	"github.com/demarc/demarc/internal/store"
)

func TestEachOpensBothDatabases(t *testing.T) {
	var dialects []string
	Each(t, func(t *testing.T, s *store.Store) {
		dialects = append(dialects, s.Dialect())
		if err := s.Read(t.Context(), func(*store.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if len(dialects) == 0 || dialects[0] != "sqlite" {
		t.Errorf("ran on %q, want sqlite first", dialects)
	}
}
