// Package sshca is the SSH certificate authority of an installation. It has
// two keys that never mix: one signs for people and is trusted by the gateway
// alone, the other signs for the gateway and is trusted by the targets
// (TrustedUserCAKeys of OpenSSH). No certificate that a person holds opens a
// target.
package sshca

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrKey is wrapped where a public key cannot be certified.
var ErrKey = errors.New("public key refused")

const (
	// HolderLife bounds a person's certificate.
	HolderLife = 8 * time.Hour
	// TargetLife bounds the gateway's certificate for one connection. Targets
	// check it at sign-in only, so it is as long as clocks may differ.
	TargetLife = 2 * time.Minute

	// GrantOption and PrincipalOption are the critical options of a person's
	// certificate: the grant that it is for and whose it is. They are critical
	// so that a plain SSH server refuses the certificate even if it trusts the
	// authority by mistake (PROTOCOL.certkeys of OpenSSH).
	GrantOption     = "grant@demarc"
	PrincipalOption = "principal@demarc"

	// skew lets clocks that are a little behind accept a fresh certificate.
	skew = time.Minute
)

// Secrets keeps the keys. SetSecret keeps the first value and returns nil where
// there is one already.
type Secrets interface {
	Secret(ctx context.Context, name string) ([]byte, error)
	SetSecret(ctx context.Context, name string, value []byte) error
}

// Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	holders ssh.Signer // signs for people
	targets ssh.Signer // signs for the gateway towards targets
	gateway ssh.Signer // is the gateway's own host key
	now     func() time.Time
}

// Open loads the keys, and makes them at the first start.
func Open(ctx context.Context, s Secrets, now func() time.Time) (*Authority, error) {
	a := &Authority{now: now}
	for _, k := range []struct {
		name string
		to   *ssh.Signer
	}{{"ssh.holders", &a.holders}, {"ssh.targets", &a.targets}, {"ssh.gateway", &a.gateway}} {
		signer, err := open(ctx, s, k.name)
		if err != nil {
			return nil, fmt.Errorf("SSH key %s: %w", k.name, err)
		}
		*k.to = signer
	}
	return a, nil
}

func open(ctx context.Context, s Secrets, name string) (ssh.Signer, error) {
	seed, err := s.Secret(ctx, name)
	if err != nil {
		return nil, err
	}
	if seed == nil {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		if err := s.SetSecret(ctx, name, seed); err != nil {
			return nil, err
		}
		// Another server may have been first.
		if seed, err = s.Secret(ctx, name); err != nil {
			return nil, err
		}
	}
	if len(seed) != ed25519.SeedSize {
		return nil, errors.New("what is stored is damaged")
	}
	return ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
}

// Holders is the key whose certificates the gateway accepts.
func (a *Authority) Holders() ssh.PublicKey { return a.holders.PublicKey() }

// Targets is the key that targets trust, for TrustedUserCAKeys.
func (a *Authority) Targets() ssh.PublicKey { return a.targets.PublicKey() }

// Gateway is the gateway's host key.
func (a *Authority) Gateway() ssh.Signer { return a.gateway }

// Holder is who gets a certificate and for what.
type Holder struct {
	Grant     string
	Principal string
	// Targets are the names that the certificate can be used for.
	Targets []string
	// Until is the grant's end.
	Until time.Time
}

// IssueHolder certifies a person's key for one grant: until the grant's end,
// at most for HolderLife, for a terminal only. What else the grant allows is
// for the gateway to decide while the session runs.
func (a *Authority) IssueHolder(h Holder, key ssh.PublicKey) (*ssh.Certificate, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	now := a.now()
	until := now.Add(HolderLife)
	if h.Until.Before(until) {
		until = h.Until
	}
	if !now.Before(until) {
		return nil, fmt.Errorf("%w: grant %s has ended", ErrKey, h.Grant)
	}
	// Without principals, a certificate would be good for every name.
	if len(h.Targets) == 0 {
		return nil, fmt.Errorf("%w: grant %s names no target", ErrKey, h.Grant)
	}
	c := &ssh.Certificate{
		Key: key, Serial: serial(), CertType: ssh.UserCert, KeyId: h.Grant + "/" + nonce(), ValidPrincipals: h.Targets,
		ValidAfter: uint64(now.Add(-skew).Unix()), ValidBefore: uint64(until.Unix()),
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{GrantOption: h.Grant, PrincipalOption: h.Principal},
			Extensions:      map[string]string{"permit-pty": ""},
		},
	}
	if err := c.SignCert(rand.Reader, a.holders); err != nil {
		return nil, fmt.Errorf("sign a certificate of grant %s: %w", h.Grant, err)
	}
	return c, nil
}

// SignerFor makes a key that lives as long as one connection and certifies it
// for a user of a target. keyID appears in the target's own log.
func (a *Authority) SignerFor(user, keyID string, forward bool) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for a connection: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a key for a connection: %w", err)
	}
	now := a.now()
	c := &ssh.Certificate{
		Key: signer.PublicKey(), Serial: serial(), CertType: ssh.UserCert, KeyId: keyID, ValidPrincipals: []string{user},
		ValidAfter: uint64(now.Add(-skew).Unix()), ValidBefore: uint64(now.Add(TargetLife).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if forward {
		c.Extensions["permit-port-forwarding"] = ""
	}
	if err := c.SignCert(rand.Reader, a.targets); err != nil {
		return nil, fmt.Errorf("sign a certificate for a connection: %w", err)
	}
	return ssh.NewCertSigner(c, signer)
}

// CheckKey refuses keys that are not worth certifying.
func CheckKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		if bits(key) >= 2048 {
			return nil
		}
		return fmt.Errorf("%w: an RSA key needs 2048 bits or more; make one with ssh-keygen -t ed25519", ErrKey)
	}
	return fmt.Errorf("%w: keys of type %s are not certified; make one with ssh-keygen -t ed25519", ErrKey, key.Type())
}

func nonce() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}
