package console

import (
	"net"
	"net/http"
	"slices"
	"strings"

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
