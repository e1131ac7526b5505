package judgement

import (
	"github.com/demarc/demarc/internal/evidence"
	"testing"

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

// TestWellKeptHost: nothing of a duty about a VM is held against a host where
// all is as it should be.
func TestWellKeptHost(t *testing.T) {
	c := builtinCompiled(t)
	facts := hostFacts(t, c)
	outcomes := map[Outcome]int{}
	for _, d := range c.Duties {
		if d.Scope != evidence.ScopeVM {
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
	t.Logf("duties of scope vm: %v", outcomes)
}
