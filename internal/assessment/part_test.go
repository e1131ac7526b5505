package assessment

import (
	"errors"
	"testing"
)

// What a part leaves out must not be missed by the programs that it is for.
func TestPartJudgesAsTheWhole(t *testing.T) {
	env := small(t)
	data := []byte(`{"name":"x","mode":"on","parts":[{"id":1,"shiny":true},{"id":2}],"extra":{"a":"b"}}`)
	whole, err := env.Decode("lab.thing", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, expr := range []string{
		`lab.thing.name == "x"`, `lab.thing.size == 0`, `has(lab.thing.size)`, `has(lab.thing.extra)`, `!has(lab.thing.extra)`,
		`lab.thing.parts.exists(p, p.shiny)`, `[lab.thing].all(x, x.mode == "on")`,
		`cel.bind(t, lab.thing, t.extra["a"] == "b")`, `lab.thing.?extra.hasValue()`, `.lab.thing.parts.size() == 2`,
	} {
		p, err := env.CompileBool(expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		part, err := env.Part(nil, p).Decode("lab.thing", data)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		judge := func(v *Value) bool {
			facts := env.NewFacts()
			facts.Set("lab.thing", v)
			out, err := p.Bool(facts)
			if err != nil {
				t.Fatalf("%s: %v", expr, err)
			}
			return out
		}
		if got, want := judge(part), judge(whole); got != want {
			t.Errorf("%s is %v by the part, %v by the whole", expr, got, want)
		}
	}
}

func TestPartReadsNoMore(t *testing.T) {
	env := small(t)
	p, err := env.CompileBool(`lab.thing.name == "x"`)
	if err != nil {
		t.Fatal(err)
	}
	part := env.Part(p)
	v, err := part.Decode("lab.thing", []byte(`{"name":"x","mode":"on","parts":[{"id":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if parts, err := sizeOf(env, v); err != nil || parts != "0" {
		t.Errorf("%s parts were decoded that nobody reads (%v)", parts, err)
	}
	for _, broken := range []string{``, `{`, `{"name":1,"mode":"on","parts":[]}`, `{"name":"x","parts":[]}`, `{"name":"x","mode":"on","parts":[}`, `{"name":"x","mode":"on","parts":[],"z":1}`} {
		if _, err := part.Decode("lab.thing", []byte(broken)); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v, want ErrForm", broken, err)
		}
	}
}

func sizeOf(env *Environment, v *Value) (string, error) {
	p, err := env.CompileString(`string(lab.thing.parts.size())`)
	if err != nil {
		return "", err
	}
	facts := env.NewFacts()
	facts.Set("lab.thing", v)
	return p.String(facts)
}
