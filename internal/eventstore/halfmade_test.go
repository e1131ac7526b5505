package eventstore

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOpenAfterAKill opens what a process left that was killed while it made,
// or removed, a partition.
func TestOpenAfterAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	empty, marked := filepath.Join(dir, "partitions", "20260101"), filepath.Join(dir, "partitions", "20260102")
	for _, d := range []string{empty, marked} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(marked, ".delete-this-dir"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Address: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{empty, marked} {
		if _, err := os.Stat(d); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
}
