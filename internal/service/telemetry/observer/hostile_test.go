package observer

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

// TestWithoutRoot runs the observer on this machine as an ordinary user: it
// carries on, and says of what it cannot see why, and what mends it.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	p := newProbe("/", time.Now)
	seen := 0
	for _, task := range collectors() {
		q := p.forRun()
		o := collectSafely(t.Context(), task.collect, q)
		if o.err == nil {
			seen++
		}
		reasons := q.gaps()
		if o.err != nil {
			reasons = append(reasons, o.err.Error())
		}
		if task.kind == "host.users" && p.exists("/etc/shadow") || task.kind == "host.firewall" {
			if !strings.Contains(strings.Join(reasons, ";"), "run the agent as root") {
				t.Errorf("%s: reasons %q do not say that root is missing", task.kind, reasons)
			}
		}
		t.Logf("%-22s fact %-5v %q", task.kind, o.err == nil, reasons)
	}
	if seen < len(telemetry.Kinds)*2/3 {
		t.Errorf("only %d of %d kinds were read", seen, len(telemetry.Kinds))
	}
	for _, need := range New().Needs() {
		err := need.Check(newCollected().host("/"))
		if need.What == "root" && err == nil {
			t.Error("the need of root counts as fulfilled")
		}
	}
}

// runAsNobody runs this same test in a process of an unprivileged user.
func runAsNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "observer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := dir + "/observer.test"
	if err := copyProgram(program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^TestWithoutRoot$", "-test.v")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestWithoutRoot") {
		t.Fatalf("the test did not run:\n%s", out)
	}
	t.Logf("%s", out)
}

func copyProgram(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
