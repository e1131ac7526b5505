package observer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func TestAlpine(t *testing.T) {
	root := t.TempDir()
	write(t, root, "/etc/os-release", "ID=alpine\nVERSION_ID=3.21.3\nPRETTY_NAME=\"Alpine Linux v3.21\"\n")
	write(t, root, apkInstalled, "C:Q1x\nP:musl\nV:1.2.5-r9\nA:x86_64\no:musl\n\nC:Q1y\nP:openssh-server\nV:9.9_p2-r0\nA:x86_64\no:openssh\nF:usr/sbin\nR:sshd\n")
	write(t, root, "/run/openrc/softlevel", "default")
	write(t, root, "/run/openrc/started/sshd", "")
	write(t, root, "/etc/init.d/sshd", "")
	write(t, root, "/etc/init.d/chronyd", "")
	write(t, root, "/etc/runlevels/default/chronyd", "")
	p := newProbe(root, func() time.Time { return fixtureNow })
	fact, err := collectPackages(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := []telemetry.Package{{Name: "musl", Version: "1.2.5-r9", Arch: "x86_64", Source: "musl"}, {Name: "openssh-server", Version: "9.9_p2-r0", Arch: "x86_64", Source: "openssh"}}
	if got := fact.(telemetry.Packages); got.Manager != "apk" || !slices.Equal(got.Packages, want) {
		t.Errorf("%+v", got)
	}
	if fact, err = collectServices(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if s := fact.(telemetry.Services); s.Manager != "openrc" || !slices.Equal(s.Running, []string{"sshd"}) || !slices.Equal(s.Enabled, []string{"chronyd"}) {
		t.Errorf("%+v", s)
	}
	if fact, err = collectOS(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if o := fact.(telemetry.OS); o.Family != "alpine" || o.EndOfLife.Format(time.DateOnly) != "2026-11-02" || o.SupportEnded {
		t.Errorf("%+v", o)
	}
	if _, err := collectUpdates(t.Context(), p); err == nil || !strings.Contains(err.Error(), "apk") {
		t.Errorf("updates: %v", err)
	}
}

func TestEndOfLife(t *testing.T) {
	for _, c := range []struct{ id, version, support, want string }{
		{"debian", "12", "", "2028-07-01"}, {"ubuntu", "22.04", "", "2027-05-01"}, {"rhel", "9.4", "", "2032-06-01"},
		{"fedora", "44", "2027-05-19", "2027-05-20"}, {"nixos", "25.11", "", "0001-01-01"}, {"debian", "", "", "0001-01-01"},
	} {
		got := endOfLife(map[string]string{"ID": c.id, "VERSION_ID": c.version, "SUPPORT_END": c.support}).Format(time.DateOnly)
		if got != c.want {
			t.Errorf("%s %s ends %s, want %s", c.id, c.version, got, c.want)
		}
	}
}

// TestSecurityUpdateKeepsItsAge shows that neither fetching the lists again nor
// a newer candidate makes a waiting update look younger.
func TestSecurityUpdateKeepsItsAge(t *testing.T) {
	p := fixture(t, "debian12")
	now := fixtureNow
	p.now = func() time.Time { return now }
	read := func() telemetry.Updates {
		t.Helper()
		fact, err := collectUpdates(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return fact.(telemetry.Updates)
	}
	first := read()
	now = now.Add(10 * 24 * time.Hour)
	list := p.path("/var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security_main_binary-amd64_Packages")
	if err := os.Chtimes(list, now, now); err != nil {
		t.Fatal(err)
	}
	again := read()
	if !again.OldestSecurity.Equal(first.OldestSecurity) || again.OldestDays != first.OldestDays+10 {
		t.Errorf("first %s (%d days), after fetching the lists %s (%d days)", first.OldestSecurity, first.OldestDays, again.OldestSecurity, again.OldestDays)
	}
	write(t, p.root, "/commands/apt-get", "")
	if err := os.Chtimes(list, now.Add(time.Hour), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if done := read(); done.PendingSecurity != 0 || !done.OldestSecurity.IsZero() || done.OldestDays != 0 {
		t.Errorf("after the update: %+v", done)
	}
}

func TestMemory(t *testing.T) {
	now := fixtureNow
	p := newProbe(t.TempDir(), func() time.Time { return now })
	made := 0
	build := func() (int, error) { made++; return made, nil }
	get := func(f func() (int, error)) int {
		t.Helper()
		n, err := f()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	byStamp := func(stamp string) func() (int, error) {
		return func() (int, error) { return remember(p, "a", stamp, build) }
	}
	if a, b, c := get(byStamp("1")), get(byStamp("1")), get(byStamp("2")); a != 1 || b != 1 || c != 2 {
		t.Errorf("by stamp: %d %d %d", a, b, c)
	}
	byAge := func() (int, error) { return lately(p, "b", time.Minute, build) }
	if a, b := get(byAge), get(byAge); a != 3 || b != 3 {
		t.Errorf("by age: %d %d", a, b)
	}
	now = now.Add(time.Minute)
	if n := get(byAge); n != 4 {
		t.Errorf("after a minute: %d", n)
	}
	p.memory.epoch.Add(1)
	if n := get(byAge); n != 5 {
		t.Errorf("after somebody asked for fresh facts: %d", n)
	}
	now = now.Add(-time.Hour)
	if n := get(byAge); n != 6 {
		t.Errorf("after the clock went back: %d", n)
	}
	failing := func() (int, error) {
		return remember(p, "c", "", func() (int, error) { made++; return 0, errors.New("not now") })
	}
	before := made
	for range 2 {
		if _, err := failing(); err == nil {
			t.Error("the failure was swallowed")
		}
	}
	if made != before+2 {
		t.Error("a failure was remembered")
	}
}

// TestOtherRootRunsNothing makes sure that a probe of another root never looks at
// the running machine.
func TestOtherRootRunsNothing(t *testing.T) {
	p := newProbe(t.TempDir(), time.Now)
	if _, err := p.run(t.Context(), "id"); !errors.Is(err, errNoCommand) {
		t.Errorf("a command ran for another root: %v", err)
	}
	for _, task := range collectors() {
		o := collectSafely(t.Context(), task.collect, p.forRun())
		if o.err != nil && strings.Contains(o.err.Error(), "defect") {
			t.Errorf("%s on an empty root: %v", task.kind, o.err)
		}
		if o.err == nil {
			data, err := encode(o.fact)
			if err != nil {
				t.Fatal(err)
			}
			if err := validateData(task.kind, data); err != nil {
				t.Errorf("on an empty root: %v", err)
			}
		}
	}
}

func TestSharedValuesAreNotChanged(t *testing.T) {
	list := []telemetry.Package{{Name: "a\x00", Version: "1"}}
	if _, err := encode(telemetry.Packages{Packages: list}); err != nil {
		t.Fatal(err)
	}
	if list[0].Name != "a\x00" {
		t.Error("encoding changed a value that others share")
	}
}

func TestPlainErrors(t *testing.T) {
	root := t.TempDir()
	p := newProbe(root, time.Now)
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := p.read("/etc/none")
	if !absent(err) || err.Error() != "/etc/none does not exist" {
		t.Errorf("%v; the path of the root must not show", err)
	}
}
