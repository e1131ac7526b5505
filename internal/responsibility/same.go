package responsibility

import "strings"

// resolve puts the assessments in place that are the same as another duty's.
// Where later is set, a duty that is not there is left for Merge to find.
func (c *Catalogue) resolve(later bool) (faults []Fault) {
	duties := map[string]*Duty{}
	for i := range c.Controls {
		// The list may be shared with the catalogue that a merge began with.
		own := append([]Duty(nil), c.Controls[i].Duties...)
		c.Controls[i].Duties = own
		for j := range own {
			duties[own[j].ID] = &own[j]
		}
	}
	for _, ctl := range c.Controls {
		for i := range ctl.Duties {
			d := &ctl.Duties[i]
			if d.Assessment == nil || d.Assessment.SameAs == "" || d.Assessment.Met != "" {
				continue
			}
			found, fault := follow(duties, d)
			switch {
			case found != nil:
				a := *found
				a.SameAs = d.Assessment.SameAs
				d.Assessment = &a
			case fault.Reason != "" && !(later && fault.Mend == absent):
				faults = append(faults, fault)
			}
		}
	}
	return faults
}

const absent = "name a duty of the catalogue"

// follow walks from d to the duty that has the assessment itself.
func follow(duties map[string]*Duty, d *Duty) (*Assessment, Fault) {
	path := []string{d.ID}
	for at := d; ; {
		next, ok := duties[at.Assessment.SameAs]
		switch {
		case !ok:
			return nil, Fault{At: at.Assessment.At, Reason: "same_as names " + short(at.Assessment.SameAs) + ", which is not there", Mend: absent}
		case next.Assessment == nil:
			return nil, Fault{At: at.Assessment.At, Reason: "same_as names " + next.ID + ", which has no assessment", Mend: "name a duty that is assessed"}
		case next.Assessment.Met != "":
			return next.Assessment, Fault{}
		}
		for _, seen := range path {
			if seen == next.ID {
				return nil, Fault{At: d.Assessment.At, Reason: "same_as goes in a circle: " + strings.Join(append(path, next.ID), " → "), Mend: "write one of the assessments out"}
			}
		}
		path = append(path, next.ID)
		at = next
	}
}
