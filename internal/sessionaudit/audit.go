// Package sessionaudit shows whether every session in a customer's environment
// had an approval: it compares the sessions that the gateway recorded, what the
// ledger says of sessions, the grants with their signed decisions, and the
// logins that agents see on the provider's own hosts. What cannot be compared
// is said.
package sessionaudit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/store"
)

// Recordings verifies the recordings of this server.
type Recordings interface {
	// Verified reads a recording and compares it with the ledger; fault is what
	// is wrong, empty if nothing is. here is false if another server has the file.
	Verified(ctx context.Context, r store.Recording) (fault string, here bool, err error)
}

// Auditor compares. It is safe for concurrent use.
type Auditor struct {
	Store      *store.Store
	Recordings Recordings
	// Authority returns the fingerprint of the key that signs the gateway's
	// certificates for hosts.
	Authority func() string
	Now       func() time.Time
}

// Bounds of one audit.
const (
	maxSessions = 5000
	maxLogins   = 20_000
	maxVerified = 200 // recordings read; the latest
	// MaxSpan is the longest time that one audit looks back.
	MaxSpan = 366 * 24 * time.Hour
)

// Session is a session with what explains it.
type Session struct {
	store.Recording
	TargetName string
	Ticket     string
	ApprovedBy string // principal; empty if nobody approved
	Decision   string
	BreakGlass bool
	// Recorded says how it stands with the recording: "verified", "open", what
	// is wrong, or why it was not read.
	Recorded string
	// Why says what is wrong; empty if the session is explained.
	Why string
}

// Login is a login on a host.
type Login struct {
	store.HostLogin
	Host string
	// Session is the one that it belongs to; empty if there is none.
	Session string
	Why     string // what is wrong; empty if the login is explained
}

// Approval proves that a grant was approved: the signed decision, and the keys
// that counted when it was signed, each as it was signed and kept.
type Approval struct {
	Grant  string
	At     time.Time // of the last signature
	Signed decision.Signed
	Keys   store.KeySet
}

// Source is something that was compared, or could not be.
type Source struct {
	Name string
	Seen bool
	Note string
}

// Report is what an audit found.
type Report struct {
	Tenant      string
	At, Since   time.Time
	Sessions    []Session
	Logins      []Login // of a tenant: the unexplained ones only
	Explained   int     // logins that belong to sessions
	Approvals   []Approval
	Sources     []Source
	Unexplained int
}

// audit is one audit under way.
type audit struct {
	*Auditor
	Report
	tx      *store.Tx
	grants  map[string]store.Grant
	targets map[string]store.Target
	proofs  map[string]string // by grant: what is wrong with its approval
}

// Of audits a tenant, or all tenants if tenant is empty, since a time.
func (a *Auditor) Of(ctx context.Context, tenant string, since time.Time) (Report, error) {
	now := a.Now()
	if since.IsZero() {
		since = now.AddDate(0, 0, -30)
	}
	if now.Sub(since) > MaxSpan {
		since = now.Add(-MaxSpan)
	}
	x := &audit{Auditor: a, Report: Report{Tenant: tenant, At: now, Since: since}, grants: map[string]store.Grant{}, targets: map[string]store.Target{}, proofs: map[string]string{}}
	err := a.Store.Read(ctx, func(tx *store.Tx) error {
		x.tx = tx
		for _, step := range []func() error{x.sessions, x.ledger, x.logins} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Report{}, err
	}
	if err := x.recordings(ctx); err != nil {
		return Report{}, err
	}
	x.Sources = append(x.Sources, Source{Name: "platform events", Note: "no platform driver is connected: what a platform's own interface lets in is not seen"})
	for _, s := range x.Sessions {
		if s.Why != "" {
			x.Unexplained++
		}
	}
	for _, l := range x.Logins {
		if l.Why != "" {
			x.Unexplained++
		}
	}
	return x.Report, nil
}

// sessions holds every session against its grant.
func (x *audit) sessions() error {
	for page := (store.Page{}); ; {
		some, err := x.tx.Recordings(store.RecordingFilter{Tenant: x.Tenant}, page)
		if err != nil {
			return err
		}
		for _, r := range some {
			if r.Ended != nil && r.Ended.Before(x.Since) {
				continue
			}
			if len(x.Sessions) == maxSessions {
				x.Sources = append(x.Sources, Source{Name: "sessions", Note: fmt.Sprintf("only the first %d sessions were compared: audit a shorter time", maxSessions)})
				return nil
			}
			s := Session{Recording: r}
			if err := x.explain(&s); err != nil {
				return err
			}
			x.Sessions = append(x.Sessions, s)
		}
		if len(some) < store.MaxPage {
			x.Sources = append(x.Sources, Source{Name: "sessions", Seen: true, Note: fmt.Sprintf("%d recorded by the gateway", len(x.Sessions))})
			return nil
		}
		page.After = some[len(some)-1].ID
	}
}

// slack is how long after its grant's end a session may be seen to end: it is
// ended within a second.
const slack = 2 * time.Second

// explain says what lets the session be, or what is wrong.
func (x *audit) explain(s *Session) error {
	t, err := x.target(s.Target)
	if err != nil {
		return err
	}
	s.TargetName = t.Name
	g, err := x.grant(s.Grant)
	if errors.Is(err, store.ErrNotFound) {
		s.Why = "there is no grant " + s.Grant
		return nil
	}
	if err != nil {
		return err
	}
	s.Ticket, s.ApprovedBy, s.Decision, s.BreakGlass = g.Ticket, g.ApprovedBy, g.Decision, g.BreakGlass
	end := x.At
	if s.Ended != nil {
		end = *s.Ended
	}
	until := g.Until
	if !g.EndedAt.IsZero() && g.EndedAt.Before(until) {
		until = g.EndedAt
	}
	switch {
	case g.Tenant != s.Tenant:
		s.Why = "its grant is for another tenant"
	case g.Holder != s.Holder:
		s.Why = "its grant is another person's"
	case !reaches(g, t):
		s.Why = "its grant does not reach " + t.Name
	case s.Started.Before(g.From):
		s.Why = "it began before its grant did"
	case end.After(until.Add(slack)) && s.State != "cut":
		s.Why = "it went on after its grant had ended"
	case !g.BreakGlass:
		s.Why, err = x.approved(g)
	}
	return err
}

func reaches(g store.Grant, t store.Target) bool {
	return slices.ContainsFunc(g.Granted, func(a access.Ability) bool { return a.Target == t.ID || a.Target == t.Name })
}

// approved checks the signatures of the customer's decision about a grant. It
// returns what is wrong.
func (x *audit) approved(g store.Grant) (string, error) {
	if why, done := x.proofs[g.ID]; done {
		return why, nil
	}
	why, err := x.prove(g)
	if err == nil {
		x.proofs[g.ID] = why
	}
	return why, err
}

func (x *audit) prove(g store.Grant) (string, error) {
	if g.Decision == "" {
		return "nobody approved its grant", nil
	}
	signed, err := x.tx.SignedDecision(g.Decision)
	if errors.Is(err, store.ErrNotFound) {
		return "the decision " + g.Decision + " that approved its grant is not there", nil
	}
	if err != nil {
		return "", err
	}
	given, err := x.tx.Signatures(g.Decision)
	if err != nil {
		return "", err
	}
	if len(given) == 0 {
		return "the decision that approved its grant bears no signature", nil
	}
	at := given[len(given)-1].At
	keys, err := x.keysAt(g.Tenant, at)
	if errors.Is(err, store.ErrNotFound) {
		return "the customer had no keys when its grant was approved", nil
	}
	if err != nil {
		return "", err
	}
	x.Approvals = append(x.Approvals, Approval{Grant: g.ID, At: at, Signed: signed, Keys: keys})
	if err := Proves(g.ID, g.Holder, signed, keys.KeySet, at); err != nil {
		return "its approval does not hold: " + err.Error(), nil
	}
	return "", nil
}

// keysAt returns the keys that counted at a moment.
func (x *audit) keysAt(tenant string, at time.Time) (out store.KeySet, err error) {
	all, err := x.tx.KeySets(tenant)
	if err != nil {
		return out, err
	}
	for _, s := range all {
		if !s.CreatedAt.After(at) {
			out = s
		}
	}
	if out.Version == 0 {
		return out, fmt.Errorf("keys of tenant %s: %w", tenant, store.ErrNotFound)
	}
	return out, nil
}

func (x *audit) grant(id string) (store.Grant, error) {
	g, known := x.grants[id]
	if known {
		return g, nil
	}
	g, err := x.tx.Grant("", id)
	if err == nil {
		x.grants[id] = g
	}
	return g, err
}

func (x *audit) target(id string) (store.Target, error) {
	t, known := x.targets[id]
	if known {
		return t, nil
	}
	t, err := x.tx.Target(id)
	if errors.Is(err, store.ErrNotFound) {
		t, err = store.Target{ID: id, Name: id}, nil
	}
	x.targets[id] = t
	return t, err
}
