package hardening_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service/hardening"
)

func TestCheckPolicy(t *testing.T) {
	s := prepared(t)
	for doc, want := range map[string]string{
		``:            "",
		`{}`:          "",
		`{"level":2}`: "",
		`{"disabled":[{"rule":"web-server-off","reason":"this is the web server","until":"2027-01-01T00:00:00Z"}],"level":1,"severity_overrides":[{"reason":"r","rule":"web-server-off","severity":"high"}]}`: "",

		`{"level":3}`:           "level is 3; it must be 1 or 2",
		`{"level":"2"}`:         "level",
		`{"Level":2}`:           "Level",
		`{"level":1,"level":2}`: "duplicate",
		`{"leve":1}`:            "leve",
		`[]`:                    "refused",
		`{`:                     "refused",
		`{} {}`:                 "refused",
		`{"disabled":[{"rule":"ssh-permit-root-logn","reason":"r"}]}`:                                                  `disabled[0] names rule "ssh-permit-root-logn", which does not exist; did you mean "ssh-permit-root-login"?`,
		`{"disabled":[{"rule":"completely-different-words-here","reason":"r"}]}`:                                       "which does not exist",
		`{"disabled":[{"rule":"ssh-permit-root-login","reason":" "}]}`:                                                 "has no reason",
		`{"disabled":[{"rule":"ssh-permit-root-login","reason":"` + strings.Repeat("x", 501) + `"}]}`:                  "has a reason of 501 bytes",
		`{"disabled":[{"rule":"ssh-use-pam","reason":"r"},{"rule":"ssh-use-pam","reason":"r"}]}`:                       `disabled[1] names rule "ssh-use-pam", which disabled[0] names already`,
		`{"disabled":[{"rule":"ssh-use-pam","reason":"r","until":"soon"}]}`:                                            "until",
		`{"disabled":[{"rule":"ssh-use-pam","reason":"r","till":"2027-01-01T00:00:00Z"}]}`:                             "till",
		`{"severity_overrides":[{"rule":"ssh-use-pam","reason":"r","severity":"must"}]}`:                               `severity "must"; it must be high, medium or low`,
		`{"disabled":[` + strings.Repeat(`{"rule":"ssh-use-pam","reason":"r"},`, 1001) + `{"rule":"x","reason":"r"}]}`: "the limit is 1000",
		strings.Repeat(" ", 300<<10): "the limit is 262144",
	} {
		err := s.CheckPolicy(json.RawMessage(doc))
		switch {
		case want == "" && err != nil:
			t.Errorf("%.80s: %v", doc, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.80s: error %v, want %q", doc, err, want)
		case want != "" && !errors.Is(err, hardening.ErrPolicy):
			t.Errorf("%.80s: %v is no ErrPolicy", doc, err)
		}
	}
}

func TestPolicyLevels(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.Debian).input(t)
	one, _ := derive(t, s, in)
	in.Policy = policy(t, hardening.Policy{Level: 1})
	same, _ := derive(t, s, in)
	in.Policy = policy(t, hardening.Policy{Level: 2})
	two, _ := derive(t, s, in)
	if one.Baseline != "debian-level-1" || two.Baseline != "debian-level-2" {
		t.Errorf("baselines %s and %s", one.Baseline, two.Baseline)
	}
	if one.Rules != same.Rules || two.Rules <= one.Rules {
		t.Errorf("rules: %d by default, %d at level 1, %d at level 2", one.Rules, same.Rules, two.Rules)
	}
}

func TestPolicyDisables(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.Debian).patch(map[string]any{"host.sshd": map[string]any{"permit_root_login": "yes", "use_pam": false}}).input(t)
	until := now.Add(time.Hour)
	in.Policy = policy(t, hardening.Policy{Disabled: []hardening.Disabled{
		{Rule: "ssh-permit-root-login", Reason: "console is broken", Until: until},
		{Rule: "ssh-use-pam", Reason: "long ago", Until: now},
		{Rule: "no-longer-a-rule", Reason: "removed by an upgrade"},
	}})
	r, d := derive(t, s, in)
	if j := find(t, r, "ssh-permit-root-login"); j.Status != hardening.NotApplicable || !strings.Contains(j.Message, "console is broken") {
		t.Errorf("disabled rule: %+v", j)
	}
	if j := find(t, r, "ssh-use-pam"); j.Status != hardening.Fail {
		t.Errorf("rule whose time is over: %+v", j)
	}
	if !d.Again.Equal(until) {
		t.Errorf("again at %v, want %v", d.Again, until)
	}
	if r.Failed != 1 || len(r.FailedIDs) != 1 {
		t.Errorf("failed %v", r.FailedIDs)
	}
}

func TestPolicyChangesSeverity(t *testing.T) {
	s := prepared(t)
	in := readHost(t, hardening.Debian).patch(map[string]any{"host.sshd": map[string]any{"permit_root_login": "yes", "max_auth_tries": 9}}).input(t)
	in.Policy = policy(t, hardening.Policy{SeverityOverrides: []hardening.SeverityOverride{
		{Rule: "ssh-permit-root-login", Severity: hardening.Low, Reason: "isolated"},
		{Rule: "ssh-max-auth-tries", Severity: hardening.High, Reason: "was attacked"},
	}})
	r, _ := derive(t, s, in)
	if len(r.FailedMust) != 1 || r.FailedMust[0] != "ssh-max-auth-tries" {
		t.Errorf("failed musts %v", r.FailedMust)
	}
	if j := find(t, r, "ssh-permit-root-login"); j.Severity != hardening.Low {
		t.Errorf("%+v", j)
	}
}

func TestDeriveRefusesMalformedPolicy(t *testing.T) {
	in := readHost(t, hardening.Debian).input(t)
	in.Policy = json.RawMessage(`{"level":7}`)
	if _, err := prepared(t).Derive(in); !errors.Is(err, hardening.ErrPolicy) {
		t.Fatal(err)
	}
}

func TestWaivers(t *testing.T) {
	s := prepared(t)
	h := readHost(t, hardening.Debian).patch(map[string]any{"host.sshd": map[string]any{"permit_root_login": "yes"}})
	delete(h, "host.timesync")
	in := h.input(t)
	before, _ := derive(t, s, in)
	waiver := func(duty string, expires time.Time) evidence.Waiver {
		return evidence.Waiver{Duty: duty, Subject: subject, AcceptedBy: "ann", Reason: "until the move", Effective: now.Add(-time.Hour), Expires: expires}
	}
	in.Waivers = []evidence.Waiver{
		waiver("hardening/ssh-permit-root-login", now.Add(48*time.Hour)),
		waiver("hardening/time-synchronized", now.Add(24*time.Hour)),
		waiver("hardening/ssh-use-pam", now.Add(72*time.Hour)),
		waiver("hardening/no-such-rule", now.Add(time.Minute)),
		waiver("CLD.9.5.2/C-4.1a", now.Add(time.Second)),
	}
	r, d := derive(t, s, in)
	for id, want := range map[string]hardening.Status{
		"ssh-permit-root-login": hardening.Waived, "time-synchronized": hardening.Waived, "ssh-use-pam": hardening.Pass, "time-daemon-runs": hardening.Unknown,
	} {
		if j := find(t, r, id); j.Status != want {
			t.Errorf("%s is %s, want %s", id, j.Status, want)
		}
	}
	j := find(t, r, "ssh-permit-root-login")
	if j.Message != "PermitRootLogin is yes; risk accepted: until the move" || j.Remedy == "" {
		t.Errorf("waived: %+v", j)
	}
	if !d.Again.Equal(now.Add(24 * time.Hour)) {
		t.Errorf("again at %v", d.Again)
	}
	if before.Failed != 1 || before.Score >= 100 || r.Failed != 0 || r.Waived != 2 || r.Score != 100 {
		t.Errorf("before: %d failed, score %v; after: %d failed, %d waived, score %v", before.Failed, before.Score, r.Failed, r.Waived, r.Score)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{"disabled":[{"reason":"r","rule":"ssh-use-pam","until":"2027-01-01T00:00:00Z"}],"level":2,"severity_overrides":[{"reason":"r","rule":"x","severity":"low"}]}`))
	f.Add([]byte(`{"level":1e0}`))
	f.Add([]byte(`{"disabled":[{"reason":"\ud800","rule":""}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := hardening.ParsePolicy(doc)
		if err != nil {
			return
		}
		b, err := p.Canonical()
		if err != nil {
			t.Fatalf("accepted %q, which has no canonical form: %v", doc, err)
		}
		again, err := hardening.ParsePolicy(b)
		if err != nil {
			t.Fatalf("own canonical form %s refused: %v", b, err)
		}
		if c, err := again.Canonical(); err != nil || !bytes.Equal(b, c) {
			t.Fatalf("%s became %s (%v)", b, c, err)
		}
	})
}
