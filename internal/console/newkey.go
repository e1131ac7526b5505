package console

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

// creation are PublicKeyCredentialCreationOptionsJSON of WebAuthn Level 3.
type creation struct {
	Challenge string       `json:"challenge"`
	RP        named        `json:"rp"`
	User      user         `json:"user"`
	Params    []param      `json:"pubKeyCredParams"`
	Timeout   int          `json:"timeout"`
	Exclude   []descriptor `json:"excludeCredentials"`
	Selection struct {
		ResidentKey      string `json:"residentKey"`
		UserVerification string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	Attestation string `json:"attestation"`
}

type (
	named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	user struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	}
	param struct {
		Type string `json:"type"`
		Alg  int    `json:"alg"`
	}
)

// creationOptions asks an authenticator for a key that signs decisions. It is a
// key of its own, not one that signs in, so that a page for signing in can never
// be answered with it. Nothing is attested: what counts is that the customer
// puts the key into its key set.
func creationOptions(set api.KeySet, me api.Principal, host string) string {
	random := func() string {
		b := make([]byte, 32)
		rand.Read(b)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	name := me.Name + ", signing for the customer"
	o := creation{
		Challenge: random(), RP: named{ID: host, Name: "demarc"}, User: user{ID: random(), Name: name, DisplayName: name},
		Params: []param{{"public-key", -7}, {"public-key", -8}, {"public-key", -257}}, Timeout: 120_000, Attestation: "none", Exclude: []descriptor{},
	}
	o.Selection.ResidentKey, o.Selection.UserVerification = "discouraged", "required"
	for _, k := range set.Keys {
		if k.Algorithm == "webauthn" && k.Holder == me.ID {
			o.Exclude = append(o.Exclude, descriptor{"public-key", base64.RawURLEncoding.EncodeToString(k.Credential)})
		}
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return ""
	}
	return string(raw)
}

// registration is what passkey.js makes of a new credential
// (RegistrationResponseJSON of WebAuthn Level 3).
type registration struct {
	ID       string `json:"id"`
	Response struct {
		ClientData string `json:"clientDataJSON"`
		PublicKey  string `json:"publicKey"`
	} `json:"response"`
}

var badPasskey = &api.Problem{
	Status: http.StatusUnprocessableEntity, Title: "The new passkey cannot be read", Detail: "Use another authenticator, or a browser of this year, and try again.",
}

// newPasskey reads a new credential: its public key, and the page it was made on.
func newPasskey(raw, host string) (api.NewKey, error) {
	k := api.NewKey{Algorithm: "webauthn", RPID: host}
	var r registration
	if json.Unmarshal([]byte(raw), &r) != nil {
		return k, badPasskey
	}
	client, err := base64.RawURLEncoding.DecodeString(r.Response.ClientData)
	if err != nil {
		return k, badPasskey
	}
	var made struct{ Origin string }
	if json.Unmarshal(client, &made) != nil || made.Origin == "" {
		return k, badPasskey
	}
	k.Origins = []string{made.Origin}
	if k.Credential, err = base64.RawURLEncoding.DecodeString(r.ID); err != nil || len(k.Credential) == 0 {
		return k, badPasskey
	}
	if k.Public, err = base64.RawURLEncoding.DecodeString(r.Response.PublicKey); err != nil || len(k.Public) == 0 {
		return k, badPasskey
	}
	return k, nil
}

// publicKey reads an Ed25519 public key as PEM (RFC 8410) or as OpenSSH writes
// it (RFC 8709), and returns SubjectPublicKeyInfo in DER.
func publicKey(text string) ([]byte, error) {
	bad := func(why string) error {
		return &api.Problem{Status: http.StatusUnprocessableEntity, Title: "The public key cannot be read", Detail: why}
	}
	text = strings.TrimSpace(text)
	if strings.Contains(text, "PRIVATE KEY") {
		return nil, bad("This is a private key. It must never leave its owner: treat it as lost, make another, and send the public one.")
	}
	if block, _ := pem.Decode([]byte(text)); block != nil {
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if _, ok := key.(ed25519.PublicKey); err != nil || !ok {
			return nil, bad("It is no Ed25519 key.")
		}
		return block.Bytes, nil
	}
	fields := strings.Fields(text)
	if len(fields) < 2 || fields[0] != "ssh-ed25519" {
		return nil, bad("Give it as PEM (BEGIN PUBLIC KEY), or as a line that begins with ssh-ed25519.")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	kind, rest, ok := sshString(blob)
	key, rest, ok2 := sshString(rest)
	if err != nil || !ok || !ok2 || string(kind) != "ssh-ed25519" || len(key) != ed25519.PublicKeySize || len(rest) != 0 {
		return nil, bad("The line beginning with ssh-ed25519 is not whole.")
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(key))
	if err != nil {
		return nil, bad("It is no Ed25519 key.")
	}
	return der, nil
}

// sshString cuts a string off (RFC 4251, section 5).
func sshString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}
