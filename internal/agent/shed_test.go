package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSheddingOfADay(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2026, 3, 3, 12, 30, 0, 0, time.UTC)
	s := openShedding(dir)
	for i, step := range []struct {
		after   time.Duration
		total   uint64
		want    int
		restart bool
	}{
		{0, 0, 0, false},
		{time.Minute, 5, 5, false},
		{time.Hour, 8, 8, false},
		{time.Hour + time.Minute, 8, 8, true}, // what was counted is remembered
		{23 * time.Hour, 9, 9, false},
		{25 * time.Hour, 9, 4, false}, // the hour of the first five is over
		{26 * time.Hour, 9, 1, true},
		{49 * time.Hour, 9, 0, false},
		{50 * time.Hour, 2, 2, false}, // a new spool begins to count anew
		{51 * time.Hour, 2, 2, true},
	} {
		if step.restart {
			s = openShedding(dir)
		}
		got, err := s.lastDay(start.Add(step.after), step.total)
		if err != nil || got != step.want {
			t.Errorf("step %d, after %s: %d, %v; want %d", i, step.after, got, err, step.want)
		}
	}
}

// TestSheddingWithoutMemory: what cannot be read counts as recent; what cannot
// be kept is told.
func TestSheddingWithoutMemory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, shedFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	if got, err := openShedding(dir).lastDay(now, 7); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := openShedding(filepath.Join(dir, "nowhere")).lastDay(now, 7); err == nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
}
