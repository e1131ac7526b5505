// Package evidence defines what demarc knows and how it came to know it:
// the records that services emit, the kinds of fact with their schemas, and
// the attestations and waivers that people give. It does no I/O and has no
// clock.
package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Class says what a record is, and thereby how it is kept and what is shed
// first when a spool runs full (activities first, then findings, never facts).
type Class string

const (
	// ClassFact is the present state of something. The next fact of the same
	// kind and subject replaces it.
	ClassFact Class = "fact"
	// ClassFinding is something detected; it is never replaced.
	ClassFinding Class = "finding"
	// ClassActivity is an event kept for search.
	ClassActivity Class = "activity"
)

// MaxRecordBytes bounds the data of one record. A larger one is refused where
// it is made and again where it is received.
const MaxRecordBytes = 1 << 20

// Scope is what a fact or a verdict is about.
type Scope string

const (
	ScopeVM       Scope = "vm"
	ScopeVDC      Scope = "vdc"
	ScopeTenant   Scope = "tenant"
	ScopeProvider Scope = "provider"
)

// Scopes lists every scope, the narrowest first.
var Scopes = []Scope{ScopeVM, ScopeVDC, ScopeTenant, ScopeProvider}

// Subject names what a fact, a verdict, a waiver or an attestation is about.
type Subject struct {
	Scope Scope `json:"scope"`
	// Tenant is empty for the provider scope.
	Tenant string `json:"tenant,omitempty"`
	// ID is the identifier of the VM, VDC or tenant; "provider" for the provider.
	ID string `json:"id"`
}

// Provider is the one subject of the provider scope.
var Provider = Subject{Scope: ScopeProvider, ID: "provider"}

// String returns "scope/id", for messages.
func (s Subject) String() string { return string(s.Scope) + "/" + s.ID }

// Record is what a service emits. Data is one JSON object whose form the
// record's kind defines.
type Record struct {
	Class Class  `json:"class"`
	Kind  string `json:"kind"`
	// Time is when the thing was observed or happened, by the emitter's clock, in UTC.
	Time time.Time       `json:"time"`
	Data json.RawMessage `json:"data,omitempty"`
	// Digest is set on facts: canonical.Digest of Data in RFC 8785 form. A fact
	// with a digest and no data says "unchanged since the fact of that digest".
	Digest string `json:"digest,omitempty"`
}

// ErrRecord is wrapped by every refusal of a malformed record.
var ErrRecord = errors.New("record refused")

// Check reports what is wrong with the envelope of r, or nil. It does not
// look into Data; Kind.Check does.
func (r Record) Check() error {
	switch r.Class {
	case ClassFact, ClassFinding, ClassActivity:
	default:
		return fmt.Errorf("%w: class %q is none of fact, finding, activity", ErrRecord, r.Class)
	}
	switch {
	case r.Kind == "" || len(r.Kind) > 100:
		return fmt.Errorf("%w: kind must have 1 to 100 characters", ErrRecord)
	case r.Time.IsZero():
		return fmt.Errorf("%w: %s has no time", ErrRecord, r.Kind)
	case len(r.Data) > MaxRecordBytes:
		return fmt.Errorf("%w: %s has %d bytes of data; the limit is %d: split it or summarize it", ErrRecord, r.Kind, len(r.Data), MaxRecordBytes)
	case len(r.Data) == 0 && (r.Class != ClassFact || r.Digest == ""):
		return fmt.Errorf("%w: %s has no data", ErrRecord, r.Kind)
	}
	return nil
}

// Fact is a stored fact: the latest of its kind about its subject.
type Fact struct {
	Subject Subject         `json:"subject"`
	Kind    string          `json:"kind"`
	Data    json.RawMessage `json:"data"`
	Digest  string          `json:"digest"`
	// ObservedAt is when the state was last seen to be so, by the server's
	// clock (the agent's clock corrected by its known skew).
	ObservedAt time.Time `json:"observed_at"`
	// ChangedAt is when Data last became different.
	ChangedAt time.Time `json:"changed_at"`
	// Source says who observed it: "agent/<id>", "service/<name>" for a derived
	// fact, or "server".
	Source string `json:"source"`
	// Again is when a derived fact changes without any input changing.
	Again time.Time `json:"-"`
}

// Attestation is a person's statement that a duty is met: evidence for what
// only a person can know.
type Attestation struct {
	ID      string  `json:"id"`
	Duty    string  `json:"duty"`
	Subject Subject `json:"subject"`
	// By is the principal who attests; Statement is what they say.
	By        string `json:"by"`
	Statement string `json:"statement"`
	// Attachments are the digests and names of the documents it rests on.
	Attachments []Attachment `json:"attachments,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	// Effective and Expires bound the time in which it counts: [Effective, Expires).
	Effective time.Time `json:"effective"`
	Expires   time.Time `json:"expires"`
	// Withdrawn is when it was taken back; nil while it stands.
	Withdrawn *time.Time `json:"withdrawn,omitempty"`
}

// Attachment names a document that an attestation rests on.
type Attachment struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// Waiver is the accepted risk that a duty, or one hardening rule, is not met
// until a date.
type Waiver struct {
	ID      string  `json:"id"`
	Duty    string  `json:"duty"`
	Subject Subject `json:"subject"`
	// AcceptedBy is the principal who took the risk; Reason says why.
	AcceptedBy string     `json:"accepted_by"`
	Reason     string     `json:"reason"`
	CreatedAt  time.Time  `json:"created_at"`
	Effective  time.Time  `json:"effective"`
	Expires    time.Time  `json:"expires"`
	Withdrawn  *time.Time `json:"withdrawn,omitempty"`
}

// InForce reports whether a statement bounded by [effective, expires) and
// possibly withdrawn counts at t.
func InForce(effective, expires time.Time, withdrawn *time.Time, t time.Time) bool {
	if t.Before(effective) || !t.Before(expires) {
		return false
	}
	return withdrawn == nil || t.Before(*withdrawn)
}

// InForce reports whether a counts at t.
func (a Attestation) InForce(t time.Time) bool {
	return InForce(a.Effective, a.Expires, a.Withdrawn, t)
}

// InForce reports whether w counts at t.
func (w Waiver) InForce(t time.Time) bool { return InForce(w.Effective, w.Expires, w.Withdrawn, t) }
