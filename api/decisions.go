package api

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Decision is a matter that becomes effective when the customer signs it.
type Decision struct {
	ID      string `json:"id"`
	Kind    string `json:"kind" enum:"agent-policy,access-approval,maintenance-consent,waiver,termination,erase,key-change" doc:"what it is about"`
	Tenant  string `json:"tenant"`
	Subject string `json:"subject"`
	// SubjectName is what people call the subject, where it has a name.
	SubjectName string `json:"subject_name,omitempty" doc:"name of the subject, where it has one"`
	Version     int64  `json:"version" doc:"of an agent-policy, one more than what it replaces for its subject and service; of a key-change, that of the new keys"`
	State       string `json:"state" enum:"pending,signed,withdrawn,expired"`
	// IssuedAt is when it was proposed; it must be signed before ExpiresAt.
	IssuedAt   time.Time       `json:"issued_at" doc:"when it was proposed"`
	ExpiresAt  time.Time       `json:"expires_at" doc:"it must be signed before then"`
	ProposedBy string          `json:"proposed_by" doc:"who proposed it: ROLE/ID"`
	DecidedAt  *time.Time      `json:"decided_at,omitempty" doc:"when it was signed, withdrawn or expired"`
	Content    json.RawMessage `json:"content" doc:"the matter, in the form of its kind"`
	// Canonical are the bytes that are signed, RFC 8785. Whoever signs reads
	// these and nothing else of the answer.
	Canonical []byte `json:"canonical" doc:"the bytes that are signed: RFC 8785 canonical JSON, in base64"`
	// Digest is "sha256:" and the hex digest of Canonical; a passkey signs its 32 bytes.
	Digest string `json:"digest"`
	// Needs is how many people must sign it.
	Needs      int                 `json:"needs" doc:"how many people must sign it"`
	Acts       bool                `json:"acts" doc:"whether something acts on it once it is signed; otherwise it is kept, and nothing acts on it yet"`
	Signatures []DecisionSignature `json:"signatures" doc:"signatures that were given"`
}

// DecisionSignature tells of a signature that was given.
type DecisionSignature struct {
	Key       string    `json:"key" doc:"id of the key"`
	Algorithm string    `json:"algorithm" doc:"ed25519 or webauthn"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
}

// NewSignature gives a decision a signature: Ed25519 over SigningMessage of its
// canonical bytes, or a WebAuthn assertion whose challenge is their SHA-256.
type NewSignature struct {
	Key               string `json:"key" maxLength:"100" doc:"id of the key"`
	Algorithm         string `json:"algorithm" enum:"ed25519,webauthn"`
	Signature         []byte `json:"signature" doc:"base64: 64 bytes of Ed25519, or what the authenticator gave"`
	AuthenticatorData []byte `json:"authenticator_data,omitempty" doc:"base64: of the assertion"`
	ClientData        []byte `json:"client_data,omitempty" doc:"base64: of the assertion"`
}

// Key is a key that counts for a tenant's decisions.
type Key struct {
	ID        string `json:"id" doc:"made of the public key"`
	Name      string `json:"name,omitempty" doc:"what people call it"`
	Holder    string `json:"holder,omitempty" doc:"id of the principal that signs with it; a recovery key has none"`
	Algorithm string `json:"algorithm" doc:"ed25519 or webauthn"`
	Public    []byte `json:"public" doc:"base64: SubjectPublicKeyInfo in DER"`
	// Credential, RPID and Origins belong to passkeys.
	Credential []byte   `json:"credential,omitempty" doc:"base64: id of the passkey"`
	RPID       string   `json:"rp_id,omitempty" doc:"relying party of the passkey"`
	Origins    []string `json:"origins,omitempty" doc:"pages that may ask the passkey"`
	Kinds      []string `json:"kinds,omitempty" doc:"kinds of decisions that it may sign; missing is all"`
}

// NewKey is a key to be added.
type NewKey struct {
	Name      string `json:"name,omitempty" maxLength:"100" doc:"what people call it"`
	Holder    string `json:"holder,omitempty" maxLength:"100" doc:"id of the principal that will sign with it; you if missing"`
	Algorithm string `json:"algorithm" enum:"ed25519,webauthn"`
	// Passkey is the id of a passkey that the caller signs in with. It is taken
	// in the place of the members that follow.
	Passkey    string   `json:"passkey,omitempty" maxLength:"100" doc:"id of a passkey that you sign in with, as your account lists it; instead of public, credential, rp_id and origins"`
	Public     []byte   `json:"public,omitempty" doc:"base64: SubjectPublicKeyInfo in DER"`
	Credential []byte   `json:"credential,omitempty" doc:"base64: id of the passkey"`
	RPID       string   `json:"rp_id,omitempty" maxLength:"253" doc:"relying party of the passkey"`
	Origins    []string `json:"origins,omitempty" maxItems:"16" doc:"pages that may ask the passkey"`
	Kinds      []string `json:"kinds,omitempty" maxItems:"16" doc:"kinds of decisions that it may sign; missing is all"`
}

// KeySet are the keys that count for a tenant's decisions. A tenant without keys
// has version 0.
type KeySet struct {
	Tenant    string         `json:"tenant"`
	Version   int64          `json:"version" doc:"counts the changes of the keys; 0 where there is none yet"`
	Keys      []Key          `json:"keys" doc:"keys that sign decisions"`
	Recovery  []Key          `json:"recovery" doc:"keys that replace lost ones"`
	Threshold int            `json:"threshold" doc:"how many recovery keys it takes"`
	Required  map[string]int `json:"required,omitempty" doc:"how many people must sign a kind, where one is not enough"`
	Digest    string         `json:"digest,omitempty" doc:"sha256:<64 hex digits> of canonical: what agents pin"`
	Canonical []byte         `json:"canonical,omitempty" doc:"RFC 8785 canonical JSON, in base64"`
	CreatedAt *time.Time     `json:"created_at,omitempty"`
	By        string         `json:"by,omitempty"`
	// Left is the server's word, and not part of what is signed.
	Left []string `json:"left,omitempty" doc:"ids of keys whose holders no longer act for the tenant; agents obey them until they are removed"`
}

// ChangeKeys is a change of a tenant's keys.
type ChangeKeys struct {
	Add       []NewKey       `json:"add,omitempty" maxItems:"32" doc:"keys to be added"`
	Remove    []string       `json:"remove,omitempty" maxItems:"32" doc:"ids of keys to be removed"`
	Recovery  *[]NewKey      `json:"recovery,omitempty" maxItems:"16" doc:"recovery keys that replace those there are; an empty list removes them"`
	Threshold int            `json:"threshold,omitempty" minimum:"0" maximum:"16" doc:"how many of the recovery keys it takes; only with recovery"`
	Required  map[string]int `json:"required,omitempty" doc:"replaces how many people must sign a kind"`
}

// KeysChanged answers a change of keys: the first key set is there at once, a
// later change is a decision to be signed.
type KeysChanged struct {
	KeySet   *KeySet   `json:"key_set,omitempty" doc:"the first keys of the tenant"`
	Decision *Decision `json:"decision,omitempty" doc:"the change, to be signed"`
}

// Keys returns the keys that count for a tenant's decisions.
func (c *Client) Keys(ctx context.Context, tenant string) (KeySet, error) {
	return get[KeySet](ctx, c, nil, "v1", "tenants", tenant, "keys")
}

// ChangeKeys makes the first keys of a tenant, or proposes a change of them.
func (c *Client) ChangeKeys(ctx context.Context, tenant string, in ChangeKeys) (KeysChanged, error) {
	return post[KeysChanged](ctx, c, in, "v1", "tenants", tenant, "keys")
}

// Decisions lists the decisions of a tenant; state "pending", "signed",
// "withdrawn" or "expired" narrows it, "" does not.
func (c *Client) Decisions(ctx context.Context, tenant, state string) iter.Seq2[Decision, error] {
	return list[Decision](ctx, c, params("state", state), "v1", "tenants", tenant, "decisions")
}

// Decision reads one decision.
func (c *Client) Decision(ctx context.Context, tenant, id string) (Decision, error) {
	return get[Decision](ctx, c, nil, "v1", "tenants", tenant, "decisions", id)
}

// SignDecision gives a decision a signature. With the last one that is needed it
// takes effect; otherwise its state stays pending.
func (c *Client) SignDecision(ctx context.Context, tenant, id string, in NewSignature) (Decision, error) {
	return post[Decision](ctx, c, in, "v1", "tenants", tenant, "decisions", id, "signatures")
}

// WithdrawDecision ends a pending decision without a signature.
func (c *Client) WithdrawDecision(ctx context.Context, tenant, id string) (Decision, error) {
	return post[Decision](ctx, c, nil, "v1", "tenants", tenant, "decisions", id, "withdraw")
}

// ProposeWaiver proposes a waiver of a tenant, which its signature puts in force.
func (c *Client) ProposeWaiver(ctx context.Context, tenant string, in NewStatement) (Decision, error) {
	return post[Decision](ctx, c, in, ofStatements(tenant, Waivers)...)
}
