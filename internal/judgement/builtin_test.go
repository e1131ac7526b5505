package judgement

import (
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
