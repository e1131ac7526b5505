package wire

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
)

// ErrRenewal says that a renewal was not signed by the agent's key.
var ErrRenewal = errors.New("renewal is not signed by the agent's key")

// Sign sets the signature of r.
func (r *RenewRequest) Sign(key nkeys.KeyPair) error {
	sig, err := key.Sign(RenewMessage(*r))
	if err != nil {
		return fmt.Errorf("sign renewal: %w", err)
	}
	r.Signature = base64.RawURLEncoding.EncodeToString(sig)
	return nil
}

// Verify checks the signature against the public key that the agent enrolled
// with. The time in r is the agent's clock and proves nothing: whoever replays
// a renewal gets a JWT that is of no use without the agent's seed.
func (r RenewRequest) Verify(publicKey string) error {
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("verify renewal: %w", err)
	}
	sig, err := base64.RawURLEncoding.DecodeString(r.Signature)
	if err != nil || key.Verify(RenewMessage(r), sig) != nil {
		return ErrRenewal
	}
	return nil
}
