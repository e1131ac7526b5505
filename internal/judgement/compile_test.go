package judgement

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

const lab = `name: lab
version: 1.0.0
title: A catalogue for tests
controls:
- id: A
  title: First
  duties:
  - id: A/C-1
    title: Keep the thing large.
    party: customer
    scope: SCOPE
    level: must
    modes: [assessed]
    evidence: What is seen.
    assessment:
      applies: APPLIES
      met: |
        true &&
          MET
      message: MESSAGE
      stale_after: 1h
      remedy: Make it larger.
  - id: A/C-2
    title: Say so.
    party: customer
    scope: vm
    level: must
    modes: [attested]
    evidence: A statement.
    attestation_for: 1d
facts:
- {name: lab.thing, scope: vm, doc: d, members: {on: bool, size: int}}
- {name: lab.rule, scope: provider, doc: d, members: {least: int}}
`

func labWith(t *testing.T, changes ...string) *responsibility.Catalogue {
	t.Helper()
	text := strings.NewReplacer(changes...).Replace(lab)
	text = strings.NewReplacer("SCOPE", "vm", "APPLIES", "lab.thing.on", "MET", "lab.thing.size >= lab.rule.least", "MESSAGE", `'"size is " + string(lab.thing.size)'`).Replace(text)
	c, err := responsibility.Parse("lab.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type labThing struct {
	On    bool `json:"on"`
	Size  int  `json:"size"`
	Extra int  `json:"extra"`
}

func TestCompile(t *testing.T) {
	kind := evidence.KindOf[labThing]("lab.thing", evidence.ScopeVM, 0, "A thing.")
	c, err := Compile(labWith(t), []evidence.Kind{kind})
	if err != nil {
		t.Fatal(err)
	}
	d := c.Duty("A/C-1")
	if !slices.Equal(d.Reads, []string{"lab.rule", "lab.thing"}) || !slices.Equal(d.NotProvided, []string{"lab.rule"}) {
		t.Errorf("reads %v, not provided %v", d.Reads, d.NotProvided)
	}
	if !slices.Equal(c.Reading("lab.rule"), []*Duty{d}) || c.Reading("lab.none") != nil {
		t.Error("the index by kind is wrong")
	}
	if got := c.Duty("A/C-2"); got == nil || got.Met != nil || got.Reads != nil || c.Duty("A/C-3") != nil {
		t.Errorf("attested duty %+v", got)
	}
	if _, err := c.Environment.Decode("lab.thing", []byte(`{"on":true,"size":1,"extra":2}`)); err != nil {
		t.Errorf("the service's form does not count: %v", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	type narrow struct {
		On bool `json:"on"`
	}
	for name, c := range map[string]struct {
		changes  []string
		provided []evidence.Kind
		want     string
	}{
		"member":          {[]string{"MET", "lab.thing.siz > 3"}, nil, "lab.yaml:19:20: met of A/C-1: undefined field 'siz'"},
		"type":            {[]string{"MET", "lab.thing.size > 'x'"}, nil, "lab.yaml:19:26: met of A/C-1: found no matching overload"},
		"syntax":          {[]string{"MET", "lab.thing.size >"}, nil, "lab.yaml:19:27: met of A/C-1: Syntax error"},
		"kind":            {[]string{"APPLIES", "lab.thng.on"}, nil, "lab.yaml:16:16: applies of A/C-1: undeclared reference to 'lab.thng'"},
		"no bool":         {[]string{"APPLIES", "lab.thing.size"}, nil, "lab.yaml:16:16: applies of A/C-1: gives int, but bool is needed"},
		"no text":         {[]string{"MESSAGE", "lab.thing.size"}, nil, "lab.yaml:20:16: message of A/C-1: gives int, but string is needed"},
		"quoted":          {[]string{"MESSAGE", `'"x" + lab.nothing.x'`}, nil, "lab.yaml:20:23: message of A/C-1: undeclared reference"},
		"scope":           {[]string{"SCOPE", "tenant"}, nil, "lab.yaml:19:11: met of A/C-1: lab.thing is about a vm, the duty about a tenant; read a fact"},
		"cost":            {[]string{"MET", "[1,2].all(a, 'x'.matches('y')) && lab.rule.least > 0 && [" + strings.Repeat("1,", 40) + "1].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, a+b+c+d+e+f > lab.thing.size))))))"}, nil, "lab.yaml:18:9: met of A/C-1: may cost"},
		"service lacks":   {nil, []evidence.Kind{evidence.KindOf[narrow]("lab.thing", evidence.ScopeVM, 0, "d")}, "lab.yaml:32:3: the catalogue's lab.thing does not fit the service's: size is missing"},
		"service's scope": {nil, []evidence.Kind{evidence.KindOf[labThing]("lab.thing", evidence.ScopeVDC, 0, "d")}, "lab.yaml:32:3: the catalogue's lab.thing does not fit the service's: scope is vdc, not vm"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Compile(labWith(t, c.changes...), c.provided)
			if _, ok := errors.AsType[*responsibility.Refusal](err); !ok || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	c, err := Compile(labWith(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		facts   string
		want    Outcome
		message string
		missing []string
	}{
		"met":            {`{"lab.thing": {"on": true, "size": 3}, "lab.rule": {"least": 3}}`, Met, "", nil},
		"not met":        {`{"lab.thing": {"on": true, "size": 2}, "lab.rule": {"least": 3}}`, NotMet, "size is 2", nil},
		"not applicable": {`{"lab.thing": {"on": false}}`, NotApplicable, "", nil},
		"no rule":        {`{"lab.thing": {"on": true, "size": 9}}`, Unknown, "", []string{"lab.rule"}},
		"no thing":       {`{"lab.rule": {"least": 3}}`, Unknown, "", []string{"lab.thing"}},
	} {
		t.Run(name, func(t *testing.T) {
			facts := c.Environment.NewFacts()
			set(t, c, facts, parsed(t, tc.facts))
			got, err := c.Duty("A/C-1").Judge(facts)
			if err != nil || got.Outcome != tc.want || got.Message != tc.message || !slices.Equal(got.Missing, tc.missing) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if got, err := c.Duty("A/C-2").Judge(c.Environment.NewFacts()); err != nil || got.Outcome != Unknown {
		t.Errorf("attested duty: %+v, %v", got, err)
	}

	failing, err := Compile(labWith(t, "MET", "[1, 2][lab.thing.size] > lab.rule.least"), nil)
	if err != nil {
		t.Fatal(err)
	}
	facts := failing.Environment.NewFacts()
	set(t, failing, facts, parsed(t, `{"lab.thing": {"on": true, "size": 7}, "lab.rule": {}}`))
	if got, err := failing.Duty("A/C-1").Judge(facts); !errors.Is(err, assessment.ErrEvaluation) || got.Outcome != Unknown {
		t.Errorf("failing evaluation: %+v, %v", got, err)
	}
}
