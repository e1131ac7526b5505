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
	"strconv"
	"strings"

	"github.com/demarc/demarc/api"
)

// keysPage shows what the customer signs with.
type keysPage struct {
	Tenant             string
	Version            int64
	Digest             string
	Keys, Recovery     []keyLine
	Threshold          int
	Required           map[string]int
	Warnings           []string
	Pending            string
	MayManage          bool
	Options            string
	Problem            *problemPage
	Name, Public, Kind string
}

type keyLine struct {
	api.Key
	HolderName string
}

func (c *Console) keysPage(v *visit) (*keysPage, api.KeySet, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, api.KeySet{}, err
	}
	set, err := v.client.Keys(v, t.Name)
	if err != nil {
		return nil, set, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, set, err
	}
	page := &keysPage{
		Tenant: t.Name, Version: set.Version, Digest: set.Digest, Threshold: set.Threshold, Required: set.Required,
		MayManage: v.may("manage-keys", t), Warnings: keyWarnings(set),
	}
	for _, k := range set.Keys {
		page.Keys = append(page.Keys, keyLine{k, orElse(names[k.Holder], brief(k.Holder, nil))})
	}
	for _, k := range set.Recovery {
		page.Recovery = append(page.Recovery, keyLine{k, names[k.Holder]})
	}
	for d, err := range v.client.Decisions(v, t.Name, "pending") {
		if err != nil {
			return nil, set, err
		}
		if d.Kind == "key-change" {
			page.Pending = d.ID
		}
	}
	if page.MayManage {
		page.Options = creationOptions(set, v.me, v.host())
	}
	return page, set, nil
}

// keyWarnings says what a lost key would cost.
func keyWarnings(set api.KeySet) (out []string) {
	switch {
	case len(set.Keys) == 0:
	case len(set.Keys) == 1 && len(set.Recovery) == 0:
		out = append(out, "There is one key and no recovery. If it is lost, nothing can be signed any more, and every agent has to be enrolled again by hand. Add a second key, and recovery keys.")
	case len(set.Recovery) == 0:
		out = append(out, "There are no recovery keys. Add some, and keep them apart, in safes.")
	}
	if n := len(set.Recovery); n > 0 && set.Threshold == n && n > 1 {
		out = append(out, "Recovery takes every recovery key: losing one of them ends it.")
	}
	return out
}

func (c *Console) keys(v *visit) error {
	page, _, err := c.keysPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "keys", "Keys", page)
	return nil
}

// changeKeys makes the first key, or proposes a change that a key must sign.
func (c *Console) changeKeys(v *visit) error {
	page, set, err := c.keysPage(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	page.Kind, page.Name, page.Public = form.Get("do"), form.Get("name"), form.Get("public")
	var in api.ChangeKeys
	switch page.Kind {
	case "remove":
		in.Remove = []string{form.Get("key")}
	case "passkey":
		var k api.NewKey
		k, err = newPasskey(form.Get("credential"), v.host())
		k.Name = strings.TrimSpace(page.Name)
		in.Add = []api.NewKey{k}
	case "ed25519":
		var k api.NewKey
		k.Algorithm, k.Name = "ed25519", strings.TrimSpace(page.Name)
		text := page.Public
		if strings.Contains(text, "PRIVATE KEY") {
			page.Public = "" // it is not shown again
		}
		if k.Public, err = publicKey(text); err == nil && form.Get("recovery") != "" {
			recovery := append(asNew(set.Recovery), k)
			in.Recovery, in.Threshold = &recovery, max(set.Threshold, min(2, len(recovery)))
		} else {
			in.Add = []api.NewKey{k}
		}
	case "threshold":
		recovery := asNew(set.Recovery)
		in.Recovery = &recovery
		in.Threshold, _ = strconv.Atoi(form.Get("threshold")) // 0 is refused as it should be
	default:
		err = unknownForm
	}
	var done api.KeysChanged
	if err == nil {
		done, err = v.client.ChangeKeys(v, page.Tenant, in)
	}
	if err != nil {
		return c.again(v, err, "keys", "Keys", func(p *problemPage) any { page.Problem = p; return page })
	}
	to := pathOf("tenants", page.Tenant, "keys")
	if done.Decision != nil {
		to = pathOf("tenants", page.Tenant, "decisions", done.Decision.ID)
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// asNew are keys as they are sent to be kept.
func asNew(keys []api.Key) (out []api.NewKey) {
	for _, k := range keys {
		out = append(out, api.NewKey{
			Name: k.Name, Holder: k.Holder, Algorithm: k.Algorithm, Public: k.Public, Credential: k.Credential, RPID: k.RPID, Origins: k.Origins, Kinds: k.Kinds,
		})
	}
	return out
}

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
