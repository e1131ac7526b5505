package bus_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/wire"
)

const envSmallDisk = "BUS_TEST_SMALL_DISK"

// inSmallDisk runs the test again in a process whose mount namespace has a
// small file system at a directory, and reports whether this is that process.
func inSmallDisk(t *testing.T) (dir string, inside bool) {
	t.Helper()
	if dir := os.Getenv(envSmallDisk); dir != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
			t.Fatal(err)
		}
		return dir, true
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system, in a namespace of its own, needs root")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), envSmallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("no mount namespaces here: %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return "", false
}

// A full disk refuses records, loses none that was acknowledged, and is over
// when there is room again, without a restart.
func TestFullDiskIsOutlived(t *testing.T) {
	dir, inside := inSmallDisk(t)
	if !inside {
		return
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := bustest.NewAuthority(t)
	cfg := bustest.Config(t, ca)
	cfg.Dir = filepath.Join(dir, "bus")
	b := bustest.Open(t, cfg)
	a := connected(t, b, ca, "tenant-a", "agent-1")
	acked := 0
	publish := func() (answer string, ok bool) {
		body := make([]byte, 200_000)
		rand.Read(body)
		body = append([]byte(fmt.Sprintf("%06d ", acked)), body...)
		m, err := a.nc.Request(wire.RecordsSubject("agent-1"), body, 3*time.Second)
		switch {
		case err != nil:
			return err.Error(), false
		case strings.Contains(string(m.Data), `"error"`):
			return string(m.Data), false
		}
		acked++
		return "", true
	}
	for {
		answer, ok := publish()
		if !ok {
			t.Logf("after %d messages: %s", acked, answer)
			break
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	before := acked
	waitFor(t, func() bool { _, ok := publish(); return ok })
	for range 5 {
		if answer, ok := publish(); !ok {
			t.Errorf("room returned, but: %s", answer)
		}
	}
	if acked < before+5 {
		t.Errorf("%d messages before, %d after", before, acked)
	}
	got := make(chan string, 1000)
	consume(t, b, func(d bus.Delivery) { d.Ack(); got <- string(d.Data[:6]) })
	for i := range acked {
		if n := receive(t, got); n != fmt.Sprintf("%06d", i) {
			t.Errorf("%s where %06d is next", n, i)
		}
	}
}
