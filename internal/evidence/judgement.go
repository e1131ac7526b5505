package evidence

import "time"

// Verdict is the answer to whether a duty is met.
type Verdict string

const (
	Met           Verdict = "met"
	NotMet        Verdict = "not-met"
	Unknown       Verdict = "unknown" // no evidence, or none that is fresh
	NotApplicable Verdict = "not-applicable"
	Waived        Verdict = "waived"
)

// Verdicts lists every verdict.
var Verdicts = []Verdict{Met, NotMet, Unknown, NotApplicable, Waived}

// Judgement is the verdict on one duty of one subject, with what it stands on.
type Judgement struct {
	Subject Subject `json:"subject"`
	Duty    string  `json:"duty"`
	Control string  `json:"control"`
	// Party is who is responsible now: customer or provider.
	Party   string  `json:"party"`
	Verdict Verdict `json:"verdict"`
	// Reason says in plain words why, and what would change it.
	Reason string `json:"reason"`
	// Since is when the verdict became what it is.
	Since time.Time `json:"since"`
	// EvaluatedAt is when judging last came to something else: another verdict,
	// reason or evidence, or another time to judge again.
	EvaluatedAt time.Time `json:"evaluated_at"`
	// DueAt is when it is judged again even if no fact changes: when evidence
	// goes stale, or a waiver or attestation begins or ends.
	DueAt time.Time `json:"due_at,omitzero"`
	// Evidence lists the facts, attestations and waivers that it stands on.
	Evidence []Reference `json:"evidence"`
}

// Reference points to a piece of evidence.
type Reference struct {
	// Type is fact, attestation or waiver.
	Type string `json:"type"`
	// Ref is the fact's kind, or the id of the attestation or waiver.
	Ref     string  `json:"ref"`
	Subject Subject `json:"subject"`
	// Digest of the fact's data.
	Digest string `json:"digest,omitempty"`
	// At is when the fact was observed, or the statement made.
	At     time.Time `json:"at"`
	Source string    `json:"source,omitempty"`
}

// Same reports whether two judgements say the same: who, what and why. Times
// and the age of the evidence do not count.
func (j Judgement) Same(k Judgement) bool {
	return j.Party == k.Party && j.Verdict == k.Verdict && j.Reason == k.Reason
}
