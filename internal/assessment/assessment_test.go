package assessment

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service/telemetry"
)

func environment(t testing.TB) *Environment {
	t.Helper()
	env, err := NewEnvironment(telemetry.Kinds)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

type thing struct {
	Name  string            `json:"name"`
	Size  int               `json:"size,omitempty"`
	Mode  string            `json:"mode" enum:"on,off"`
	Parts []part            `json:"parts"`
	Extra map[string]string `json:"extra,omitempty"`
}

type part struct {
	ID    int  `json:"id"`
	Shiny bool `json:"shiny,omitempty"`
}

func small(t testing.TB) *Environment {
	t.Helper()
	env, err := NewEnvironment([]evidence.Kind{evidence.KindOf[thing]("lab.thing", evidence.ScopeVM, 0, "A thing.")})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestEvaluate(t *testing.T) {
	env := small(t)
	v, err := env.Decode("lab.thing", []byte(`{"name":"x","mode":"on","parts":[{"id":1,"shiny":true},{"id":2}],"extra":{"a":"b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	facts := env.NewFacts()
	facts.Set("lab.thing", v)
	for expr, want := range map[string]bool{
		`lab.thing.name == "x"`:                              true,
		`lab.thing.size == 0`:                                true,
		`has(lab.thing.size)`:                                false,
		`lab.thing.parts.exists(p, p.shiny && p.id == 1)`:    true,
		`lab.thing.parts.all(p, p.shiny)`:                    false,
		`lab.thing.parts[1].id == 2`:                         true,
		`lab.thing.extra["a"] == "b"`:                        true,
		`"z" in lab.thing.extra`:                             false,
		`lab.thing.parts.filter(p, has(p.shiny)).size() > 1`: false,
	} {
		p, err := env.CompileBool(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		got, err := p.Bool(facts)
		if err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", expr, got, err, want)
		}
		if !slices.Equal(p.Reads(), []string{"lab.thing"}) {
			t.Errorf("%s reads %v", expr, p.Reads())
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	env := environment(t)
	for expr, want := range map[string]string{
		`host.sshd.nonsense == 1`:    "undefined field",
		`host.sshd.running == "yes"`: "no matching overload",
		`host.nothing.here`:          "undeclared reference",
		`host.sshd.running ? 1 : 2`:  "gives int, but bool is needed",
		`1 +`:                        "Syntax error",
		`host.users.users.all(a, host.users.users.all(b, host.users.users.all(c, a == b && b == c)))`: "may cost",
		strings.Repeat("true && ", 2000) + "true":                                                     "the limit is",
	} {
		_, err := env.CompileBool(expr)
		var ee *ExpressionError
		if !errors.As(err, &ee) || !strings.Contains(ee.Reason, want) {
			t.Errorf("%.60s: error %v, want %q", expr, err, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	env := small(t)
	for in, want := range map[string]string{
		`{"name":"x","mode":"on","parts":[],"zzz":1}`:                                                  "is not a member",
		`{"name":"x","parts":[]}`:                                                                      "mode is missing",
		`{"name":"x","mode":"dim","parts":[]}`:                                                         "none of [on off]",
		`{"name":5,"mode":"on","parts":[]}`:                                                            "must be string, is a number",
		`{"name":"x","mode":"on","parts":null}`:                                                        "must be a list, is null",
		`{"name":"x","mode":"on","parts":[{"id":1.5}]}`:                                                "whole number",
		`{"name":"x","name":"y","mode":"on","parts":[]}`:                                               "duplicate",
		`{"name":"x","mode":"on","parts":[]} {}`:                                                       "something follows",
		`{"name":"x","mode":"on","parts":[` + strings.Repeat(`{"id":1},`, MaxListItems) + `{"id":1}]}`: "more than",
		`[1]`: "must be an object",
		``:    "EOF",
	} {
		_, err := env.Decode("lab.thing", []byte(in))
		if !errors.Is(err, ErrForm) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want %q", in, err, want)
		}
	}
	if _, err := env.Decode("lab.other", []byte(`{}`)); !errors.Is(err, ErrForm) {
		t.Errorf("unknown kind: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	env := small(f)
	f.Add([]byte(`{"name":"x","mode":"on","parts":[{"id":1,"shiny":true}],"extra":{"a":"b"}}`))
	f.Add([]byte(`{"name":"\ud800","mode":"on","parts":[[[[`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := env.Decode("lab.thing", data)
		if (v == nil) == (err == nil) {
			t.Fatalf("value %v with error %v", v, err)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	env := small(b)
	v, err := env.Decode("lab.thing", []byte(`{"name":"x","mode":"on","parts":[{"id":1,"shiny":true},{"id":2}],"extra":{"a":"b"}}`))
	if err != nil {
		b.Fatal(err)
	}
	facts := env.NewFacts()
	facts.Set("lab.thing", v)
	p, err := env.CompileBool(`lab.thing.name == "x" && lab.thing.mode == "on" && lab.thing.parts.exists(p, p.id == 2)`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.Bool(facts); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "assessments/s")
}
