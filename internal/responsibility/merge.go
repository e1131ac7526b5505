package responsibility

import (
	"slices"

	"github.com/demarc/demarc/internal/evidence"
)

// Merge adds others to a catalogue: fragments of it, with their controls,
// their duties in controls that are there, and their facts; and catalogues of
// their own, which then stand beside it. The result has the name of base. The
// inputs are not changed. A duty, control or fact kind that two files bring is
// refused and both are named; only a catalogue of its own may declare a fact
// again, no wider than it is. The error is a *Refusal.
func Merge(base *Catalogue, others ...*Catalogue) (*Catalogue, error) {
	all := &Catalogue{
		Name: base.Name, Version: base.Version, Title: base.Title, Extends: base.Extends,
		Controls: slices.Clone(base.Controls), Facts: slices.Clone(base.Facts), places: map[string]Position{},
	}
	for what, at := range base.places {
		all.places[what] = at
	}
	names := []string{base.Name, AnyCatalogue, ""}
	for _, o := range others {
		names = append(names, o.Name)
	}
	var faults []Fault
	for _, o := range others {
		if !slices.Contains(names, o.Extends) {
			faults = append(faults, Fault{At: o.first(), Reason: "the file extends " + o.Extends + ", which is not loaded", Mend: "write extends: " + base.Name})
			continue
		}
		faults = append(faults, all.add(o)...)
	}
	faults = append(faults, all.resolve(false)...)
	if err := Refuse(faults); err != nil {
		return nil, err
	}
	return all, nil
}

func (c *Catalogue) add(f *Catalogue) (faults []Fault) {
	twice := func(what, id string, at Position) bool {
		first, found := c.places[what+" "+id]
		if found {
			faults = append(faults, Fault{At: at, Reason: what + " " + id + " is in two files, first at " + first.String(), Mend: "rename one or leave one out"})
		}
		return found
	}
	for _, ctl := range f.Controls {
		i := slices.IndexFunc(c.Controls, func(have Control) bool { return have.ID == ctl.ID })
		switch {
		case i < 0 && ctl.Title == "":
			faults = append(faults, Fault{At: ctl.At, Reason: "control " + ctl.ID + " has no title, and no file before has the control", Mend: "add title"})
			continue
		case i < 0:
			c.places["control "+ctl.ID] = ctl.At
			c.Controls = append(c.Controls, Control{ID: ctl.ID, Title: ctl.Title, At: ctl.At})
			i = len(c.Controls) - 1
		case ctl.Title != "":
			twice("control", ctl.ID, ctl.At)
			continue
		}
		duties := slices.Clone(c.Controls[i].Duties)
		for _, d := range ctl.Duties {
			if !twice("duty", d.ID, d.At) {
				c.places["duty "+d.ID] = d.At
				duties = append(duties, d)
			}
		}
		c.Controls[i].Duties = duties
	}
	for _, k := range f.Facts {
		if f.Extends == "" && c.declares(k) {
			continue
		}
		if at := f.places["fact "+k.Name]; !twice("fact", k.Name, at) {
			c.places["fact "+k.Name] = at
			c.Facts = append(c.Facts, k)
		}
	}
	return faults
}

// declares reports whether the catalogue has the kind with all its members.
func (c *Catalogue) declares(k evidence.Kind) bool {
	return slices.ContainsFunc(c.Facts, func(have evidence.Kind) bool {
		return have.Name == k.Name && have.Scope == k.Scope && have.Type.Covers(k.Type) == ""
	})
}

// first is a place in the file that the fragment came from.
func (c *Catalogue) first() Position {
	for _, at := range c.places {
		return Position{File: at.File, Line: 1, Column: 1}
	}
	return Position{Line: 1, Column: 1}
}

// FactAt is where the catalogue declares a fact kind.
func (c *Catalogue) FactAt(name string) Position { return c.places["fact "+name] }
