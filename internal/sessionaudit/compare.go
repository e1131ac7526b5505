package sessionaudit

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/store"
)

// ledger looks for sessions that the ledger tells of and that nobody recorded:
// a row that was removed.
func (x *audit) ledger() error {
	known := map[string]bool{}
	for _, s := range x.Sessions {
		known[s.ID] = true
	}
	f := store.LedgerFilter{Action: "session.open", From: x.Since}
	if x.Tenant != "" {
		f.Tenant = &x.Tenant
	}
	told := 0
	for {
		rows, next, err := x.tx.SearchLedger(f, store.MaxPage)
		if err != nil {
			return err
		}
		for _, r := range rows {
			told++
			id := strings.TrimPrefix(r.Subject, "session/")
			if known[id] {
				continue
			}
			if _, err := x.tx.Recording(r.Tenant, id); err == nil {
				continue // it is there, and ended before the time, or is beyond the bound
			}
			x.Sessions = append(x.Sessions, Session{
				Recording: store.Recording{ID: id, Tenant: r.Tenant, Started: r.Time, OpenedEntry: r.Index, State: "missing"},
				Recorded:  "missing", Why: "the ledger tells that it was opened, and there is no recording",
			})
		}
		past, err := x.before(f, next)
		if err != nil {
			return err
		}
		if next == 0 || past {
			break
		}
		f.Before = next
	}
	x.Sources = append(x.Sources, Source{Name: "ledger", Seen: true, Note: fmt.Sprintf("%d sessions opened", told)})
	return nil
}

// before reports that what a search would read next is older than the audit
// looks at.
func (x *audit) before(f store.LedgerFilter, next int64) (bool, error) {
	if next < 2 {
		return true, nil
	}
	var rows []store.LedgerEntry
	var err error
	if f.Tenant != nil {
		rows, err = x.tx.TenantLedgerEntries(*f.Tenant, next-2, 1)
	} else {
		rows, err = x.tx.LedgerEntries(next-1, next)
	}
	return len(rows) == 1 && rows[0].Time.Before(x.Since), err
}

// host is one of the provider's own machines.
type host struct {
	vm      estate.VM
	watched bool
	targets []string // ids of the targets that lead to it
}

// logins holds what agents saw on the provider's hosts against the sessions of
// all tenants.
func (x *audit) logins() error {
	hosts, unwatched, err := x.hosts()
	if err != nil {
		return err
	}
	all, err := x.tx.HostLogins(x.Since, maxLogins)
	if err != nil {
		return err
	}
	seen := 0
	for _, l := range all {
		h, ok := hosts[l.VM]
		if !ok {
			continue
		}
		seen++
		out := Login{HostLogin: l, Host: h.vm.Name}
		if err := x.explainLogin(&out); err != nil {
			return err
		}
		if out.Why == "" {
			x.Explained++
			if x.Tenant != "" {
				continue // it may be another tenant's session
			}
		}
		x.Logins = append(x.Logins, out)
	}
	src := Source{Name: "host logins", Seen: len(hosts) > 0, Note: fmt.Sprintf("%d on %d hosts whose agents tell of logins", seen, len(hosts))}
	if len(hosts) == 0 {
		src.Note = "no target is a host whose agent tells of logins"
	}
	if len(all) == maxLogins {
		src.Note += fmt.Sprintf("; only the first %d were compared: audit a shorter time", maxLogins)
	}
	x.Sources = append(x.Sources, src)
	for _, name := range unwatched {
		x.Sources = append(x.Sources, Source{Name: "host logins of " + name, Note: "no agent tells of logins on this target"})
	}
	return nil
}

// explainLogin finds the session that a login belongs to: by the certificate
// that the gateway signed in with, which names grant and session.
func (x *audit) explainLogin(l *Login) error {
	grant, session, ok := gatewayID(l.Certificate)
	if !ok {
		l.Why = "it was no session of the gateway: " + how(l.HostLogin)
		return nil
	}
	if l.Authority != x.Authority() {
		l.Why = "its certificate names a session, and was signed by somebody else"
		return nil
	}
	g, err := x.grant(grant)
	if err != nil {
		l.Why = "its certificate names a grant that is not there"
		return nil
	}
	rec, err := x.tx.Recording(g.Tenant, session)
	switch {
	case err != nil:
		l.Why = "its certificate names a session that is not there"
	case rec.Grant != grant:
		l.Why = "its certificate names a session under another grant"
	case l.At.Before(rec.Started.Add(-skew)) || rec.Ended != nil && l.At.After(rec.Ended.Add(skew)):
		l.Why = "it was not while its session was open"
	default:
		l.Session = rec.ID
	}
	return nil
}

// skew is how far the clocks of host and server may be apart.
const skew = 2 * time.Minute

// gatewayID reads the key id of a certificate that the gateway signs in with.
func gatewayID(id string) (grant, session string, ok bool) {
	rest, ok := strings.CutPrefix(id, "demarc/")
	if !ok {
		return "", "", false
	}
	grant, session, ok = strings.Cut(rest, "/")
	return grant, session, ok && grant != "" && session != ""
}

func how(l store.HostLogin) string {
	from := l.Source
	if from == "" {
		from = "the console"
	}
	text := "as " + l.Account + " from " + from
	if l.Method != "" {
		text += " by " + l.Method
	}
	return text
}

// hosts returns the provider's machines that targets lead to, by id, and the
// targets of which no agent tells logins.
func (x *audit) hosts() (found map[string]host, unwatched []string, err error) {
	own, err := ownVMs(x.tx)
	if err != nil {
		return nil, nil, err
	}
	found = map[string]host{}
	for page := (store.Page{}); ; {
		targets, err := x.tx.Targets(page)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range targets {
			if t.Kind != "host" {
				continue
			}
			if !watch(found, own, t) {
				unwatched = append(unwatched, t.Name)
			}
		}
		if len(targets) < store.MaxPage {
			return found, unwatched, nil
		}
		page.After = targets[len(targets)-1].ID
	}
}

// watch notes the machine that a target leads to: the one of its name, or of
// the name that its address has.
func watch(found map[string]host, own []host, t store.Target) bool {
	name, _, _ := net.SplitHostPort(t.Address)
	i := slices.IndexFunc(own, func(h host) bool { return h.vm.Name == t.Name || h.vm.Name == name })
	if i < 0 || !own[i].watched {
		return false
	}
	h := own[i]
	if old, ok := found[h.vm.ID]; ok {
		h = old
	}
	h.targets = append(h.targets, t.ID)
	found[h.vm.ID] = h
	return true
}

// recordings reads the latest recordings and compares them with the ledger.
func (x *audit) recordings(ctx context.Context) error {
	read := 0
	for i := len(x.Sessions) - 1; i >= 0; i-- {
		s := &x.Sessions[i]
		switch {
		case s.Recorded != "":
			continue
		case s.State == "open":
			s.Recorded = "open"
			continue
		case read == maxVerified:
			s.Recorded = "not read"
			continue
		}
		read++
		fault, here, err := x.Recordings.Verified(ctx, s.Recording)
		switch {
		case err != nil:
			return err
		case !here:
			s.Recorded = "on server " + s.Server
		case fault != "":
			s.Recorded = fault
			if s.Why == "" {
				s.Why = "its recording is not what was sealed"
			}
		default:
			s.Recorded = "verified"
		}
	}
	return nil
}
