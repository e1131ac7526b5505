package api

import (
	"context"
	"encoding/json"
	"time"
)

// SessionAudit is the comparison of sessions with what lets them be.
type SessionAudit struct {
	Tenant      string    `json:"tenant,omitempty" doc:"missing if all tenants were compared"`
	At          time.Time `json:"at" doc:"when it was made"`
	Since       time.Time `json:"since" doc:"sessions and logins from then on"`
	Unexplained int       `json:"unexplained" doc:"sessions and logins that nothing explains; 0 is good"`
	// Sessions are all sessions, Logins those on the provider's hosts; a tenant
	// is shown the unexplained logins only, for the others may be of other tenants.
	Sessions  []AuditedSession `json:"sessions" doc:"every session in the time"`
	Logins    []AuditedLogin   `json:"logins" doc:"logins on hosts; for a tenant the unexplained ones"`
	Explained int              `json:"explained" doc:"logins on hosts that belong to sessions"`
	Approvals []AuditApproval  `json:"approvals" doc:"what proves that grants were approved, to be verified without the server"`
	Sources   []AuditSource    `json:"sources" doc:"what was compared, and what could not be"`
}

// AuditedSession is a session with what explains it.
type AuditedSession struct {
	ID         string     `json:"id"`
	Tenant     string     `json:"tenant"`
	Grant      string     `json:"grant" doc:"the access that it was opened under"`
	Holder     string     `json:"holder" doc:"principal whose session it was"`
	Target     string     `json:"target" doc:"name of what it reached"`
	Kind       string     `json:"kind" doc:"shell, exec, sftp, forward or web"`
	State      string     `json:"state" enum:"open,complete,cut,missing"`
	StartedAt  time.Time  `json:"started_at" doc:"when it began"`
	EndedAt    *time.Time `json:"ended_at,omitempty" doc:"when it ended"`
	Ticket     string     `json:"ticket,omitempty" doc:"what it was for"`
	ApprovedBy string     `json:"approved_by,omitempty" doc:"principal who approved it"`
	Decision   string     `json:"decision,omitempty" doc:"id of the signed decision"`
	BreakGlass bool       `json:"break_glass,omitempty" doc:"taken in an emergency, without approval"`
	Recording  string     `json:"recording" doc:"verified, open, what is wrong with it, or why it was not read"`
	Entry      int64      `json:"entry" doc:"index of the ledger entry of its beginning"`
	Why        string     `json:"why,omitempty" doc:"what is wrong; missing if it is explained"`
}

// AuditedLogin is a login on one of the provider's hosts.
type AuditedLogin struct {
	Host    string    `json:"host" doc:"name of the host"`
	At      time.Time `json:"at"`
	Account string    `json:"account" doc:"account on the host"`
	From    string    `json:"from,omitempty" doc:"address; missing for the console"`
	Key     string    `json:"key,omitempty" doc:"fingerprint of the key used"`
	Session string    `json:"session,omitempty" doc:"id of the session that it belongs to"`
	Why     string    `json:"why,omitempty" doc:"what is wrong; missing if it is explained"`
}

// AuditApproval proves that a grant was approved.
type AuditApproval struct {
	Grant string    `json:"grant"`
	At    time.Time `json:"at" doc:"when it was signed"`
	// Signed is the decision with its signatures, and Keys the customer's keys
	// that counted then.
	Signed json.RawMessage `json:"signed" doc:"the decision with its signatures"`
	Keys   json.RawMessage `json:"keys" doc:"the customer's keys at that time, RFC 8785 canonical JSON"`
	Digest string          `json:"digest" doc:"sha256:<64 hex digits> of keys"`
}

// AuditSource is something that was compared, or could not be.
type AuditSource struct {
	Name string `json:"name"`
	Seen bool   `json:"seen" doc:"whether it could be compared"`
	Note string `json:"note" doc:"what was compared, or why it could not be"`
}

// SessionAudit compares sessions with grants, approvals and logins: of a
// tenant, or of all if tenant is empty, which is for the provider. since is an
// RFC 3339 time or empty for 30 days.
func (c *Client) SessionAudit(ctx context.Context, tenant, since string) (SessionAudit, error) {
	return get[SessionAudit](ctx, c, params("since", since), within(tenant, "session-audit")...)
}
