package cli

import (
	"fmt"
	"strings"

	"github.com/demarc/demarc/api"
)

// badge is a verdict with its symbol, so that colour is never needed to tell.
func badge(verdict string) string {
	switch verdict {
	case "met":
		return "✓ met"
	case "not-met":
		return "✗ not met"
	case "unknown":
		return "? unknown"
	case "not-applicable":
		return "– n/a"
	case "waived":
		return "~ waived"
	case "":
		return "· none"
	}
	return "  " + verdict
}

func verdictHue(verdict string) hue {
	switch verdict {
	case "met":
		return green
	case "not-met":
		return red
	case "unknown":
		return yellow
	case "waived":
		return cyan
	}
	return faint
}

// count adds a verdict to c.
func count(c *api.Counts, verdict string) {
	switch verdict {
	case "met":
		c.Met++
	case "not-met":
		c.NotMet++
	case "unknown":
		c.Unknown++
	case "not-applicable":
		c.NotApplicable++
	case "waived":
		c.Waived++
	}
}

// tally says counts in a line, leaving out what is none.
func tally(c api.Counts) string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{c.Met, "met"}, {c.NotMet, "not met"}, {c.Unknown, "unknown"}, {c.Waived, "waived"}, {c.NotApplicable, "not applicable"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return "no verdicts yet"
	}
	return strings.Join(parts, ", ")
}

// about names the subject of a verdict for people.
func about(s api.Subject) string {
	if s.Name != "" {
		return s.Name
	}
	if s.ID != "" {
		return s.ID
	}
	return s.Scope
}
