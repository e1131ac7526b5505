// Package privilege finds rights that nobody uses: people and tokens that rest,
// privileged roles of which nothing is used, roles wider than what is used of
// them, and administrators' accounts on VMs that nobody logs in to. What was
// used is read from the ledger, entry after entry.
package privilege

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/acts"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// UnusedDays is how long a right may rest before it counts as unused.
const UnusedDays = 90

// Policy says what a role permits on its own side.
type Policy interface {
	// Allowed returns what a role may do: in its tenant, or at the provider's.
	Allowed(role access.Role) []access.Action
}

// Privileges reports unused rights. It is safe for concurrent use.
type Privileges struct {
	Store  *store.Store
	Policy Policy
	Now    func() time.Time
	Log    *slog.Logger

	mu       sync.Mutex
	accounts map[string]kept // by tenant, guarded by mu
}

// kept are the resting accounts on a tenant's VMs, as they were found.
type kept struct {
	at   time.Time
	list []Unused
}

// keepFor is how long the resting accounts of a tenant's VMs are not looked for
// again, unless this process hears of a change.
const keepFor = 10 * time.Minute

// Unused is a right that nobody uses.
type Unused struct {
	Who       string // ROLE/ID, or "ACCOUNT on VM"
	Principal string // id; empty for accounts on VMs
	Name      string
	Why       string
	Since     time.Time // last use; zero if there was none
}

// Wide is a role of which a narrower one would do.
type Wide struct {
	Who, Principal, Name string
	Role, Suffices       access.Role
	// Unused is what the role permits and was not used.
	Unused []access.Action
}

// Report is what is unused or too wide.
type Report struct {
	Unused []Unused
	Wide   []Wide
}

// Report looks at the principals and VMs of a tenant; at the provider's
// principals if tenant is empty.
func (p *Privileges) Report(ctx context.Context, tenant string) (r Report, err error) {
	err = p.Store.Read(ctx, func(tx *store.Tx) (err error) {
		r, err = p.report(tx, tenant, p.Now())
		return err
	})
	return r, err
}

func (p *Privileges) report(tx *store.Tx, tenant string, now time.Time) (r Report, err error) {
	since := now.Add(-UnusedDays * 24 * time.Hour)
	var all []principal
	for page := (store.Page{}); ; {
		some, err := tx.Principals(tenant, page)
		if err != nil {
			return r, err
		}
		for _, c := range some {
			if !c.Stands(now) {
				continue
			}
			x, err := p.principal(tx, c)
			if err != nil {
				return r, err
			}
			all = append(all, x)
		}
		if len(some) < store.MaxPage {
			break
		}
		page.After = some[len(some)-1].ID
	}
	for _, x := range all {
		if u, ok := x.unused(since); ok {
			r.Unused = append(r.Unused, u)
		} else if w, ok := x.wide(p.Policy, since, all); ok {
			r.Wide = append(r.Wide, w)
		}
	}
	if tenant == "" {
		return r, nil
	}
	accounts, err := p.resting(tx, tenant, now)
	r.Unused = append(r.Unused, accounts...)
	return r, err
}

// principal is a principal with what it used.
type principal struct {
	store.Credential
	allowed []access.Action
	last    map[access.Action]time.Time
	seen    time.Time
}

func (p *Privileges) principal(tx *store.Tx, c store.Credential) (principal, error) {
	x := principal{Credential: c, allowed: p.Policy.Allowed(c.Role), last: map[access.Action]time.Time{}}
	uses, err := tx.Uses(c.Actor())
	if err != nil {
		return x, err
	}
	for _, u := range uses {
		if u.Last.After(x.seen) {
			x.seen = u.Last
		}
		if a, ok := acts.Of(u.Action); ok && a.Needs != "" && u.Last.After(x.last[a.Needs]) {
			x.last[a.Needs] = u.Last
		}
	}
	at, err := tx.LastShown(c.ID)
	if at.After(x.seen) {
		x.seen = at
	}
	return x, err
}

// privileged reports whether the role may do more than look.
func (x principal) privileged() bool {
	return slices.ContainsFunc(x.allowed, func(a access.Action) bool { return a != access.Look && a != access.ReadContacts })
}

// unused reports a principal that rests, or whose privileged role does. One
// that is younger than the time has not had it to rest.
func (x principal) unused(since time.Time) (Unused, bool) {
	u := Unused{Who: x.Actor(), Principal: x.ID, Name: x.Name, Since: x.seen}
	if x.CreatedAt.After(since) {
		return u, false
	}
	// Of a program that only reads nobody knows whether it still does.
	if x.seen.Before(since) && x.Kind == access.Person {
		u.Why = "was not seen for " + fmt.Sprint(UnusedDays) + " days"
		return u, true
	}
	if !x.privileged() {
		return u, false
	}
	u.Since = time.Time{}
	for _, at := range x.last {
		if at.After(u.Since) {
			u.Since = at
		}
	}
	u.Why = "used none of the rights of its role for " + fmt.Sprint(UnusedDays) + " days"
	return u, u.Since.Before(since)
}

// wide reports a role of which a narrower one permits all that was used.
func (x principal) wide(policy Policy, since time.Time, all []principal) (Wide, bool) {
	w := Wide{Who: x.Actor(), Principal: x.ID, Name: x.Name, Role: x.Role}
	if x.CreatedAt.After(since) || !x.privileged() || x.last1(access.ManagePeople, all) {
		return w, false
	}
	var used []access.Action
	for _, a := range x.allowed {
		if x.last[a].After(since) {
			used = append(used, a)
		} else {
			w.Unused = append(w.Unused, a)
		}
	}
	best := len(x.allowed)
	for _, r := range access.Roles {
		if r == x.Role || r.Side() != x.Role.Side() {
			continue
		}
		other := policy.Allowed(r)
		covers := !slices.ContainsFunc(used, func(a access.Action) bool { return !slices.Contains(other, a) })
		within := !slices.ContainsFunc(other, func(a access.Action) bool { return !slices.Contains(x.allowed, a) })
		if covers && within && len(other) < best {
			w.Suffices, best = r, len(other)
		}
	}
	return w, w.Suffices != ""
}

// last1 reports that x is the last who may do something that somebody must be
// able to do.
func (x principal) last1(a access.Action, all []principal) bool {
	if !slices.Contains(x.allowed, a) {
		return false
	}
	n := 0
	for _, y := range all {
		if slices.Contains(y.allowed, a) {
			n++
		}
	}
	return n == 1
}

// positionSetting keeps up to where the ledger was read.
const (
	positionSetting = "privilege.ledger-position"
	readAtOnce      = 2000
)

// Run reads who did what from the ledger, until ctx ends.
func (p *Privileges) Run(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		if err := p.Follow(ctx); err != nil && ctx.Err() == nil {
			p.Log.Error("read from the ledger who did what", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Follow reads the ledger to its end, from where it was read to last. An entry
// counts once, whichever server reads it.
func (p *Privileges) Follow(ctx context.Context) error {
	for ctx.Err() == nil {
		var at, end int64
		err := p.Store.Read(ctx, func(tx *store.Tx) (err error) {
			at, end, err = position(tx)
			return err
		})
		if err != nil || at >= end {
			return err
		}
		if err := p.Store.Write(ctx, read); err != nil {
			return err
		}
	}
	return nil
}

func position(tx *store.Tx) (at, end int64, err error) {
	raw, err := tx.Setting(positionSetting)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, 0, err
	}
	if len(raw) == 8 {
		at = int64(binary.BigEndian.Uint64(raw))
	}
	head, err := tx.LedgerHead()
	return at, head.Size, err
}

// read takes in the next entries.
func read(tx *store.Tx) error {
	at, end, err := position(tx)
	if err != nil || at >= end {
		return err
	}
	end = min(end, at+readAtOnce)
	rows, err := tx.LedgerEntries(at, end)
	if err != nil {
		return err
	}
	type key struct{ tenant, actor, action string }
	sums := map[key]store.ActorUse{}
	for _, r := range rows {
		if !strings.HasPrefix(r.Actor, "provider-") && !strings.HasPrefix(r.Actor, "customer-") {
			continue
		}
		k := key{r.Tenant, r.Actor, r.Action}
		u := sums[k]
		u.Tenant, u.Actor, u.Action, u.Uses = r.Tenant, r.Actor, r.Action, u.Uses+1
		if r.Time.After(u.Last) {
			u.Last = r.Time
		}
		sums[k] = u
	}
	uses := make([]store.ActorUse, 0, len(sums))
	for _, u := range sums {
		uses = append(uses, u)
	}
	// One order for all servers, so that they do not wait for each other in a ring.
	slices.SortFunc(uses, func(a, b store.ActorUse) int {
		return strings.Compare(a.Actor+"\x00"+a.Tenant+"\x00"+a.Action, b.Actor+"\x00"+b.Tenant+"\x00"+b.Action)
	})
	if err := tx.AddUses(uses); err != nil {
		return err
	}
	return tx.PutSetting(positionSetting, binary.BigEndian.AppendUint64(nil, uint64(end)))
}

// Scope implements posture.Source.
func (p *Privileges) Scope() evidence.Scope { return evidence.ScopeTenant }
