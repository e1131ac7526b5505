package console

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

// accountPage is what somebody who is signed in does about itself.
type accountPage struct {
	Name, Role, TenantName string
	// Person: somebody who signs in. Setup: the first start's credential.
	Person, Setup       bool
	NeedsMFA, MustEnrol bool
	Login               string
	HasPassword         bool
	Authenticators      []authenticatorLine
	RecoveryLeft        int
	Sessions            []api.OwnSession
	Tokens              []api.Token
	Actions             []string
	TokenForm           tokenForm

	// Codes, Token and TOTP are shown once.
	Codes []string
	Token *api.Token
	TOTP  *totpPart

	Done    string
	Problem *problemPage
}

type authenticatorLine struct {
	api.Authenticator
	Title string
}

type tokenForm struct {
	Name, Days string
	Open       bool
}

// totpPart is what an authenticator app is given.
type totpPart struct {
	Key string
	QR  template.URL
}

var meansWords = map[string]string{"passkey": "Passkey", "password": "Password", "totp": "Authenticator app", "oidc": "Identity provider"}

// joinedWords greet who has just joined.
var joinedWords = map[string]string{
	api.NextDone: "You have joined. Make recovery codes now, and add a second passkey: whoever loses the only one is locked out.",
}

func (c *Console) accountPage(v *visit) (*accountPage, error) {
	page := &accountPage{Name: v.me.Name, Role: v.me.Role, Actions: actionsOf(v.me.Role), TokenForm: tokenForm{Days: "30"}, NeedsMFA: v.ofProvider()}
	a, err := v.client.Account(v)
	if status(err) == http.StatusNotFound {
		page.Setup = v.ofProvider()
		return page, nil
	}
	if err != nil {
		return nil, err
	}
	page.Person, page.MustEnrol, page.Login, page.RecoveryLeft = true, a.MustEnrol, a.Login, a.RecoveryCodes
	page.Name = orElse(a.Person.Name, page.Name)
	for _, x := range a.Authenticators {
		page.HasPassword = page.HasPassword || x.Kind == "password"
		page.Authenticators = append(page.Authenticators, authenticatorLine{x, orElse(meansWords[x.Kind], x.Kind)})
	}
	if v.me.Tenant != "" {
		t, err := v.client.Tenant(v, v.me.Tenant)
		if err != nil && !absent(err) {
			return nil, err
		}
		page.TenantName = t.Name
	}
	if page.Sessions, err = api.Collect(v.client.OwnSessions(v)); err != nil {
		return nil, err
	}
	slices.SortStableFunc(page.Sessions, func(a, b api.OwnSession) int { return b.SeenAt.Compare(a.SeenAt) })
	all, err := api.Collect(v.client.Tokens(v))
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.RevokedAt == nil && t.Expires.After(c.cfg.Now()) {
			page.Tokens = append(page.Tokens, t)
		}
	}
	return page, nil
}

func (c *Console) account(v *visit) error {
	page, err := c.accountPage(v)
	if err != nil {
		return err
	}
	page.Done = joinedWords[v.r.URL.Query().Get("joined")]
	c.render(v, http.StatusOK, "account", "Account", page)
	return nil
}

// beginAnother answers passkey.js with what the authenticator is asked.
func (c *Console) beginAnother(v *visit) error {
	o, err := v.client.BeginPasskey(v)
	c.answerScript(v, o, err)
	return nil
}

// accountActs are the forms that lead back to the page.
var accountActs = map[string]func(v *visit, form func(string) string) (done string, err error){
	"add-passkey": func(v *visit, form func(string) string) (string, error) {
		return "The passkey is added.", v.client.FinishPasskey(v, api.PasskeyAnswer{Credential: jsonOrNull(form("credential")), Label: form("label")})
	},
	"remove-authenticator": func(v *visit, form func(string) string) (string, error) {
		return "It is removed.", v.client.RemoveAuthenticator(v, form("id"))
	},
	"password": func(v *visit, form func(string) string) (string, error) {
		return "The password is kept. Other sessions have ended.", v.client.SetPassword(v, api.NewPassword{Login: form("login"), Password: v.r.PostForm.Get("new")})
	},
	"end-session": func(v *visit, form func(string) string) (string, error) {
		return "The session has ended.", v.client.EndSession(v, form("id"))
	},
	"revoke-token": func(v *visit, form func(string) string) (string, error) {
		_, err := v.client.RevokeToken(v, form("id"))
		return "The token is revoked.", err
	},
}

// changeAccount does what a form of the page says, and shows the page as it is
// then, because some of what it shows is shown once.
func (c *Console) changeAccount(v *visit) error {
	form := func(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }
	var done accountPage
	var err error
	switch do := form("do"); do {
	case "sign-out-everywhere":
		if err = v.client.SignOutEverywhere(v); err == nil {
			c.forget(v.w)
			http.Redirect(v.w, v.r, "/login", http.StatusSeeOther)
			return nil
		}
	case "begin-totp":
		var s api.TOTPSecret
		if s, err = v.client.BeginTOTP(v); err == nil {
			done.TOTP = &totpPart{Key: groups(s.Secret), QR: picture(s.QR)}
		}
	case "confirm-totp":
		var codes api.RecoveryCodes
		if codes, err = v.client.FinishTOTP(v, api.SecondFactor{Code: strings.ReplaceAll(form("code"), " ", "")}); err == nil {
			done.Codes, done.Done = codes.Codes, "The authenticator app is added."
		}
	case "recovery-codes":
		var codes api.RecoveryCodes
		codes, err = v.client.RenewRecoveryCodes(v)
		done.Codes = codes.Codes
	case "make-token":
		done.TokenForm, done.Token, err = v.makeToken(form)
	default:
		act := accountActs[do]
		if act == nil {
			return unknownForm
		}
		if done.Done, err = act(v, form); err == nil && do != "add-passkey" {
			http.Redirect(v.w, v.r, "/account", http.StatusSeeOther)
			return nil
		}
	}
	return c.accountAfter(v, done, err)
}

func (v *visit) makeToken(form func(string) string) (tokenForm, *api.Token, error) {
	f := tokenForm{Name: form("name"), Days: form("days"), Open: true}
	days, err := wholeNumber(f.Days)
	if err != nil {
		return f, nil, err
	}
	t, err := v.client.AddToken(v, api.NewToken{Name: f.Name, Days: int(days), Scope: append([]string{"look"}, v.r.PostForm["scope"]...)})
	if err != nil {
		return f, nil, err
	}
	return tokenForm{Days: "30"}, &t, nil
}

// accountAfter shows the page after a form, with its fault if there is one. The
// session may have another secret now, which the browser's next request sends;
// the page itself is read with the new one.
func (c *Console) accountAfter(v *visit, done accountPage, fault error) error {
	var p *api.Problem
	if errors.As(fault, &p) && p.Status == http.StatusUnauthorized {
		// The session stands, so what is not accepted is a code or a passkey.
		fault = unprocessable("This is not accepted", sentence(p.Detail))
	}
	page, err := c.accountPage(v)
	if err != nil {
		return err
	}
	page.Codes, page.Token, page.TOTP, page.Done = done.Codes, done.Token, done.TOTP, done.Done
	if done.TokenForm.Days != "" {
		page.TokenForm = done.TokenForm
	}
	if fault == nil {
		c.render(v, http.StatusOK, "account", "Account", page)
		return nil
	}
	return c.again(v, fault, "account", "Account", func(p *problemPage) any { page.Problem, page.Done = p, ""; return page })
}

// groups puts a space after every four characters.
func groups(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// picture lets a PNG (ISO/IEC 15948) into a page; anything else is left out.
func picture(raw []byte) template.URL {
	if !bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1a\n")) {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(raw))
}
