package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// diskVariable names the directory that TestDiskFull's child mounts its disk at.
	diskVariable = "DEMARC_E2E_DISK"
	// binVariable names the folder of programs that are built already.
	binVariable = "DEMARC_E2E_BIN"
)

// TestDiskFull lets the disk of the data directory run full, and makes room
// again. The disk is a small one in memory that only a process of its own, in a
// mount namespace of its own, can see.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	for _, name := range []string{"TestDiskFullChild", "TestSpoolDiskFullChild"} {
		onDisk(t, name)
	}
}

// onDisk runs a test in a mount namespace of its own.
func onDisk(t *testing.T, name string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v")
	child.Env = append(os.Environ(), diskVariable+"="+t.TempDir(), binVariable+"="+bin)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := child.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), strings.Contains(string(out), "cannot mount"):
		t.Skip("this machine does not let the test mount a small disk")
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestDiskFullChild(t *testing.T) {
	disk := os.Getenv(diskVariable)
	if disk == "" {
		t.Skip("is run by TestDiskFull")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=640m"); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	s := newServerOn(t, filepath.Join(disk, "data"))
	s.tenant("acme")
	dir, root := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	s.enrol("acme", "web-1", dir, root)
	s.demarc("vm", "declare", "web-1", "--tenant", "acme", "--administrator", "anna")
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	s.expect("acme", "CLD.6.3.1/C-1.4a", "met", "")

	ballast := fill(t, disk)
	passwd := readFile(t, root, "etc/passwd")
	place(t, root, "etc/passwd", passwd+"ghost:x:0:0:spare:/root:/bin/bash\n")
	code, text := s.post("/v1/tenants", []byte(`{"name":"globex"}`))
	if code != 503 || !strings.Contains(text, "has no room; nothing was changed") {
		t.Errorf("an act on a full disk is answered with %d %s", code, text)
	}
	// What is known is still shown, and the agent keeps what it sees.
	if v := s.verdicts("acme", "web-1")["CLD.6.3.1/C-1.4a"]; v.Verdict != "met" {
		t.Errorf("the stored verdict is %q", v.Verdict)
	}
	if s.proc.ended() {
		t.Fatalf("the server ended:\n%s", s.proc.output())
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "acts succeed again", func() string {
		if code, text := s.post("/v1/tenants", []byte(`{"name":"globex"}`)); code != 201 && code != 409 {
			return fmt.Sprint(code, " ", text)
		}
		return ""
	})
	s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	s.expect("acme", "CLD.6.3.1/C-1.4a", "not-met", "ghost")
	s.demarc("ledger", "verify")
}

// TestSpoolDiskFullChild fills the disk that an agent's spool is on.
func TestSpoolDiskFullChild(t *testing.T) {
	disk := os.Getenv(diskVariable)
	if disk == "" {
		t.Skip("is run by TestDiskFull")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	s := newServer(t)
	s.tenant("acme")
	dir, root := filepath.Join(disk, "agent"), t.TempDir()
	writeHost(t, root, "good")
	s.enrol("acme", "web-1", dir, root)
	p := s.agent(dir, root)
	t.Cleanup(func() { p.end(t) })
	s.expect("acme", "CLD.9.5.1/C-3.2b", "met", "")

	ballast := fill(t, disk)
	passwd := readFile(t, root, "etc/passwd")
	for i := range 3 {
		place(t, root, "etc/passwd", fmt.Sprintf("%su%d:x:%d:100::/:/usr/sbin/nologin\n", passwd, i, 3000+i))
		s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
		after(t, time.Second)
	}
	if !strings.Contains(p.output(), "the spool is full") || p.ended() {
		t.Errorf("the agent does not say that its spool is full:\n%s", p.output())
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	place(t, root, "etc/passwd", passwd+"ghost:x:0:0:spare:/root:/bin/bash\n")
	s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
	s.expect("acme", "CLD.6.3.1/C-1.4a", "not-met", "ghost")
	eventually(t, "what was dropped is counted", func() string {
		var f struct{ Data struct{ Shed int } }
		s.ask(&f, "facts", "--vm", "web-1", "--tenant", "acme", "--kind", "vm.coverage")
		if f.Data.Shed == 0 {
			s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
			return "vm.coverage says that nothing was shed; the agent printed " + p.output()
		}
		return ""
	})
}

// fill leaves no room on a disk and returns the file that takes it.
func fill(t *testing.T, disk string) string {
	t.Helper()
	path := filepath.Join(disk, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096} {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return path
}
