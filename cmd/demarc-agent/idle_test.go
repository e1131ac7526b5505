package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/agent"
	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/wire"
)

// identityFor enrols an agent without HTTPS and returns its directory.
func identityFor(t *testing.T, b *bus.Bus, ca *bustest.Authority) string {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := key.PublicKey()
	seed, _ := key.Seed()
	jwt, expires, err := b.IssueAgent(t.Context(), "tenant-1", "agent-1", pub, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(agent.Identity{
		Identity: wire.Identity{Agent: "agent-1", Tenant: "tenant-1", JWT: jwt, ExpiresAt: expires, BusURLs: b.URLs(), CA: string(ca.PEM)},
		Server:   "https://127.0.0.1:1", Seed: string(seed), IssuedAt: time.Now(), Lifetime: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestIdleAgentIsCheap runs the shipped program against a bus and measures it
// while nothing happens.
func TestIdleAgentIsCheap(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	const window, maxShare, maxResident = 20 * time.Second, 0.005, 40 << 10
	program := build(t)
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	dir := identityFor(t, b, ca)
	cmd := exec.Command(program, "run", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the agent ends with %v", err)
		}
	}()
	for deadline := time.After(30 * time.Second); ; {
		if st, err := b.Stats(t.Context()); err == nil && st.Waiting > 0 {
			break // it has sent its first state
		}
		select {
		case <-deadline:
			t.Fatal("the agent sends nothing")
		case <-time.After(50 * time.Millisecond):
		}
	}
	// What starts up and settles does so in the first seconds.
	<-time.After(5 * time.Second)
	before := cpuTime(t, cmd.Process.Pid)
	<-time.After(window)
	share := float64(cpuTime(t, cmd.Process.Pid)-before) / float64(window)
	resident := residentKiB(t, cmd.Process.Pid)
	t.Logf("idle: %.2f %% of a core, %.1f MiB resident", share*100, float64(resident)/1024)
	if share > maxShare {
		t.Errorf("uses %.2f %% of a core, the limit is %.2f %%", share*100, maxShare*100)
	}
	if resident > maxResident {
		t.Errorf("has %d KiB resident, the limit is %d", resident, maxResident)
	}
}

// cpuTime reads user and system time of a process in ticks of 10 ms (proc(5)).
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
