package verify

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/sessionaudit"
)

// Approval verifies that a grant of the holder was approved: that the
// customer's keys signed a decision which names both.
func Approval(grant, holder string, proof api.AuditApproval) error {
	var signed decision.Signed
	if err := json.Unmarshal(proof.Signed, &signed); err != nil {
		return fmt.Errorf("the decision cannot be read: %w", err)
	}
	keys, err := decision.ParseKeySet(proof.Keys)
	if err != nil {
		return fmt.Errorf("the customer's keys cannot be read: %w", err)
	}
	digest, err := keys.Digest()
	if err != nil {
		return err
	}
	if digest != proof.Digest {
		return errors.New("the keys do not have the digest that is told")
	}
	return sessionaudit.Proves(grant, holder, signed, keys, proof.At)
}
