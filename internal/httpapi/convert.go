package httpapi

import (
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

func tenantOut(t estate.Tenant) api.Tenant {
	return api.Tenant{ID: t.ID, Name: t.Name, Own: t.Own, CreatedAt: t.CreatedAt, Version: t.Version}
}

func vdcOut(v estate.VDC) api.VDC {
	return api.VDC{ID: v.ID, Tenant: v.Tenant, Name: v.Name, CreatedAt: v.CreatedAt, Version: v.Version}
}

func vmOut(v estate.VM) api.VM {
	return api.VM{
		ID: v.ID, Tenant: v.Tenant, VDC: v.VDC, Name: v.Name, State: string(v.State), Declared: api.Declaration(v.Declared),
		Agents: []api.Agent{}, CreatedAt: v.CreatedAt, Version: v.Version,
	}
}

func contactOut(c estate.Contact) api.Contact {
	return api.Contact{
		ID: c.ID, Tenant: c.Tenant, Role: string(c.Role), Name: c.Name, Mail: c.Mail, Telephone: c.Telephone,
		Verified: c.Verified, CreatedAt: c.CreatedAt, Version: c.Version,
	}
}

func subscriptionOut(s responsibility.Subscription, now time.Time) api.Subscription {
	return api.Subscription{
		ID: s.ID, Tenant: s.Tenant, Service: s.Service, Covers: api.Coverage(s.Covers), From: s.From, To: s.To,
		Active: !now.Before(s.From) && (s.To == nil || now.Before(*s.To)),
	}
}

func agentOut(a store.Agent) api.Agent {
	return api.Agent{
		ID: a.ID, Tenant: a.Tenant, VM: a.VM, EnrolledAt: a.EnrolledAt, RevokedAt: a.RevokedAt, SeenAt: a.SeenAt,
		SkewMillis: a.Skew.Milliseconds(), Software: a.Software,
	}
}

// agentsOut converts agents with what became of their records.
func agentsOut(tx *store.Tx, agents []store.Agent) ([]api.Agent, error) {
	ids := make([]string, len(agents))
	for i, x := range agents {
		ids[i] = x.ID
	}
	known, err := tx.AgentsIngest(ids)
	out := make([]api.Agent, 0, len(agents))
	for _, x := range agents {
		o, in := agentOut(x), known[x.ID]
		o.Lost, o.Rejected = in.Lost, in.Rejected
		if n := len(in.Rejections); n > 0 {
			r := api.Rejection(in.Rejections[n-1])
			o.Rejection = &r
		}
		out = append(out, o)
	}
	return out, err
}

func principalOut(c store.Credential) api.Principal {
	return api.Principal{
		ID: c.ID, Name: c.Name, Role: string(c.Role), Tenant: c.Tenant, Kind: string(c.Kind), MFA: c.MFA, CreatedAt: c.CreatedAt, Expires: c.Expires,
		RevokedAt: c.Revoked,
	}
}

// Duty is a duty as the API shows it.
func Duty(d *judgement.Duty) api.Duty {
	out := api.Duty{
		ID: d.ID, Control: d.Control, Party: string(d.Party), Scope: string(d.Scope), Level: string(d.Level), Mode: []string{},
		Title: d.Title, Services: list0(d.Services), Evidence: d.Duty.Evidence, Reads: list0(d.Reads), Missing: list0(d.NotProvided),
	}
	for _, m := range d.Modes {
		out.Mode = append(out.Mode, string(m))
	}
	if d.Assessment != nil {
		out.Remedy = d.Assessment.Remedy
	}
	return out
}

// list0 makes an absent list an empty one: JSON consumers need not tell null apart.
func list0[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (n *names) verdict(j evidence.Judgement, c *judgement.Compiled) api.Verdict {
	v := api.Verdict{
		Duty: j.Duty, Control: j.Control, Subject: n.subject(j.Subject), Party: j.Party, Verdict: string(j.Verdict), Reason: j.Reason,
		Since: j.Since, EvaluatedAt: j.EvaluatedAt, Evidence: make([]api.Reference, 0, len(j.Evidence)),
	}
	if d := c.Duty(j.Duty); d != nil {
		v.Title, v.Level = d.Title, string(d.Level)
	}
	if !j.DueAt.IsZero() {
		v.DueAt = &j.DueAt
	}
	for _, r := range j.Evidence {
		v.Evidence = append(v.Evidence, api.Reference{Type: r.Type, Ref: r.Ref, Digest: r.Digest, At: r.At, Source: r.Source})
	}
	return v
}

// names finds the names of subjects, each once.
type names struct {
	tx    *store.Tx
	known map[evidence.Subject]string
}

func newNames(tx *store.Tx) *names { return &names{tx: tx, known: map[evidence.Subject]string{}} }

func (n *names) subject(s evidence.Subject) api.Subject {
	name, ok := n.known[s]
	if !ok {
		name = n.find(s)
		n.known[s] = name
	}
	return api.Subject{Scope: string(s.Scope), Tenant: s.Tenant, ID: s.ID, Name: name}
}

// find returns the id where there is no name: what a verdict is about may be gone.
func (n *names) find(s evidence.Subject) string {
	switch s.Scope {
	case evidence.ScopeVM:
		if v, err := n.tx.VMByID(s.ID); err == nil {
			return v.Name
		}
	case evidence.ScopeVDC:
		if v, err := n.tx.VDC(s.Tenant, s.ID); err == nil {
			return v.Name
		}
	case evidence.ScopeTenant:
		if t, err := n.tx.Tenant(s.ID); err == nil {
			return t.Name
		}
	}
	return s.ID
}

func count(c *api.Counts, verdict string, n int) {
	switch evidence.Verdict(verdict) {
	case evidence.Met:
		c.Met += n
	case evidence.NotMet:
		c.NotMet += n
	case evidence.NotApplicable:
		c.NotApplicable += n
	case evidence.Waived:
		c.Waived += n
	default:
		c.Unknown += n
	}
}
