package observer

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the facts of the fixture hosts anew; read the difference before committing it")

// fixtureNow is when the fixture hosts are looked at.
var fixtureNow = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// fixture copies a host of testdata into a directory of the test's own, sets
// the modes and times that version control does not keep, and answers commands
// from the folder "commands".
func fixture(t testing.TB, name string) *probe {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	// Colons are not allowed in the names of a Go module's files.
	blocks, _ := filepath.Glob(filepath.Join(root, "sys/dev/block/*_*"))
	for _, b := range blocks {
		if err := os.Rename(b, strings.ReplaceAll(b, "_", ":")); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{
		"home/anna": 0o750, "home/anna/.ssh/authorized_keys": 0o600, "home/ben/.ssh/authorized_keys": 0o620, "etc/cron.allow": 0o600,
		"etc/crontab": 0o600, "etc/cron.d": 0o755, "etc/cron.d/dump": 0o640, "etc/cron.daily": 0o700, "etc/ssh/sshd_config": 0o644,
		"boot/grub/grub.cfg": 0o600, "boot/grub2/grub.cfg": 0o600, "root": 0o700, "home/ben": 0o755, "home/ops": 0o700, "var/log/secure": 0o644,
	} {
		if err := os.Chmod(filepath.Join(root, path), mode); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	fetched := fixtureNow.Add(-30 * time.Hour)
	for _, pattern := range []string{"var/lib/apt/lists/*", "var/lib/apt/lists", "var/cache/dnf/*/repodata/repomd.xml"} {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, f := range files {
			if err := os.Chtimes(f, fetched, fetched); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := newProbe(root, func() time.Time { return fixtureNow })
	p.run = func(_ context.Context, name string, args ...string) ([]byte, error) {
		for _, file := range []string{name, name + "-" + verb(args)} {
			if b, err := os.ReadFile(filepath.Join(root, "commands", file)); err == nil {
				return b, nil
			}
		}
		return nil, errNoCommand
	}
	return p
}

// verb is what tells the calls of one command apart.
func verb(args []string) string {
	if slices.Contains(args, "--security") {
		return "security"
	}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			return a
		}
	}
	return ""
}

// TestFixtureHosts reads two made-up hosts in full. Every member of every fact
// is compared, save what depends on who runs the test.
func TestFixtureHosts(t *testing.T) {
	for _, name := range []string{"debian12", "rhel9"} {
		t.Run(name, func(t *testing.T) {
			p := fixture(t, name)
			got := map[string]json.RawMessage{}
			for _, task := range collectors() {
				if task.kind == "host.files" {
					continue // TestFiles makes its own
				}
				q := p.forRun()
				o := collectSafely(t.Context(), task.collect, q)
				var e struct {
					Fact json.RawMessage `json:"fact,omitempty"`
					Gaps []string        `json:"gaps,omitempty"`
					Err  string          `json:"error,omitempty"`
				}
				e.Gaps = q.gaps()
				if o.err != nil {
					e.Err = o.err.Error()
				} else {
					data, err := encode(o.fact)
					if err != nil {
						t.Fatal(err)
					}
					if err := validateData(task.kind, data); err != nil {
						t.Error(err)
					}
					e.Fact = withoutOwner(t, task.kind, data)
				}
				raw, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				got[task.kind] = raw
			}
			compare(t, filepath.Join("testdata", name+".facts.json"), got)
		})
	}
}

// withoutOwner takes out what depends on the user who runs the test.
func withoutOwner(t *testing.T, kind string, data []byte) json.RawMessage {
	t.Helper()
	if kind != "host.sshd" {
		return data
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "config_owner")
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compare(t *testing.T, file string, got map[string]json.RawMessage) {
	t.Helper()
	b, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	if *update {
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(b, want) {
		return
	}
	g, w := strings.Split(string(b), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g) || i >= len(w):
			t.Fatalf("%d lines, want %d", len(g), len(w))
		case g[i] != w[i]:
			t.Fatalf("line %d of %s:\ngot  %s\nwant %s", i+1, file, g[i], w[i])
		}
	}
}
