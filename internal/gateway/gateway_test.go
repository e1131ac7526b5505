package gateway_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/gateway"
)

// TestShell signs in with the real client on a real sshd, and finds all of it
// in the recording.
func TestShell(t *testing.T) {
	r := newRig(t)
	sshd, target := r.host("hv-1")
	g := r.grant(target, gateway.Shell)
	out, err := r.ssh(r.certified(g), "echo se''en; exit 7\r", "-tt")
	if !strings.Contains(out, "seen") || !strings.Contains(out, "This session is recorded") || err == nil || err.Error() != "exit status 7" {
		t.Fatalf("%v: %s", err, out)
	}
	rec := r.recordings(g, 1)[0]
	if rec.State != "complete" || rec.Kind != gateway.Shell || rec.Holder != holder || rec.Tenant != r.tenant.ID {
		t.Errorf("%+v", rec)
	}
	events := r.replay(rec)
	if !strings.Contains(events["o"], "seen") {
		t.Errorf("output %q", events["o"])
	}
	acts := r.acts("session/" + rec.ID)
	if acts[0] != "session.open" || acts[len(acts)-1] != "session.end" || !slices.Contains(acts, "session.record") {
		t.Errorf("ledger: %v", acts)
	}
	log := read(t, sshd.Log)
	if !strings.Contains(log, "demarc/"+g.ID+"/"+rec.ID) {
		t.Errorf("the target's log does not name grant and recording: %s", log)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}
