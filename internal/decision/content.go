package decision

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/canonical"
)

// PolicyContent is the content of an agent-policy.
type PolicyContent struct {
	Service  string          `json:"service"`
	Document json.RawMessage `json:"document"`
	// Until is when agents stop to obey it; nil is until another replaces it.
	Until *time.Time `json:"until,omitempty"`
}

// ApprovalContent is the content of an access-approval.
type ApprovalContent struct {
	Grant string `json:"grant"`
	// Holder is the principal that is let in, and HolderName what it is called.
	Holder     string    `json:"holder"`
	HolderName string    `json:"holder_name,omitempty"`
	Ticket     string    `json:"ticket"`
	Purpose    string    `json:"purpose"`
	Scope      []Ability `json:"scope"`
	// From is when access begins, nil for the moment of approval. It lasts
	// Seconds.
	From    *time.Time `json:"from,omitempty"`
	Seconds int64      `json:"seconds"`
	// BreakGlass marks an approval after the fact.
	BreakGlass bool `json:"break_glass,omitempty"`
}

// Ability is one thing that access lets do.
type Ability struct {
	Do     string `json:"do"`
	Target string `json:"target"`
}

// WaiverContent is the content of a waiver.
type WaiverContent struct {
	Duty string `json:"duty"`
	// Scope and SubjectID say about what: "tenant", "vdc" or "vm", and its id.
	Scope     string    `json:"scope"`
	SubjectID string    `json:"subject_id"`
	Reason    string    `json:"reason"`
	Effective time.Time `json:"effective"`
	Expires   time.Time `json:"expires"`
}

// KeyChangeContent is the content of a key-change.
type KeyChangeContent struct {
	// Previous is the digest of the key set that is replaced.
	Previous string `json:"previous"`
	KeySet   KeySet `json:"key_set"`
}

// ConsentContent is the content of a maintenance-consent.
type ConsentContent struct {
	Maintenance string    `json:"maintenance"`
	What        string    `json:"what"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
}

// TerminationContent is the content of a termination.
type TerminationContent struct {
	Contract string    `json:"contract"`
	At       time.Time `json:"at"`
	// Return says what becomes of the data: "return", "erase" or "both".
	Return string `json:"return"`
}

// EraseContent is the content of an erase.
type EraseContent struct {
	// Objects are what is destroyed, as TYPE/ID.
	Objects []string `json:"objects"`
	Method  string   `json:"method"`
}

// Encode returns content in canonical form, for Decision.Content.
func Encode(content any) (json.RawMessage, error) { return canonical.JSON(content) }

// Content reads the content of a decision of the kind that T belongs to.
func Content[T any](d Decision, kind Kind) (T, error) {
	var c T
	if d.Kind != kind {
		return c, fmt.Errorf("%w: it is of kind %s and not %s", ErrForeign, d.Kind, kind)
	}
	if err := json.Unmarshal(d.Content, &c); err != nil {
		return c, fmt.Errorf("%w: content: %w", ErrForm, err)
	}
	again, err := canonical.JSON(c)
	if err != nil || string(again) != string(d.Content) {
		return c, fmt.Errorf("%w: the content has members that a %s has not, or is spelled otherwise", ErrForm, kind)
	}
	return c, nil
}
