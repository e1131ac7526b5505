// Package responsibility holds the contract as data: catalogues of controls
// and duties, the subscriptions that move a duty across the line, and the one
// answer to who is responsible for what at a moment. It does no I/O and has no
// clock.
package responsibility

import (
	"slices"
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

// Party is one side of the line.
type Party string

const (
	Customer Party = "customer" // cloud service customer of ISO/IEC 27017
	Provider Party = "provider" // cloud service provider of ISO/IEC 27017
)

// Level is how strongly the contract asks for a duty.
type Level string

const (
	Must   Level = "must"
	Should Level = "should" // strongly recommended
)

// Mode is how a duty's verdict comes to be. A duty with two modes needs both.
type Mode string

const (
	// Enforced duties are carried out, or their breach made impossible, by the
	// product, which proves it by facts about itself.
	Enforced Mode = "enforced"
	// Assessed duties are measured from facts.
	Assessed Mode = "assessed"
	// Attested duties rest on a person's signed, expiring statement.
	Attested Mode = "attested"
)

// Catalogue is a version of the contract.
type Catalogue struct {
	// Name and Version identify it: "iso27017-cld", "1.0.0".
	Name, Version, Title string
	// Extends is set on a fragment only: the name of the catalogue that it adds
	// to, or AnyCatalogue. Name, Version and Title are then empty.
	Extends  string
	Controls []Control
	// Facts are the fact kinds that the assessments read and that the
	// catalogue itself declares, because no built-in service must provide them.
	Facts []evidence.Kind
	// places says where "control ID", "duty ID" and "fact NAME" are written.
	places map[string]Position
}

// Control groups the duties of one control of the standard.
type Control struct {
	ID, Title string
	Duties    []Duty
	// At is where the control is written.
	At Position
}

// Duty is one duty of one party.
type Duty struct {
	// ID is CONTROL/C-CLAUSE for the customer's and CONTROL/P-CLAUSE for the
	// provider's duties.
	ID, Control string
	// Title says what must be so.
	Title string
	// Party is who is responsible when no subscription covers the subject.
	Party Party
	Scope evidence.Scope
	Level Level
	Modes []Mode
	// Evidence says in words what makes the duty live.
	Evidence string
	// Services are the managed services whose subscription moves the duty from
	// the customer to the provider. Only a customer's duty of scope vm has any.
	Services []string
	// Assessment judges the facts. Nil for a duty that is only attested.
	Assessment *Assessment
	// AttestationFor is how long an attestation counts at most. Zero where the
	// duty is not attested.
	AttestationFor time.Duration
	// At is where the duty is written.
	At Position
}

// Has reports whether the duty has the mode.
func (d Duty) Has(m Mode) bool { return slices.Contains(d.Modes, m) }

// Assessment judges a duty by CEL expressions over facts (package assessment).
type Assessment struct {
	// SameAs names the duty whose assessment this is. Parse and Merge put that
	// duty's expressions, remedy and StaleAfter in place and leave SameAs for
	// the reader; in a fragment it may still have to be found.
	SameAs string
	// Applies says whether the duty concerns the subject at all; empty is always.
	Applies string
	// Met says whether the duty is met.
	Met string
	// StaleAfter is how old a fact may be that it rests on.
	StaleAfter time.Duration
	// Message gives, when the duty is not met, the text that says what is
	// wrong; a CEL expression of type string.
	Message string
	// Remedy says in plain words how to mend it.
	Remedy string
	// At is where the assessment is written; AppliesAt, MetAt and MessageAt are
	// where the first character of each expression is.
	At, AppliesAt, MetAt, MessageAt Position
}

// Position is a place in a catalogue file; lines and columns count from 1.
type Position struct {
	File         string
	Line, Column int
}

// Duty returns the duty of that id.
func (c *Catalogue) Duty(id string) (Duty, bool) {
	for _, ctl := range c.Controls {
		for _, d := range ctl.Duties {
			if d.ID == id {
				return d, true
			}
		}
	}
	return Duty{}, false
}

// Duties yields all duties in the order of the catalogue.
func (c *Catalogue) Duties() []Duty {
	var all []Duty
	for _, ctl := range c.Controls {
		all = append(all, ctl.Duties...)
	}
	return all
}
