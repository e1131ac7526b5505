package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

type auditCmd struct {
	Sessions auditSessionsCmd `cmd:"" help:"Show that no session in a customer's environment was without approval; exits with 1 if one is not explained."`
}

type auditSessionsCmd struct {
	Tenant      string `help:"In one tenant; in all that you may see if left out." placeholder:"NAME"`
	Since       moment `help:"From then on; 30 days back if left out." placeholder:"TIME"`
	CustomerKey string `name:"customer-keys" help:"Digest of the customer's keys, as demarc key list shows it: approvals must be signed with these." placeholder:"sha256:…"`
}

// Help is shown below the flags.
func (auditSessionsCmd) Help() string {
	return `Compares the sessions that the gateway recorded, the ledger, the grants and the logins on the provider's hosts. The signatures of approvals are verified here, not by the server's word. Exits with 1 if a session or a login is not explained.

Examples:
  demarc audit sessions --tenant acme
  demarc audit sessions --since 2026-03-01 --output json`
}

var auditedColumns = []column[api.AuditedSession]{
	{key: "id", head: "SESSION", text: func(v api.AuditedSession) string { return v.ID }},
	{key: "tenant", text: func(v api.AuditedSession) string { return v.Tenant }},
	{key: "started_at", head: "BEGAN", text: func(v api.AuditedSession) string { return stamp(v.StartedAt) }, show: func(v api.AuditedSession) string { return clock(v.StartedAt) }},
	{key: "ended_at", text: func(v api.AuditedSession) string { return stampOf(v.EndedAt) }},
	{key: "holder", head: "WHO", fit: cut, text: func(v api.AuditedSession) string { return v.Holder }},
	{key: "target", head: "WHERE", fit: cut, text: func(v api.AuditedSession) string { return v.Target }},
	{key: "kind", text: func(v api.AuditedSession) string { return v.Kind }},
	{key: "grant", head: "GRANT", fit: cut, text: func(v api.AuditedSession) string { return v.Grant }},
	{key: "ticket", head: "TICKET", fit: cut, text: func(v api.AuditedSession) string { return v.Ticket }},
	{key: "approved_by", head: "APPROVED", fit: cut, text: func(v api.AuditedSession) string { return v.ApprovedBy }, show: approver},
	{key: "recording", head: "RECORD", fit: flow, text: func(v api.AuditedSession) string { return v.Recording }},
	{key: "why", head: "UNEXPLAINED", fit: flow, text: func(v api.AuditedSession) string { return v.Why }, hue: func(api.AuditedSession) hue { return red }},
}

func approver(v api.AuditedSession) string {
	if v.BreakGlass {
		return "emergency"
	}
	return v.ApprovedBy
}

var hostLoginColumns = []column[api.AuditedLogin]{
	{key: "host", head: "HOST", text: func(v api.AuditedLogin) string { return v.Host }},
	{key: "at", head: "LOGIN", text: func(v api.AuditedLogin) string { return stamp(v.At) }, show: func(v api.AuditedLogin) string { return clock(v.At) }},
	{key: "account", head: "ACCOUNT", text: func(v api.AuditedLogin) string { return v.Account }},
	{key: "from", head: "FROM", text: func(v api.AuditedLogin) string { return v.From }},
	{key: "session", head: "SESSION", fit: cut, text: func(v api.AuditedLogin) string { return v.Session }},
	{key: "why", head: "UNEXPLAINED", fit: flow, text: func(v api.AuditedLogin) string { return v.Why }, hue: func(api.AuditedLogin) hue { return red }},
}

var sourceColumns = []column[api.AuditSource]{
	{key: "name", head: "COMPARED", text: func(v api.AuditSource) string { return v.Name }},
	{key: "seen", head: "SEEN", text: func(v api.AuditSource) string { return yes(v.Seen) }},
	{key: "note", head: "NOTE", fit: flow, text: func(v api.AuditSource) string { return v.Note }},
}

// Run audits sessions.
func (c *auditSessionsCmd) Run(ctx context.Context, s *session) error {
	since, err := c.Since.text(s.now())
	if err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	tenant := c.Tenant
	if tenant == "" {
		me, err := client.Whoami(ctx)
		if err != nil {
			return fmt.Errorf("finding out who you are: %w", err)
		}
		tenant = me.Tenant // the provider's have none: all tenants
	}
	r, err := client.SessionAudit(ctx, tenant, since)
	if err != nil {
		return fmt.Errorf("auditing sessions: %w", err)
	}
	if err := c.prove(s, &r); err != nil {
		return err
	}
	if err := s.showAudit(r); err != nil {
		return err
	}
	if r.Unexplained > 0 {
		return &fault{code: ExitFailure, err: fmt.Errorf("%s not explained", counted(r.Unexplained, "session or login is", "sessions and logins are")),
			next: "ask the provider about them, and keep the ledger bundle: demarc ledger bundle"}
	}
	return nil
}

// prove verifies the approvals of the sessions here.
func (c *auditSessionsCmd) prove(s *session, r *api.SessionAudit) error {
	if s.programs.Approval == nil {
		return errors.New("this program cannot verify approvals")
	}
	verified := 0
	for i := range r.Sessions {
		v := &r.Sessions[i]
		if v.Why != "" || v.BreakGlass {
			continue
		}
		verified++
		j := slices.IndexFunc(r.Approvals, func(a api.AuditApproval) bool { return a.Grant == v.Grant })
		switch {
		case j < 0:
			v.Why = "the server gave no proof of its approval"
		case c.CustomerKey != "" && r.Approvals[j].Digest != c.CustomerKey:
			v.Why = "its approval was signed with other keys than those given"
		default:
			if err := s.programs.Approval(v.Grant, v.Holder, r.Approvals[j]); err != nil {
				v.Why = "its approval does not verify: " + err.Error()
			}
		}
		if v.Why != "" {
			r.Unexplained++
		}
	}
	r.Sources = append(r.Sources, api.AuditSource{Name: "approvals", Seen: true, Note: fmt.Sprintf("the signatures behind %s verified by this program", counted(verified, "session were", "sessions were"))})
	return nil
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (s *session) showAudit(r api.SessionAudit) error {
	switch s.flags.Output {
	case "csv":
		return printList(s, r.Sessions, auditedColumns, "")
	case "table":
	default:
		return s.printValue(r)
	}
	where := "in all tenants"
	if r.Tenant != "" {
		where = "in tenant " + r.Tenant
	}
	line := fmt.Sprintf("%s %s since %s, and %s on hosts: every one is explained.\n", counted(len(r.Sessions), "session", "sessions"), where,
		clock(r.Since), counted(r.Explained+len(unexplainedLogins(r)), "login", "logins"))
	if r.Unexplained > 0 {
		line = strings.TrimSuffix(line, "every one is explained.\n") + counted(r.Unexplained, "is", "are") + " not explained.\n"
	}
	if err := s.print(line); err != nil {
		return err
	}
	if len(r.Sessions) > 0 {
		if err := s.print("\n"); err != nil {
			return err
		}
		if err := printList(s, r.Sessions, auditedColumns, ""); err != nil {
			return err
		}
	}
	if bad := unexplainedLogins(r); len(bad) > 0 {
		if err := s.print("\n"); err != nil {
			return err
		}
		if err := printList(s, bad, hostLoginColumns, ""); err != nil {
			return err
		}
	}
	if err := s.print("\n"); err != nil {
		return err
	}
	return printList(s, r.Sources, sourceColumns, "")
}

func unexplainedLogins(r api.SessionAudit) []api.AuditedLogin {
	return slices.DeleteFunc(slices.Clone(r.Logins), func(l api.AuditedLogin) bool { return l.Why == "" })
}
