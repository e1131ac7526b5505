package api

import (
	"context"
	"iter"
	"time"
)

// Ability is one thing that a grant lets its holder do. There is none that means
// a guest.
type Ability struct {
	Do     string `json:"do" enum:"shell,console,exec,sftp,forward" doc:"a shell, a web console, one command, copying files, or forwarding a port"`
	Target string `json:"target" doc:"id or name of a registered target" maxLength:"63"`
}

// Grant is access of somebody of the provider to a customer's environment, from
// the request on.
type Grant struct {
	ID         string `json:"id"`
	Tenant     string `json:"tenant"`
	TenantName string `json:"tenant_name"`
	Holder     string `json:"holder" doc:"id of who asked, and alone may use it"`
	HolderName string `json:"holder_name"`
	Ticket     string `json:"ticket" doc:"the matter that it is for; empty only where glass was broken and no notice was given yet"`
	Purpose    string `json:"purpose"`
	// State is requested, in-review, approved (to begin later), active, expired,
	// revoked, closed, refused or lapsed.
	State string `json:"state" enum:"requested,in-review,approved,active,expired,revoked,closed,refused,lapsed"`
	// Scope, Minutes and Wanted are what was asked for.
	Scope       []Ability  `json:"scope" doc:"what was asked for"`
	Minutes     int        `json:"minutes" doc:"for how long it was asked for"`
	Wanted      *time.Time `json:"wanted,omitempty" doc:"when it was to begin; missing is as soon as it is approved"`
	Extends     string     `json:"extends,omitempty" doc:"id of the grant that it continues"`
	RequestedAt time.Time  `json:"requested_at"`
	LapsesAt    time.Time  `json:"lapses_at" doc:"an undecided request ends then"`
	// Granted, From, Until, ApprovedBy and Decision are there once it is approved.
	Granted    []Ability  `json:"granted,omitempty" doc:"what was granted"`
	From       *time.Time `json:"from,omitempty" doc:"in force from then"`
	Until      *time.Time `json:"until,omitempty"`
	ApprovedBy string     `json:"approved_by,omitempty" doc:"id of who signed the approval"`
	Decision   string     `json:"decision,omitempty" doc:"id of the signed decision"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	BreakGlass bool       `json:"break_glass" doc:"taken in an emergency, without approval"`
	// Notice is owed, overdue, given, acknowledged or disputed where glass was broken.
	Notice    string     `json:"notice,omitempty" enum:"owed,overdue,given,acknowledged,disputed" doc:"how it stands with telling the customer what was done"`
	NoticeDue *time.Time `json:"notice_due,omitempty"`
	NoticeAt  *time.Time `json:"notice_at,omitempty"`
	Next      string     `json:"next" doc:"in words: what happens next, by whom or when"`
	// History is told of one grant, not in lists.
	History []GrantEvent `json:"history,omitempty" doc:"all that happened to it; missing in lists"`
	Version int64        `json:"version"`
}

// GrantEvent is a line of a grant's history.
type GrantEvent struct {
	At       time.Time `json:"at"`
	Actor    string    `json:"actor"`
	What     string    `json:"what" doc:"request, ask, answer, propose, approve, begin, refuse, lapse, expire, revoke, close, withdraw, break-glass, notice, notice-overdue, acknowledge or dispute"`
	From     string    `json:"from,omitempty" doc:"state before"`
	To       string    `json:"to" doc:"state after"`
	Words    string    `json:"words,omitempty" doc:"what was said"`
	Decision string    `json:"decision,omitempty" doc:"id of the decision proposed or signed"`
}

// NewGrant asks for access.
type NewGrant struct {
	Ticket  string     `json:"ticket" example:"INC-1234" maxLength:"64" doc:"the customer's matter that it is for"`
	Purpose string     `json:"purpose" maxLength:"2000" doc:"what is to be done and why"`
	Scope   []Ability  `json:"scope" minItems:"1" maxItems:"50"`
	Minutes int        `json:"minutes" minimum:"1" maximum:"720" doc:"for how long, from the approval or from the wanted start"`
	From    *time.Time `json:"from,omitempty" doc:"when it should begin; as soon as it is approved if missing"`
}

// Words are said about a grant.
type Words struct {
	Words string `json:"words" maxLength:"2000" doc:"3 to 2000 characters of plain text"`
}

// ApproveGrant approves a request, as it is or less of it.
type ApproveGrant struct {
	Scope   []Ability  `json:"scope,omitempty" maxItems:"50" doc:"what is granted; all that was asked for if missing"`
	Minutes int        `json:"minutes,omitempty" minimum:"0" maximum:"720" doc:"as asked for if missing"`
	From    *time.Time `json:"from,omitempty" doc:"when it begins, within 30 days; as asked for, or with the signature, if missing"`
}

// GrantProposal is an approval that waits for its signature.
type GrantProposal struct {
	Grant    string `json:"grant" doc:"id of the grant"`
	Decision string `json:"decision" doc:"id of the decision to be signed; its signature is the approval"`
}

// ExtendGrant asks for more time.
type ExtendGrant struct {
	Minutes int    `json:"minutes" minimum:"1" maximum:"720" doc:"for how long after the end of the old grant"`
	Purpose string `json:"purpose,omitempty" maxLength:"2000" doc:"as before if missing"`
}

// BreakGlass takes access in an emergency.
type BreakGlass struct {
	Reason  string    `json:"reason" maxLength:"2000" doc:"why there is no time for an approval"`
	Scope   []Ability `json:"scope" minItems:"1" maxItems:"50"`
	Minutes int       `json:"minutes" minimum:"1" maximum:"60"`
	Ticket  string    `json:"ticket,omitempty" maxLength:"64" doc:"can be named with the notice"`
}

// GrantNotice tells the customer what was done in an emergency.
type GrantNotice struct {
	Words  string `json:"words" maxLength:"2000" doc:"what was done, and why it could not wait"`
	Ticket string `json:"ticket,omitempty" maxLength:"64" doc:"needed where none was named yet"`
}

// GrantFilter narrows lists of grants; empty members do not.
type GrantFilter struct {
	// State is a state of Grant, or "open" for what waits for a decision.
	State  string
	Holder string
}

func (f GrantFilter) query() []string { return []string{"state", f.State, "holder", f.Holder} }

// Grants lists a tenant's grants, the newest first.
func (c *Client) Grants(ctx context.Context, tenant string, f GrantFilter) iter.Seq2[Grant, error] {
	return list[Grant](ctx, c, params(f.query()...), "v1", "tenants", tenant, "grants")
}

// AllGrants lists the grants of all tenants, the newest first, for the provider.
func (c *Client) AllGrants(ctx context.Context, f GrantFilter) iter.Seq2[Grant, error] {
	return list[Grant](ctx, c, params(f.query()...), "v1", "grants")
}

// FindGrant returns a grant of whatever tenant, without its history, for the
// provider.
func (c *Client) FindGrant(ctx context.Context, id string) (Grant, error) {
	return get[Grant](ctx, c, nil, "v1", "grants", id)
}

// Grant returns a grant with its history.
func (c *Client) Grant(ctx context.Context, tenant, id string) (Grant, error) {
	return get[Grant](ctx, c, nil, "v1", "tenants", tenant, "grants", id)
}

// RequestGrant asks for access.
func (c *Client) RequestGrant(ctx context.Context, tenant string, n NewGrant) (Grant, error) {
	return post[Grant](ctx, c, n, "v1", "tenants", tenant, "grants")
}

// BreakGlass takes access in an emergency.
func (c *Client) BreakGlass(ctx context.Context, tenant string, b BreakGlass) (Grant, error) {
	return post[Grant](ctx, c, b, "v1", "tenants", tenant, "grants", "break-glass")
}

// ApproveGrant puts an approval before the tenant, to be signed.
func (c *Client) ApproveGrant(ctx context.Context, tenant, id string, a ApproveGrant) (GrantProposal, error) {
	return post[GrantProposal](ctx, c, a, "v1", "tenants", tenant, "grants", id, "approve")
}

// ExtendGrant asks for more time; it answers with the new request.
func (c *Client) ExtendGrant(ctx context.Context, tenant, id string, e ExtendGrant) (Grant, error) {
	return post[Grant](ctx, c, e, "v1", "tenants", tenant, "grants", id, "extend")
}

// NotifyGrant tells the customer what was done in an emergency.
func (c *Client) NotifyGrant(ctx context.Context, tenant, id string, n GrantNotice) (Grant, error) {
	return post[Grant](ctx, c, n, "v1", "tenants", tenant, "grants", id, "notice")
}

// GrantAct is what is done to a grant with words alone.
type GrantAct string

const (
	AskGrant         GrantAct = "ask"
	AnswerGrant      GrantAct = "answer"
	RefuseGrant      GrantAct = "refuse"
	RevokeGrant      GrantAct = "revoke"
	CloseGrant       GrantAct = "close"
	AcknowledgeGrant GrantAct = "acknowledge"
	DisputeGrant     GrantAct = "dispute"
)

// SayGrant does what with the words: a question, an answer, a reason, or an
// account of what was done.
func (c *Client) SayGrant(ctx context.Context, tenant, id string, what GrantAct, words string) (Grant, error) {
	return post[Grant](ctx, c, Words{Words: words}, "v1", "tenants", tenant, "grants", id, string(what))
}
