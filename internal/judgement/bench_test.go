package judgement

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/service/telemetry"
)

// BenchmarkAssessments judges every duty of scope vm by the facts of one host,
// on one core.
func BenchmarkAssessments(b *testing.B) {
	c := builtinCompiled(b)
	facts := c.Environment.NewFacts()
	set(b, c, facts, base(b, "host.json"))
	var duties []*Duty
	for _, d := range c.Duties {
		if d.Scope == evidence.ScopeVM {
			duties = append(duties, d)
		}
	}
	b.ReportAllocs()
	count := 0
	for b.Loop() {
		for _, d := range duties {
			if _, err := d.Judge(facts); err != nil {
				b.Fatal(err)
			}
			count++
		}
	}
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "assessments/s")
}

// BenchmarkCompile compiles the whole built-in catalogue.
func BenchmarkCompile(b *testing.B) {
	cat, err := builtin.Catalogue()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Compile(cat, telemetry.Kinds); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/catalogue")
}
