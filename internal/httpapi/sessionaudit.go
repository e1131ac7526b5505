package httpapi

import (
	"encoding/json"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/sessionaudit"
)

func (a *API) addSessionAudit() {
	add(a, tenant(access.Look), get("audit-sessions", "/v1/tenants/{tenant}/session-audit", "Whether every session in the tenant's environment had an approval"), func(c call, in *struct {
		TenantPath
		Since time.Time `query:"since" doc:"sessions and logins from then on; 30 days back if missing, 366 at most"`
	}) (*body[api.SessionAudit], error) {
		return a.sessionAudit(c, in.Since)
	})
	add(a, provider(access.Look), get("audit-all-sessions", "/v1/provider/session-audit", "Whether every session in any tenant's environment had an approval"), func(c call, in *struct {
		Since time.Time `query:"since" doc:"sessions and logins from then on; 30 days back if missing, 366 at most"`
	}) (*body[api.SessionAudit], error) {
		return a.sessionAudit(c, in.Since)
	})
}

func (a *API) sessionAudit(c call, since time.Time) (*body[api.SessionAudit], error) {
	r, err := a.cfg.Auditor.Of(c, c.tenant.ID, since)
	if err != nil {
		return nil, err
	}
	out := api.SessionAudit{
		Tenant: r.Tenant, At: r.At, Since: r.Since, Unexplained: r.Unexplained, Explained: r.Explained,
		Sessions: []api.AuditedSession{}, Logins: []api.AuditedLogin{}, Approvals: []api.AuditApproval{}, Sources: []api.AuditSource{},
	}
	for _, s := range r.Sessions {
		out.Sessions = append(out.Sessions, api.AuditedSession{
			ID: s.ID, Tenant: s.Tenant, Grant: s.Grant, Holder: s.Holder, Target: s.TargetName, Kind: s.Kind, State: s.State, StartedAt: s.Started,
			EndedAt: s.Ended, Ticket: s.Ticket, ApprovedBy: s.ApprovedBy, Decision: s.Decision, BreakGlass: s.BreakGlass, Recording: s.Recorded,
			Entry: s.OpenedEntry, Why: s.Why,
		})
	}
	for _, l := range r.Logins {
		out.Logins = append(out.Logins, api.AuditedLogin{
			Host: l.Host, At: l.At, Account: l.Account, From: l.Source, Key: l.Fingerprint, Session: l.Session, Why: l.Why,
		})
	}
	for _, p := range r.Approvals {
		x, err := approvalOut(p)
		if err != nil {
			return nil, err
		}
		out.Approvals = append(out.Approvals, x)
	}
	for _, s := range r.Sources {
		out.Sources = append(out.Sources, api.AuditSource(s))
	}
	return plain(out, nil)
}

func approvalOut(p sessionaudit.Approval) (api.AuditApproval, error) {
	signed, err := json.Marshal(p.Signed)
	return api.AuditApproval{Grant: p.Grant, At: p.At, Signed: signed, Keys: json.RawMessage(p.Keys.Body), Digest: p.Keys.Digest}, err
}
