package responsibility

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MaxFaults is how many faults of a file a Refusal lists.
const MaxFaults = 20

// Fault is one thing that is wrong in a catalogue file.
type Fault struct {
	At Position
	// Reason says what is wrong; Mend, if set, what to write instead.
	Reason, Mend string
}

// String returns "file:line:column: reason; mend".
func (f Fault) String() string {
	s := f.At.String() + ": " + f.Reason
	if f.Mend != "" {
		s += "; " + f.Mend
	}
	return s
}

// Refusal is the error of a catalogue that was not loaded: all that is wrong
// with it, in the order of the file. Nothing of the catalogue is in use.
type Refusal struct {
	// Faults are at most MaxFaults; More counts those beyond.
	Faults []Fault
	More   int
}

// Error implements error, one fault a line.
func (r *Refusal) Error() string {
	lines := make([]string, 0, len(r.Faults)+1)
	for _, f := range r.Faults {
		lines = append(lines, f.String())
	}
	if r.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", r.More))
	}
	return strings.Join(lines, "\n")
}

// Refuse returns a *Refusal of the faults, sorted by position, or nil if there
// are none. It keeps faults.
func Refuse(faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.At.File, b.At.File), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	r := &Refusal{Faults: faults}
	if len(faults) > MaxFaults {
		r.Faults, r.More = faults[:MaxFaults], len(faults)-MaxFaults
	}
	return r
}

// String returns "file:line:column".
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Within returns the place of line and column, counted from 1 inside an
// expression that begins at p. Every line of an expression begins in the same
// column of the file.
func (p Position) Within(line, column int) Position {
	return Position{File: p.File, Line: p.Line + line - 1, Column: p.Column + column - 1}
}
