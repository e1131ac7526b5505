package store

import (
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/demarc/demarc/internal/access"
)

// Grant is somebody of the provider's access to a tenant's environment, from
// the request on.
type Grant struct {
	ID, Tenant string
	// Holder is the principal that asked, and that alone may use it.
	Holder          string
	Ticket, Purpose string
	// Scope, Duration and Wanted are what was asked for. A zero Wanted means as
	// soon as it is approved.
	Scope    []access.Ability
	Duration time.Duration
	Wanted   time.Time
	// Extends is the grant that this one continues, or empty.
	Extends     string
	BreakGlass  bool
	State       access.GrantState
	RequestedAt time.Time
	LapsesAt    time.Time
	// Granted, From, Until, ApprovedBy (a principal) and Decision (the signed
	// one) are set once, by the approval; without it where glass is broken.
	Granted     []access.Ability
	From, Until time.Time
	ApprovedBy  string
	Decision    string
	EndedAt     time.Time
	// NoticeDue, NoticeAt and Notice are of broken glass.
	NoticeDue, NoticeAt time.Time
	Notice              Notice
	// Due is when time alone changes it; zero is never.
	Due     time.Time
	Version int64
	// Changed orders the changes of all grants.
	Changed int64
}

// InForce reports whether sessions may be open at the moment.
func (g Grant) InForce(now time.Time) bool {
	return g.State == access.InForce && !now.Before(g.From.Add(-access.ClockSkew)) && now.Before(g.Until)
}

// Notice is how it stands with telling the customer what was done in an
// emergency; empty where none is owed.
type Notice string

const (
	NoticeOwed         Notice = "owed"
	NoticeOverdue      Notice = "overdue"
	NoticeGiven        Notice = "given"
	NoticeAcknowledged Notice = "acknowledged"
	NoticeDisputed     Notice = "disputed"
)

// GrantEvent is a line of a grant's history. Event N made version N.
type GrantEvent struct {
	Grant    string
	Number   int64
	At       time.Time
	Actor    string // ROLE/ID
	What     string
	From, To access.GrantState
	Words    string
	// Decision is the id of the decision that the event is about, or empty.
	Decision string
}

type grantRow struct {
	bun.BaseModel `bun:"table:access_grant"`
	ID            string `bun:",pk"`
	TenantID      string
	HolderID      string
	Ticket        string
	Purpose       string
	Scope         string
	DurationUs    int64
	WantedAt      int64
	ExtendsID     string
	BreakGlass    int64
	State         string
	RequestedAt   int64
	LapsesAt      int64
	Granted       string
	FromAt        int64
	UntilAt       int64
	ApprovedBy    string
	DecisionID    string
	EndedAt       int64
	NoticeDue     int64
	NoticeAt      int64
	Notice        string
	DueAt         *int64
	Version       int64
	Changed       int64
}

func (r grantRow) grant() (Grant, error) {
	g := Grant{
		ID: r.ID, Tenant: r.TenantID, Holder: r.HolderID, Ticket: r.Ticket, Purpose: r.Purpose,
		Duration: time.Duration(r.DurationUs) * time.Microsecond, Wanted: fromMicros(r.WantedAt), Extends: r.ExtendsID,
		BreakGlass: r.BreakGlass == 1, State: access.GrantState(r.State), RequestedAt: fromMicros(r.RequestedAt), LapsesAt: fromMicros(r.LapsesAt),
		From: fromMicros(r.FromAt), Until: fromMicros(r.UntilAt), ApprovedBy: r.ApprovedBy, Decision: r.DecisionID, EndedAt: fromMicros(r.EndedAt),
		NoticeDue: fromMicros(r.NoticeDue), NoticeAt: fromMicros(r.NoticeAt), Notice: Notice(r.Notice), Version: r.Version, Changed: r.Changed,
	}
	if r.DueAt != nil {
		g.Due = fromMicros(*r.DueAt)
	}
	var err error
	if g.Scope, err = decode[[]access.Ability](r.Scope, "scope of grant "+r.ID); err != nil {
		return g, err
	}
	if r.Granted != "" {
		g.Granted, err = decode[[]access.Ability](r.Granted, "scope of grant "+r.ID)
	}
	return g, err
}

func rowOf(g Grant) grantRow {
	r := grantRow{
		ID: g.ID, TenantID: g.Tenant, HolderID: g.Holder, Ticket: g.Ticket, Purpose: g.Purpose, Scope: encode(g.Scope),
		DurationUs: g.Duration.Microseconds(), WantedAt: micros(g.Wanted), ExtendsID: g.Extends, State: string(g.State),
		RequestedAt: micros(g.RequestedAt), LapsesAt: micros(g.LapsesAt), FromAt: micros(g.From), UntilAt: micros(g.Until),
		ApprovedBy: g.ApprovedBy, DecisionID: g.Decision, EndedAt: micros(g.EndedAt), NoticeDue: micros(g.NoticeDue),
		NoticeAt: micros(g.NoticeAt), Notice: string(g.Notice), Version: g.Version, Changed: g.Changed,
	}
	if g.BreakGlass {
		r.BreakGlass = 1
	}
	if g.Granted != nil {
		r.Granted = encode(g.Granted)
	}
	if !g.Due.IsZero() {
		due := g.Due.UnixMicro()
		r.DueAt = &due
	}
	return r
}

type grantEventRow struct {
	bun.BaseModel `bun:"table:grant_event"`
	GrantID       string `bun:",pk"`
	Number        int64  `bun:",pk"`
	At            int64
	Actor         string
	What          string
	FromState     string
	ToState       string
	Words         string
	DecisionID    string
}

func (r grantEventRow) event() (GrantEvent, error) {
	return GrantEvent{
		Grant: r.GrantID, Number: r.Number, At: fromMicros(r.At), Actor: r.Actor, What: r.What, From: access.GrantState(r.FromState),
		To: access.GrantState(r.ToState), Words: r.Words, Decision: r.DecisionID,
	}, nil
}

func (tx *Tx) insertGrantEvent(e GrantEvent) error {
	return insert(tx, &grantEventRow{
		GrantID: e.Grant, Number: e.Number, At: micros(e.At), Actor: e.Actor, What: e.What, FromState: string(e.From), ToState: string(e.To),
		Words: e.Words, DecisionID: e.Decision,
	}, "history of grant "+e.Grant)
}

// nextGrantChange numbers a change. Changes of grants happen one after the
// other until tx ends.
func (tx *Tx) nextGrantChange() (n int64, err error) {
	const query = "UPDATE grant_changes SET changes = changes + 1 WHERE id = 1 RETURNING changes"
	if err := tx.db.Tx.QueryRowContext(tx.ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("number the change of a grant: %w", err)
	}
	return n, nil
}

// InsertGrant adds a grant with its first event, and sets g.Version and
// g.Changed. Of e only Actor, What, At and Words need be set.
func (tx *Tx) InsertGrant(g *Grant, e GrantEvent) (err error) {
	if g.Changed, err = tx.nextGrantChange(); err != nil {
		return err
	}
	g.Version = 1
	row := rowOf(*g)
	if err := insert(tx, &row, "grant"); err != nil {
		return err
	}
	e.Grant, e.Number, e.From, e.To = g.ID, 1, "", g.State
	return tx.insertGrantEvent(e)
}

// ChangeGrant replaces the grant, which was in state from and of g.Version,
// with the event that tells of it, and sets g.Version and g.Changed. Of
// concurrent changes exactly one succeeds; the others get ErrStale. Of e only
// Actor, What, At, Words and Decision need be set.
func (tx *Tx) ChangeGrant(g *Grant, from access.GrantState, e GrantEvent) error {
	// The number first: it makes concurrent changes wait, so that the event's
	// number tells a lost race from a fault.
	n, err := tx.nextGrantChange()
	if err != nil {
		return err
	}
	var version int64
	if err := tx.db.NewSelect().Table("access_grant").Column("version").Where("id = ?", g.ID).Scan(tx.ctx, &version); err != nil {
		return fmt.Errorf("read grant %s: %w", g.ID, err)
	}
	if version != g.Version {
		return fmt.Errorf("grant %q was changed meanwhile: %w", g.ID, ErrStale)
	}
	g.Version, g.Changed = version+1, n
	e.Grant, e.Number, e.From, e.To = g.ID, g.Version, from, g.State
	if err := tx.insertGrantEvent(e); err != nil {
		return err
	}
	row := rowOf(*g)
	res, err := tx.db.NewUpdate().Model(&row).WherePK().Where("version = ?", version).Exec(tx.ctx)
	return changed(res, err, "grant", g.ID)
}

// Grant returns the grant of that id; that of another tenant is not found,
// unless tenant is empty.
func (tx *Tx) Grant(tenant, id string) (Grant, error) {
	q := tx.db.NewSelect().Where("id = ?", id)
	if tenant != "" {
		q = q.Where("tenant_id = ?", tenant)
	}
	var row grantRow
	return one(tx, q, &row, "grant", id, grantRow.grant)
}

// GrantForChange is Grant, after every earlier change of any grant has ended;
// later ones wait for the end of tx.
func (tx *Tx) GrantForChange(tenant, id string) (Grant, error) {
	if _, err := tx.nextGrantChange(); err != nil {
		return Grant{}, err
	}
	return tx.Grant(tenant, id)
}

// GrantFilter narrows Grants; empty members do not.
type GrantFilter struct {
	Tenant, Holder string
	States         []access.GrantState
	// Notices are of broken glass.
	Notices []Notice
	// Before lists only ids below it; grants come the newest first.
	Before string
	Limit  int
}

// Grants lists grants, the newest first.
func (tx *Tx) Grants(f GrantFilter) ([]Grant, error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	q := tx.db.NewSelect().OrderExpr("id DESC").Limit(int64(f.Limit))
	if f.Tenant != "" {
		q = q.Where("tenant_id = ?", f.Tenant)
	}
	if f.Holder != "" {
		q = q.Where("holder_id = ?", f.Holder)
	}
	if len(f.States) > 0 {
		q = q.Where("state IN (?)", bun.List(f.States))
	}
	if len(f.Notices) > 0 {
		q = q.Where("notice IN (?)", bun.List(f.Notices))
	}
	if f.Before != "" {
		q = q.Where("id < ?", f.Before)
	}
	return many(tx, q, "grants", grantRow.grant)
}

// GrantHistory returns what happened to a grant, in order.
func (tx *Tx) GrantHistory(id string) ([]GrantEvent, error) {
	return many(tx, tx.db.NewSelect().Where("grant_id = ?", id).Order("number"), "history of a grant", grantEventRow.event)
}

// GrantsDue returns at most n grants that time alone changes by now.
func (tx *Tx) GrantsDue(now time.Time, n int) ([]Grant, error) {
	return many(tx, tx.db.NewSelect().Where("due_at <= ?", micros(now)).Order("due_at", "id").Limit(int64(n)), "grants", grantRow.grant)
}

// NextGrantDue returns when time alone changes a grant next; zero is never.
func (tx *Tx) NextGrantDue() (time.Time, error) {
	var due *int64
	if err := tx.db.NewSelect().Table("access_grant").ColumnExpr("MIN(due_at)").Scan(tx.ctx, &due); err != nil {
		return time.Time{}, fmt.Errorf("read the next timer of grants: %w", err)
	}
	if due == nil {
		return time.Time{}, nil
	}
	return fromMicros(*due), nil
}

// GrantChanges returns how many changes of grants there were.
func (tx *Tx) GrantChanges() (n int64, err error) {
	if err := tx.db.Tx.QueryRowContext(tx.ctx, "SELECT changes FROM grant_changes WHERE id = 1").Scan(&n); err != nil {
		return 0, fmt.Errorf("read the changes of grants: %w", err)
	}
	return n, nil
}

// GrantsChanged returns at most n grants that changed after that change, in order.
func (tx *Tx) GrantsChanged(after int64, n int) ([]Grant, error) {
	return many(tx, tx.db.NewSelect().Where("changed > ?", after).Order("changed").Limit(int64(n)), "grants", grantRow.grant)
}

// StandingGrants returns how long the longest grant in force lasts, and the ids
// of those that last longer than limit or have no end.
func (tx *Tx) StandingGrants(limit time.Duration) (longest time.Duration, standing []string, err error) {
	var us int64
	err = tx.db.NewSelect().Table("access_grant").ColumnExpr("COALESCE(MAX(until_at - from_at), 0)").
		Where("state = ?", string(access.InForce)).Scan(tx.ctx, &us)
	if err != nil {
		return 0, nil, fmt.Errorf("read the longest grant: %w", err)
	}
	err = tx.db.NewSelect().Table("access_grant").Column("id").
		Where("state = ? AND (until_at = 0 OR until_at - from_at > ?)", string(access.InForce), limit.Microseconds()).Order("id").Limit(100).Scan(tx.ctx, &standing)
	if err != nil {
		return 0, nil, fmt.Errorf("list standing grants: %w", err)
	}
	return time.Duration(us) * time.Microsecond, standing, nil
}

// seedGrantMoves does for grants what seedMoves does for VMs.
func seedGrantMoves(tx *Tx) error {
	if _, err := tx.db.NewDelete().Table("grant_move").Where("1 = 1").Exec(tx.ctx); err != nil {
		return fmt.Errorf("seed moves of grants: %w", err)
	}
	for _, m := range access.GrantMoves {
		row := map[string]any{"from_state": string(m.From), "to_state": string(m.To)}
		if _, err := tx.db.NewInsert().Model(&row).Table("grant_move").Exec(tx.ctx); err != nil {
			return fmt.Errorf("seed moves of grants: %w", err)
		}
	}
	return nil
}
