package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
)

// TestAgentWithoutRights runs the agent as a user that owns nothing: it says
// what it cannot see, and sends the rest.
func TestAgentWithoutRights(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to run the agent as somebody else")
	}
	const nobody = 65534
	s := newServer(t)
	s.tenant("acme")
	dir, err := os.MkdirTemp("", "demarc-agent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	root := filepath.Join(dir, "machine")
	writeHost(t, root, "good")
	state := filepath.Join(dir, "state")
	s.enrol("acme", "web-1", state, root)
	err = filepath.Walk(state, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o755, filepath.Join(root, "etc/shadow"): 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "demarc-agent"), "run", "--dir", state, "--root", root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	p := startProcess(t, cmd)
	t.Cleanup(func() { p.end(t) })

	eventually(t, "coverage says what is not seen and why", func() string {
		v := s.verdicts("acme", "web-1")
		if r := v["CLD.6.3.1/C-1.1c"]; r.Verdict != "not-met" || !strings.Contains(r.Reason, "may not be read: run the agent as root") {
			return "C-1.1c: " + r.Reason
		}
		// What hangs on passwords is not known, what does not is judged.
		if r := v["CLD.6.3.1/C-1.4a"]; r.Verdict == "met" || r.Verdict == "" {
			return "C-1.4a is met without the passwords being seen"
		}
		if r := v["CLD.9.5.1/C-3.2b"]; r.Verdict != "met" {
			return "C-3.2b: " + r.Reason
		}
		return ""
	})
	out, err := exec.Command(filepath.Join(bin, "demarc-agent"), "status", "--dir", state).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "/etc/shadow may not be read: run the agent as root") {
		t.Errorf("the agent's status does not say that it cannot read passwords: %v\n%s", err, out)
	}
}

// TestOneTokenHundredMachines lets a hundred machines enrol with one token at
// once: exactly one gets in.
func TestOneTokenHundredMachines(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.tenant("acme")
	tok := s.token("acme", "web-1")
	var wg sync.WaitGroup
	results := make([]string, 100)
	dirs := t.TempDir()
	for i := range results {
		wg.Go(func() {
			cmd := exec.Command(filepath.Join(bin, "demarc-agent"), "enroll", "--server", tok.Server, "--dir", filepath.Join(dirs, fmt.Sprint(i)))
			cmd.Env = append(os.Environ(), "DEMARC_ENROL_TOKEN="+tok.Token)
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				results[i] = "in"
			case strings.Contains(string(out), "was used already"):
				results[i] = "out"
			default:
				results[i] = string(out)
			}
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, r := range results {
		count[r]++
	}
	if count["in"] != 1 || count["out"] != 99 {
		t.Errorf("of a hundred: %v", count)
	}
	var agents []api.Agent
	s.ask(&agents, "agent", "list", "--tenant", "acme")
	if len(agents) != 1 {
		t.Errorf("%d agents are known, want 1", len(agents))
	}
}

// TestForeignIdentity lets an agent of another provider, and one that claims to
// be another agent, knock at the bus.
func TestForeignIdentity(t *testing.T) {
	t.Parallel()
	ours, theirs := newServer(t), newServer(t)
	ours.tenant("acme")
	theirs.tenant("acme")
	dir, root := t.TempDir(), t.TempDir()
	writeHost(t, root, "good")
	ours.enrol("acme", "web-1", filepath.Join(dir, "ours"), root)
	theirs.enrol("acme", "web-1", filepath.Join(dir, "theirs"), root)

	// Their key and papers, our addresses and authority.
	var mine, foreign map[string]any
	read := func(name string, into *map[string]any) {
		if err := json.Unmarshal([]byte(readFile(t, dir, name+"/identity.json")), into); err != nil {
			t.Fatal(err)
		}
	}
	read("ours", &mine)
	read("theirs", &foreign)
	for _, member := range []string{"server", "bus_urls", "ca", "agent", "tenant", "vm"} {
		foreign[member] = mine[member]
	}
	b, err := json.Marshal(foreign)
	if err != nil {
		t.Fatal(err)
	}
	place(t, dir, "theirs/identity.json", string(b))
	p := ours.agent(filepath.Join(dir, "theirs"), root)
	t.Cleanup(func() { p.end(t) })
	eventually(t, "the foreign agent is refused", func() string {
		if !strings.Contains(p.output(), "uthorization") {
			return "it printed " + p.output()
		}
		return ""
	})
	if kinds := hostFacts(ours); len(kinds) > 0 {
		t.Fatalf("facts of a foreign agent were taken: %v", kinds)
	}
	own := ours.agent(filepath.Join(dir, "ours"), root)
	t.Cleanup(func() { own.end(t) })
	eventually(t, "our own agent is heard", func() string {
		if len(hostFacts(ours)) == 0 {
			return "it printed " + own.output()
		}
		return ""
	})
}

// hostFacts lists the kinds of facts that an agent sent about web-1 of acme.
func hostFacts(s *server) (kinds []string) {
	s.t.Helper()
	var facts []api.Fact
	s.ask(&facts, "facts", "--vm", "web-1", "--tenant", "acme")
	for _, f := range facts {
		if strings.HasPrefix(f.Kind, "host.") {
			kinds = append(kinds, f.Kind)
		}
	}
	return kinds
}

// after returns once d has passed or the test ends.
func after(t testing.TB, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
