package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

// requestOptions are PublicKeyCredentialRequestOptionsJSON of WebAuthn Level 3.
type requestOptions struct {
	Challenge        string       `json:"challenge"`
	RPID             string       `json:"rpId"`
	Timeout          int          `json:"timeout"`
	UserVerification string       `json:"userVerification"`
	Allow            []descriptor `json:"allowCredentials"`
}

type descriptor struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// signOptions asks a passkey of the holder to sign the digest of the decision;
// empty if none counts for it and belongs to host.
func signOptions(d api.Decision, keys api.KeySet, holder, host string) string {
	challenge, err := digestBytes(d.Digest)
	if err != nil {
		return ""
	}
	o := requestOptions{Challenge: base64.RawURLEncoding.EncodeToString(challenge), Timeout: 120_000, UserVerification: "required"}
	for _, k := range keys.Keys {
		if k.Algorithm != "webauthn" || k.Holder != holder || !signs(k, d.Kind) || k.RPID != host && !strings.HasSuffix(host, "."+k.RPID) {
			continue
		}
		if o.RPID != "" && o.RPID != k.RPID {
			continue // one request names one relying party
		}
		o.RPID = k.RPID
		o.Allow = append(o.Allow, descriptor{Type: "public-key", ID: base64.RawURLEncoding.EncodeToString(k.Credential)})
	}
	if len(o.Allow) == 0 {
		return ""
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return ""
	}
	return string(raw)
}

func signs(k api.Key, kind string) bool {
	if k.Kinds == nil {
		return true
	}
	for _, have := range k.Kinds {
		if have == kind {
			return true
		}
	}
	return false
}

// assertion is what passkey.js makes of a WebAuthn answer
// (AuthenticationResponseJSON of WebAuthn Level 3).
type assertion struct {
	ID       string `json:"id"`
	Response struct {
		ClientData        string `json:"clientDataJSON"`
		AuthenticatorData string `json:"authenticatorData"`
		Signature         string `json:"signature"`
	} `json:"response"`
}

var badAssertion = &api.Problem{
	Status: http.StatusUnprocessableEntity, Title: "The passkey's answer cannot be read", Detail: "Load the page again and sign once more.",
}

// assertionSignature makes a signature of a passkey's answer. Whether it counts
// the API decides.
func assertionSignature(raw string, keys api.KeySet) (api.NewSignature, error) {
	var a assertion
	s := api.NewSignature{Algorithm: "webauthn"}
	if json.Unmarshal([]byte(raw), &a) != nil {
		return s, badAssertion
	}
	id, err1 := base64.RawURLEncoding.DecodeString(a.ID)
	client, err2 := base64.RawURLEncoding.DecodeString(a.Response.ClientData)
	data, err3 := base64.RawURLEncoding.DecodeString(a.Response.AuthenticatorData)
	signature, err4 := base64.RawURLEncoding.DecodeString(a.Response.Signature)
	if errors.Join(err1, err2, err3, err4) != nil || len(id) == 0 || len(signature) == 0 {
		return s, badAssertion
	}
	for _, k := range keys.Keys {
		if k.Algorithm == "webauthn" && string(k.Credential) == string(id) {
			s.Key, s.Signature, s.AuthenticatorData, s.ClientData = k.ID, signature, data, client
			return s, nil
		}
	}
	return s, &api.Problem{Status: http.StatusUnprocessableEntity, Title: "This passkey is no signing key", Detail: "Choose a passkey that is in the list of keys."}
}

// digestBytes reads "sha256:" and 64 hex digits.
func digestBytes(s string) ([]byte, error) {
	hexed, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(hexed) != 64 {
		return nil, errors.New("no SHA-256 digest")
	}
	return hexBytes(hexed)
}
