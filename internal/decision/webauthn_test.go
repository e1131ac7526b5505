package decision_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/demarc/demarc/internal/decision"
)

const (
	party = "demarc.example"
	page  = "https://demarc.example"
)

// passkey is a key in an authenticator of this test.
func passkey(t testing.TB, private crypto.Signer) decision.Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return decision.Key{
		ID: decision.KeyID(der), Holder: "p-alice", Algorithm: decision.WebAuthn, Public: der,
		Credential: []byte("credential"), RPID: party, Origins: []string{page},
	}
}

// assertion is what an authenticator signs, before it is signed.
type assertion struct {
	party  string
	flags  byte
	extra  []byte
	client string
}

func (a assertion) sign(t testing.TB, k decision.Key, private crypto.Signer) decision.Signature {
	t.Helper()
	hash := sha256.Sum256([]byte(a.party))
	data := append(append(hash[:], a.flags, 0, 0, 0, 7), a.extra...)
	client := sha256.Sum256([]byte(a.client))
	message := append(append([]byte{}, data...), client[:]...)
	var opts crypto.SignerOpts = crypto.SHA256
	if _, ok := private.(ed25519.PrivateKey); ok {
		opts = crypto.Hash(0)
	} else {
		digest := sha256.Sum256(message)
		message = digest[:]
	}
	sig, err := private.Sign(rand.Reader, message, opts)
	if err != nil {
		t.Fatal(err)
	}
	return decision.Signature{Key: k.ID, Algorithm: decision.WebAuthn, Signature: sig, AuthenticatorData: data, ClientData: []byte(a.client)}
}

func challenge(t testing.TB, d decision.Decision) string {
	t.Helper()
	text, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func client(t testing.TB, d decision.Decision) string {
	return fmt.Sprintf(`{"type":"webauthn.get","challenge":%q,"origin":%q,"crossOrigin":false}`, challenge(t, d), page)
}

func TestAssertion(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := passkey(t, private)
	set := decision.KeySet{Tenant: "t-1", Version: 1, Keys: []decision.Key{k}}
	d := policy("t-1", 1)
	other := policy("t-1", 2)
	good := assertion{party, 0x05, nil, client(t, d)}
	with := func(edit func(*assertion)) assertion { a := good; edit(&a); return a }
	says := func(format string, args ...any) assertion {
		return with(func(a *assertion) { a.client = fmt.Sprintf(format, args...) })
	}
	c := challenge(t, d)
	for _, x := range []struct {
		name string
		a    assertion
		want error
	}{
		{"good", good, nil},
		{"synced passkey", with(func(a *assertion) { a.flags = 0x1d }), nil},
		{"extensions", with(func(a *assertion) { a.flags, a.extra = 0x85, []byte{0xa0} }), nil},
		{"members that are to come", says(`{"type":"webauthn.get","challenge":%q,"origin":%q,"other_keys_can_be_added_here":"x"}`, c, page), nil},
		{"another relying party", with(func(a *assertion) { a.party = "evil.example" }), decision.ErrOrigin},
		{"not verified", with(func(a *assertion) { a.flags = 0x01 }), decision.ErrNotVerified},
		{"not present", with(func(a *assertion) { a.flags = 0x04 }), decision.ErrNotVerified},
		{"backed up and not eligible", with(func(a *assertion) { a.flags = 0x15 }), decision.ErrForm},
		{"a registration", with(func(a *assertion) { a.flags, a.extra = 0x45, make([]byte, 40) }), decision.ErrForm},
		{"trailing bytes", with(func(a *assertion) { a.extra = []byte{1} }), decision.ErrForm},
		{"too long", with(func(a *assertion) { a.flags, a.extra = 0x85, make([]byte, 2000) }), decision.ErrForm},
		{"for another decision", with(func(a *assertion) { a.client = client(t, other) }), decision.ErrSignature},
		{"another page", says(`{"type":"webauthn.get","challenge":%q,"origin":"https://evil.example"}`, c), decision.ErrOrigin},
		{"a page below", says(`{"type":"webauthn.get","challenge":%q,"origin":"https://demarc.example:444"}`, c), decision.ErrOrigin},
		{"in clear", says(`{"type":"webauthn.get","challenge":%q,"origin":"http://demarc.example"}`, c), decision.ErrOrigin},
		{"in a frame", says(`{"type":"webauthn.get","challenge":%q,"origin":%q,"crossOrigin":true}`, c, page), decision.ErrOrigin},
		{"in a frame of", says(`{"type":"webauthn.get","challenge":%q,"origin":%q,"topOrigin":"https://evil.example"}`, c, page), decision.ErrOrigin},
		{"crossOrigin as text", says(`{"type":"webauthn.get","challenge":%q,"origin":%q,"crossOrigin":"no"}`, c, page), decision.ErrForm},
		{"made at registration", says(`{"type":"webauthn.create","challenge":%q,"origin":%q}`, c, page), decision.ErrForm},
		{"type in other case", says(`{"Type":"webauthn.get","challenge":%q,"origin":%q}`, c, page), decision.ErrForm},
		{"two challenges", says(`{"type":"webauthn.get","challenge":%q,"challenge":%q,"origin":%q}`, challenge(t, other), c, page), decision.ErrForm},
		{"no challenge", says(`{"type":"webauthn.get","origin":%q}`, page), decision.ErrSignature},
		{"challenge padded", says(`{"type":"webauthn.get","challenge":"%s=","origin":%q}`, c, page), decision.ErrSignature},
		{"no JSON", says(`webauthn.get`), decision.ErrForm},
		{"a list", says(`[]`), decision.ErrForm},
		{"empty", says(``), decision.ErrForm},
	} {
		_, err := set.Verify(decision.Signed{Decision: d, Signatures: []decision.Signature{x.a.sign(t, k, private)}}, noon)
		want(t, x.name, err, x.want)
	}
	replayed := good.sign(t, k, private)
	_, err = set.Verify(decision.Signed{Decision: other, Signatures: []decision.Signature{replayed}}, noon)
	want(t, "used for another decision", err, decision.ErrSignature)
	forged := good.sign(t, k, private)
	forged.Signature[8] ^= 1
	_, err = set.Verify(decision.Signed{Decision: d, Signatures: []decision.Signature{forged}}, noon)
	want(t, "forged", err, decision.ErrSignature)
	raised := good.sign(t, k, private)
	raised.AuthenticatorData[36]++
	_, err = set.Verify(decision.Signed{Decision: d, Signatures: []decision.Signature{raised}}, noon)
	want(t, "counter changed", err, decision.ErrSignature)
}

// TestAlgorithms signs with each kind of key that browsers give.
func TestAlgorithms(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := policy("t-1", 1)
	for name, private := range map[string]crypto.Signer{"EdDSA": ed, "RS256": rs} {
		k := passkey(t, private)
		sig := assertion{party, 0x05, nil, client(t, d)}.sign(t, k, private)
		_, err := decision.KeySet{Tenant: "t-1", Version: 1, Keys: []decision.Key{k}}.Verify(decision.Signed{Decision: d, Signatures: []decision.Signature{sig}}, noon)
		want(t, name, err, nil)
	}
	want(t, "P-224", decision.KeySet{Tenant: "t-1", Version: 1, Keys: []decision.Key{passkey(t, weak)}}.Check(), decision.ErrForm)
}

// TestVirtualAuthenticator takes an assertion as another's authenticator forms it.
func TestVirtualAuthenticator(t *testing.T) {
	rp := virtualwebauthn.RelyingParty{ID: party, Name: "demarc", Origin: page}
	credential := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	private, err := x509.ParsePKCS8PrivateKey(credential.Key.Data)
	if err != nil {
		t.Fatal(err)
	}
	k := passkey(t, private.(crypto.Signer))
	set := decision.KeySet{Tenant: "t-1", Version: 1, Keys: []decision.Key{k}}
	d := policy("t-1", 1)
	raw, err := base64.RawURLEncoding.DecodeString(challenge(t, d))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(rp virtualwebauthn.RelyingParty, o virtualwebauthn.AuthenticatorOptions) decision.Signature {
		var got struct {
			Response struct{ AuthenticatorData, ClientDataJSON, Signature string }
		}
		text := virtualwebauthn.CreateAssertionResponse(rp, virtualwebauthn.NewAuthenticatorWithOptions(o), credential, virtualwebauthn.AssertionOptions{Challenge: raw, RelyingPartyID: rp.ID})
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		part := func(s string) []byte {
			b, err := base64.RawURLEncoding.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		return decision.Signature{
			Key: k.ID, Algorithm: decision.WebAuthn, Signature: part(got.Response.Signature),
			AuthenticatorData: part(got.Response.AuthenticatorData), ClientData: part(got.Response.ClientDataJSON),
		}
	}
	check := func(what string, s decision.Signature, target error) {
		t.Helper()
		_, err := set.Verify(decision.Signed{Decision: d, Signatures: []decision.Signature{s}}, noon)
		want(t, what, err, target)
	}
	check("good", answer(rp, virtualwebauthn.AuthenticatorOptions{}), nil)
	check("no verification", answer(rp, virtualwebauthn.AuthenticatorOptions{UserNotVerified: true}), decision.ErrNotVerified)
	check("phished", answer(virtualwebauthn.RelyingParty{ID: party, Origin: "https://demarc.example.evil.example"}, virtualwebauthn.AuthenticatorOptions{}), decision.ErrOrigin)
}

// FuzzAssertion gives the verifier what a browser might send.
func FuzzAssertion(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	k := passkey(f, private)
	set := decision.KeySet{Tenant: "t-1", Version: 1, Keys: []decision.Key{k}}
	d := policy("t-1", 1)
	s := assertion{party, 0x05, nil, client(f, d)}.sign(f, k, private)
	f.Add(s.AuthenticatorData, s.ClientData, s.Signature)
	f.Fuzz(func(t *testing.T, data, client, sig []byte) {
		_, err := set.Verify(decision.Signed{Decision: d, Signatures: []decision.Signature{{
			Key: k.ID, Algorithm: decision.WebAuthn, AuthenticatorData: data, ClientData: client, Signature: sig,
		}}}, noon)
		if err == nil && string(client) != string(s.ClientData) {
			t.Fatalf("client data %q counts", client)
		}
	})
}
