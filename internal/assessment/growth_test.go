package assessment

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestGrowthRefused: values that double with each binding are refused when
// they are compiled, before they can fill the memory.
func TestGrowthRefused(t *testing.T) {
	env := small(t)
	const deep = 40
	for name, form := range map[string]struct{ start, double, end string }{
		"text":    {`lab.thing.name`, "%[1]s + %[1]s", "%s == ''"},
		"literal": {`"xxxxxxxxxxxxxxxx"`, "%[1]s + %[1]s", "%s == ''"},
		"list":    {`lab.thing.parts`, "%[1]s + %[1]s", "%s.all(p, p.shiny)"},
		"map":     {`[1, 2]`, "%[1]s.map(x, x) + %[1]s", "%s.all(p, p > 1)"},
		"joined":  {`["x", "y"]`, "[%[1]s.join(), %[1]s.join()]", "%s.join() == ''"},
		"format":  {`"x"`, `"%%s%%s".format([%[1]s, %[1]s])`, "%s == ''"},
		"replace": {`"xx"`, `%[1]s.replace("x", "xx")`, "%s == ''"},
		"listed":  {`"xx"`, `listed([%[1]s, %[1]s])`, "%s == ''"},
		"reasons": {`"xx"`, `reasons([%[1]s, %[1]s])`, "%s == ''"},
		"counted": {`"xx"`, `counted(1, %[1]s) + counted(2, %[1]s)`, "%s == ''"},
		"range":   {`lists.range(10)`, "%[1]s + %[1]s", "%s.all(p, p > 1)"},
		"ranges":  {`10`, "lists.range(%[1]s * %[1]s).size()", "%s > 1"},
	} {
		var b strings.Builder
		last := form.start
		for i := range deep {
			next := fmt.Sprintf("v%d", i)
			fmt.Fprintf(&b, "cel.bind(%s, %s, ", next, fmt.Sprintf(form.double, last))
			last = next
		}
		expr := b.String() + fmt.Sprintf(form.end, last) + strings.Repeat(")", deep)
		_, err := env.CompileBool(expr)
		if _, ok := errors.AsType[*ExpressionError](err); !ok {
			t.Errorf("%s: accepted (%v)", name, err)
		}
	}
}

// TestGrowthEstimated: the same without nesting is found by the estimate.
func TestGrowthEstimated(t *testing.T) {
	env := small(t)
	long := strings.Repeat("x", 1500)
	for _, expr := range []string{
		`lists.range(lab.thing.size).size() > 1`,
		`lab.thing.name.replace("", "` + long + `").replace("", "` + long + `").size() > 1`,
		`lab.thing.parts.map(p, lab.thing.parts.map(q, "` + long + `").join()).size() > 1`,
	} {
		if _, err := env.CompileBool(expr); err == nil || !strings.Contains(err.Error(), "may cost") {
			t.Errorf("%.60s: %v", expr, err)
		}
	}
}

// FuzzCompile: whatever the text, compiling ends with a program or a placed
// fault, and a program ends when it is evaluated.
func FuzzCompile(f *testing.F) {
	env := small(f)
	v, err := env.Decode("lab.thing", []byte(`{"name":"x","mode":"on","parts":[{"id":1,"shiny":true},{"id":2}],"extra":{"a":"b"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`lab.thing.name == "x" && lab.thing.parts.exists(p, p.id == 2)`)
	f.Add(`cel.bind(a, lab.thing.parts.map(p, string(p.id)), reasons(["", listed(a)]) != "")`)
	f.Add(`undeclared(["a:b"], ["a"]).size() == inNetworks(["::1"], ["::/0"]).size()`)
	f.Add(`notEncrypted(["/a"], ["/"], []).size() > 0 ? true : "é".matches("(a*)*b")`)
	f.Fuzz(func(t *testing.T, expr string) {
		p, err := env.CompileBool(expr)
		if err != nil {
			e, ok := errors.AsType[*ExpressionError](err)
			if !ok || e.Line < 1 || e.Column < 1 || e.Reason == "" {
				t.Fatalf("%q: %T %v", expr, err, err)
			}
			return
		}
		facts := env.NewFacts()
		facts.Set("lab.thing", v)
		if _, err := p.Bool(facts); err != nil && !errors.Is(err, ErrEvaluation) {
			t.Fatalf("%q: %v", expr, err)
		}
	})
}
