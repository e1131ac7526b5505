package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// ErrNoPasskeys: the console is reached by an address, and passkeys need a name.
var ErrNoPasskeys = errors.New("passkeys need the console to be opened by a name: set --console-url")

// passkeyMost bounds the answer of a browser, in bytes.
const passkeyMost = 64 << 10

// rp is the relying party of the site: user verification is required, so that
// a passkey is two factors, and the credential is discoverable, so that nobody
// types a name. Attestation is not asked for: which maker's authenticator
// somebody uses is the person's choice.
func (i *Identities) rp() (*webauthn.WebAuthn, error) {
	if i.Site.RPID == "" {
		return nil, ErrNoPasskeys
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: i.Site.RPID, RPDisplayName: "demarc", RPOrigins: i.Site.Origins, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(), ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", i.Site.RPID, err)
	}
	return w, nil
}

// algorithms are those that signatures of customers are verified with too.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// user is a person as the library asks for it.
type user struct {
	handle []byte
	name   string
	keys   []webauthn.Credential
}

func (u *user) WebAuthnID() []byte                         { return u.handle }
func (u *user) WebAuthnName() string                       { return u.name }
func (u *user) WebAuthnDisplayName() string                { return u.name }
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.keys }

// passkeyData is what is sealed of a passkey.
type passkeyData struct {
	Label      string              `json:"label"`
	RPID       string              `json:"rp_id"`
	Credential webauthn.Credential `json:"credential"`
}

// Passkey is a passkey as a verifier of its signatures needs it.
type Passkey struct {
	// ID is the authenticator's here, Credential the browser's.
	ID         string
	Credential []byte
	Label      string
	// Public is the key as PKIX, ASN.1 DER.
	Public  []byte
	RPID    string
	Origins []string
}

// Passkeys returns the passkeys of a person.
func (i *Identities) Passkeys(tx *store.Tx, principal string) ([]Passkey, error) {
	all, err := tx.Authenticators(principal, kindPasskey)
	if err != nil {
		return nil, err
	}
	out := make([]Passkey, len(all))
	for n, a := range all {
		var d passkeyData
		if err := i.unseal("authenticator/"+a.ID, a.Sealed, &d); err != nil {
			return nil, err
		}
		der, err := pkixOf(d.Credential.PublicKey)
		if err != nil {
			return nil, err
		}
		out[n] = Passkey{ID: a.ID, Credential: d.Credential.ID, Label: d.Label, Public: der, RPID: d.RPID, Origins: i.Site.Origins}
	}
	return out, nil
}

// pkixOf makes a COSE key (RFC 9052) into PKIX.
func pkixOf(cose []byte) ([]byte, error) {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, fmt.Errorf("public key of a passkey: %w", err)
	}
	var public any
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		// SEC 1, section 2.3.3: the uncompressed point.
		if public, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, k.XCoord, k.YCoord)); err != nil {
			return nil, fmt.Errorf("public key of a passkey: %w", err)
		}
	case webauthncose.OKPPublicKeyData:
		public = ed25519.PublicKey(k.XCoord)
	case webauthncose.RSAPublicKeyData:
		public = &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: int(new(big.Int).SetBytes(k.Exponent).Int64())}
	default:
		return nil, errors.New("public key of a passkey: of no kind that is known here")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("public key of a passkey: %w", err)
	}
	return der, nil
}

// Challenge is what a browser is asked to sign, with what goes with the answer.
type Challenge struct {
	// Options are those of navigator.credentials.create or get, as JSON.
	Options  json.RawMessage
	Ceremony string
}

// registration is the making of a passkey that has begun.
type registration struct {
	Newcomer   newcomer
	Invitation string // digest of the invitation's secret; empty where a person adds a passkey
	Session    string // the session of the person that adds one
	Name       string
	Data       webauthn.SessionData
}

// BeginPasskey asks the browser of a signed-in person for another passkey.
func (i *Identities) BeginPasskey(ctx context.Context, by access.Principal) (c Challenge, err error) {
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		s, err := tx.Person(by.ID)
		if err != nil {
			return err
		}
		p, err := i.person(tx, s)
		if err != nil {
			return err
		}
		keys, err := i.credentials(tx, by.ID)
		if err != nil {
			return err
		}
		c, err = i.register(tx, registration{Newcomer: newcomer{by.ID, s.Handle}, Session: by.Session, Name: shown(p.Name, p.Mail)}, keys)
		return err
	})
	return c, err
}

// shown is how the browser tells people's passkeys apart.
func shown(name, mail string) string {
	if mail != "" {
		return mail
	}
	return name
}

// BeginJoinWithPasskey asks the browser of somebody invited for a passkey.
func (i *Identities) BeginJoinWithPasskey(ctx context.Context, invitation string) (c Challenge, err error) {
	v, err := i.Invited(ctx, invitation)
	if err != nil {
		return c, err
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		c, err = i.register(tx, registration{Newcomer: newNewcomer(), Invitation: hash(invitation), Name: shown(v.Name, v.Mail)}, nil)
		return err
	})
	return c, err
}

func (i *Identities) register(tx *store.Tx, r registration, have []webauthn.Credential) (c Challenge, err error) {
	w, err := i.rp()
	if err != nil {
		return c, err
	}
	handle, err := base64.RawURLEncoding.DecodeString(r.Newcomer.Handle)
	if err != nil {
		return c, fmt.Errorf("user handle: %w", err)
	}
	creation, data, err := w.BeginRegistration(&user{handle: handle, name: r.Name, keys: have},
		webauthn.WithExclusions(webauthn.Credentials(have).CredentialDescriptors()), webauthn.WithCredentialParameters(algorithms))
	if err != nil {
		return c, fmt.Errorf("begin a passkey: %w", err)
	}
	if c.Options, err = json.Marshal(creation.Response); err != nil {
		return c, err
	}
	r.Data = *data
	c.Ceremony, err = i.open(tx, "passkey-new", r)
	return c, err
}

// credentials are the passkeys of a person as the library keeps them.
func (i *Identities) credentials(tx *store.Tx, principal string) ([]webauthn.Credential, error) {
	all, err := tx.Authenticators(principal, kindPasskey)
	if err != nil {
		return nil, err
	}
	out := make([]webauthn.Credential, len(all))
	for n, a := range all {
		var d passkeyData
		if err := i.unseal("authenticator/"+a.ID, a.Sealed, &d); err != nil {
			return nil, err
		}
		out[n] = d.Credential
		out[n].Authenticator.SignCount = uint32(a.Counter)
	}
	return out, nil
}

// made verifies the browser's answer to register. The challenge is spent,
// whatever comes of it.
func (i *Identities) made(ctx context.Context, ceremony string, answer []byte) (r registration, c *webauthn.Credential, err error) {
	w, err := i.rp()
	if err != nil {
		return r, nil, err
	}
	if err := i.take(ctx, "passkey-new", ceremony, &r); err != nil {
		return r, nil, err
	}
	if len(answer) > passkeyMost {
		return r, nil, ErrSignIn
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return r, nil, fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	c, err = w.CreateCredential(&user{handle: r.Data.UserID, name: r.Name}, r.Data, parsed)
	if err != nil {
		return r, nil, fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	if _, err := pkixOf(c.PublicKey); err != nil {
		return r, nil, fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	// What was attested is not looked at, and not kept.
	c.Attestation = webauthn.CredentialAttestation{}
	return r, c, nil
}

func (i *Identities) putPasskey(tx *store.Tx, principal, label string, c *webauthn.Credential) error {
	if label == "" || len(label) > 100 {
		label = "Passkey"
	}
	a := store.Authenticator{
		ID: ident.New("a"), Principal: principal, Kind: kindPasskey, Lookup: base64.RawURLEncoding.EncodeToString(c.ID),
		Counter: int64(c.Authenticator.SignCount), CreatedAt: i.Now(),
	}
	var err error
	if a.Sealed, err = i.seal("authenticator/"+a.ID, passkeyData{label, i.Site.RPID, *c}); err != nil {
		return err
	}
	return tx.InsertAuthenticator(a)
}

// FinishPasskey adds the passkey that the browser made. The session gets
// another secret. label is how the person tells it from others.
func (i *Identities) FinishPasskey(ctx context.Context, by access.Principal, ceremony string, answer []byte, label string) (session string, err error) {
	r, c, err := i.made(ctx, ceremony, answer)
	if err != nil {
		return "", err
	}
	if r.Invitation != "" || r.Newcomer.ID != by.ID || r.Session != by.Session {
		return "", ErrCeremony
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := i.mayEnrol(tx, by); err != nil {
			return err
		}
		if err := i.putPasskey(tx, by.ID, label, c); err != nil {
			return err
		}
		session, err = i.enrolled(tx, by, "authenticator.add."+kindPasskey)
		return err
	})
	return session, err
}

// JoinWithPasskey accepts an invitation with the passkey that the browser made.
func (i *Identities) JoinWithPasskey(ctx context.Context, v Visit, invitation, ceremony string, answer []byte, label string) (e Entry, err error) {
	r, c, err := i.made(ctx, ceremony, answer)
	if err != nil {
		return e, err
	}
	if r.Invitation != hash(invitation) {
		return e, ErrCeremony
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		p, _, err := i.join(tx, invitation, r.Newcomer)
		if err != nil {
			return err
		}
		if err := i.putPasskey(tx, p.ID, label, c); err != nil {
			return err
		}
		e = Entry{Person: p, MFA: true}
		e.Person.MFA = true
		if e.Secret, _, err = i.begin(tx, p, byPasskey, true, v.Client); err != nil {
			return err
		}
		return i.settleIn(tx)
	})
	if err != nil {
		return Entry{}, err
	}
	e.Device, err = i.device(ctx, e.Person)
	return e, err
}

// BeginSignInWithPasskey asks the browser for a passkey of this site, whoever's
// it is.
func (i *Identities) BeginSignInWithPasskey(ctx context.Context) (c Challenge, err error) {
	w, err := i.rp()
	if err != nil {
		return c, err
	}
	assertion, data, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return c, fmt.Errorf("begin a sign-in: %w", err)
	}
	if c.Options, err = json.Marshal(assertion.Response); err != nil {
		return c, err
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		c.Ceremony, err = i.open(tx, "passkey", data)
		return err
	})
	return c, err
}

// SignInWithPasskey signs in with the browser's answer. A passkey cannot be
// guessed, so failures of others never slow it.
func (i *Identities) SignInWithPasskey(ctx context.Context, v Visit, ceremony string, answer []byte) (e Entry, err error) {
	w, err := i.rp()
	if err != nil {
		return e, err
	}
	var data webauthn.SessionData
	if err := i.take(ctx, "passkey", ceremony, &data); err != nil {
		return e, err
	}
	if len(answer) > passkeyMost {
		return e, ErrSignIn
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	var a store.Authenticator
	var person store.SealedPerson
	_, c, err := w.ValidatePasskeyLogin(func(id, handle []byte) (webauthn.User, error) {
		u := &user{handle: handle}
		err := i.Store.Read(ctx, func(tx *store.Tx) (err error) {
			if person, err = tx.PersonByHandle(base64.RawURLEncoding.EncodeToString(handle)); err != nil {
				return err
			}
			if a, err = tx.AuthenticatorBy(kindPasskey, base64.RawURLEncoding.EncodeToString(id)); err != nil {
				return err
			}
			if a.Principal != person.ID {
				return store.ErrNotFound
			}
			u.keys, err = i.credentials(tx, person.ID)
			return err
		})
		return u, err
	}, data, parsed)
	if err != nil || !i.stands(person.Credential) {
		return e, fmt.Errorf("%w: %w", ErrSignIn, errors.Join(err))
	}
	// A counter that does not rise means that there are two of the key
	// (WebAuthn Level 2, section 7.2, step 21).
	if c.Authenticator.CloneWarning {
		return e, errors.Join(ErrSignIn, i.Store.Write(ctx, func(tx *store.Tx) error {
			_, err := i.Ledger.Append(tx, ledger.Entry{Time: i.Now(), Tenant: person.Tenant, Actor: person.Actor(), Action: "passkey.counter-back", Subject: "person/" + person.ID})
			return err
		}))
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.AdvanceAuthenticator(a.ID, a.Counter, int64(c.Authenticator.SignCount), i.Now()); err != nil {
			return ErrSignIn // the same passkey, at the same time, elsewhere
		}
		p := person.Principal
		p.MFA = true
		e = Entry{Person: p, MFA: true}
		e.Secret, _, err = i.begin(tx, p, byPasskey, true, v.Client)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	e.Device, err = i.device(ctx, e.Person)
	return e, err
}
