package hardening_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service/hardening"
)

func TestMissingFacts(t *testing.T) {
	s := prepared(t)
	h := readHost(t, hardening.Debian)
	delete(h, "host.sshd")
	delete(h["host.kernel"].(map[string]any)["parameters"].(map[string]any), "net.ipv4.tcp_syncookies")
	in := h.input(t)
	facts := in.Facts
	in.Facts = func(kind string) (evidence.Fact, bool) {
		f, ok := facts(kind)
		if kind == "host.timesync" {
			f.Data = []byte(`{"service":"chrony"}`)
		}
		return f, ok
	}
	r, _ := derive(t, s, in)
	for id, want := range map[string]string{
		"ssh-permit-root-login": "needs the fact host.sshd, which was not observed",
		"net-syn-cookies":       "cannot be judged: nothing was observed of net.ipv4.tcp_syncookies",
		"time-daemon-runs":      "needs the fact host.timesync, which does not have the form of its kind",
	} {
		if j := find(t, r, id); j.Status != hardening.Unknown || !strings.Contains(j.Message, want) {
			t.Errorf("%s: %s %q, want unknown %q", id, j.Status, j.Message, want)
		}
	}
	if r.Failed != 0 || r.Score != 100 {
		t.Errorf("failed %v, score %v: what is unknown must not count", r.FailedIDs, r.Score)
	}
}

// Where the agent could not look, a fact holds defaults; they must not pass.
func TestWhatCouldNotBeSeenIsUnknown(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.Debian).patch(map[string]any{
		"host.users":    map[string]any{"shadow_readable": false},
		"host.firewall": map[string]any{"backend": "unknown"},
		"host.services": map[string]any{"manager": "unknown", "running": []string{}, "enabled": []string{}},
	}).input(t)
	r, _ := derive(t, s, in)
	for id, want := range map[string]string{
		"account-no-empty-password": "cannot be judged unless host.users.shadow_readable",
		"firewall-no-any-opening":   `cannot be judged unless host.firewall.backend != "unknown"`,
		"telnet-server-off":         `cannot be judged unless host.services.manager != "unknown"`,
	} {
		if j := find(t, r, id); j.Status != hardening.Unknown || j.Message != want {
			t.Errorf("%s: %s %q, want unknown %q", id, j.Status, j.Message, want)
		}
	}
}

func TestUnknownFamily(t *testing.T) {
	s := prepared(t)
	h := readHost(t, hardening.Debian)
	delete(h, "host.os")
	r, _ := derive(t, s, h.input(t))
	if r.Baseline != "linux-level-1" {
		t.Errorf("baseline %s", r.Baseline)
	}
	for _, id := range []string{"apparmor-enabled", "selinux-enforcing"} {
		if j := find(t, r, id); j.Status != hardening.Unknown || !strings.Contains(j.Message, "host.os") {
			t.Errorf("%+v", j)
		}
	}
	if j := find(t, r, "ssh-permit-root-login"); j.Status != hardening.Pass {
		t.Errorf("%+v", j)
	}
}

func TestNoBaseline(t *testing.T) {
	s := prepared(t)
	for name, in := range map[string]host{
		"no facts":     {},
		"other system": readHost(t, hardening.Debian).patch(map[string]any{"host.os": map[string]any{"family": "windows"}}),
	} {
		if out, err := s.Derive(in.input(t)); err != nil || len(out) != 0 {
			t.Errorf("%s: %v, %v; want nothing", name, out, err)
		}
	}
}

func TestObserved(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.Debian).input(t)
	facts, oldest := in.Facts, now.Add(-3*time.Hour)
	in.Facts = func(kind string) (evidence.Fact, bool) {
		f, ok := facts(kind)
		if kind == "host.sudo" {
			f.ObservedAt = oldest
		}
		return f, ok
	}
	if _, d := derive(t, s, in); !d.Observed.Equal(oldest) || !d.Again.IsZero() {
		t.Errorf("observed %v, again %v", d.Observed, d.Again)
	}
}

func TestLists(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.RHEL).patch(map[string]any{
		"host.sshd":      map[string]any{"weak_ciphers": []string{"3des-cbc"}, "weak_macs": []string{"hmac-md5"}},
		"host.software":  map[string]any{"backups": []string{}},
		"host.kernel":    map[string]any{"selinux": "permissive"},
		"host.listeners": map[string]any{"listeners": []any{map[string]any{"protocol": "tcp", "address": "0.0.0.0", "port": 23, "loopback": false}}},
	}).input(t)
	r, _ := derive(t, s, in)
	if want := []string{"net-no-cleartext-login", "ssh-no-weak-ciphers", "ssh-no-weak-macs"}; !slices.Equal(r.WeakNetwork, want) {
		t.Errorf("weak network %v, want %v", r.WeakNetwork, want)
	}
	if want := []string{"database-backed-up"}; !slices.Equal(r.DatabaseFailed, want) {
		t.Errorf("database %v, want %v", r.DatabaseFailed, want)
	}
	if want := []string{"net-no-cleartext-login", "selinux-enforcing", "ssh-no-weak-ciphers", "ssh-no-weak-macs"}; !slices.Equal(r.FailedMust, want) {
		t.Errorf("musts %v, want %v", r.FailedMust, want)
	}
	if len(r.FailedIDs) != 5 || !slices.IsSorted(r.FailedIDs) {
		t.Errorf("failed %v", r.FailedIDs)
	}
	if !slices.IsSortedFunc(r.Results, func(a, b hardening.Judged) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("results are not sorted by id")
	}
	i := slices.IndexFunc(r.Categories, func(c hardening.Category) bool { return c.Name == "ssh" })
	if i < 0 || r.Categories[i].Failed != 2 || r.Categories[i].Passed < 20 {
		t.Errorf("categories %+v", r.Categories)
	}
}

// The result has the form of its kind, the same bytes every time, and can be
// read by catalogue expressions.
func TestResultForm(t *testing.T) {
	s := prepared(t)
	h := readHost(t, hardening.Debian).patch(map[string]any{
		"host.kernel": map[string]any{"vulnerabilities": map[string]any{"mds": "Vulnerable", "meltdown": "Vulnerable", "retbleed": "Vulnerable: x", "srbds": "Vulnerable"}},
	})
	encode := func() []byte {
		r, _ := derive(t, s, h.input(t))
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := encode()
	for range 20 {
		if b := encode(); !bytes.Equal(first, b) {
			t.Fatalf("different bytes:\n%s\n%s", first, b)
		}
	}
	if len(first) > evidence.MaxRecordBytes/4 {
		t.Errorf("%d bytes", len(first))
	}
	env, err := assessment.NewEnvironment(s.Manifest().Kinds)
	if err != nil {
		t.Fatal(err)
	}
	v, err := env.Decode(hardening.FactResult, first)
	if err != nil {
		t.Fatal(err)
	}
	facts := env.NewFacts()
	facts.Set(hardening.FactResult, v)
	p, err := env.CompileBool(`hardening.result.score > 95.0 && hardening.result.failed_must.size() == 0 && "cpu-flaws-mitigated" in hardening.result.failed_ids && hardening.result.weak_network.size() == 0 && hardening.result.database_failed.size() == 0 && hardening.result.unknown == 0 && hardening.result.rules > 150`)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := p.Bool(facts); err != nil || !ok {
		t.Errorf("%v %v: %.600s", ok, err, first)
	}
}

func TestLongMessageIsCut(t *testing.T) {
	s := preparedWith(t, oneRule(`'"UsePAM " + string(host.sshd.use_pam)'`, `host.sshd.allow_users.join("é")`))
	users := make([]string, 300)
	for i := range users {
		users[i] = "ü"
	}
	r, _ := derive(t, s, readHost(t, hardening.Debian).patch(map[string]any{"host.sshd": map[string]any{"allow_users": users}}).input(t))
	m := r.Results[0].Message
	if len(m) > 400 || len(m) < 390 || !utf8.ValidString(m) || !strings.HasSuffix(m, "…") {
		t.Errorf("%d bytes: %q", len(m), m)
	}
}

func TestReads(t *testing.T) {
	reads := prepared(t).Reads()
	for _, kind := range []string{"host.os", "host.sshd", "host.kernel", "host.files"} {
		if !slices.Contains(reads, kind) {
			t.Errorf("%s is not read: %v", kind, reads)
		}
	}
	if slices.Contains(reads, "host.resources") || slices.Contains(reads, hardening.FactResult) {
		t.Errorf("reads %v: a fact that changes all the time, or its own, must not call for it", reads)
	}
}

func TestDeriveBeforePrepare(t *testing.T) {
	if _, err := hardening.With(hardening.BuiltIn()).Derive(readHost(t, hardening.Debian).input(t)); err == nil {
		t.Fatal("no error")
	}
}

func TestDeriveIsSafeForConcurrentUse(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.Debian).input(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				out, err := s.Derive(in)
				if err != nil || len(out) != 1 || out[0].Data.(hardening.Result).Failed != 0 {
					t.Errorf("%+v, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
}
