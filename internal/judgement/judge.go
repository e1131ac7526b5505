package judgement

import (
	"fmt"

	"github.com/demarc/demarc/internal/assessment"
)

// Outcome is what the facts alone say of a duty. Waivers, attestations and the
// age of facts are not its concern: the caller leaves stale facts out.
type Outcome string

const (
	Met           Outcome = "met"
	NotMet        Outcome = "not-met"
	NotApplicable Outcome = "not-applicable"
	Unknown       Outcome = "unknown"
)

// Finding is the outcome with its reason.
type Finding struct {
	Outcome Outcome
	// Message says what is wrong, where the outcome is not-met; it is the
	// duty's title where the message needs a fact that is missing.
	Message string
	// Missing are the kinds without a fact that the outcome waits for, sorted;
	// set only where the outcome is unknown.
	Missing []string
}

// Judge evaluates the duty's assessment over the facts of its subject and of
// those around it. An outcome other than unknown is given only when every fact
// is there that its expression reads: what is missing never counts as met. An
// error wraps assessment.ErrEvaluation and comes with the outcome unknown.
func (d *Duty) Judge(f *assessment.Facts) (Finding, error) {
	if d.Met == nil {
		return Finding{Outcome: Unknown}, nil
	}
	if d.Applies != nil {
		if kinds := missing(d.Applies, f); kinds != nil {
			return Finding{Outcome: Unknown, Missing: kinds}, nil
		}
		applies, err := d.Applies.Bool(f)
		if err != nil {
			return Finding{Outcome: Unknown}, fmt.Errorf("applies of %s: %w", d.ID, err)
		}
		if !applies {
			return Finding{Outcome: NotApplicable}, nil
		}
	}
	if kinds := missing(d.Met, f); kinds != nil {
		return Finding{Outcome: Unknown, Missing: kinds}, nil
	}
	met, err := d.Met.Bool(f)
	switch {
	case err != nil:
		return Finding{Outcome: Unknown}, fmt.Errorf("met of %s: %w", d.ID, err)
	case met:
		return Finding{Outcome: Met}, nil
	}
	if missing(d.Message, f) != nil {
		return Finding{Outcome: NotMet, Message: d.Title}, nil
	}
	message, err := d.Message.String(f)
	if err != nil {
		return Finding{Outcome: NotMet, Message: d.Title}, fmt.Errorf("message of %s: %w", d.ID, err)
	}
	return Finding{Outcome: NotMet, Message: message}, nil
}

// missing lists what p reads and f lacks; nil, without allocating, if nothing.
func missing(p *assessment.Program, f *assessment.Facts) []string {
	var kinds []string
	for _, kind := range p.Reads() {
		if !f.Has(kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
