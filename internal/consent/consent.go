// Package consent asks the customer: it keeps decisions that wait for a
// signature, checks the signature by the tenant's own keys, and lets the
// decision take effect in the same transaction, or not at all.
package consent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// ErrForbidden: the caller's role may not sign this.
var ErrForbidden = errors.New("not permitted")

// OpenFor is how long a decision waits for its signature where nothing else is said.
const OpenFor = 14 * 24 * time.Hour

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// People knows who may still act.
type People interface {
	// Standing returns the principal of that id; false if there is none, or it
	// was ended.
	Standing(tx *store.Tx, id string) (access.Principal, bool, error)
}

// Effect puts a signed decision into force. It runs in the transaction that
// stores the signature: where it fails, nothing was signed. by is who gave the
// last signature.
type Effect func(tx *store.Tx, by access.Principal, s decision.Signed) error

// Book is the use-case. All exported members are required. It is safe for
// concurrent use once the effects are registered.
type Book struct {
	Store  *store.Store
	Ledger Recorder
	Policy *authz.Policy
	People People
	Now    func() time.Time
	Log    *slog.Logger

	effects map[decision.Kind]Effect
}

// On registers the effect of a kind, before the book is used. Without one, a
// decision of the kind can be signed and is kept, and nothing acts on it yet.
func (b *Book) On(kind decision.Kind, e Effect) {
	if b.effects == nil {
		b.effects = map[decision.Kind]Effect{}
	}
	b.effects[kind] = e
}

// Acts reports whether something acts on signed decisions of the kind.
func (b *Book) Acts(kind decision.Kind) bool {
	return b.effects[kind] != nil || kind == decision.KeyChange
}

func (b *Book) record(tx *store.Tx, actor, tenant, action, subject string, digests map[string]string) error {
	_, err := b.Ledger.Append(tx, ledger.Entry{Time: b.Now(), Tenant: tenant, Actor: actor, Action: action, Subject: subject, Digests: digests})
	return err
}

// Propose stores d as pending within tx. The caller gives kind, tenant, subject,
// version, content and, if it is not to be OpenFor, ExpiresAt; the rest is set
// here.
func (b *Book) Propose(tx *store.Tx, by access.Principal, d decision.Decision) (decision.Decision, error) {
	now := b.Now().UTC().Truncate(time.Microsecond)
	d.ID, d.IssuedAt = ident.New("d"), now
	if d.ExpiresAt.IsZero() {
		d.ExpiresAt = now.Add(OpenFor)
	}
	d.ExpiresAt = d.ExpiresAt.UTC().Truncate(time.Microsecond)
	row := store.Decision{Decision: d, ProposedBy: by.Actor()}
	if err := tx.InsertDecision(&row); err != nil {
		if errors.Is(err, decision.ErrForm) {
			return d, fmt.Errorf("%w: the decision: %w", estate.ErrInvalid, err)
		}
		return d, err
	}
	return d, b.record(tx, by.Actor(), d.Tenant, "decision.propose", "decision/"+d.ID, map[string]string{"decision": row.Digest})
}

// Open reads a decision of a tenant with its signatures.
func (b *Book) Open(tx *store.Tx, tenant, id string) (store.Decision, []store.GivenSignature, error) {
	d, err := tx.DecisionByID(id)
	if err == nil && d.Tenant != tenant {
		err = fmt.Errorf("decision %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return store.Decision{}, nil, err
	}
	given, err := tx.Signatures(id)
	return d, given, err
}

// Withdraw ends a pending decision without a signature.
func (b *Book) Withdraw(ctx context.Context, by access.Principal, tenant, id string) (d store.Decision, err error) {
	err = b.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.LockTenant(tenant); err != nil {
			return err
		}
		if d, _, err = b.Open(tx, tenant, id); err != nil {
			return err
		}
		if err := b.pending(d); err != nil {
			return err
		}
		now := b.Now()
		d.State, d.DecidedAt = store.DecisionWithdrawn, &now
		if err := tx.Decide(id, d.State, now); err != nil {
			return err
		}
		return b.record(tx, by.Actor(), tenant, "decision.withdraw", "decision/"+id, map[string]string{"decision": d.Digest})
	})
	return d, err
}

// pending refuses a decision that cannot be decided any more.
func (b *Book) pending(d store.Decision) error {
	switch {
	case d.State != store.DecisionPending:
		return fmt.Errorf("decision %s is %s already: %w", d.ID, d.State, store.ErrConflict)
	case !b.Now().Before(d.ExpiresAt):
		return fmt.Errorf("decision %s had to be signed before %s; propose it anew: %w", d.ID, d.ExpiresAt.Format(time.RFC3339), store.ErrConflict)
	}
	return nil
}

// Run marks decisions expired whose time is over, until ctx ends. What is
// overdue cannot be signed even before that.
func (b *Book) Run(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		if err := b.Expire(ctx); err != nil && ctx.Err() == nil {
			b.Log.Error("mark decisions expired", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Expire marks decisions expired whose time is over now.
func (b *Book) Expire(ctx context.Context) error {
	var overdue []store.Decision
	err := b.Store.Read(ctx, func(tx *store.Tx) (err error) {
		overdue, err = tx.OverdueDecisions(b.Now())
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range overdue {
		err := b.Store.Write(ctx, func(tx *store.Tx) error {
			if err := tx.Decide(d.ID, store.DecisionExpired, b.Now()); err != nil {
				return err
			}
			return b.record(tx, "system/consent", d.Tenant, "decision.expire", "decision/"+d.ID, map[string]string{"decision": d.Digest})
		})
		if err != nil && !errors.Is(err, store.ErrConflict) { // another server was first
			return err
		}
	}
	return nil
}
