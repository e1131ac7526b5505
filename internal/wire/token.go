package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Token is a one-time enrolment token. It names the server's certificate
// authority by digest, so that the first contact is with the right server.
type Token struct {
	ID, Secret string
	// CA is the SHA-256 of the authority's certificate in DER.
	CA [sha256.Size]byte
	// Keys is the SHA-256 of the customer's key set, which the agent pins; zero
	// where the tenant had none when the token was made.
	Keys [sha256.Size]byte
}

// ErrToken says that a text is no enrolment token.
var ErrToken = errors.New("no enrolment token: want demarc1.<id>.<secret>.<digest>[.<digest>], as `demarc agent enroll-token` prints it")

const tokenVersion = "demarc1"

var tokenPart = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// String returns the token as text. It is a secret.
func (t Token) String() string {
	parts := []string{tokenVersion, t.ID, t.Secret, base64.RawURLEncoding.EncodeToString(t.CA[:])}
	if t.Keys != [sha256.Size]byte{} {
		parts = append(parts, base64.RawURLEncoding.EncodeToString(t.Keys[:]))
	}
	return strings.Join(parts, ".")
}

// ParseToken reads what Token.String wrote. Its errors do not quote the text.
func ParseToken(s string) (Token, error) {
	parts := strings.Split(strings.TrimSpace(s), ".")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != tokenVersion || !tokenPart.MatchString(parts[1]) || !tokenPart.MatchString(parts[2]) {
		return Token{}, ErrToken
	}
	t := Token{ID: parts[1], Secret: parts[2]}
	for i, to := range []*[sha256.Size]byte{&t.CA, &t.Keys}[:len(parts)-3] {
		digest, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(parts[3+i], "="))
		if err != nil || len(digest) != sha256.Size {
			return Token{}, fmt.Errorf("%w; a digest at its end is cut short or altered", ErrToken)
		}
		copy(to[:], digest)
	}
	return t, nil
}
