package grant

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

const (
	// again is how soon these facts are looked at again; every move of a grant
	// has them looked at too.
	again = time.Minute
	// closing is how long what ends may take to be closed before it counts as
	// left open.
	closing = 5 * time.Second
	// sealing is how long a session may run before something of it must be
	// sealed.
	sealing = 10 * time.Second
)

// Session is a live session in a customer's environment.
type Session struct {
	ID, Tenant, Grant string
	Began             time.Time
	// Recorded: something of it is sealed in the ledger.
	Recorded bool
}

// Sessions knows the live sessions, of a tenant or of all if tenant is empty.
type Sessions interface {
	Live(tx *store.Tx, tenant string) ([]Session, error)
}

type privileged struct {
	Standing           []string `json:"standing"`
	UnrecordedSessions []string `json:"unrecorded_sessions"`
	LongestHours       float64  `json:"longest_hours"`
}

type environment struct {
	Active          int      `json:"active"`
	Unapproved      []string `json:"unapproved"`
	OpenAfterExpiry []string `json:"open_after_expiry"`
	WithoutTicket   []string `json:"without_ticket"`
}

// Kinds are the facts that this package provides.
var Kinds = []evidence.Kind{
	evidence.KindOf[privileged]("access.grants", evidence.ScopeProvider, again, "Privileged access of provider administrators."),
	evidence.KindOf[environment]("access.environment", evidence.ScopeTenant, again, "Access of provider staff to the customer's environment."),
}

func fact(kind string, data any, now time.Time) ([]evidence.Fact, error) {
	raw, err := json.Marshal(data)
	return []evidence.Fact{{Kind: kind, Data: raw, Again: now.Add(again)}}, err
}

// Privileged is the source of the facts about the provider.
type Privileged struct{ Sessions Sessions }

// Scope implements posture.Source.
func (Privileged) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source.
func (p Privileged) Facts(tx *store.Tx, _ evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	out := privileged{Standing: []string{}, UnrecordedSessions: []string{}}
	longest, standing, err := tx.StandingGrants(access.LongestGrant)
	if err != nil {
		return nil, err
	}
	out.Standing, out.LongestHours = append(out.Standing, standing...), longest.Hours()
	live, err := p.Sessions.Live(tx, "")
	if err != nil {
		return nil, err
	}
	for _, s := range live {
		if !s.Recorded && now.Sub(s.Began) > sealing {
			out.UnrecordedSessions = append(out.UnrecordedSessions, s.ID)
		}
	}
	return fact("access.grants", out, now)
}

// Environments is the source of the facts about tenants' environments.
type Environments struct {
	Sessions Sessions
	// Proofs, if not nil, spares proving the same grant again within a minute.
	Proofs *Proofs
}

// Scope implements posture.Source.
func (Environments) Scope() evidence.Scope { return evidence.ScopeTenant }

// Facts implements posture.Source.
func (e Environments) Facts(tx *store.Tx, s evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	out := environment{Unapproved: []string{}, OpenAfterExpiry: []string{}, WithoutTicket: []string{}}
	active, err := allGrants(tx, store.GrantFilter{Tenant: s.ID, States: []access.GrantState{access.InForce}})
	if err != nil {
		return nil, err
	}
	var sets []store.KeySet
	if len(active) > 0 {
		if sets, err = tx.KeySets(s.ID); err != nil {
			return nil, err
		}
	}
	left := now.Add(-closing)
	for _, x := range active {
		out.Active++
		if !x.BreakGlass {
			fault, err := e.Proofs.unproven(tx, x, sets, now)
			if err != nil {
				return nil, err
			}
			if fault != "" {
				out.Unapproved = append(out.Unapproved, x.ID+" ("+fault+")")
			}
		}
		if left.After(x.Until) {
			out.OpenAfterExpiry = append(out.OpenAfterExpiry, x.ID)
		}
	}
	// Glass that was broken counts until the customer was told, also when the
	// access is long over.
	broken, err := allGrants(tx, store.GrantFilter{Tenant: s.ID, Notices: []store.Notice{store.NoticeOwed, store.NoticeOverdue, store.NoticeDisputed}})
	if err != nil {
		return nil, err
	}
	for _, x := range broken {
		switch {
		case x.Notice == store.NoticeDisputed:
			out.Unapproved = append(out.Unapproved, x.ID+" (emergency that the customer disputes)")
		case !now.Before(x.NoticeDue):
			out.Unapproved = append(out.Unapproved, fmt.Sprintf("%s (emergency; the notice was due at %s)", x.ID, moment(x.NoticeDue)))
			if x.Ticket == "" {
				out.WithoutTicket = append(out.WithoutTicket, x.ID)
			}
		}
	}
	if err := e.sessions(tx, s.ID, left, &out); err != nil {
		return nil, err
	}
	return fact("access.environment", out, now)
}

// sessions adds what is wrong with live sessions.
func (e Environments) sessions(tx *store.Tx, tenant string, left time.Time, out *environment) error {
	live, err := e.Sessions.Live(tx, tenant)
	if err != nil {
		return err
	}
	for _, s := range live {
		x, err := tx.Grant(tenant, s.Grant)
		switch {
		case err != nil:
			out.Unapproved = append(out.Unapproved, "session "+s.ID+" (no grant)")
		case x.From.IsZero():
			out.Unapproved = append(out.Unapproved, "session "+s.ID+" (grant "+x.ID+" is "+string(x.State)+")")
		case left.After(x.Until), x.State.Over() && left.After(x.EndedAt):
			out.OpenAfterExpiry = append(out.OpenAfterExpiry, "session "+s.ID)
		}
	}
	return nil
}

// allGrants reads all grants of a filter, page by page.
func allGrants(tx *store.Tx, f store.GrantFilter) ([]store.Grant, error) {
	var out []store.Grant
	for {
		page, err := tx.Grants(f)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < store.MaxPage {
			return out, nil
		}
		f.Before = page[len(page)-1].ID
	}
}
