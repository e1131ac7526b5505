package responsibility

import (
	"strings"
	"testing"
)

func parsed(t *testing.T, file, text string) *Catalogue {
	t.Helper()
	c, err := Parse(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const attested = `, party: customer, scope: tenant, level: must, modes: [attested], evidence: e, attestation_for: 1d}`

func TestMerge(t *testing.T) {
	base := parsed(t, "base.yaml", good)
	added := parsed(t, "added.yaml", `extends: lab
controls:
- id: A.1
  duties:
  - {id: A.1/C-7, title: t`+attested+`
  - id: A.1/C-8
    title: The same as the first.
    party: customer
    scope: vm
    level: must
    modes: [assessed]
    evidence: e
    assessment: {same_as: A.1/C-1}
- id: B.1
  title: Second
  duties:
  - {id: B.1/C-1, title: t`+attested+`
facts:
- {name: lab.other, scope: vm, doc: d, members: {a: int}}
`)
	all, err := Merge(base, added)
	if err != nil {
		t.Fatal(err)
	}
	if all.Name != "lab" || len(all.Duties()) != 5 || len(all.Controls) != 2 || len(all.Facts) != 2 {
		t.Errorf("merged %d duties, %d controls, %d facts", len(all.Duties()), len(all.Controls), len(all.Facts))
	}
	same, _ := all.Duty("A.1/C-8")
	if a := same.Assessment; a.SameAs != "A.1/C-1" || !strings.Contains(a.Met, "lab.thing.size > 3") || a.MetAt.File != "base.yaml" {
		t.Errorf("assessment %+v", a)
	}
	if len(base.Duties()) != 2 || len(base.Facts) != 1 {
		t.Error("the base was changed")
	}
	if d := added.Duties()[1]; d.Assessment.Met != "" {
		t.Error("the fragment was changed")
	}
}

// own is a catalogue of its own that declares lab.thing again.
func own(members string) string {
	return "name: own\nversion: 2.0.0\ntitle: Own\nfacts: [{name: lab.thing, scope: vm, doc: d, members: " + members + "}]\n" +
		"controls:\n- id: O.1\n  title: Own\n  duties:\n  - {id: O.1/C-1, title: t" + attested + "\n"
}

func TestMergeBeside(t *testing.T) {
	base := parsed(t, "base.yaml", good)
	beside := parsed(t, "own.yaml", own("{on: bool}"))
	all, err := Merge(base, beside)
	if err != nil {
		t.Fatal(err)
	}
	if all.Name != "lab" || len(all.Facts) != 1 || len(all.Duties()) != 3 {
		t.Errorf("merged %s with %d facts and %d duties", all.Name, len(all.Facts), len(all.Duties()))
	}
}

func TestMergeRefuses(t *testing.T) {
	base := parsed(t, "base.yaml", good)
	for name, c := range map[string]struct{ text, want string }{
		"duty twice": {"extends: lab\ncontrols:\n- id: A.1\n  duties:\n  - {id: A.1/C-1, title: t" + attested + "\n",
			"added.yaml:5:5: duty A.1/C-1 is in two files, first at base.yaml:8:5"},
		"control twice": {"extends: lab\ncontrols:\n- id: A.1\n  title: Again\n  duties:\n  - {id: A.1/C-9, title: t" + attested + "\n",
			"added.yaml:3:3: control A.1 is in two files, first at base.yaml:5:3"},
		"fact twice": {"extends: \"*\"\nfacts:\n- {name: lab.thing, scope: vm, doc: d, members: {a: int}}\n",
			"added.yaml:3:3: fact lab.thing is in two files, first at base.yaml:34:3"},
		"untitled control": {"extends: lab\ncontrols:\n- id: Z.1\n  duties:\n  - {id: Z.1/C-1, title: t" + attested + "\n",
			"added.yaml:3:3: control Z.1 has no title"},
		"other catalogue": {"extends: elsewhere\nfacts:\n- {name: lab.x, scope: vm, doc: d, members: {a: int}}\n",
			"added.yaml:1:1: the file extends elsewhere, which is not loaded"},
		"own with the same control": {strings.ReplaceAll(good, "name: lab\n", "name: own\n"), "control A.1 is in two files"},
		"own with a wider fact":     {own("{on: bool, weight: int}"), "added.yaml:4:9: fact lab.thing is in two files"},
		"same_as unknown": {"extends: lab\ncontrols:\n- id: A.1\n  duties:\n  - {id: A.1/C-9, title: t, party: customer, scope: vm, level: must, modes: [assessed], evidence: e, assessment: {same_as: A.1/C-99}}\n",
			"same_as names A.1/C-99, which is not there"},
		"circle": {"extends: lab\ncontrols:\n- id: A.1\n  duties:\n" +
			"  - {id: A.1/C-8, title: t, party: customer, scope: vm, level: must, modes: [assessed], evidence: e, assessment: {same_as: A.1/C-9}}\n" +
			"  - {id: A.1/C-9, title: t, party: customer, scope: vm, level: must, modes: [assessed], evidence: e, assessment: {same_as: A.1/C-8}}\n",
			"goes in a circle: A.1/C-8 → A.1/C-9 → A.1/C-8"},
	} {
		t.Run(name, func(t *testing.T) {
			fragment, err := Parse("added.yaml", []byte(c.text))
			if err == nil {
				_, err = Merge(base, fragment)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
