package hardening_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/hardening"
	"github.com/demarc/demarc/internal/service/telemetry"
)

var (
	now     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	subject = evidence.Subject{Scope: evidence.ScopeVM, Tenant: "acme", ID: "db1"}
)

// host is the facts of a machine by kind, as decoded JSON.
type host map[string]any

// readHost returns the machine of testdata/hosts that meets every rule.
func readHost(t testing.TB, family string) host {
	t.Helper()
	b, err := os.ReadFile("testdata/hosts/" + family + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var h host
	if err := json.Unmarshal(b, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// patch returns h changed by an example: objects are merged, null takes a
// member away, and everything else replaces.
func (h host) patch(change map[string]any) host {
	return merge(map[string]any(h), change).(map[string]any)
}

func merge(old, change any) any {
	o, isObject := old.(map[string]any)
	c, isChange := change.(map[string]any)
	if !isObject || !isChange {
		return change
	}
	out := maps.Clone(o)
	for k, v := range c {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = merge(out[k], v)
		}
	}
	return out
}

// input turns h into what the server gives a Deriver.
func (h host) input(t testing.TB) service.Input {
	t.Helper()
	facts := map[string]evidence.Fact{}
	for kind, data := range h {
		facts[kind] = fact(t, kind, data)
	}
	return service.Input{Subject: subject, Now: now, Facts: func(kind string) (evidence.Fact, bool) {
		f, ok := facts[kind]
		return f, ok
	}}
}

func fact(t testing.TB, kind string, data any) evidence.Fact {
	t.Helper()
	b, err := canonical.JSON(data)
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Fact{Subject: subject, Kind: kind, Data: b, Digest: canonical.Digest(b), ObservedAt: now}
}

// prepared returns the service with its built-in rules over telemetry's kinds.
func prepared(t testing.TB) *hardening.Service {
	t.Helper()
	return preparedWith(t, hardening.BuiltIn())
}

func preparedWith(t testing.TB, files fs.FS) *hardening.Service {
	t.Helper()
	s := hardening.With(files)
	if err := s.Prepare(telemetry.Kinds); err != nil {
		t.Fatal(err)
	}
	return s
}

func derive(t testing.TB, s *hardening.Service, in service.Input) (hardening.Result, service.Derived) {
	t.Helper()
	out, err := s.Derive(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out[0].Kind != hardening.FactResult {
		t.Fatalf("derived %+v, want one %s", out, hardening.FactResult)
	}
	return out[0].Data.(hardening.Result), out[0]
}

func find(t testing.TB, r hardening.Result, id string) hardening.Judged {
	t.Helper()
	for _, j := range r.Results {
		if j.ID == id {
			return j
		}
	}
	t.Fatalf("no result of rule %s", id)
	return hardening.Judged{}
}

func policy(t testing.TB, p hardening.Policy) json.RawMessage {
	t.Helper()
	b, err := p.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneRule is a rule file with one rule; each change replaces a line of it.
func oneRule(changes ...string) fs.FS {
	text := strings.NewReplacer(changes...).Replace(`category: test
rules:
  - id: test-rule
    title: A title
    severity: high
    level: 1
    families: [debian, rhel]
    applies: host.sshd.installed
    pass: host.sshd.use_pam
    message: '"UsePAM " + string(host.sshd.use_pam)'
    rationale: Because.
    references: [A standard 1]
    remedy: Mend it.
`)
	return fstest.MapFS{"test.yaml": {Data: []byte(text)}}
}

func readYAML(t testing.TB, files fs.FS, name string, into any) {
	t.Helper()
	b, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
