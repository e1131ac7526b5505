package console

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/demarc/demarc/api"
)

// joinPage accepts an invitation. Its secret is in the fragment of the link,
// which browsers send to nobody; the script puts it into the form.
type joinPage struct {
	// Step is "secret", "choose", or "go" with the address of an OpenID provider.
	Step, Error string
	Invitation  string
	Invited     api.Invited
	Login       string
	Providers   []api.SignInProvider
	URL         string
}

func (c *Console) joinForm(w http.ResponseWriter, r *http.Request) {
	c.render(c.visit(w, r), http.StatusOK, "join", "Join", joinPage{Step: "secret"})
}

// join is a step of accepting an invitation.
func (c *Console) join(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	if c.foreign(v) {
		return
	}
	form := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	page := joinPage{Step: "secret", Invitation: form("invitation"), Login: form("login")}
	var err error
	if page.Invited, err = v.client.Invited(v, api.InvitationSecret{Invitation: page.Invitation}); err != nil {
		c.refuseJoin(v, page, err)
		return
	}
	page.Step = "choose"
	if page.Invited.Tenant == "" {
		if methods, err := v.client.SignInMethods(v); err == nil {
			page.Providers = methods.Providers
		}
	}
	var in api.SignedIn
	switch form("step") {
	case "passkey":
		in, err = v.client.FinishJoinWithPasskey(v, api.JoinPasskey{Invitation: page.Invitation, Credential: jsonOrNull(r.PostFormValue("credential"))})
	case "password":
		in, err = v.client.JoinWithPassword(v, api.JoinPassword{Invitation: page.Invitation, Login: page.Login, Password: r.PostFormValue("password")})
	case "oidc":
		var to api.Redirection
		to, err = v.client.BeginProviderSignIn(v, api.ProviderJourney{Provider: form("provider"), Invitation: page.Invitation})
		page.URL = to.URL
		if err == nil {
			page.Step = "go"
			c.render(v, http.StatusOK, "join", "Join", page)
			return
		}
	default:
		c.render(v, http.StatusOK, "join", "Join", page)
		return
	}
	if err != nil {
		c.refuseJoin(v, page, err)
		return
	}
	http.Redirect(w, r, "/account?joined="+in.Next, http.StatusSeeOther)
}

func (c *Console) refuseJoin(v *visit, page joinPage, err error) {
	fault := describe(err)
	if fault.Status >= 500 {
		c.cfg.Log.ErrorContext(v, "console join failed", "error", err)
	}
	page.Error = sentence(orElse(fault.Why, fault.Title))
	for _, e := range fault.Errors {
		page.Error += " " + sentence(e.Message)
	}
	c.render(v, fault.Status, "join", "Join", page)
}

// beginJoin answers passkey.js with what the authenticator is asked.
func (c *Console) beginJoin(w http.ResponseWriter, r *http.Request) {
	v := c.visit(w, r)
	if c.foreign(v) {
		return
	}
	var in api.InvitationSecret
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		c.answerScript(v, nil, unprocessable("The invitation is missing", "Open the link that you were given once more."))
		return
	}
	o, err := v.client.BeginJoinWithPasskey(v, in)
	c.answerScript(v, o, err)
}
