package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/access"
)

// PersonalToken is a person's API token.
type PersonalToken struct {
	ID, Principal, Name string
	SecretHash          string
	Scope               []access.Action
	MFA                 bool
	Authenticated       time.Time
	CreatedAt           time.Time
	Expires             time.Time
	Used, Revoked       *time.Time
}

type apiTokenRow struct {
	bun.BaseModel   `bun:"table:api_token"`
	ID              string `bun:",pk"`
	PrincipalID     string
	Name            string
	SecretHash      string
	Scope           *string
	MFA             int64 `bun:"mfa"`
	AuthenticatedAt int64
	CreatedAt       int64
	ExpiresAt       int64
	UsedAt          *int64
	RevokedAt       *int64
}

func (r apiTokenRow) token() (PersonalToken, error) {
	return PersonalToken{
		ID: r.ID, Principal: r.PrincipalID, Name: r.Name, SecretHash: r.SecretHash, Scope: scopeOf(r.Scope), MFA: r.MFA == 1, Authenticated: fromMicros(r.AuthenticatedAt),
		CreatedAt: fromMicros(r.CreatedAt), Expires: fromMicros(r.ExpiresAt), Used: fromMicrosPtr(r.UsedAt), Revoked: fromMicrosPtr(r.RevokedAt),
	}, nil
}

// scopeOf and scopeText convert the actions that something is narrowed to; nil
// is no narrowing, and not the same as none.
func scopeOf(text *string) []access.Action {
	if text == nil {
		return nil
	}
	out := []access.Action{}
	for _, a := range strings.Fields(*text) {
		out = append(out, access.Action(a))
	}
	return out
}

func scopeText(scope []access.Action) *string {
	if scope == nil {
		return nil
	}
	words := make([]string, len(scope))
	for i, a := range scope {
		words[i] = string(a)
	}
	all := strings.Join(words, " ")
	return &all
}

// InsertPersonalToken adds a token.
func (tx *Tx) InsertPersonalToken(t PersonalToken) error {
	return insert(tx, &apiTokenRow{
		ID: t.ID, PrincipalID: t.Principal, Name: t.Name, SecretHash: t.SecretHash, Scope: scopeText(t.Scope), MFA: bit(t.MFA),
		AuthenticatedAt: micros(t.Authenticated), CreatedAt: micros(t.CreatedAt), ExpiresAt: micros(t.Expires),
	}, "token")
}

// PersonalToken returns the token of that id.
func (tx *Tx) PersonalToken(id string) (PersonalToken, error) {
	var row apiTokenRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "token", id, apiTokenRow.token)
}

// PersonalTokens lists the tokens of a person, ended ones too.
func (tx *Tx) PersonalTokens(principal string, p Page) ([]PersonalToken, error) {
	return many(tx, p.apply(tx.db.NewSelect(), "id").Where("principal_id = ?", principal), "tokens", apiTokenRow.token)
}

// LongestProviderToken returns the longest life of the tokens of the provider's
// people that count at now; zero if there is none.
func (tx *Tx) LongestProviderToken(now time.Time) (time.Duration, error) {
	var longest sql.NullInt64
	err := tx.db.NewSelect().TableExpr("api_token AS t").Join("JOIN principal AS p ON p.id = t.principal_id").
		ColumnExpr("MAX(t.expires_at - t.created_at)").
		Where("p.tenant_id = '' AND p.revoked_at IS NULL AND t.revoked_at IS NULL AND t.expires_at > ?", micros(now)).Scan(tx.ctx, &longest)
	if err != nil {
		return 0, fmt.Errorf("look for the longest token: %w", err)
	}
	return time.Duration(longest.Int64) * time.Microsecond, nil
}

// RevokePersonalToken ends a person's token.
func (tx *Tx) RevokePersonalToken(principal, id string, now time.Time) error {
	res, err := tx.db.NewUpdate().Table("api_token").Set("revoked_at = ?", micros(now)).
		Where("principal_id = ? AND id = ? AND revoked_at IS NULL", principal, id).Exec(tx.ctx)
	return changed(res, err, "token", id)
}

// RevokePersonalTokens ends all tokens of a person.
func (tx *Tx) RevokePersonalTokens(principal string, now time.Time) error {
	return tx.exec("end tokens", "UPDATE api_token SET revoked_at = ? WHERE principal_id = ? AND revoked_at IS NULL", micros(now), principal)
}

// UsedPersonalToken notes when a token was last used.
func (tx *Tx) UsedPersonalToken(id string, now time.Time) error {
	return tx.exec("note the use of a token", "UPDATE api_token SET used_at = ? WHERE id = ?", micros(now), id)
}

// DeviceLogin is a command line that waits for a person to confirm it.
type DeviceLogin struct {
	SecretHash, UserCode string
	Client               string
	// Name, Scope and Life are those of the token that it asks for.
	Name               string
	Scope              []access.Action
	Life               time.Duration
	CreatedAt, Expires time.Time
	// State is pending, confirmed or refused.
	State         string
	Principal     string
	MFA           bool
	Authenticated time.Time
}

type deviceLoginRow struct {
	bun.BaseModel   `bun:"table:device_login"`
	SecretHash      string `bun:",pk"`
	UserCode        string
	Client          string
	TokenName       string
	TokenScope      *string
	TokenLife       int64
	CreatedAt       int64
	ExpiresAt       int64
	State           string
	PrincipalID     string
	MFA             int64 `bun:"mfa"`
	AuthenticatedAt int64
}

func (r deviceLoginRow) login() (DeviceLogin, error) {
	return DeviceLogin{
		SecretHash: r.SecretHash, UserCode: r.UserCode, Client: r.Client, Name: r.TokenName, Scope: scopeOf(r.TokenScope), Life: time.Duration(r.TokenLife) * time.Microsecond,
		CreatedAt: fromMicros(r.CreatedAt), Expires: fromMicros(r.ExpiresAt),
		State: r.State, Principal: r.PrincipalID, MFA: r.MFA == 1, Authenticated: fromMicros(r.AuthenticatedAt),
	}, nil
}

// InsertDeviceLogin adds a waiting command line; ErrConflict if the code is taken.
func (tx *Tx) InsertDeviceLogin(d DeviceLogin) error {
	return insert(tx, &deviceLoginRow{
		SecretHash: d.SecretHash, UserCode: d.UserCode, Client: d.Client, TokenName: d.Name, TokenScope: scopeText(d.Scope), TokenLife: d.Life.Microseconds(),
		CreatedAt: micros(d.CreatedAt), ExpiresAt: micros(d.Expires), State: d.State,
	}, "device sign-in")
}

// DeviceLogin returns the command line of that digest, DeviceLoginByCode the
// one that shows the code.
func (tx *Tx) DeviceLogin(hash string) (DeviceLogin, error) {
	var row deviceLoginRow
	return one(tx, tx.db.NewSelect().Where("secret_hash = ?", hash), &row, "device sign-in", "", deviceLoginRow.login)
}

// DeviceLoginByCode returns the command line that shows the code.
func (tx *Tx) DeviceLoginByCode(code string) (DeviceLogin, error) {
	var row deviceLoginRow
	return one(tx, tx.db.NewSelect().Where("user_code = ?", code), &row, "device sign-in", "", deviceLoginRow.login)
}

// AnswerDeviceLogin confirms or refuses a command line that waits.
func (tx *Tx) AnswerDeviceLogin(d DeviceLogin) error {
	res, err := tx.db.NewUpdate().Table("device_login").Set("state = ?", d.State).Set("principal_id = ?", d.Principal).Set("mfa = ?", bit(d.MFA)).
		Set("authenticated_at = ?", micros(d.Authenticated)).Where("secret_hash = ? AND state = ?", d.SecretHash, "pending").Exec(tx.ctx)
	return changed(res, err, "device sign-in", "")
}

// TakeDeviceLogin removes a command line; ErrConflict if another was faster.
func (tx *Tx) TakeDeviceLogin(hash string) error {
	res, err := tx.db.NewDelete().Table("device_login").Where("secret_hash = ?", hash).Exec(tx.ctx)
	return changed(res, err, "device sign-in", "")
}

// LockAttempts keeps other transactions from counting for the same until this
// one ends.
func (tx *Tx) LockAttempts(who []string) error {
	for _, w := range slices.Sorted(slices.Values(who)) { // in one order, so that none waits for the other
		err := tx.exec("lock failed sign-ins", "INSERT INTO attempt (who, failures, last_at) VALUES (?, 0, 0) ON CONFLICT (who) DO UPDATE SET who = EXCLUDED.who", w)
		if err != nil {
			return err
		}
	}
	return nil
}

// Attempts returns how often who failed to sign in, and when last.
func (tx *Tx) Attempts(who string) (failures int, last time.Time, err error) {
	var row struct {
		Failures int64
		LastAt   int64
	}
	err = tx.db.NewSelect().Table("attempt").Column("failures", "last_at").Where("who = ?", who).Scan(tx.ctx, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, last, nil
	}
	if err != nil {
		return 0, last, fmt.Errorf("read failed sign-ins: %w", err)
	}
	return int(row.Failures), fromMicros(row.LastAt), nil
}

// SetAttempts writes how often who failed; 0 forgets it.
func (tx *Tx) SetAttempts(who string, failures int, last time.Time) error {
	if failures <= 0 {
		return tx.exec("forget failed sign-ins", "DELETE FROM attempt WHERE who = ?", who)
	}
	return tx.exec("count failed sign-ins", "INSERT INTO attempt (who, failures, last_at) VALUES (?, ?, ?) ON CONFLICT (who) DO UPDATE SET failures = EXCLUDED.failures, last_at = EXCLUDED.last_at",
		who, failures, micros(last))
}

// IdentityProvider is an OpenID provider that people may sign in at.
type IdentityProvider struct {
	ID, Tenant, Name string
	Issuer, ClientID string
	Sealed           []byte
	// MFA are the values of amr or acr that stand for a second factor.
	MFA       []string
	CreatedAt time.Time
}

type identityProviderRow struct {
	bun.BaseModel `bun:"table:identity_provider"`
	ID            string `bun:",pk"`
	TenantID      string
	Name          string
	Issuer        string
	ClientID      string
	Sealed        []byte
	MFA           string `bun:"mfa"`
	CreatedAt     int64
}

func (r identityProviderRow) provider() (IdentityProvider, error) {
	return IdentityProvider{
		ID: r.ID, Tenant: r.TenantID, Name: r.Name, Issuer: r.Issuer, ClientID: r.ClientID, Sealed: r.Sealed, MFA: strings.Fields(r.MFA), CreatedAt: fromMicros(r.CreatedAt),
	}, nil
}

// InsertIdentityProvider adds an identity provider.
func (tx *Tx) InsertIdentityProvider(p IdentityProvider) error {
	return insert(tx, &identityProviderRow{
		ID: p.ID, TenantID: p.Tenant, Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, Sealed: p.Sealed, MFA: strings.Join(p.MFA, " "), CreatedAt: micros(p.CreatedAt),
	}, "identity provider")
}

// IdentityProvider returns the identity provider of that id.
func (tx *Tx) IdentityProvider(id string) (IdentityProvider, error) {
	var row identityProviderRow
	return one(tx, tx.db.NewSelect().Where("id = ?", id), &row, "identity provider", id, identityProviderRow.provider)
}

// IdentityProviders lists those of a tenant; the provider's if it is empty.
func (tx *Tx) IdentityProviders(tenant string) ([]IdentityProvider, error) {
	return many(tx, tx.db.NewSelect().Where("tenant_id = ?", tenant).OrderBy("name", bun.OrderAsc), "identity providers", identityProviderRow.provider)
}

// DeleteIdentityProvider removes an identity provider.
func (tx *Tx) DeleteIdentityProvider(id string) error {
	res, err := tx.db.NewDelete().Table("identity_provider").Where("id = ?", id).Exec(tx.ctx)
	return changed(res, err, "identity provider", id)
}
