package decision

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/canonical"
)

// Algorithms of keys.
const (
	Ed25519  = "ed25519"
	WebAuthn = "webauthn"
)

// Bounds of key sets.
const (
	MaxKeys     = 32
	maxKeyBytes = 2048
)

// Key is a key that the customer holds the private half of.
type Key struct {
	// ID is KeyID(Public).
	ID string `json:"id"`
	// Name is what people call it.
	Name string `json:"name,omitempty"`
	// Holder is the id of the principal that signs with it. A recovery key
	// belongs to nobody: it is kept in a safe.
	Holder    string `json:"holder,omitempty"`
	Algorithm string `json:"algorithm"`
	// Public is the public key as SubjectPublicKeyInfo in DER (RFC 5280).
	Public []byte `json:"public"`
	// Credential, RPID and Origins belong to WebAuthn: the credential's id, the
	// relying party, and the pages that may ask for signatures.
	Credential []byte   `json:"credential,omitempty"`
	RPID       string   `json:"rp_id,omitempty"`
	Origins    []string `json:"origins,omitempty"`
	// Kinds are what it may sign; nil is everything.
	Kinds []Kind `json:"kinds,omitempty"`
}

// KeyID names a public key in DER.
func KeyID(public []byte) string {
	sum := sha256.Sum256(public)
	return "k-" + hex.EncodeToString(sum[:16])
}

// May reports whether the key may sign decisions of kind k.
func (k Key) May(kind Kind) bool { return k.Kinds == nil || slices.Contains(k.Kinds, kind) }

func (k Key) check() error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: key %.60s: %s", ErrForm, k.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case len(k.Public) == 0 || len(k.Public) > maxKeyBytes:
		return fault("the public key is missing or larger than %d bytes", maxKeyBytes)
	case k.ID != KeyID(k.Public):
		return fault("its id is not that of its public key")
	case len(k.Name) > 100 || strings.ContainsFunc(k.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fault("its name has more than 100 characters, or control characters")
	case len(k.Holder) > 100 || len(k.Credential) > 1024 || len(k.RPID) > 253 || len(k.Origins) > 16 || len(k.Kinds) > len(Kinds):
		return fault("a member is too long")
	}
	if k.Kinds != nil && len(k.Kinds) == 0 {
		return fault("it may sign nothing; leave the kinds out for everything")
	}
	for i, kind := range k.Kinds {
		if !kind.Known() || slices.Contains(k.Kinds[:i], kind) {
			return fault("kind %.40q is none of %v, or comes twice", kind, Kinds)
		}
	}
	public, err := k.public()
	if err != nil {
		return err
	}
	switch k.Algorithm {
	case Ed25519:
		if _, ok := public.(ed25519.PublicKey); !ok {
			return fault("it is no Ed25519 key")
		}
		if k.RPID != "" || k.Origins != nil || k.Credential != nil {
			return fault("an Ed25519 key has no relying party")
		}
	case WebAuthn:
		return k.checkWebAuthn()
	default:
		return fault("algorithm %.40q is none of %s, %s", k.Algorithm, Ed25519, WebAuthn)
	}
	return nil
}

func (k Key) checkWebAuthn() error {
	if k.RPID == "" || len(k.Origins) == 0 || len(k.Credential) == 0 {
		return fmt.Errorf("%w: key %s: a passkey needs its credential id, relying party and the pages that may ask it", ErrForm, k.ID)
	}
	for _, o := range k.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme+"://"+u.Host != o || u.Host == "" {
			return fmt.Errorf("%w: key %s: %.100q is no origin such as https://demarc.example", ErrForm, k.ID, o)
		}
		if host := u.Hostname(); host != k.RPID && !strings.HasSuffix(host, "."+k.RPID) {
			return fmt.Errorf("%w: key %s: page %.100s does not belong to relying party %s", ErrForm, k.ID, o, k.RPID)
		}
	}
	return nil
}

// public parses the key and refuses those that are too weak to count.
func (k Key) public() (any, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: key %s: %w", ErrForm, k.ID, err)
	}
	switch p := public.(type) {
	case ed25519.PublicKey:
		return p, nil
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			return p, nil
		}
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n >= 2048 && n <= 8192 {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: key %s: it must be Ed25519, P-256 or RSA of 2048 to 8192 bits", ErrForm, k.ID)
}

// KeySet are the keys that count for a tenant. A set is never changed: the next
// version replaces it, by Next.
type KeySet struct {
	Tenant  string `json:"tenant"`
	Version int64  `json:"version"`
	Keys    []Key  `json:"keys"`
	// Recovery keys replace keys that are lost: Threshold of them together, and
	// for nothing else. Without them a loss cannot be mended.
	Recovery  []Key `json:"recovery,omitempty"`
	Threshold int   `json:"threshold,omitempty"`
	// Required says how many holders must sign a kind, where one is not enough.
	Required map[Kind]int `json:"required,omitempty"`
}

// Check refuses what is no key set.
func (s KeySet) Check() error {
	switch {
	case !tenantForm.MatchString(s.Tenant):
		return fmt.Errorf("%w: the key set names no tenant", ErrForm)
	case s.Version < 1 || s.Version > 1<<53:
		return fmt.Errorf("%w: version %d of a key set is out of bounds", ErrForm, s.Version)
	case len(s.Keys) == 0 || len(s.Keys) > MaxKeys || len(s.Recovery) > MaxSignatures:
		return fmt.Errorf("%w: a key set has 1 to %d keys and at most %d recovery keys", ErrForm, MaxKeys, MaxSignatures)
	case s.Threshold < 0 || s.Threshold > len(s.Recovery) || (s.Threshold == 0) != (len(s.Recovery) == 0):
		return fmt.Errorf("%w: %d of %d recovery keys cannot be asked for", ErrForm, s.Threshold, len(s.Recovery))
	}
	seen := map[string]bool{}
	for i, k := range slices.Concat(s.Keys, s.Recovery) {
		if err := k.check(); err != nil {
			return err
		}
		if seen[k.ID] {
			return fmt.Errorf("%w: key %s comes twice", ErrForm, k.ID)
		}
		seen[k.ID] = true
		if recovery := i >= len(s.Keys); recovery != (k.Holder == "") {
			return fmt.Errorf("%w: key %s: a key has a holder, and a recovery key has none", ErrForm, k.ID)
		}
	}
	return s.checkRequired()
}

func (s KeySet) checkRequired() error {
	if s.Required != nil && len(s.Required) == 0 {
		return fmt.Errorf("%w: an empty list of required signatures is left out", ErrForm)
	}
	for kind, n := range s.Required {
		holders := map[string]bool{}
		for _, k := range s.Keys {
			if k.May(kind) {
				holders[k.Holder] = true
			}
		}
		if !kind.Known() || n < 2 || n > MaxSignatures {
			return fmt.Errorf("%w: %d signatures for %.40q cannot be asked for: say 2 to %d for one of %v", ErrForm, n, kind, MaxSignatures, Kinds)
		}
		if len(holders) < n {
			return fmt.Errorf("%w: %d signatures are asked for each %s, and only %d people hold keys for it", ErrForm, n, kind, len(holders))
		}
	}
	return nil
}

// Needs returns how many holders must sign a kind.
func (s KeySet) Needs(kind Kind) int { return max(1, s.Required[kind]) }

// Canonical returns the bytes of s by RFC 8785, or ErrForm.
func (s KeySet) Canonical() ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return canonical.JSON(s)
}

// Digest returns "sha256:" and the hex SHA-256 of Canonical: what agents pin.
func (s KeySet) Digest() (string, error) {
	b, err := s.Canonical()
	if err != nil {
		return "", err
	}
	return canonical.Digest(b), nil
}

// ParseKeySet reads a key set. It accepts exactly what Canonical returns.
func ParseKeySet(text []byte) (KeySet, error) {
	var s KeySet
	if len(text) > MaxBytes {
		return s, fmt.Errorf("%w: the key set is larger than %d KiB", ErrForm, MaxBytes>>10)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return KeySet{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	again, err := s.Canonical()
	if err != nil {
		return KeySet{}, err
	}
	if !bytes.Equal(again, text) {
		return KeySet{}, fmt.Errorf("%w: the key set is not in canonical form (RFC 8785), or has members that no key set has", ErrForm)
	}
	return s, nil
}

// Key returns the key of that id among the keys and recovery keys.
func (s KeySet) Key(id string) (k Key, recovery, ok bool) {
	for i, k := range slices.Concat(s.Keys, s.Recovery) {
		if k.ID == id {
			return k, i >= len(s.Keys), true
		}
	}
	return Key{}, false, false
}
