package store

import (
	"database/sql"
	"fmt"
	"time"
)

// ActorUse is when somebody last did something.
type ActorUse struct {
	Tenant, Actor, Action string
	Last                  time.Time
	Uses                  int64
}

// AddUses adds to what is known of who did what: counts are added, and the
// later time stays.
func (tx *Tx) AddUses(uses []ActorUse) error {
	for _, u := range uses {
		err := tx.exec("note who did what", "INSERT INTO actor_use (tenant_id, actor, action, last_at, uses) VALUES (?,?,?,?,?) "+
			"ON CONFLICT (actor, tenant_id, action) DO UPDATE SET uses = actor_use.uses + EXCLUDED.uses, "+
			"last_at = CASE WHEN EXCLUDED.last_at > actor_use.last_at THEN EXCLUDED.last_at ELSE actor_use.last_at END",
			u.Tenant, u.Actor, u.Action, micros(u.Last), u.Uses)
		if err != nil {
			return err
		}
	}
	return nil
}

// Uses returns what an actor did last, in all tenants.
func (tx *Tx) Uses(actor string) ([]ActorUse, error) {
	const query = "SELECT tenant_id, actor, action, last_at, uses FROM actor_use WHERE actor = ? ORDER BY action, tenant_id"
	return list(tx, "uses", query, []any{actor}, func(rows *sql.Rows) (u ActorUse, err error) {
		var last int64
		err = rows.Scan(&u.Tenant, &u.Actor, &u.Action, &last, &u.Uses)
		u.Last = fromMicros(last)
		return u, err
	})
}

// LastShown returns when a person was last seen: by a session, or by a token
// that acts for it; zero if it never was.
func (tx *Tx) LastShown(principal string) (time.Time, error) {
	seen, err := tx.LastSeen(principal)
	if err != nil {
		return seen, err
	}
	var used *int64
	if err := tx.ledgerRow("SELECT max(used_at) FROM api_token WHERE principal_id = ?", principal).Scan(&used); err != nil {
		return seen, fmt.Errorf("read when tokens were last used: %w", err)
	}
	if used != nil && fromMicros(*used).After(seen) {
		seen = fromMicros(*used)
	}
	return seen, nil
}
