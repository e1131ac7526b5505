package hardening_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/hardening"
)

// Every rule has examples in testdata/examples: changes to the machine that
// meets all rules, after which the rule passes or fails.
type examples struct {
	Pass, Fail []map[string]any
}

func TestExamples(t *testing.T) {
	s := prepared(t)
	all := map[string]examples{}
	dir := os.DirFS("testdata/examples")
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var file map[string]examples
		readYAML(t, dir, name, &file)
		for id, e := range file {
			if _, twice := all[id]; twice {
				t.Errorf("%s: %s has examples elsewhere too", name, id)
			}
			all[id] = e
		}
	}
	hosts := map[string]host{hardening.Debian: readHost(t, hardening.Debian), hardening.RHEL: readHost(t, hardening.RHEL)}
	inputs := map[string]service.Input{}
	for family, h := range hosts {
		in := h.input(t)
		in.Policy = policy(t, hardening.Policy{Level: 2})
		inputs[family] = in
	}
	rules, err := hardening.Load(hardening.BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		e := all[r.ID]
		delete(all, r.ID)
		if len(e.Pass) == 0 || len(e.Fail) == 0 {
			t.Errorf("%s: %d examples that pass and %d that fail; at least one of each is needed", r.ID, len(e.Pass), len(e.Fail))
		}
		for _, family := range r.Families {
			try := func(want hardening.Status, changes []map[string]any) {
				for i, change := range changes {
					in := inputs[family]
					same, changed := in.Facts, hosts[family].patch(change)
					in.Facts = func(kind string) (evidence.Fact, bool) {
						if _, ok := change[kind]; ok {
							return fact(t, kind, changed[kind]), true
						}
						return same(kind)
					}
					res, _ := derive(t, s, in)
					got := find(t, res, r.ID)
					if got.Status != want {
						t.Errorf("%s on %s, example %d: %s, want %s: %s", r.ID, family, i, got.Status, want, got.Message)
					}
					if got.Message == "" || strings.Contains(got.Message, "cannot be judged") {
						t.Errorf("%s on %s, example %d that should %s: message %q", r.ID, family, i, want, got.Message)
					}
					if want == hardening.Fail && got.Remedy == "" {
						t.Errorf("%s on %s: no remedy", r.ID, family)
					}
				}
			}
			try(hardening.Pass, e.Pass)
			try(hardening.Fail, e.Fail)
		}
	}
	for id := range all {
		t.Errorf("examples for %s, which is no rule", id)
	}
}

func TestHardenedHostMeetsEveryRule(t *testing.T) {
	s := prepared(t)
	for _, family := range []string{hardening.Debian, hardening.RHEL} {
		for level, atLeast := range map[int]int{1: 150, 2: 300} {
			in := readHost(t, family).input(t)
			in.Policy = policy(t, hardening.Policy{Level: level})
			r, _ := derive(t, s, in)
			if r.Failed+r.Unknown > 0 || r.Score != 100 {
				t.Errorf("%s level %d: %d failed %v, %d unknown, score %v", family, level, r.Failed, r.FailedIDs, r.Unknown, r.Score)
			}
			if r.Rules < atLeast || r.Passed < atLeast {
				t.Errorf("%s level %d: %d rules, %d passed; want at least %d", family, level, r.Rules, r.Passed, atLeast)
			}
			if sum := r.Passed + r.Failed + r.Waived + r.NotApplicable + r.Unknown; sum != r.Rules || len(r.Results) != r.Rules {
				t.Errorf("%s level %d: counts %d, results %d, rules %d", family, level, sum, len(r.Results), r.Rules)
			}
			t.Logf("%s: %d rules, %d passed, %d not applicable", r.Baseline, r.Rules, r.Passed, r.NotApplicable)
		}
	}
}

func TestRulesReadWell(t *testing.T) {
	rules, err := hardening.Load(hardening.BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{}
	for _, r := range rules {
		if other := titles[r.Title]; other != "" {
			t.Errorf("%s and %s have one title: %q", r.ID, other, r.Title)
		}
		titles[r.Title] = r.ID
		if strings.HasSuffix(r.Title, ".") || !strings.HasSuffix(r.Rationale, ".") {
			t.Errorf("%s: a title ends without a full stop, a rationale with one", r.ID)
		}
		if !slices.ContainsFunc(r.References, func(s string) bool { return strings.HasPrefix(s, "NIST SP 800-53 Rev. 5 ") }) {
			t.Errorf("%s: no NIST SP 800-53 control", r.ID)
		}
	}
}
