package observer

import (
	"os"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// TestFirstSeenOutlastsARestart: a security update does not begin to wait anew
// with the agent.
func TestFirstSeenOutlastsARestart(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	look := func(after time.Duration, updates ...string) telemetry.Updates {
		t.Helper()
		p := newProbe(t.TempDir(), func() time.Time { return start.Add(after) }) // a new process
		p.dir = dir + "/telemetry"
		got, err := p.pending("apt", "stamp", func() (*pendingUpdates, error) {
			u := &pendingUpdates{}
			for _, name := range updates {
				u.security = append(u.security, telemetry.Update{Name: name, Installed: "1", Candidate: "2"})
			}
			return u, nil
		}, func() time.Time { return time.Time{} })
		if err != nil {
			t.Fatal(err)
		}
		var f telemetry.Updates
		got.into(&f, start.Add(after))
		return f
	}
	const day = 24 * time.Hour
	if f := look(0, "openssl"); f.OldestDays != 0 || !f.OldestSecurity.Equal(start) {
		t.Errorf("%+v", f)
	}
	if f := look(5*day, "openssl", "bash"); f.OldestDays != 5 {
		t.Errorf("after a restart: %+v", f)
	}
	if f := look(6*day, "bash"); f.OldestDays != 1 {
		t.Errorf("openssl was installed: %+v", f)
	}
	if f := look(-day, "bash"); !f.OldestSecurity.Equal(start.Add(-day)) {
		t.Errorf("a clock that was set back: %+v", f)
	}
	if err := os.WriteFile(dir+"/telemetry/apt-updates.json", []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := look(7*day, "bash"); f.OldestDays != 0 {
		t.Errorf("a damaged file: %+v", f)
	}
}
