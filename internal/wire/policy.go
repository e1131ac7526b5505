package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"
)

// MaxPoliciesBytes bounds the answer to a PoliciesRequest.
const MaxPoliciesBytes = 8 << 20

// PoliciesRequest asks for the policies that the customer signed for a machine.
// Signature is base64url of the agent's NKey signature over its message.
type PoliciesRequest struct {
	Agent     string    `json:"agent"`
	Time      time.Time `json:"time"`
	Nonce     string    `json:"nonce"`
	Signature string    `json:"signature"`
}

func (r PoliciesRequest) message() []byte {
	return []byte("demarc-policies-v1\n" + r.Agent + "\n" + r.Time.UTC().Format(time.RFC3339Nano) + "\n" + r.Nonce)
}

// Sign sets the signature of r.
func (r *PoliciesRequest) Sign(key nkeys.KeyPair) error {
	sig, err := key.Sign(r.message())
	if err != nil {
		return fmt.Errorf("sign the request for policies: %w", err)
	}
	r.Signature = base64.RawURLEncoding.EncodeToString(sig)
	return nil
}

// Verify checks the signature against the public key that the agent enrolled
// with. Who replays a request learns the policies of one machine, nothing more.
func (r PoliciesRequest) Verify(publicKey string) error {
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("verify the request for policies: %w", err)
	}
	sig, err := base64.RawURLEncoding.DecodeString(r.Signature)
	if err != nil || key.Verify(r.message(), sig) != nil {
		return errors.New("the request for policies is not signed by the agent's key")
	}
	return nil
}

// Policies is the answer. The agent believes none of it: it checks all of it by
// the keys that it pinned.
type Policies struct {
	// Keys is a decision.History, missing where the tenant has no keys.
	Keys json.RawMessage `json:"keys,omitempty"`
	// Policies are decision.Signed of kind agent-policy, the newest of each
	// service for the tenant and for the VM.
	Policies []json.RawMessage `json:"policies"`
}

// AgentKeys tells which of the customer's keys an agent goes by.
type AgentKeys struct {
	Pinned  string `json:"pinned" doc:"digest of the key set that was pinned on the machine"`
	Digest  string `json:"digest,omitempty" doc:"digest of the key set that signed changes led to"`
	Version int    `json:"version,omitempty" doc:"its version"`
	Fault   string `json:"fault,omitempty" doc:"why the keys that the server shows do not count"`
}

// AgentPolicy is a policy that an agent obeys.
type AgentPolicy struct {
	Service  string     `json:"service"`
	Subject  string     `json:"subject" doc:"what it was signed for: tenant/ID or vm/ID"`
	Version  int        `json:"version"`
	Decision string     `json:"decision" doc:"id of the signed decision"`
	Digest   string     `json:"digest" doc:"digest of the signed decision"`
	Until    *time.Time `json:"until,omitempty" doc:"obeyed until then"`
}

// AgentRefusal is a policy that an agent does not obey.
type AgentRefusal struct {
	Service  string `json:"service" doc:"as the policy claims"`
	Decision string `json:"decision" doc:"as the policy claims"`
	Class    string `json:"class" enum:"malformed,unsigned,expired,foreign,rolled-back,replayed,key,signature,origin,not-verified,unpinned" doc:"why in one word"`
	Reason   string `json:"reason" doc:"why in words"`
}
