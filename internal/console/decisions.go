package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// pastDecisions is how many decided ones the list shows.
const pastDecisions = 100

// decisionsPage lists what the customer signs, and has signed.
type decisionsPage struct {
	Tenant        string
	Pending, Past []decisionLine
	More          bool
	// Keys is how many keys can sign.
	Keys    int
	MayKeys bool
}

// decisionLine is a decision in words.
type decisionLine struct {
	api.Decision
	Title, Summary string
	// By is the name of who proposed it.
	By            string
	Given, Needed int
}

func decisionOf(d api.Decision, names map[string]string) decisionLine {
	l := decisionLine{Decision: d, By: actor(d.ProposedBy, names), Given: len(d.Signatures), Needed: max(d.Needs, 1)}
	l.Title, l.Summary = decisionTitle(d, names)
	return l
}

func (c *Console) decisions(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	page := decisionsPage{Tenant: t.Name, MayKeys: v.may("manage-keys", t)}
	names, err := knownNames(v)
	if err != nil {
		return err
	}
	keys, err := v.client.Keys(v, t.Name)
	if err != nil {
		return err
	}
	page.Keys = len(keys.Keys)
	for d, err := range v.client.Decisions(v, t.Name, "pending") {
		if err != nil {
			return err
		}
		page.Pending = append(page.Pending, decisionOf(d, names))
	}
	// They come oldest first, and the newest are shown.
	for d, err := range v.client.Decisions(v, t.Name, "") {
		if err != nil {
			return err
		}
		if d.State == "pending" {
			continue
		}
		if page.More = page.More || len(page.Past) == pastDecisions; page.More {
			page.Past = page.Past[1:]
		}
		page.Past = append(page.Past, decisionOf(d, names))
	}
	slices.Reverse(page.Past)
	c.render(v, http.StatusOK, "decisions", "Decisions", page)
	return nil
}

// decisionPage is one decision: what is signed, in words and exactly.
type decisionPage struct {
	Tenant    string
	Decision  decisionLine
	Words     []wordLine
	Quote     string
	Canonical string
	// Options are the request options of WebAuthn, as JSON; empty where the
	// visitor holds no passkey that counts and belongs to this address.
	Options              string
	MaySign, MayWithdraw bool
	Signatures           []givenSignature
	Problem              *problemPage
}

type givenSignature struct {
	api.DecisionSignature
	By, KeyName string
}

func (c *Console) decisionPage(v *visit) (*decisionPage, api.KeySet, error) {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return nil, api.KeySet{}, err
	}
	d, err := v.client.Decision(v, t.Name, v.r.PathValue("decision"))
	if err != nil {
		return nil, api.KeySet{}, err
	}
	keys, err := v.client.Keys(v, t.Name)
	if err != nil {
		return nil, keys, err
	}
	names, err := knownNames(v)
	if err != nil {
		return nil, keys, err
	}
	page := &decisionPage{Tenant: t.Name, Decision: decisionOf(d, names), Canonical: string(d.Canonical)}
	page.Words, page.Quote = inWords(d, names)
	page.MaySign = v.may("sign-decision", t)
	page.MayWithdraw = page.MaySign
	for _, s := range d.Signatures {
		g := givenSignature{DecisionSignature: s, By: actor(s.By, names), KeyName: "key"}
		for _, k := range append(keys.Keys, keys.Recovery...) {
			if k.ID == s.Key {
				g.KeyName = orElse(k.Name, "key")
			}
		}
		page.Signatures = append(page.Signatures, g)
	}
	if page.MaySign && d.State == "pending" {
		page.Options = signOptions(d, keys, v.me.ID, v.host())
	}
	return page, keys, nil
}

// host is the name that the visitor reaches the console by.
func (v *visit) host() string {
	if h, _, err := net.SplitHostPort(v.r.Host); err == nil {
		return h
	}
	return v.r.Host
}

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

func (c *Console) decision(v *visit) error {
	page, _, err := c.decisionPage(v)
	if err != nil {
		return err
	}
	c.render(v, http.StatusOK, "decision", page.Decision.Title, page)
	return nil
}

// decide signs a decision with what the passkey answered, or withdraws it.
func (c *Console) decide(v *visit) error {
	page, keys, err := c.decisionPage(v)
	if err != nil {
		return err
	}
	d := page.Decision
	switch form := v.r.PostForm; form.Get("do") {
	case "withdraw":
		_, err = v.client.WithdrawDecision(v, page.Tenant, d.ID)
	case "sign":
		var s api.NewSignature
		if s, err = assertionSignature(form.Get("credential"), keys); err == nil {
			_, err = v.client.SignDecision(v, page.Tenant, d.ID, s)
		}
	default:
		err = unknownForm
	}
	if err == nil {
		return c.decided(v, page.Tenant, d.Decision)
	}
	return c.again(v, err, "decision", d.Title, func(p *problemPage) any { page.Problem = p; return page })
}

// decided leads back to what the decision was about.
func (c *Console) decided(v *visit, tenant string, d api.Decision) error {
	to := pathOf("tenants", tenant, "decisions", d.ID)
	if id, ok := strings.CutPrefix(d.Subject, "grant/"); ok && d.Kind == "access-approval" {
		to = pathOf("tenants", tenant, "access", id)
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

var unknownForm = &api.Problem{Status: http.StatusBadRequest, Title: "The form is not known", Detail: "It says nothing that this page does."}

// again shows a page once more with why a form failed. What is not the
// visitor's fault goes on as it is.
func (c *Console) again(v *visit, err error, name, title string, body func(*problemPage) any) error {
	if s := status(err); s == http.StatusUnauthorized || s >= 500 && s != http.StatusServiceUnavailable {
		return err
	}
	fault := describe(err)
	c.render(v, fault.Status, name, title, body(&fault))
	return nil
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

func momentWord(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }
