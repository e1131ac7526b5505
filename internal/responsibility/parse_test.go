package responsibility

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

const good = `name: lab
version: 1.0.0
title: A catalogue for tests
controls:
- id: A.1
  title: First
  duties:
  - id: A.1/C-1
    title: Keep it so.
    party: customer
    scope: vm
    level: must
    modes: [assessed, attested]
    services: [anti-malware]
    evidence: What is seen.
    assessment:
      applies: lab.thing.on
      met: |
        lab.thing.on &&
        lab.thing.size > 3
      message: '"too small"'
      stale_after: 36h
      remedy: Make it larger.
    attestation_for: 35d
  - id: A.1/P-2
    title: Say so.
    party: provider
    scope: provider
    level: should
    modes: [attested]
    evidence: A statement.
    attestation_for: 365d
facts:
- name: lab.thing
  scope: vm
  doc: A thing.
  members:
    on: bool
    size: int?
    names: list<string>
    words: map<int>
    state: {type: string, enum: [new, old], doc: How it is.}
    parts: {type: list, of: {type: object, members: {id: int, at: timestamp}}, optional: true}
`

func TestParse(t *testing.T) {
	c, err := Parse("lab.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "lab" || c.Version != "1.0.0" || len(c.Controls) != 1 || len(c.Duties()) != 2 {
		t.Fatalf("parsed %+v", c)
	}
	d, ok := c.Duty("A.1/C-1")
	if !ok || d.Control != "A.1" || d.Party != Customer || d.Scope != evidence.ScopeVM || d.Level != Must ||
		!slices.Equal(d.Modes, []Mode{Assessed, Attested}) || !slices.Equal(d.Services, []string{"anti-malware"}) {
		t.Errorf("duty %+v", d)
	}
	if d.AttestationFor != 35*24*time.Hour || d.Assessment.StaleAfter != 36*time.Hour {
		t.Errorf("durations %s, %s", d.AttestationFor, d.Assessment.StaleAfter)
	}
	for name, at := range map[string]struct{ got, want Position }{
		"applies": {d.Assessment.AppliesAt, Position{"lab.yaml", 17, 16}},
		"met":     {d.Assessment.MetAt, Position{"lab.yaml", 19, 9}},
		"message": {d.Assessment.MessageAt, Position{"lab.yaml", 21, 17}},
		"duty":    {d.At, Position{"lab.yaml", 8, 5}},
	} {
		if at.got != at.want {
			t.Errorf("%s is at %s, want %s", name, at.got, at.want)
		}
	}
	k := c.Facts[0]
	parts, _ := k.Type.Field("parts")
	size, _ := k.Type.Field("size")
	state, _ := k.Type.Field("state")
	if !parts.Optional || parts.Type.Elem.Name != "lab.thing.parts" || !size.Optional || len(state.Type.Enum) != 2 {
		t.Errorf("fact %+v", k)
	}
}

// change is the good catalogue with one text put in place of another.
func change(old, repl string) string {
	if !strings.Contains(good, old) {
		panic("the good catalogue does not contain " + old)
	}
	return strings.Replace(good, old, repl, 1)
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, at, reason string }{
		"unknown key":           {change("level: must", "lvel: must"), "12:5", `no member "lvel"`},
		"missing level":         {change("    level: must\n", ""), "8:5", "has no level"},
		"unknown top key":       {change("controls:", "contrls:"), "4:1", `no member "contrls"`},
		"unknown party":         {change("party: customer", "party: supplier"), "10:12", `party "supplier" is none of [customer provider]`},
		"unknown scope":         {change("scope: vm\n    level", "scope: host\n    level"), "11:12", `scope "host" is none of`},
		"unknown level":         {change("level: must", "level: may"), "12:12", `level "may" is none of`},
		"unknown mode":          {change("[assessed, attested]", "[assessed, guessed]"), "13:23", `mode "guessed"`},
		"mode twice":            {change("[assessed, attested]", "[assessed, assessed, attested]"), "13:23", "is there twice"},
		"no modes":              {change("[assessed, attested]", "[]"), "13:12", "modes is empty"},
		"service name":          {change("[anti-malware]", "[Anti_Malware]"), "14:16", "is malformed"},
		"service of provider":   {change("    modes: [attested]\n", "    modes: [attested]\n    services: [backup]\n"), "31:15", "only take over a customer's duty"},
		"service of tenant":     {change("scope: vm\n    level", "scope: tenant\n    level"), "14:15", "a subscription covers VMs"},
		"duplicate duty":        {strings.ReplaceAll(good, "A.1/P-2", "A.1/C-1"), "25:9", "does not fit control A.1 and party provider"},
		"same duty id":          {change("id: A.1/P-2\n    title: Say so.\n    party: provider", "id: A.1/C-1\n    title: Say so.\n    party: customer"), "25:5", "duty A.1/C-1 is there twice, first at lab.yaml:8:5"},
		"other control":         {change("id: A.1/C-1", "id: A.2/C-1"), "8:9", "does not fit control A.1"},
		"duplicate key":         {change("    level: must\n", "    level: must\n    level: must\n"), "13:5", "level is there twice"},
		"no assessment":         {change("[attested]\n    evidence: A st", "[enforced, attested]\n    evidence: A st"), "25:5", "is enforced or assessed but has no assessment"},
		"needless assessment":   {change("[assessed, attested]", "[attested]"), "17:7", "only attested but has an assessment"},
		"no attestation_for":    {change("    attestation_for: 365d\n", ""), "25:5", "does not say for how long"},
		"needless attestation":  {change("[assessed, attested]", "[assessed]"), "24:22", "is not attested"},
		"no stale_after":        {change("      stale_after: 36h\n", ""), "17:7", "does not say when facts are stale"},
		"no met":                {change("      met: |\n        lab.thing.on &&\n        lab.thing.size > 3\n", ""), "17:7", "has no met"},
		"duration":              {change("36h", "1.5h"), "22:20", `"1.5h" is no duration`},
		"long duration":         {change("365d", "99999d"), "32:22", "longer than ten years"},
		"folded expression":     {change("met: |", "met: >"), "18:12", "folded"},
		"version number":        {change("version: 1.0.0", "version: 1.0"), "2:10", "must be a text"},
		"version form":          {change("version: 1.0.0", `version: "1"`), "2:10", "malformed"},
		"control twice":         {change("facts:", "- {id: A.1, title: x, duties: []}\nfacts:"), "33:8", "control A.1 is there twice"},
		"no duties":             {change("facts:", "- {id: A.2, title: x, duties: []}\nfacts:"), "33:3", "has no duties"},
		"alias":                 {change("title: A catalogue", "title: &a A catalogue"), "3:8", "anchor &a is not accepted"},
		"cyclic alias":          {"name: &a [*a]\n", "1:7", "anchor &a"},
		"tag":                   {change("title: A cat", "title: !!binary A cat"), "3:8", "tag !!binary"},
		"merge key":             {change("    level: must\n", "    level: must\n    <<: {a: b}\n"), "13:5", `no member "<<"`},
		"second document":       {good + "---\nname: x\n", "", "a second YAML document"},
		"tab":                   {change("    level: must", "\tlevel: must"), "12:1", "a tab indents"},
		"syntax":                {change("[assessed, attested]", "[assessed, attested"), "", "is not YAML"},
		"no mapping":            {"- a\n- b\n", "1:1", "must be a mapping"},
		"empty":                 {"", "1:1", "the file is empty"},
		"comment only":          {"# nothing\n", "1:1", "the file is empty"},
		"not UTF-8":             {change("Keep it so", "Keep \xff so"), "9:17", "not UTF-8"},
		"deep":                  {"name: " + strings.Repeat("[", 60) + strings.Repeat("]", 60), "1:30", "nested more than"},
		"very deep":             {"name: " + strings.Repeat("[", 20_000), "", "is not YAML"},
		"too large":             {good + "#" + strings.Repeat("x", MaxFileBytes), "1:1", "the limit is"},
		"member type":           {change("on: bool", "on: boolean"), "38:9", `"boolean" is no type`},
		"member name":           {change("on: bool", "On: bool"), "38:5", "malformed"},
		"reserved member":       {change("on: bool", "in: bool"), "38:5", "reserved word"},
		"reserved kind":         {change("name: lab.thing", "name: lab.for"), "34:9", "reserved word"},
		"kind without dot":      {change("name: lab.thing", "name: thing"), "34:9", "malformed"},
		"enum of int":           {change("type: string, enum", "type: int, enum"), "42:30", "type int has no enum"},
		"list of nothing":       {change("type: list, of: {type: object, members: {id: int, at: timestamp}}, optional", "type: list, optional"), "43:12", "does not say of what"},
		"optional element":      {change("list<string>", `{type: list, of: "string?"}`), "40:29", "cannot be optional"},
		"fact twice":            {good + "- {name: lab.thing, scope: vm, doc: x, members: {a: int}}\n", "44:3", "declared twice, first at lab.yaml:34:3"},
		"same_as unknown":       {sameAs("A.1/C-9"), "17:16", "same_as names A.1/C-9, which is not there"},
		"same_as itself":        {sameAs("A.1/C-1"), "17:16", "goes in a circle: A.1/C-1 → A.1/C-1"},
		"same_as attested":      {sameAs("A.1/P-2"), "17:16", "has no assessment"},
		"neither":               {"name: lab\nversion: 1.0.0\ntitle: x\n", "1:1", "neither controls nor facts"},
		"fragment with version": {"extends: lab\nversion: 1.0.0\nfacts: []\n", "2:10", "a fragment has the version"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("lab.yaml", []byte(c.in))
			r, ok := errors.AsType[*Refusal](err)
			if !ok || got != nil {
				t.Fatalf("gave %v, %v", got, err)
			}
			for _, f := range r.Faults {
				if strings.Contains(f.Reason, c.reason) && (c.at == "" || f.At.String() == "lab.yaml:"+c.at) {
					return
				}
			}
			t.Errorf("want lab.yaml:%s %q, got:\n%v", c.at, c.reason, err)
		})
	}
}

func sameAs(id string) string {
	i := strings.Index(good, "      applies:")
	j := strings.Index(good, "    attestation_for: 35d")
	return good[:i] + "      same_as: " + id + "\n" + good[j:]
}

func TestParseReportsAllFaults(t *testing.T) {
	in := strings.NewReplacer("level: must", "level: may", "scope: provider", "scope: moon", "36h", "soon").Replace(good)
	_, err := Parse("lab.yaml", []byte(in))
	r, ok := errors.AsType[*Refusal](err)
	if !ok || len(r.Faults) != 3 || r.More != 0 {
		t.Fatalf("got %v", err)
	}
	if !slices.IsSortedFunc(r.Faults, func(a, b Fault) int { return a.At.Line - b.At.Line }) {
		t.Errorf("not in the order of the file:\n%v", err)
	}

	var many strings.Builder
	many.WriteString("name: lab\nversion: 1.0.0\ntitle: x\ncontrols: []\n")
	for i := range 50 {
		fmt.Fprintf(&many, "key%d: 1\n", i)
	}
	_, err = Parse("lab.yaml", []byte(many.String()))
	if r, ok := errors.AsType[*Refusal](err); !ok || len(r.Faults) != MaxFaults || r.More != 30 || !strings.HasSuffix(err.Error(), "and 30 more") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte(strings.Repeat("[{", 300)))
	f.Add([]byte("extends: \"*\"\nfacts:\n- {name: a.b, scope: vm, doc: d, members: {x: \"list<map<int>>?\"}}\n"))
	f.Add([]byte("controls:\n- duties:\n  - assessment:\n      met: |1\n        x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("catalogue %v with error %v", c, err)
		}
		if err == nil {
			return
		}
		r, ok := errors.AsType[*Refusal](err)
		if !ok || len(r.Faults) == 0 || len(r.Faults) > MaxFaults {
			t.Fatalf("error %T with %v", err, err)
		}
		for _, fault := range r.Faults {
			if fault.At.Line < 1 || fault.At.Column < 1 || fault.Reason == "" {
				t.Fatalf("fault without place or reason: %+v", fault)
			}
		}
	})
}
