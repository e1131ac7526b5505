package hardening_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service/hardening"
	"github.com/demarc/demarc/internal/service/telemetry"
)

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     string
	}{
		"unknown key":          {"    rationale:", "    rational:", `test.yaml:11:5: a rule has no key "rational"`},
		"missing key":          {"    rationale: Because.\n", "", `test.yaml:3:5: a rule lacks the key "rationale"`},
		"repeated key":         {"    level: 1\n", "    level: 1\n    level: 2\n", `test.yaml:7:5: key "level" stands twice`},
		"number for text":      {"title: A title", "title: 7", "test.yaml:4:12: title must be a text, is a number"},
		"boolean for text":     {"title: A title", "title: true", "test.yaml:4:12: title must be a text, is a boolean"},
		"empty text":           {"title: A title", "title: ' '", "test.yaml:4:12: title is empty"},
		"null":                 {"title: A title", "title:", "title must be a text, is empty"},
		"long text":            {"title: A title", "title: " + strings.Repeat("x", 3000), "title has 3000 bytes, the limit is 2000"},
		"bad id":               {"id: test-rule", "id: Test_Rule", `test.yaml:3:9: id "Test_Rule" must be lower-case words`},
		"bad severity":         {"severity: high", "severity: must", "test.yaml:5:15: severity must be one of high, medium, low"},
		"bad level":            {"level: 1", "level: 3", "test.yaml:6:12: level must be one of 1, 2"},
		"bad family":           {"[debian, rhel]", "[debian, windows]", "test.yaml:7:24: families must be one of debian, rhel"},
		"family twice":         {"[debian, rhel]", "[debian, debian]", "test.yaml:7:24: families names debian twice"},
		"no family":            {"[debian, rhel]", "[]", "test.yaml:7:15: families is an empty list"},
		"bad tag":              {"    level: 1\n", "    level: 1\n    tags: [network]\n", "tags must be one of database, weak-network"},
		"scalar for list":      {"[A standard 1]", "A standard 1", "test.yaml:12:17: references must be a list, is a text"},
		"remedy of one family": {"remedy: Mend it.", "remedy: {debian: Mend it.}", `remedy lacks the key "rhel"`},
		"remedy of another":    {"remedy: Mend it.", "remedy: {debian: a, rhel: b, suse: c}", `remedy has no key "suse"`},
		"alias":                {"rationale: Because.", "rationale: &r Because.\n    tags: *r", "tags must be a list, is an alias"},
		"bad category":         {"category: test", "category: Test Case", `category "Test Case" must be lower-case words`},
		"no category":          {"category: test\n", "", `a rule file lacks the key "category"`},
		"unknown top key":      {"category: test\n", "category: test\nversion: 2\n", `test.yaml:2:1: a rule file has no key "version"`},
		"not YAML":             {"category: test", "category: [", "test.yaml:"},
		"two documents":        {"category: test", "category: test\n---\ncategory: test", "test.yaml:1:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hardening.Load(oneRule(c.old, c.new))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v\nwant %s", err, c.want)
			}
			if _, ok := errors.AsType[*hardening.Fault](err); !ok {
				t.Errorf("%T is no *Fault", err)
			}
		})
	}
}

func TestLoadRefusesFiles(t *testing.T) {
	one := oneRule().(fstest.MapFS)["test.yaml"]
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"nothing":        {fstest.MapFS{}, "no rules"},
		"other files":    {fstest.MapFS{"a.txt": one}, "no rules"},
		"empty file":     {fstest.MapFS{"a.yaml": {}}, "a.yaml:1:1: the file is empty"},
		"too large":      {fstest.MapFS{"a.yaml": {Data: []byte(strings.Repeat("#", 2<<20))}}, "a.yaml:1:1: the file has 2097152 bytes"},
		"rules no list":  {fstest.MapFS{"a.yaml": {Data: []byte("category: a\nrules: none\n")}}, "a.yaml:2:8: rules must be a list, is a text"},
		"list at top":    {fstest.MapFS{"a.yaml": {Data: []byte("- a\n")}}, "a.yaml:1:1: a rule file must be a mapping, is a list"},
		"id used before": {fstest.MapFS{"a.yaml": one, "b.yaml": one}, `b.yaml:3:9: id "test-rule" is used before, at a.yaml:3`},
		"not UTF-8":      {fstest.MapFS{"a.yaml": {Data: []byte("category: \xff\n")}}, "a.yaml:1:1: is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := hardening.Load(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestLoadReportsEveryFault(t *testing.T) {
	_, err := hardening.Load(oneRule("severity: high", "severity: x", "level: 1", "level: x", "title: A title", "title: 1"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Fatalf("want three faults, got %v", err)
	}
}

func TestPrepareRefusesExpressions(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no such member":     {"pass: host.sshd.use_pam", "pass: host.sshd.use_pan", "test.yaml:9:20: undefined field"},
		"no such fact":       {"pass: host.sshd.use_pam", "pass: host.shhd.use_pam", "test.yaml:9:11: undeclared reference"},
		"wrong type":         {"pass: host.sshd.use_pam", "pass: host.sshd.banner", "test.yaml:9:11: gives string, but bool is needed"},
		"quoted":             {"pass: host.sshd.use_pam", "pass: 'host.sshd.x'", "test.yaml:9:21: undefined field"},
		"in a block":         {"pass: host.sshd.use_pam", "pass: |\n      host.sshd.use_pam &&\n      host.sshd.x", "test.yaml:11:11: undefined field"},
		"applies":            {"applies: host.sshd.installed", "applies: host.sshd.ports", "test.yaml:8:14: gives list(int)"},
		"message":            {`'"UsePAM " + string(host.sshd.use_pam)'`, "host.sshd.use_pam", "test.yaml:10:14: gives bool, but string is needed"},
		"judges nothing":     {"pass: host.sshd.use_pam", "pass: 1 < 2", "test.yaml:9:11: reads no fact"},
		"cost without bound": {"pass: host.sshd.use_pam", "pass: host.users.users.all(a, host.users.users.all(b, a == b))", "may cost"},
	} {
		t.Run(name, func(t *testing.T) {
			s := hardening.With(oneRule(c.old, c.new))
			if err := s.Prepare(telemetry.Kinds); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v\nwant %s", err, c.want)
			}
		})
	}
	t.Run("without the fact that tells the family", func(t *testing.T) {
		var rest []evidence.Kind
		for _, k := range telemetry.Kinds {
			if k.Name != "host.os" {
				rest = append(rest, k)
			}
		}
		if err := hardening.With(oneRule()).Prepare(rest); err == nil || !strings.Contains(err.Error(), "host.os.family") {
			t.Fatal(err)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(oneRule().(fstest.MapFS)["test.yaml"].Data)
	f.Add([]byte("category: a\nrules: [{id: x}]"))
	f.Add([]byte("a: &a [*a]\n--- {}"))
	f.Add([]byte("category: !!binary x\nrules: [[[[{? {} : 1}]]]]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := hardening.Load(fstest.MapFS{"f.yaml": {Data: data}})
		if (err == nil) != (len(rules) > 0) {
			t.Fatalf("%d rules with error %v", len(rules), err)
		}
		for _, r := range rules {
			if r.ID == "" || r.Pass.Text == "" || r.Message.Text == "" || len(r.Remedy) != len(r.Families) {
				t.Fatalf("half a rule: %+v", r)
			}
		}
	})
}
