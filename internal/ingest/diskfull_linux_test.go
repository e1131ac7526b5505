package ingest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/store/storetest"
)

const diskFullDir = "DEMARC_INGEST_DISKFULL_DIR"

// TestDiskFull fills the disks of the state store and the event store. The
// disks are small ones in memory, which only a process of its own, in a mount
// namespace of its own, can see.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount small disks")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskFullChild$", "-test.v")
	child.Env = append(os.Environ(), diskFullDir+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := child.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM), strings.Contains(string(out), "cannot mount"):
		t.Skip("this machine does not let the test mount small disks")
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func TestDiskFullChild(t *testing.T) {
	dir := os.Getenv(diskFullDir)
	if dir == "" {
		t.Skip("is run by TestDiskFull")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	disk := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=48m"); err != nil {
			t.Fatalf("cannot mount: %v", err)
		}
		return path
	}
	stateDisk, eventDisk := disk("state"), disk("events-disk")
	s := storetest.Open(t, "sqlite://"+filepath.Join(stateDisk, "state.db"))
	r := newRig(t, s, func(c *Config) {
		events, err := eventstore.Open(eventstore.Config{Address: filepath.Join(eventDisk, "e"), ReserveBytes: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { events.Close() })
		c.Events = events
	})
	r.events = r.in.cfg.Events.(eventstore.Store)
	now := time.Now().Add(-time.Minute)
	n := 0
	send := func() chan string {
		n++
		return r.send("t1", "a1", batch("e", uint64(2*n-1), activity(n, now), fact(n, now)))
	}
	r.want(send(), "ack")
	for disk, name := range map[string]string{stateDisk: "state store", eventDisk: "event store"} {
		ballast := fill(t, disk)
		answers := []chan string{send(), send(), send()}
		deadline := time.After(20 * time.Second)
		for r.in.Status().Faults[name].Reason == "" {
			select {
			case <-deadline:
				t.Fatalf("%s: the fault does not show: %+v", name, r.in.Status())
			case <-time.After(5 * time.Millisecond):
			}
		}
		for _, a := range answers {
			select {
			case got := <-a:
				t.Errorf("%s: answered %q on a full disk", name, got)
			default:
			}
		}
		t.Logf("%s: %s", name, r.in.Status().Faults[name].Reason)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			r.want(a, "ack")
		}
	}
	r.wantSequences(1, 1, 3, 5, 7, 9, 11, 13)
	r.wantOrder("a1")
	if f, _ := r.fact("vm-a1"); f.N != n {
		t.Errorf("fact %d, want %d", f.N, n)
	}
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
