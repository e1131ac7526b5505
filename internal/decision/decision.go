// Package decision is what a customer signs: the form of a decision, its bytes,
// the keys that count for a tenant, and the check of signatures. It is pure: no
// clock, no files, no network. Server, agent and anybody with a copy reach the
// same result, so that nobody has to believe another.
package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/canonical"
)

// Kind says what a decision is about; the content has the form of its kind.
type Kind string

// Kinds of decisions. Nothing acts on maintenance-consent, termination and erase yet.
const (
	// AgentPolicy is the policy of a service for the agents of a tenant or of
	// one VM; content PolicyContent.
	AgentPolicy Kind = "agent-policy"
	// AccessApproval lets a provider's person into the environment; content
	// ApprovalContent.
	AccessApproval Kind = "access-approval"
	// MaintenanceConsent agrees to a maintenance; content ConsentContent.
	MaintenanceConsent Kind = "maintenance-consent"
	// WaiverKind accepts the risk of a duty that is not met; content WaiverContent.
	WaiverKind Kind = "waiver"
	// Termination ends a contract; content TerminationContent.
	Termination Kind = "termination"
	// Erase destroys data for good; content EraseContent.
	Erase Kind = "erase"
	// KeyChange replaces the tenant's key set; content KeyChangeContent.
	KeyChange Kind = "key-change"
)

// Kinds lists every kind.
var Kinds = []Kind{AgentPolicy, AccessApproval, MaintenanceConsent, WaiverKind, Termination, Erase, KeyChange}

// Known reports whether k is a kind.
func (k Kind) Known() bool { return slices.Contains(Kinds, k) }

// Bounds of what is read from others.
const (
	// MaxBytes bounds the canonical form of a decision.
	MaxBytes = 1<<20 + 64<<10
	// MaxSignatures bounds the signatures of one decision.
	MaxSignatures = 16
	// MaxOpen is the longest time for which a decision waits for its signature.
	MaxOpen = 366 * 24 * time.Hour
)

// Decision is a matter that becomes effective when the customer signs it. The
// signature covers every member.
type Decision struct {
	// ID is unique among all decisions; none takes effect twice.
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	Tenant string `json:"tenant"`
	// Subject is what it is about: "vm/ID", "tenant/ID", "grant/ID".
	Subject string `json:"subject"`
	// Version is, of an agent-policy, one more than the version that it replaces
	// for its subject and service; of a key-change, the version of the new key
	// set; otherwise 0.
	Version int64 `json:"version"`
	// IssuedAt is when it was proposed. It must be signed before ExpiresAt; how
	// long it counts once it is signed is for the content to say. Both are in
	// UTC and to the microsecond.
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// Content is the matter, in canonical JSON.
	Content json.RawMessage `json:"content"`
}

var (
	idForm      = regexp.MustCompile(`^d-[a-z0-9]{4,64}$`)
	tenantForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)
	subjectForm = regexp.MustCompile(`^[a-z-]{1,32}/[A-Za-z0-9._-]{1,100}$`)
)

// check refuses what cannot be a decision of any kind.
func (d Decision) check() error {
	switch {
	case !idForm.MatchString(d.ID):
		return fmt.Errorf("%w: its id is not of the form d-…", ErrForm)
	case !d.Kind.Known():
		return fmt.Errorf("%w: kind %.40q is none of %v", ErrForm, d.Kind, Kinds)
	case !tenantForm.MatchString(d.Tenant):
		return fmt.Errorf("%w: it names no tenant", ErrForm)
	case !subjectForm.MatchString(d.Subject):
		return fmt.Errorf("%w: its subject is not of the form TYPE/ID", ErrForm)
	case d.Version < 0 || d.Version > 1<<53:
		return fmt.Errorf("%w: version %d is out of bounds", ErrForm, d.Version)
	case !d.ExpiresAt.After(d.IssuedAt) || d.ExpiresAt.Sub(d.IssuedAt) > MaxOpen:
		return fmt.Errorf("%w: it must expire after it was issued, and within %d days", ErrForm, int(MaxOpen.Hours()/24))
	case !whole(d.IssuedAt) || !whole(d.ExpiresAt):
		return fmt.Errorf("%w: its times must be in UTC and to the microsecond", ErrForm)
	case len(d.Content) > MaxBytes:
		return fmt.Errorf("%w: its content is larger than %d KiB", ErrForm, MaxBytes>>10)
	}
	// What is signed must be what is read: a number that the canonical form
	// rounds, or a member that comes twice, would be neither.
	same, err := canonical.Bytes(d.Content)
	if err != nil {
		return fmt.Errorf("%w: its content: %w", ErrForm, err)
	}
	if !bytes.Equal(same, d.Content) || d.Content[0] != '{' {
		return fmt.Errorf("%w: its content is not a JSON object in canonical form (RFC 8785)", ErrForm)
	}
	return nil
}

func whole(t time.Time) bool {
	return t.Location() == time.UTC && t.Equal(t.Truncate(time.Microsecond)) && t.Year() >= 2000 && t.Year() < 9000
}

// Canonical returns the bytes of d by RFC 8785, or ErrForm.
func (d Decision) Canonical() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return canonical.JSON(d)
}

// Digest returns "sha256:" and the hex SHA-256 of Canonical.
func (d Decision) Digest() (string, error) {
	b, err := d.Canonical()
	if err != nil {
		return "", err
	}
	return canonical.Digest(b), nil
}

// Parse reads a decision. It accepts exactly what Canonical returns.
func Parse(text []byte) (Decision, error) {
	var d Decision
	if len(text) > MaxBytes {
		return d, fmt.Errorf("%w: it is larger than %d KiB", ErrForm, MaxBytes>>10)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	d.IssuedAt, d.ExpiresAt = d.IssuedAt.UTC(), d.ExpiresAt.UTC()
	again, err := d.Canonical()
	if err != nil {
		return Decision{}, err
	}
	// Whatever the decoder lets through (other case, unknown or repeated
	// members, other spellings of a number or a time) is found here.
	if !bytes.Equal(again, text) {
		return Decision{}, fmt.Errorf("%w: it is not in canonical form (RFC 8785), or has members that no decision has", ErrForm)
	}
	return d, nil
}

// Signature is one signature of a decision.
type Signature struct {
	// Key is the id of the key that made it.
	Key       string `json:"key"`
	Algorithm string `json:"algorithm"`
	Signature []byte `json:"signature"`
	// AuthenticatorData and ClientData belong to WebAuthn assertions.
	AuthenticatorData []byte `json:"authenticator_data,omitempty"`
	ClientData        []byte `json:"client_data,omitempty"`
}

// Signed is a decision with its signatures.
type Signed struct {
	Decision   Decision    `json:"decision"`
	Signatures []Signature `json:"signatures"`
}

// Message returns what an Ed25519 key signs for a decision's canonical bytes.
// The first line keeps the signature from meaning anything elsewhere.
func Message(canonicalBytes []byte) []byte {
	return append([]byte(prefix), canonicalBytes...)
}

const prefix = "demarc-decision-v1\n"
