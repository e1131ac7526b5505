package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

func (a *API) addSignIn() {
	ids := a.cfg.Identities
	addOpen(a, get("sign-in-methods", "/v1/sign-in", "How people can sign in"), func(c call, _ visitor, _ *struct{}) (*body[api.SignInMethods], error) {
		out := api.SignInMethods{Passkeys: ids.Site.RPID != "", Providers: []api.SignInProvider{}}
		ps, err := ids.IdentityProviders(c, "")
		for _, p := range ps {
			out.Providers = append(out.Providers, api.SignInProvider{ID: p.ID, Name: p.Name})
		}
		return plain(out, err)
	})
	addOpen(a, post("begin-passkey-sign-in", "/v1/sign-in/passkey/begin", "Ask for a challenge to sign in with a passkey"), func(c call, v visitor, _ *struct{}) (*cookied[api.PasskeyOptions], error) {
		return v.challenge(ids.BeginSignInWithPasskey(c))
	})
	addOpen(a, post("finish-passkey-sign-in", "/v1/sign-in/passkey/finish", "Sign in with a passkey"), func(c call, v visitor, in *struct{ Body api.PasskeyAnswer }) (*cookied[api.SignedIn], error) {
		return v.enter(ids.SignInWithPasskey(c, v.Visit, v.ceremony, in.Body.Credential))
	})
	addOpen(a, post("sign-in-with-password", "/v1/sign-in/password", "Sign in with a password: the first step where there is a second factor"), func(c call, v visitor, in *struct{ Body api.PasswordSignIn }) (*cookied[api.SignedIn], error) {
		return v.enter(ids.SignInWithPassword(c, v.Visit, in.Body.Login, in.Body.Password))
	})
	addOpen(a, post("sign-in-with-totp", "/v1/sign-in/totp", "The second step, with an authenticator app"), func(c call, v visitor, in *struct{ Body api.SecondFactor }) (*cookied[api.SignedIn], error) {
		return v.enter(ids.SignInWithTOTP(c, v.Visit, v.ceremony, in.Body.Code))
	})
	addOpen(a, post("sign-in-with-recovery-code", "/v1/sign-in/recovery", "The second step, with a recovery code"), func(c call, v visitor, in *struct{ Body api.SecondFactor }) (*cookied[api.SignedIn], error) {
		return v.enter(ids.SignInWithRecoveryCode(c, v.Visit, v.ceremony, in.Body.Code))
	})
	add(a, self, quiet(post("sign-out", "/v1/sign-out", "End this session")), func(c call, _ *struct{}) (*cookies, error) {
		v := visitorOf(c)
		if c.by.Session == "" {
			return nil, huma.Error409Conflict("a token is not signed out; revoke it instead")
		}
		return onlyCookies(v.sessionCookie("")), ids.SignOut(c, v.session)
	})
}

func (a *API) addJoin() {
	ids := a.cfg.Identities
	addOpen(a, post("look-at-invitation", "/v1/join/look", "What an invitation says"), func(c call, _ visitor, in *struct{ Body api.InvitationSecret }) (*body[api.Invited], error) {
		i, err := ids.Invited(c, in.Body.Invitation)
		if err != nil {
			return nil, err
		}
		out := api.Invited{Name: i.Name, Mail: i.Mail, Role: string(i.Role), Tenant: i.Tenant, NeedsMFA: i.Role.Side() == access.ProviderSide, Expires: i.Expires}
		if i.Tenant != "" {
			err = a.cfg.Store.Read(c, func(tx *store.Tx) error {
				t, err := tx.Tenant(i.Tenant)
				out.TenantName = t.Name
				return err
			})
		}
		return plain(out, err)
	})
	addOpen(a, post("join-with-password", "/v1/join/password", "Accept an invitation with a password"), func(c call, v visitor, in *struct{ Body api.JoinPassword }) (*cookied[api.SignedIn], error) {
		return v.enter(ids.JoinWithPassword(c, v.Visit, in.Body.Invitation, in.Body.Login, in.Body.Password))
	})
	addOpen(a, post("begin-join-with-passkey", "/v1/join/passkey/begin", "Ask for a challenge to accept an invitation with a passkey"), func(c call, v visitor, in *struct{ Body api.InvitationSecret }) (*cookied[api.PasskeyOptions], error) {
		return v.challenge(ids.BeginJoinWithPasskey(c, in.Body.Invitation))
	})
	addOpen(a, post("finish-join-with-passkey", "/v1/join/passkey/finish", "Accept an invitation with a passkey"), func(c call, v visitor, in *struct{ Body api.JoinPasskey }) (*cookied[api.SignedIn], error) {
		return v.enter(ids.JoinWithPasskey(c, v.Visit, in.Body.Invitation, v.ceremony, in.Body.Credential, in.Body.Label))
	})
}

func (a *API) addDevices() {
	ids := a.cfg.Identities
	addOpen(a, post("begin-device-sign-in", "/v1/device/begin", "Let a command line wait for a person to confirm it (as RFC 8628)"), func(c call, _ visitor, in *struct{ Body api.DeviceSignIn }) (*body[api.DeviceWait], error) {
		var w identity.Wanted
		if in.Body.Token != nil {
			w = wanted(*in.Body.Token)
		}
		d, secret, err := ids.BeginDevice(c, in.Body.Client, w)
		return plain(api.DeviceWait{
			Device: secret, Code: d.UserCode, URL: ids.Site.URL + "/device", Interval: int(identity.DeviceInterval.Seconds()), Expires: d.Expires,
		}, err)
	})
	addOpen(a, post("poll-device-sign-in", "/v1/device/poll", "Ask whether the command line was confirmed"), func(c call, _ visitor, in *struct{ Body api.DeviceQuestion }) (*body[api.DeviceToken], error) {
		t, token, err := ids.PollDevice(c, in.Body.Device)
		if errors.Is(err, identity.ErrDevicePending) {
			return plain(api.DeviceToken{State: "pending"}, nil)
		}
		return plain(api.DeviceToken{State: "confirmed", Token: token, Expires: &t.Expires}, err)
	})
	add(a, self, post("look-at-device", "/v1/device/look", "The command line that shows a code"), func(c call, in *struct{ Body api.DeviceCode }) (*body[api.DeviceWaiting], error) {
		d, err := ids.DeviceByCode(c, c.by, in.Body.Code)
		out := api.DeviceWaiting{Code: d.UserCode, Client: d.Client, Name: d.Name, Hours: int(d.Life.Hours()), CreatedAt: d.CreatedAt, Expires: d.Expires}
		for _, s := range d.Scope {
			out.Scope = append(out.Scope, string(s))
		}
		return plain(out, err)
	})
	add(a, self, quiet(post("confirm-device", "/v1/device/confirm", "Confirm or refuse the command line that shows a code")), func(c call, in *struct{ Body api.DeviceAnswer }) (*struct{}, error) {
		return nil, ids.AnswerDevice(c, c.by, in.Body.Code, in.Body.Confirm)
	})
}

// challenge answers with a challenge, and binds it to the browser.
func (v visitor) challenge(c identity.Challenge, err error) (*cookied[api.PasskeyOptions], error) {
	if err != nil {
		return nil, err
	}
	return withCookies(api.PasskeyOptions{Options: c.Options}, v.ceremonyCookie(c.Ceremony)), nil
}

// enter answers a step of signing in.
func (v visitor) enter(e identity.Entry, err error) (*cookied[api.SignedIn], error) {
	if err != nil {
		return nil, err
	}
	out := api.SignedIn{Next: api.NextDone}
	switch {
	case e.Secret == "":
		out.Next = api.NextSecondFactor
	case e.MustEnrol:
		out.Next = api.NextEnrol
	}
	if e.Secret != "" {
		out.Principal = &api.Principal{ID: e.Person.ID, Role: string(e.Person.Role), Tenant: e.Person.Tenant}
	}
	return withCookies(out, v.entered(e)...), nil
}

// signInProblem makes an error of sign-in into problem details; nil if it is
// none.
func (a *API) signInProblem(ctx context.Context, err error) error {
	var slowed *identity.Slowed
	switch {
	case errors.As(err, &slowed):
		return huma.ErrorWithHeaders(huma.NewError(http.StatusTooManyRequests, slowed.Error()),
			http.Header{"Retry-After": {strconv.Itoa(int(slowed.After.Seconds()) + 1)}})
	case errors.Is(err, identity.ErrNoFactor):
		return huma.Error403Forbidden(identity.ErrNoFactor.Error())
	case errors.Is(err, identity.ErrSignIn):
		// Why is for the log: it tells whoever tries too much.
		a.cfg.Log.InfoContext(ctx, "sign-in refused", "error", err)
		return huma.Error401Unauthorized(identity.ErrSignIn.Error())
	case errors.Is(err, identity.ErrCeremony):
		return huma.Error401Unauthorized(identity.ErrCeremony.Error())
	case errors.Is(err, identity.ErrInvitation):
		return huma.Error404NotFound(identity.ErrInvitation.Error())
	case errors.Is(err, identity.ErrDeviceRefused):
		return huma.Error404NotFound(identity.ErrDeviceRefused.Error())
	case errors.Is(err, identity.ErrAgain):
		return huma.Error403Forbidden(identity.ErrAgain.Error())
	case errors.Is(err, identity.ErrNoPasskeys):
		return huma.Error409Conflict(identity.ErrNoPasskeys.Error())
	case errors.Is(err, identity.ErrBusy):
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(identity.ErrBusy.Error()), http.Header{"Retry-After": {"2"}})
	}
	return nil
}
