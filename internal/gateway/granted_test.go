package gateway_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/gateway"
)

// TestGranted does with the real clients what a grant includes, and finds each
// in its recording.
func TestGranted(t *testing.T) {
	r := newRig(t)
	_, target := r.host("hv-1")
	_, port, _ := net.SplitHostPort(r.address)
	t.Run("exec", func(t *testing.T) {
		g := r.grant(target, gateway.Exec)
		out, err := r.ssh(r.certified(g), "typed\n", "--", "cat; echo ok-$((1+1)); exit 3")
		if err == nil || err.Error() != "exit status 3" || !strings.Contains(out, "typed\nok-2\n") {
			t.Errorf("%v: %s", err, out)
		}
		events := r.replay(r.recordings(g, 1)[0])
		if !strings.Contains(events["o"], "ok-2") || events["i"] != "typed\n" {
			t.Errorf("%q", events)
		}
	})
	t.Run("sftp", func(t *testing.T) {
		g := r.grant(target, gateway.SFTP)
		dir := t.TempDir()
		from, to, back := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "back")
		content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
		must(t, os.WriteFile(from, content, 0o600))
		batch := filepath.Join(dir, "batch")
		must(t, os.WriteFile(batch, []byte("put "+from+" "+to+"\nget "+to+" "+back+"\nrm "+to+"\n"), 0o600))
		args := append(r.sshArgs(r.certified(g)), "-P", port, "-b", batch, "hv-1@127.0.0.1")
		if out, err := exec.Command("sftp", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back: %v", len(got), err)
		}
		events := r.replay(r.recordings(g, 1)[0])
		for _, want := range []string{
			`open "` + to + `" to write`, `1048576 written`, `open "` + to + `" to read`, `1048576 bytes read`, `remove "` + to + `"`,
		} {
			if !strings.Contains(events["o"], want) {
				t.Errorf("no %q in %s", want, events["o"])
			}
		}
		if strings.Contains(events["o"], "0123456789abcdef") {
			t.Error("contents are recorded")
		}
	})
	t.Run("forward", func(t *testing.T) {
		g := r.grant(target, gateway.Forward)
		out, err := r.ssh(r.certified(g), "", "-W", listenNowhere(t))
		if err != nil || !strings.Contains(out, "uid=reached") {
			t.Errorf("%v: %s", err, out)
		}
		events := r.replay(r.recordings(g, 1)[0])
		if !strings.Contains(events["m"], "a connection to 127.0.0.1:") || !strings.Contains(events["m"], "11 received") {
			t.Errorf("%q", events)
		}
	})
}
