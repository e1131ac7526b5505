package judgement

import (
	"os"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/service/telemetry"
)

func builtinCompiled(t testing.TB) *Compiled {
	t.Helper()
	cat, err := builtin.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(cat, telemetry.Kinds)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBuiltinCompiles(t *testing.T) {
	c := builtinCompiled(t)
	if len(c.Duties) != 145 {
		t.Errorf("%d duties, want 145", len(c.Duties))
	}
}

// TestWellKept: where all is as it should be, no duty is held against anybody.
func TestWellKept(t *testing.T) {
	c := builtinCompiled(t)
	facts := c.Environment.NewFacts()
	set(t, c, facts, base(t, "host.json", "provider.json"))
	outcomes := map[Outcome]int{}
	for _, d := range c.Duties {
		if d.Met == nil {
			continue
		}
		f, err := d.Judge(facts)
		if err != nil {
			t.Error(err)
		}
		if f.Outcome == NotMet || f.Outcome == Unknown {
			t.Errorf("%s is %s: %s %v", d.ID, f.Outcome, f.Message, f.Missing)
		}
		outcomes[f.Outcome]++
	}
	t.Logf("outcomes: %v", outcomes)
}

// TestNothingKnown: without facts no duty is met, not met or not applicable.
func TestNothingKnown(t *testing.T) {
	c := builtinCompiled(t)
	facts := c.Environment.NewFacts()
	for _, d := range c.Duties {
		f, err := d.Judge(facts)
		if err != nil || f.Outcome != Unknown || (d.Met != nil && len(f.Missing) == 0) {
			t.Errorf("%s: %+v, %v", d.ID, f, err)
		}
	}
}

// TestCases goes through testdata/cases.txt.
func TestCases(t *testing.T) {
	data, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := builtinCompiled(t)
	good := base(t, "host.json", "provider.json")
	facts := c.Environment.NewFacts()
	set(t, c, facts, good)
	tried := map[*responsibility.Assessment]bool{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, "|", 3)
		head := strings.Fields(parts[0])
		if len(parts) != 3 || len(head) != 2 {
			t.Fatalf("malformed case %s", line)
		}
		d := c.Duty(head[0])
		if d == nil {
			t.Fatalf("no duty %s", head[0])
		}
		changed, before := map[string]any{}, map[string]any{}
		for kind, change := range parsed(t, parts[1]) {
			changed[kind], before[kind] = merged(good[kind], change), good[kind]
		}
		set(t, c, facts, changed)
		got, err := d.Judge(facts)
		if want := Outcome(head[1]); err != nil || got.Outcome != want || !strings.Contains(got.Message, strings.TrimSpace(parts[2])) {
			t.Errorf("%s with %s\n got %s: %q, %v\nwant %s: %q", d.ID, strings.TrimSpace(parts[1]), got.Outcome, got.Message, err, want, strings.TrimSpace(parts[2]))
		}
		set(t, c, facts, before)
		if got.Outcome == NotMet {
			tried[d.Assessment] = true
		}
	}
	for _, d := range c.Duties {
		if d.Met != nil && d.Assessment.SameAs == "" && !tried[d.Assessment] {
			t.Errorf("no case shows %s not met", d.ID)
		}
	}
}

// TestDocumentedExample: the catalogue in docs/catalogue.md loads beside the
// built-in one.
func TestDocumentedExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/catalogue.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```yaml\n")
	example, _, closed := strings.Cut(example, "```")
	if !ok || !closed {
		t.Fatal("docs/catalogue.md shows no example")
	}
	own, err := responsibility.Parse("docs/catalogue.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	cat, err := builtin.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	all, err := responsibility.Merge(cat, own)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(all, telemetry.Kinds); err != nil {
		t.Error(err)
	}
}
