package sessionaudit

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/decision"
)

// Proves checks, without any server, that a decision signed at a moment lets
// the holder use the grant: what was signed names both, and the customer's keys
// made the signatures.
func Proves(grant, holder string, signed decision.Signed, keys decision.KeySet, at time.Time) error {
	d := signed.Decision
	if d.Kind != decision.AccessApproval {
		return fmt.Errorf("what was signed is a decision of kind %s", d.Kind)
	}
	var c decision.ApprovalContent
	if err := json.Unmarshal(d.Content, &c); err != nil {
		return fmt.Errorf("what was signed cannot be read: %w", err)
	}
	switch {
	case c.Grant != grant || d.Subject != "grant/"+grant:
		return fmt.Errorf("what was signed is about another grant")
	case c.Holder != holder:
		return fmt.Errorf("what was signed lets another person in")
	}
	_, err := keys.Verify(signed, at)
	return err
}
