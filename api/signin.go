package api

import (
	"context"
	"encoding/json"
	"time"
)

// SignInMethods is how people can sign in at this address.
type SignInMethods struct {
	Passkeys  bool             `json:"passkeys" doc:"whether passkeys can be used"`
	Providers []SignInProvider `json:"providers" doc:"OpenID providers of the provider's own people"`
}

// SignInProvider is an OpenID provider that people sign in at.
type SignInProvider struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PasskeyOptions is what a browser's navigator.credentials is given.
type PasskeyOptions struct {
	Options json.RawMessage `json:"options" doc:"PublicKeyCredentialRequestOptionsJSON or PublicKeyCredentialCreationOptionsJSON of WebAuthn Level 3"`
}

// PasskeyAnswer is what navigator.credentials gave.
type PasskeyAnswer struct {
	Credential json.RawMessage `json:"credential" doc:"the PublicKeyCredential's toJSON()"`
	Label      string          `json:"label,omitempty" maxLength:"100" doc:"how the person tells a new passkey from others"`
}

// PasswordSignIn signs in with a password.
type PasswordSignIn struct {
	Login    string `json:"login" maxLength:"300" doc:"sign-in name; the mail address unless another was chosen"`
	Password string `json:"password" maxLength:"1024" doc:"in clear; it is not kept"`
}

// SecondFactor is the second step after a password.
type SecondFactor struct {
	Code string `json:"code" maxLength:"40" doc:"of the authenticator app, or a recovery code"`
}

// What is next after a step of signing in.
const (
	NextDone         = "done"
	NextSecondFactor = "second-factor"
	NextEnrol        = "enrol"
)

// SignedIn is how a sign-in went on. The session is in the cookie that came
// with it.
type SignedIn struct {
	Next      string     `json:"next" enum:"done,second-factor,enrol" doc:"done; second-factor: send a code to /v1/sign-in/totp or /v1/sign-in/recovery; enrol: the session can do nothing but add a passkey or an authenticator app"`
	Principal *Principal `json:"principal,omitempty" doc:"who signed in; missing before the second factor"`
}

// InvitationSecret is the fragment of an invitation's link.
type InvitationSecret struct {
	Invitation string `json:"invitation" maxLength:"100" doc:"what follows # in the invitation's link"`
}

// Invited is what an invitation says to whom it invites.
type Invited struct {
	Name       string    `json:"name"`
	Mail       string    `json:"mail,omitempty"`
	Role       string    `json:"role"`
	Tenant     string    `json:"tenant,omitempty"`
	TenantName string    `json:"tenant_name,omitempty" doc:"name of the tenant"`
	NeedsMFA   bool      `json:"needs_mfa" doc:"whether the role needs a second factor"`
	Expires    time.Time `json:"expires"`
}

// JoinPassword accepts an invitation with a password.
type JoinPassword struct {
	Invitation string `json:"invitation" maxLength:"100" doc:"what follows # in the invitation's link"`
	Login      string `json:"login,omitempty" maxLength:"300" doc:"sign-in name; the invitation's mail address if missing"`
	Password   string `json:"password" maxLength:"1024" doc:"12 to 256 characters"`
}

// JoinPasskey accepts an invitation with a passkey.
type JoinPasskey struct {
	Invitation string          `json:"invitation" maxLength:"100" doc:"what follows # in the invitation's link"`
	Credential json.RawMessage `json:"credential" doc:"the PublicKeyCredential's toJSON()"`
	Label      string          `json:"label,omitempty" maxLength:"100" doc:"how the person tells a new passkey from others"`
}

// ProviderJourney is a sign-in at an OpenID provider that begins.
type ProviderJourney struct {
	Provider   string `json:"provider" maxLength:"100" doc:"id of the identity provider"`
	Return     string `json:"return,omitempty" maxLength:"1000" doc:"path of the console to go to afterwards"`
	Invitation string `json:"invitation,omitempty" maxLength:"100" doc:"accepts this invitation"`
}

// Redirection is where the browser goes next.
type Redirection struct {
	URL string `json:"url" doc:"where the browser goes next"`
}

// DeviceSignIn is a command line that asks to be signed in.
type DeviceSignIn struct {
	Client string    `json:"client" maxLength:"200" doc:"name and machine of the program, shown to the person"`
	Token  *NewToken `json:"token,omitempty" doc:"the token asked for; one of all that the person may do, for 12 hours, if missing"`
}

// DeviceWait is what a command line shows and asks with.
type DeviceWait struct {
	Device   string    `json:"device" doc:"secret of the command line, to ask with"`
	Code     string    `json:"code" doc:"shown to the person"`
	URL      string    `json:"url" doc:"where the person confirms it"`
	Interval int       `json:"interval" doc:"seconds between questions"`
	Expires  time.Time `json:"expires"`
}

// DeviceQuestion asks whether a command line was confirmed.
type DeviceQuestion struct {
	Device string `json:"device" maxLength:"100" doc:"secret of the command line, to ask with"`
}

// DeviceToken is the answer to a command line: pending, or a token.
type DeviceToken struct {
	State   string     `json:"state" enum:"pending,confirmed"`
	Token   string     `json:"token,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// DeviceCode names a waiting command line.
type DeviceCode struct {
	Code string `json:"code" maxLength:"40" doc:"shown to the person"`
}

// DeviceWaiting is a command line that waits to be confirmed.
type DeviceWaiting struct {
	Code      string    `json:"code" doc:"shown to the person"`
	Client    string    `json:"client" doc:"what the program says of itself"`
	Name      string    `json:"name" doc:"of the token that it asks for"`
	Scope     []string  `json:"scope,omitempty" doc:"actions that the token is narrowed to; all that the role may do if missing"`
	Hours     int       `json:"hours" doc:"that the token counts"`
	CreatedAt time.Time `json:"created_at"`
	Expires   time.Time `json:"expires"`
}

// DeviceAnswer confirms or refuses a waiting command line.
type DeviceAnswer struct {
	Code    string `json:"code" maxLength:"40" doc:"shown to the person"`
	Confirm bool   `json:"confirm" doc:"false refuses"`
}

// SignInMethods lists how people can sign in. It needs no token.
func (c *Client) SignInMethods(ctx context.Context) (SignInMethods, error) {
	return get[SignInMethods](ctx, c, nil, "v1", "sign-in")
}

// BeginPasskeySignIn asks for a challenge. The cookie that comes with the
// answer belongs to it, so the client's HTTP needs a cookie jar.
func (c *Client) BeginPasskeySignIn(ctx context.Context) (PasskeyOptions, error) {
	return post[PasskeyOptions](ctx, c, nil, "v1", "sign-in", "passkey", "begin")
}

// FinishPasskeySignIn answers the challenge.
func (c *Client) FinishPasskeySignIn(ctx context.Context, in PasskeyAnswer) (SignedIn, error) {
	return post[SignedIn](ctx, c, in, "v1", "sign-in", "passkey", "finish")
}

// SignInWithPassword is the first step of signing in with a password.
func (c *Client) SignInWithPassword(ctx context.Context, in PasswordSignIn) (SignedIn, error) {
	return post[SignedIn](ctx, c, in, "v1", "sign-in", "password")
}

// SignInWithTOTP is the second step, with an authenticator app.
func (c *Client) SignInWithTOTP(ctx context.Context, in SecondFactor) (SignedIn, error) {
	return post[SignedIn](ctx, c, in, "v1", "sign-in", "totp")
}

// SignInWithRecoveryCode is the second step for who has lost the second factor.
func (c *Client) SignInWithRecoveryCode(ctx context.Context, in SecondFactor) (SignedIn, error) {
	return post[SignedIn](ctx, c, in, "v1", "sign-in", "recovery")
}

// BeginProviderSignIn begins a sign-in at an OpenID provider.
func (c *Client) BeginProviderSignIn(ctx context.Context, in ProviderJourney) (Redirection, error) {
	return post[Redirection](ctx, c, in, "v1", "sign-in", "oidc", "begin")
}

// SignOut ends the session.
func (c *Client) SignOut(ctx context.Context) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "sign-out"}}, nil)
}

// Invited reads the invitation of a secret. It needs no token.
func (c *Client) Invited(ctx context.Context, in InvitationSecret) (Invited, error) {
	return post[Invited](ctx, c, in, "v1", "join", "look")
}

// JoinWithPassword accepts an invitation with a password.
func (c *Client) JoinWithPassword(ctx context.Context, in JoinPassword) (SignedIn, error) {
	return post[SignedIn](ctx, c, in, "v1", "join", "password")
}

// BeginJoinWithPasskey asks for a challenge to make a passkey with.
func (c *Client) BeginJoinWithPasskey(ctx context.Context, in InvitationSecret) (PasskeyOptions, error) {
	return post[PasskeyOptions](ctx, c, in, "v1", "join", "passkey", "begin")
}

// FinishJoinWithPasskey accepts an invitation with the passkey made.
func (c *Client) FinishJoinWithPasskey(ctx context.Context, in JoinPasskey) (SignedIn, error) {
	return post[SignedIn](ctx, c, in, "v1", "join", "passkey", "finish")
}

// BeginDevice lets this program wait for a person to confirm it. It needs no
// token.
func (c *Client) BeginDevice(ctx context.Context, in DeviceSignIn) (DeviceWait, error) {
	return post[DeviceWait](ctx, c, in, "v1", "device", "begin")
}

// PollDevice asks whether it was confirmed.
func (c *Client) PollDevice(ctx context.Context, in DeviceQuestion) (DeviceToken, error) {
	return post[DeviceToken](ctx, c, in, "v1", "device", "poll")
}

// DeviceWaiting reads the command line that shows a code.
func (c *Client) DeviceWaiting(ctx context.Context, in DeviceCode) (DeviceWaiting, error) {
	return post[DeviceWaiting](ctx, c, in, "v1", "device", "look")
}

// AnswerDevice confirms or refuses the command line that shows a code.
func (c *Client) AnswerDevice(ctx context.Context, in DeviceAnswer) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "device", "confirm"}, body: in}, nil)
}
