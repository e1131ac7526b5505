package decision

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/demarc/demarc/internal/canonical"
)

// Bounds of an assertion. Authenticators give 37 bytes and browsers some 150.
const (
	maxAuthenticatorData = 1024
	maxClientData        = 4096
)

// Flags of authenticator data, Web Authentication Level 2 section 6.1.
const (
	userPresent      = 1 << 0
	userVerified     = 1 << 2
	backupEligible   = 1 << 3
	backedUp         = 1 << 4
	hasAttested      = 1 << 6
	hasExtensions    = 1 << 7
	authenticatorLen = 37
)

// verifyAssertion checks a WebAuthn assertion (Level 2, section 7.2, steps 11 to
// 20) whose challenge is the SHA-256 of the decision's canonical bytes. The
// signature counter is not looked at: a challenge is good for one decision, so
// that an assertion cannot be used again.
func (k Key) verifyAssertion(public any, sig Signature, text []byte) error {
	if err := k.checkAuthenticator(sig.AuthenticatorData); err != nil {
		return err
	}
	if err := k.checkClient(sig.ClientData, text); err != nil {
		return err
	}
	client := sha256.Sum256(sig.ClientData)
	signed := append(slices.Clone(sig.AuthenticatorData), client[:]...)
	digest := sha256.Sum256(signed)
	good := false
	switch p := public.(type) {
	case *ecdsa.PublicKey: // ES256
		good = ecdsa.VerifyASN1(p, digest[:], sig.Signature)
	case *rsa.PublicKey: // RS256
		good = rsa.VerifyPKCS1v15(p, crypto.SHA256, digest[:], sig.Signature) == nil
	case ed25519.PublicKey: // EdDSA
		good = ed25519.Verify(p, signed, sig.Signature)
	}
	if !good {
		return fmt.Errorf("%w: passkey %s did not sign this decision", ErrSignature, k.ID)
	}
	return nil
}

func (k Key) checkAuthenticator(data []byte) error {
	if len(data) < authenticatorLen || len(data) > maxAuthenticatorData {
		return fmt.Errorf("%w: authenticator data of %d bytes", ErrForm, len(data))
	}
	party := sha256.Sum256([]byte(k.RPID))
	flags := data[32]
	switch {
	case subtle.ConstantTimeCompare(party[:], data[:32]) != 1:
		return fmt.Errorf("%w: the assertion is for another relying party than %s", ErrOrigin, k.RPID)
	case flags&userPresent == 0 || flags&userVerified == 0:
		return fmt.Errorf("%w: the authenticator must ask for a PIN, a fingerprint or the like", ErrNotVerified)
	case flags&backedUp != 0 && flags&backupEligible == 0:
		return fmt.Errorf("%w: a credential that cannot be backed up says that it was", ErrForm)
	case flags&hasAttested != 0:
		return fmt.Errorf("%w: an assertion holds no attested credential", ErrForm)
	case flags&hasExtensions == 0 && len(data) != authenticatorLen:
		return fmt.Errorf("%w: there are bytes behind the authenticator data", ErrForm)
	}
	return nil
}

// checkClient checks what the browser says it was asked, section 5.8.1.
func (k Key) checkClient(data, text []byte) error {
	if len(data) == 0 || len(data) > maxClientData {
		return fmt.Errorf("%w: client data of %d bytes", ErrForm, len(data))
	}
	// Decoding into a struct would accept "Type" for "type", and a member twice.
	if _, err := canonical.Bytes(data); err != nil {
		return fmt.Errorf("%w: client data: %w", ErrForm, err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return fmt.Errorf("%w: client data: %w", ErrForm, err)
	}
	word := func(name string) string {
		var s string
		if json.Unmarshal(members[name], &s) != nil {
			return ""
		}
		return s
	}
	cross := false
	if raw, there := members["crossOrigin"]; there && json.Unmarshal(raw, &cross) != nil {
		return fmt.Errorf("%w: client data: crossOrigin is neither true nor false", ErrForm)
	}
	sum := sha256.Sum256(text)
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(word("challenge"))
	switch {
	case word("type") != "webauthn.get":
		return fmt.Errorf("%w: client data of type %.40q is no assertion", ErrForm, word("type"))
	case err != nil || subtle.ConstantTimeCompare(challenge, sum[:]) != 1:
		return fmt.Errorf("%w: the assertion answers another challenge: it was made for another decision", ErrSignature)
	case !slices.Contains(k.Origins, word("origin")):
		return fmt.Errorf("%w: the page %.100q may not ask passkey %s", ErrOrigin, word("origin"), k.ID)
	case cross || members["topOrigin"] != nil:
		return fmt.Errorf("%w: the page was shown inside another", ErrOrigin)
	}
	return nil
}
