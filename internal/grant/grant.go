// Package grant lets the provider's people into a customer's environment just
// in time: they ask, naming a ticket, the customer's approvers decide by
// signature, and what was granted ends by itself. Every move is one transaction
// with its line of history, its ledger entry, and the verdicts that follow.
package grant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Judge judges the duties of subjects within a transaction.
type Judge interface {
	Rejudge(tx *store.Tx, subjects ...evidence.Subject) error
}

// Policy says who may do what.
type Policy interface {
	Permits(who access.Principal, a access.Action, r authz.Resource, c authz.Case) bool
}

// People knows principals.
type People interface {
	// Standing returns the principal as it is now, and ErrNotFound if it was
	// removed, revoked or has expired.
	Standing(tx *store.Tx, id string) (access.Principal, error)
	// Same reports whether two principals are one person.
	Same(tx *store.Tx, a, b string) (bool, error)
}

// Consent puts before a tenant what becomes effective by its signature only.
type Consent interface {
	// Propose stores what is to be signed and returns it with its id.
	Propose(tx *store.Tx, by access.Principal, d decision.Decision) (decision.Decision, error)
	// Settle withdraws what still waits for a signature about the subject.
	Settle(tx *store.Tx, by access.Principal, tenant string, kind decision.Kind, subject string) error
}

// Config makes Grants. All members are required.
type Config struct {
	Store   *store.Store
	Ledger  Recorder
	Judge   Judge
	Policy  Policy
	People  People
	Consent Consent
	Now     func() time.Time
	Log     *slog.Logger
}

// Grants is the use-case. It is safe for concurrent use.
type Grants struct {
	cfg   Config
	index index
	wake  chan struct{}
}

// New returns grants that know of no change yet; Load and Run take in what is
// stored.
func New(cfg Config) *Grants {
	return &Grants{cfg: cfg, index: newIndex(), wake: make(chan struct{}, 1)}
}

// timer acts where nobody does.
var timer = access.Principal{ID: "timer", Role: "system"}

// now is the present moment as the store keeps it.
func (g *Grants) now() time.Time { return g.cfg.Now().UTC().Truncate(time.Microsecond) }

// Get returns a grant with its history.
func (g *Grants) Get(ctx context.Context, tenant, id string) (x store.Grant, history []store.GrantEvent, err error) {
	err = g.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		if x, err = tx.Grant(tenant, id); err != nil {
			return err
		}
		history, err = tx.GrantHistory(id)
		return err
	})
	return x, history, err
}

// List returns grants, the newest first.
func (g *Grants) List(ctx context.Context, f store.GrantFilter) (out []store.Grant, err error) {
	err = g.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		out, err = tx.Grants(f)
		return err
	})
	return out, err
}

// Active returns the grant if sessions may be opened under it now. What is
// refused says why.
func (g *Grants) Active(tx *store.Tx, id string, now time.Time) (store.Grant, error) {
	x, err := tx.Grant("", id)
	if err != nil {
		return x, err
	}
	switch {
	case x.InForce(now):
		return x, nil
	case x.State.Open():
		return x, refusef("grant %s waits for the customer's decision", id)
	case x.State == access.Approved:
		return x, refusef("grant %s begins at %s", id, moment(x.From))
	case x.State == access.InForce && now.Before(x.From):
		return x, refusef("grant %s began at %s, which the clock says is to come: set the server's clock", id, moment(x.From))
	case x.State == access.InForce || x.State == access.Expired:
		return x, refusef("grant %s ended at %s: ask for another", id, moment(x.Until))
	}
	return x, refusef("grant %s is %s: ask for another", id, x.State)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func refusef(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), store.ErrConflict)
}

// change reads a grant, lets f move it, and returns it as it is then. Changes
// of grants happen one after the other.
func (g *Grants) change(ctx context.Context, tenant, id string, f func(tx *store.Tx, x *store.Grant) error) (x store.Grant, err error) {
	err = g.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		if x, err = tx.Grant(tenant, id); err != nil {
			return err
		}
		// In the order in which a signature takes them, so that neither waits for
		// the other for ever.
		if err := tx.LockTenant(x.Tenant); err != nil {
			return err
		}
		if x, err = tx.GrantForChange(x.Tenant, id); err != nil {
			return err
		}
		return f(tx, &x)
	})
	return x, err
}

// act is what is recorded of a move.
type act struct {
	what     string // as in grant.WHAT of the ledger
	words    string
	decision string
	digests  map[string]string
}

// move brings the grant into the state, which may be the one that it is in,
// with all that belongs to a move.
func (g *Grants) move(tx *store.Tx, by access.Principal, x *store.Grant, to access.GrantState, a act) error {
	from := x.State
	if from != to {
		if _, err := access.NextGrant(from, to); err != nil {
			return refusef("grant %s is %s", x.ID, from)
		}
	}
	x.State = to
	if to.Over() && x.EndedAt.IsZero() {
		x.EndedAt = g.now()
	}
	x.Due = due(*x)
	err := tx.ChangeGrant(x, from, store.GrantEvent{At: g.now(), Actor: by.Actor(), What: a.what, Words: a.words, Decision: a.decision})
	if err != nil {
		return err
	}
	if from.Open() && !to.Open() {
		if err := g.cfg.Consent.Settle(tx, by, x.Tenant, decision.AccessApproval, "grant/"+x.ID); err != nil {
			return err
		}
	}
	return g.record(tx, by, *x, a)
}

// record writes what goes with every change: ledger entry and verdicts. Once
// they are durable, index and timer learn of it.
func (g *Grants) record(tx *store.Tx, by access.Principal, x store.Grant, a act) error {
	digests := map[string]string{}
	for k, v := range a.digests {
		digests[k] = v
	}
	if a.words != "" {
		digests["words"] = canonical.Digest([]byte(a.words))
	}
	_, err := g.cfg.Ledger.Append(tx, ledger.Entry{
		Time: g.now(), Tenant: x.Tenant, Actor: by.Actor(), Action: "grant." + a.what, Subject: "grant/" + x.ID, Digests: digests,
	})
	if err != nil {
		return err
	}
	err = g.cfg.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeTenant, Tenant: x.Tenant, ID: x.Tenant}, evidence.Provider)
	if err != nil {
		return err
	}
	tx.OnCommit(func() {
		g.index.take(x)
		g.stir()
	})
	return nil
}

// stir wakes the timer.
func (g *Grants) stir() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// mayDecide checks that who may decide about the grant: a standing approver of
// the tenant who is not the person that asked.
func (g *Grants) mayDecide(tx *store.Tx, who access.Principal, x store.Grant) error {
	t, err := tx.Tenant(x.Tenant)
	if err != nil {
		return err
	}
	same := who.ID == x.Holder
	if !same {
		if same, err = g.cfg.People.Same(tx, who.ID, x.Holder); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	requester := x.Holder
	if same {
		requester = who.ID
	}
	switch {
	case same:
		return refusef("nobody decides about a request of their own: another approver of the customer has to")
	case !g.cfg.Policy.Permits(who, access.DecideAccess, authz.Resource{Tenant: t.ID, Own: t.Own}, authz.Case{Requester: requester}):
		return refusef("%s may not decide about access to this tenant, or no longer: an approver of the customer has to", who.ID)
	}
	return nil
}
