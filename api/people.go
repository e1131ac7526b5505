package api

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// Person is somebody who signs in.
type Person struct {
	ID        string     `json:"id"`
	Name      string     `json:"name" doc:"empty once the person was removed"`
	Mail      string     `json:"mail,omitempty"`
	Role      string     `json:"role"`
	Tenant    string     `json:"tenant,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	RemovedAt *time.Time `json:"removed_at,omitempty" doc:"when the person was removed"`
	Methods   []string   `json:"methods" doc:"what the person signs in with: passkey, password, totp, oidc"`
	MFA       bool       `json:"mfa" doc:"whether the person can show a second factor"`
	SeenAt    *time.Time `json:"seen_at,omitempty"`
}

// NewInvitation invites somebody.
type NewInvitation struct {
	Name   string `json:"name" maxLength:"100"`
	Mail   string `json:"mail,omitempty" maxLength:"254"`
	Role   string `json:"role" enum:"provider-operator,provider-support,provider-security,provider-compliance,provider-administrator,provider-auditor,customer-owner,customer-administrator,customer-approver,customer-viewer,customer-auditor"`
	Tenant string `json:"tenant,omitempty" maxLength:"100" doc:"id or name; required for customer roles"`
}

// Invitation asks somebody to become a person of a side.
type Invitation struct {
	ID         string     `json:"id"`
	Name       string     `json:"name" doc:"empty once it was used or revoked"`
	Mail       string     `json:"mail,omitempty"`
	Role       string     `json:"role"`
	Tenant     string     `json:"tenant,omitempty"`
	FirstOwner bool       `json:"first_owner,omitempty" doc:"counts only while the tenant has no owner"`
	By         string     `json:"by"`
	CreatedAt  time.Time  `json:"created_at"`
	Expires    time.Time  `json:"expires"`
	UsedAt     *time.Time `json:"used_at,omitempty" doc:"when it was accepted"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	// Link is shown once, when it is made. Its fragment is the secret.
	Link string `json:"link,omitempty" doc:"for whom it invites; shown once, in the answer that makes it"`
}

// ChangeRole gives a person another role.
type ChangeRole struct {
	Role string `json:"role" enum:"provider-operator,provider-support,provider-security,provider-compliance,provider-administrator,provider-auditor,customer-owner,customer-administrator,customer-approver,customer-viewer,customer-auditor"`
}

// Account is what a person sees of itself.
type Account struct {
	Person         Person          `json:"person" doc:"the person itself"`
	Login          string          `json:"login,omitempty" doc:"sign-in name, where there is a password"`
	Authenticators []Authenticator `json:"authenticators" doc:"what the person signs in with"`
	RecoveryCodes  int             `json:"recovery_codes" doc:"how many are left"`
	RecoveryUntil  *time.Time      `json:"recovery_until,omitempty" doc:"until when they count"`
	Session        string          `json:"session,omitempty" doc:"id of the session that asks"`
	MFA            bool            `json:"mfa" doc:"whether this session has shown a second factor"`
	MustEnrol      bool            `json:"must_enrol" doc:"whether the session can do nothing until a second factor is added"`
}

// Authenticator is something that a person signs in with.
type Authenticator struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind" enum:"passkey,password,totp,oidc" doc:"which kind it is"`
	Label     string     `json:"label" doc:"how the person tells it from others"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at,omitempty" doc:"when it was last used"`
	// Passkey is what a customer's signing key is made of, where it is a passkey.
	Passkey *PasskeyKey `json:"passkey,omitempty" doc:"the key, where it is a passkey"`
}

// PasskeyKey is the public part of a passkey, as NewKey takes it.
type PasskeyKey struct {
	Public     []byte   `json:"public" doc:"base64 of PKIX, ASN.1 DER"`
	Credential []byte   `json:"credential" doc:"base64: id of the passkey"`
	RPID       string   `json:"rp_id" doc:"relying party of the passkey"`
	Origins    []string `json:"origins" doc:"pages that may ask the passkey"`
}

// NewPassword sets a password, or changes it. Other sessions end.
type NewPassword struct {
	Login    string `json:"login,omitempty" maxLength:"300" doc:"sign-in name; the present one, or the mail address, if missing"`
	Password string `json:"password" maxLength:"1024" doc:"12 to 256 characters"`
}

// TOTPSecret is what an authenticator app is given, RFC 6238.
type TOTPSecret struct {
	Secret string `json:"secret" doc:"base32"`
	URI    string `json:"uri" doc:"otpauth: URI, for a QR code"`
	QR     []byte `json:"qr" doc:"the URI as a QR code: PNG, in base64"`
}

// RecoveryCodes are shown once. Each signs in once in place of a second factor.
type RecoveryCodes struct {
	Codes []string `json:"codes" doc:"empty where none were made"`
}

// OwnSession is a console session of a person.
type OwnSession struct {
	ID              string    `json:"id"`
	Method          string    `json:"method" doc:"how it began"`
	Client          string    `json:"client" doc:"kind of browser"`
	MFA             bool      `json:"mfa" doc:"whether a second factor was shown"`
	Present         bool      `json:"present" doc:"whether it is the one that asks"`
	CreatedAt       time.Time `json:"created_at"`
	AuthenticatedAt time.Time `json:"authenticated_at" doc:"when the person last proved who it is"`
	SeenAt          time.Time `json:"seen_at"`
	Expires         time.Time `json:"expires"`
}

// NewToken asks for a token that acts for the person.
type NewToken struct {
	Name  string   `json:"name" maxLength:"100"`
	Scope []string `json:"scope,omitempty" maxItems:"50" doc:"actions that it is narrowed to; all that the role may do if missing"`
	Days  int      `json:"days,omitempty" minimum:"0" maximum:"90" doc:"until it expires; 30 if missing"`
	// Hours, if set, is used instead of Days.
	Hours int `json:"hours,omitempty" minimum:"0" maximum:"2160" doc:"until it expires, instead of days"`
}

// Token acts for a person.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scope     []string   `json:"scope,omitempty" doc:"actions that it is narrowed to; all that the role may do if missing"`
	MFA       bool       `json:"mfa" doc:"whether a second factor was shown by who made it"`
	CreatedAt time.Time  `json:"created_at"`
	Expires   time.Time  `json:"expires"`
	UsedAt    *time.Time `json:"used_at,omitempty" doc:"when it was last used, to the hour"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	// Token is shown once, when it is made.
	Token string `json:"token,omitempty"`
}

// IdentityProvider is an OpenID provider that people may sign in at.
type IdentityProvider struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Tenant    string    `json:"tenant,omitempty"`
	Issuer    string    `json:"issuer" doc:"its issuer URL (OpenID Connect Discovery 1.0)"`
	ClientID  string    `json:"client_id" doc:"of demarc, at the provider"`
	MFA       []string  `json:"mfa" doc:"values of amr or acr that stand for a second factor"`
	Callback  string    `json:"callback" doc:"redirect URI to register at the provider"`
	CreatedAt time.Time `json:"created_at"`
}

// NewIdentityProvider adds an OpenID provider.
type NewIdentityProvider struct {
	Name         string   `json:"name" maxLength:"100"`
	Tenant       string   `json:"tenant,omitempty" maxLength:"100" doc:"id or name; missing for the provider's own people"`
	Issuer       string   `json:"issuer" maxLength:"500" doc:"its issuer URL (OpenID Connect Discovery 1.0)"`
	ClientID     string   `json:"client_id" maxLength:"300" doc:"of demarc, at the provider"`
	ClientSecret string   `json:"client_secret,omitempty" maxLength:"500" doc:"kept sealed, and never shown"`
	MFA          []string `json:"mfa,omitempty" maxItems:"20" doc:"values of amr or acr that stand for a second factor"`
}

func ofTenant(tenant string) url.Values {
	if tenant == "" {
		return nil
	}
	return url.Values{"tenant": {tenant}}
}

// People lists the people of a tenant; of the caller's own side if it is empty.
func (c *Client) People(ctx context.Context, tenant string) iter.Seq2[Person, error] {
	return list[Person](ctx, c, ofTenant(tenant), "v1", "people")
}

// Invitations lists the invitations to a tenant; to the caller's own side if
// it is empty.
func (c *Client) Invitations(ctx context.Context, tenant string) iter.Seq2[Invitation, error] {
	return list[Invitation](ctx, c, ofTenant(tenant), "v1", "people", "invitations")
}

// Invite makes an invitation. Its link is shown once.
func (c *Client) Invite(ctx context.Context, in NewInvitation) (Invitation, error) {
	return post[Invitation](ctx, c, in, "v1", "people", "invitations")
}

// RevokeInvitation ends an invitation that was not used.
func (c *Client) RevokeInvitation(ctx context.Context, id string) (Invitation, error) {
	return post[Invitation](ctx, c, nil, "v1", "people", "invitations", id, "revoke")
}

// RemovePerson ends a person with its sessions and tokens.
func (c *Client) RemovePerson(ctx context.Context, id string) (Person, error) {
	return post[Person](ctx, c, nil, "v1", "people", id, "remove")
}

// ChangeRole gives a person another role of its side.
func (c *Client) ChangeRole(ctx context.Context, id string, in ChangeRole) (Person, error) {
	return post[Person](ctx, c, in, "v1", "people", id, "role")
}

// Account reads the account of the person who asks.
func (c *Client) Account(ctx context.Context) (Account, error) {
	return get[Account](ctx, c, nil, "v1", "account")
}

// BeginPasskey asks for a challenge to make another passkey with.
func (c *Client) BeginPasskey(ctx context.Context) (PasskeyOptions, error) {
	return post[PasskeyOptions](ctx, c, nil, "v1", "account", "passkeys", "begin")
}

// FinishPasskey adds the passkey made.
func (c *Client) FinishPasskey(ctx context.Context, in PasskeyAnswer) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "account", "passkeys", "finish"}, body: in}, nil)
}

// SetPassword sets a password, or changes it.
func (c *Client) SetPassword(ctx context.Context, in NewPassword) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "account", "password"}, body: in}, nil)
}

// BeginTOTP makes a secret for an authenticator app.
func (c *Client) BeginTOTP(ctx context.Context) (TOTPSecret, error) {
	return post[TOTPSecret](ctx, c, nil, "v1", "account", "totp", "begin")
}

// FinishTOTP makes the secret count, given its first code.
func (c *Client) FinishTOTP(ctx context.Context, in SecondFactor) (RecoveryCodes, error) {
	return post[RecoveryCodes](ctx, c, in, "v1", "account", "totp", "finish")
}

// RenewRecoveryCodes replaces the recovery codes.
func (c *Client) RenewRecoveryCodes(ctx context.Context) (RecoveryCodes, error) {
	return post[RecoveryCodes](ctx, c, nil, "v1", "account", "recovery-codes")
}

// RemoveAuthenticator removes something that the person signs in with.
func (c *Client) RemoveAuthenticator(ctx context.Context, id string) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "account", "authenticators", id, "remove"}}, nil)
}

// OwnSessions lists the person's sessions.
func (c *Client) OwnSessions(ctx context.Context) iter.Seq2[OwnSession, error] {
	return list[OwnSession](ctx, c, nil, "v1", "account", "sessions")
}

// EndSession ends one of the person's sessions.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "account", "sessions", id, "end"}}, nil)
}

// SignOutEverywhere ends all sessions and tokens of the person.
func (c *Client) SignOutEverywhere(ctx context.Context) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "account", "sign-out-everywhere"}}, nil)
}

// Tokens lists the person's tokens.
func (c *Client) Tokens(ctx context.Context) iter.Seq2[Token, error] {
	return list[Token](ctx, c, nil, "v1", "account", "tokens")
}

// AddToken makes a token that acts for the person.
func (c *Client) AddToken(ctx context.Context, in NewToken) (Token, error) {
	return post[Token](ctx, c, in, "v1", "account", "tokens")
}

// RevokeToken ends one of the person's tokens.
func (c *Client) RevokeToken(ctx context.Context, id string) (Token, error) {
	return post[Token](ctx, c, nil, "v1", "account", "tokens", id, "revoke")
}

// IdentityProviders lists the OpenID providers of a tenant; of the caller's own
// side if it is empty.
func (c *Client) IdentityProviders(ctx context.Context, tenant string) iter.Seq2[IdentityProvider, error] {
	return list[IdentityProvider](ctx, c, ofTenant(tenant), "v1", "identity-providers")
}

// AddIdentityProvider adds an OpenID provider.
func (c *Client) AddIdentityProvider(ctx context.Context, in NewIdentityProvider) (IdentityProvider, error) {
	return post[IdentityProvider](ctx, c, in, "v1", "identity-providers")
}

// RemoveIdentityProvider removes an OpenID provider; who signs in with nothing
// else cannot any more.
func (c *Client) RemoveIdentityProvider(ctx context.Context, id string) error {
	return c.do(ctx, call{method: "POST", segments: []string{"v1", "identity-providers", id, "remove"}}, nil)
}
