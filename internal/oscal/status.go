package oscal

import (
	"fmt"
	"strings"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/evidence"
)

// maxNamed is how many subjects a remark names; it counts the others.
const maxNamed = 20

// status sums the verdicts of one duty up to an implementation status:
//
//	implemented     met for every subject that it applies to
//	partial         met for some
//	planned         met for none
//	not-applicable  it applies to none, or there is no subject
//
// Unknown and waived count as not met: what is not seen is not claimed, and an
// accepted risk is not an implementation. The remark says which it was.
func status(list []Standing) *model.ImplementationStatus {
	count := map[evidence.Verdict]int{}
	var open []string
	for _, s := range list {
		count[s.Verdict]++
		switch s.Verdict {
		case evidence.NotMet, evidence.Unknown, evidence.Waived:
			open = append(open, fmt.Sprintf("%s: %s", s.name(), s.Verdict))
		}
	}
	if len(list) == 0 {
		return &model.ImplementationStatus{State: "not-applicable", Remarks: "There is nothing yet that the duty is about."}
	}
	st := &model.ImplementationStatus{State: "planned", Remarks: tally(count)}
	switch {
	case count[evidence.NotApplicable] == len(list):
		st.State = "not-applicable"
	case count[evidence.Met]+count[evidence.NotApplicable] == len(list):
		st.State = "implemented"
	case count[evidence.Met] > 0:
		st.State = "partial"
	}
	if len(open) > 0 {
		st.Remarks += " " + markup(strings.Join(open[:min(len(open), maxNamed)], ", "))
		if more := len(open) - maxNamed; more > 0 {
			st.Remarks += fmt.Sprintf(" and %d more", more)
		}
		st.Remarks += "."
	}
	return st
}

// tally writes the counts in the fixed order of verdicts.
func tally(count map[evidence.Verdict]int) string {
	var parts []string
	for _, v := range evidence.Verdicts {
		if n := count[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", v, n))
		}
	}
	return "Verdicts: " + strings.Join(parts, ", ") + "."
}
