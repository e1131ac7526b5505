package store_test

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// newGrant is a request for an hour of a shell.
func (d db) newGrant(t *testing.T, id string, change func(*store.Grant)) store.Grant {
	t.Helper()
	g := store.Grant{
		ID: d.tenant + "-" + id, Tenant: d.tenant, Holder: "p-1", Ticket: "INC-1", Purpose: "é", Scope: []access.Ability{{Do: "shell", Target: "hv-1"}},
		Duration: time.Hour, State: access.Requested, RequestedAt: noon, LapsesAt: noon.Add(72 * time.Hour), Due: noon.Add(72 * time.Hour),
	}
	if change != nil {
		change(&g)
	}
	return g
}

func (d db) addGrant(t *testing.T, id string, change func(*store.Grant)) store.Grant {
	t.Helper()
	g := d.newGrant(t, id, change)
	d.ok(t, func(tx *store.Tx) error { return tx.InsertGrant(&g, event("request")) })
	return g
}

func event(what string) store.GrantEvent {
	return store.GrantEvent{At: noon, Actor: "provider-operator/p-1", What: what, Words: "words"}
}

// approved is g as an approval leaves it.
func approved(g store.Grant) store.Grant {
	g.State, g.Granted, g.From, g.Until, g.ApprovedBy, g.Decision = access.InForce, g.Scope, noon, noon.Add(g.Duration), "p-2", "d-1"
	g.Due = g.Until
	return g
}

func grants(t *testing.T, d db) {
	g := d.addGrant(t, "gr-1", func(g *store.Grant) { g.Wanted = noon.Add(time.Hour) })
	got := read(t, d, func(tx *store.Tx) (store.Grant, error) { return tx.Grant(d.tenant, g.ID) })
	if got.Purpose != "é" || !got.Wanted.Equal(g.Wanted) || got.Scope[0] != g.Scope[0] || got.Granted != nil || !got.From.IsZero() || got.Version != 1 || !got.Due.Equal(g.Due) {
		t.Errorf("%+v", got)
	}
	d.refused(t, "of another tenant", store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.Grant("t-nobody", g.ID); return err })
	stale := g
	live := approved(g)
	d.ok(t, func(tx *store.Tx) error { return tx.ChangeGrant(&live, access.Requested, event("approve")) })
	got = read(t, d, func(tx *store.Tx) (store.Grant, error) { return tx.Grant("", g.ID) })
	if !got.InForce(noon) || got.InForce(noon.Add(time.Hour)) || !got.InForce(noon.Add(-access.ClockSkew)) || got.InForce(noon.Add(-access.ClockSkew-time.Microsecond)) || got.Granted[0] != g.Scope[0] || got.Version != 2 || got.Changed <= g.Changed {
		t.Errorf("%+v", got)
	}
	stale.State = access.Refused
	d.refused(t, "stale", store.ErrStale, func(tx *store.Tx) error { return tx.ChangeGrant(&stale, access.Requested, event("refuse")) })
	history := read(t, d, func(tx *store.Tx) ([]store.GrantEvent, error) { return tx.GrantHistory(g.ID) })
	if len(history) != 2 || history[1].What != "approve" || history[1].From != access.Requested || history[1].To != access.InForce || history[1].Words != "words" {
		t.Errorf("%+v", history)
	}

	other := d.addGrant(t, "gr-2", nil)
	list := func(f store.GrantFilter) (ids string) {
		f.Tenant = d.tenant
		for _, x := range read(t, d, func(tx *store.Tx) ([]store.Grant, error) { return tx.Grants(f) }) {
			ids += x.ID[len(d.tenant)+1:] + " "
		}
		return ids
	}
	for _, c := range []struct {
		f    store.GrantFilter
		want string
	}{
		{store.GrantFilter{}, "gr-2 gr-1 "}, {store.GrantFilter{Limit: 1}, "gr-2 "}, {store.GrantFilter{Before: other.ID}, "gr-1 "},
		{store.GrantFilter{Holder: "p-1"}, "gr-2 gr-1 "}, {store.GrantFilter{Holder: "p-2"}, ""}, {store.GrantFilter{Notices: []store.Notice{store.NoticeOwed}}, ""},
	} {
		if got := list(c.f); got != c.want {
			t.Errorf("%+v: %s", c.f, got)
		}
	}
	if got := list(store.GrantFilter{States: []access.GrantState{access.InForce, access.Approved}}); got != "gr-1 " {
		t.Error(got)
	}
	due := read(t, d, func(tx *store.Tx) ([]store.Grant, error) { return tx.GrantsDue(noon.Add(time.Hour), 100) })
	if len(due) == 0 || due[len(due)-1].Due.After(noon.Add(time.Hour)) {
		t.Errorf("%+v", due)
	}
	first := read(t, d, func(tx *store.Tx) (time.Time, error) { return tx.NextGrantDue() })
	if first.IsZero() || first.After(noon.Add(time.Hour)) {
		t.Error(first)
	}
	changed := read(t, d, func(tx *store.Tx) ([]store.Grant, error) { return tx.GrantsChanged(live.Changed, 10) })
	n := read(t, d, func(tx *store.Tx) (int64, error) { return tx.GrantChanges() })
	if len(changed) != 1 || changed[0].ID != other.ID || n != other.Changed {
		t.Errorf("change %d; %+v", n, changed)
	}
}

// The database itself keeps grants to their rules, whatever a program does.
func grantGuards(t *testing.T, d db) {
	for what, change := range map[string]func(*store.Grant){
		"begins in force":             func(g *store.Grant) { *g = approved(*g) },
		"begins approved":             func(g *store.Grant) { *g = approved(*g); g.State = access.Approved },
		"begins expired":              func(g *store.Grant) { *g = approved(*g); g.State = access.Expired },
		"begins in no state":          func(g *store.Grant) { g.State = "standing" },
		"no ticket":                   func(g *store.Grant) { g.Ticket = "" },
		"longer than twelve hours":    func(g *store.Grant) { g.Duration = 12*time.Hour + time.Microsecond },
		"no time":                     func(g *store.Grant) { g.Duration = 0 },
		"of no tenant":                func(g *store.Grant) { g.Tenant = "t-nobody" },
		"emergency of two hours":      func(g *store.Grant) { emergency(g); g.Duration = 2 * time.Hour },
		"emergency, nothing to tell":  func(g *store.Grant) { emergency(g); g.Notice = "" },
		"emergency without end":       func(g *store.Grant) { emergency(g); g.Until = time.Time{} },
		"emergency past its duration": func(g *store.Grant) { emergency(g); g.Until = g.Until.Add(time.Microsecond) },
	} {
		g := d.newGrant(t, "gr-bad", change)
		d.refused(t, what, store.ErrConflict, func(tx *store.Tx) error { return tx.InsertGrant(&g, event("request")) })
	}
	d.addGrant(t, "gr-broken", emergency)

	g := d.addGrant(t, "gr-1", nil)
	for what, change := range map[string]func(*store.Grant){
		"illegal move":           func(g *store.Grant) { g.State = access.Expired },
		"approved by nobody":     func(g *store.Grant) { *g = approved(*g); g.Decision = "" },
		"in force without time":  func(g *store.Grant) { g.State = access.InForce; g.Decision = "d-1" },
		"longer than asked for":  func(g *store.Grant) { *g = approved(*g); g.Until = g.Until.Add(time.Microsecond) },
		"another holder":         func(g *store.Grant) { g.Holder = "p-2" },
		"another ticket":         func(g *store.Grant) { g.Ticket = "INC-2" },
		"another purpose":        func(g *store.Grant) { g.Purpose = "other" },
		"a wider scope":          func(g *store.Grant) { g.Scope = append(g.Scope, access.Ability{Do: "exec", Target: "hv-1"}) },
		"a later lapse":          func(g *store.Grant) { g.LapsesAt = g.LapsesAt.Add(time.Hour) },
		"another request's time": func(g *store.Grant) { g.RequestedAt = noon.Add(time.Hour) },
		"an emergency after all": func(g *store.Grant) { g.BreakGlass, g.Notice = true, store.NoticeOwed },
	} {
		x := g
		change(&x)
		d.refused(t, what, store.ErrConflict, func(tx *store.Tx) error { return tx.ChangeGrant(&x, access.Requested, event("change")) })
	}
	live := approved(g)
	d.ok(t, func(tx *store.Tx) error { return tx.ChangeGrant(&live, access.Requested, event("approve")) })
	for what, change := range map[string]func(*store.Grant){
		"a later end":        func(g *store.Grant) { g.Until = g.Until.Add(-time.Minute) },
		"another approver":   func(g *store.Grant) { g.ApprovedBy = "p-3" },
		"another decision":   func(g *store.Grant) { g.Decision = "d-2" },
		"another scope":      func(g *store.Grant) { g.Granted = []access.Ability{{Do: "exec", Target: "hv-1"}} },
		"back to a request":  func(g *store.Grant) { g.State = access.Requested },
		"approved once more": func(g *store.Grant) { g.State = access.Approved },
	} {
		x := live
		change(&x)
		d.refused(t, what, store.ErrConflict, func(tx *store.Tx) error { return tx.ChangeGrant(&x, access.InForce, event("change")) })
	}
	over := live
	over.State, over.EndedAt = access.Revoked, noon
	d.ok(t, func(tx *store.Tx) error { return tx.ChangeGrant(&over, access.InForce, event("revoke")) })
	for _, s := range access.GrantStates {
		x := over
		if x.State = s; s != access.Revoked {
			d.refused(t, "revoked becomes "+string(s), store.ErrConflict, func(tx *store.Tx) error { return tx.ChangeGrant(&x, access.Revoked, event("change")) })
		}
	}
	for what, statement := range map[string]string{
		"a move without history":    "UPDATE access_grant SET state = 'closed' WHERE id = '" + g.ID + "'",
		"a change without history":  "UPDATE access_grant SET ticket = 'INC-1', version = version + 1 WHERE id = '" + g.ID + "'",
		"a grant is deleted":        "DELETE FROM access_grant WHERE id = '" + g.ID + "'",
		"history is deleted":        "DELETE FROM grant_event WHERE grant_id = '" + g.ID + "'",
		"history is rewritten":      "UPDATE grant_event SET words = 'other' WHERE grant_id = '" + g.ID + "'",
		"another's name in history": "UPDATE grant_event SET actor = 'customer-owner/p-9' WHERE grant_id = '" + g.ID + "'",
	} {
		d.refused(t, what, store.ErrConflict, func(tx *store.Tx) error { return store.Statement(tx, statement) })
	}
}

func emergency(g *store.Grant) {
	g.BreakGlass, g.State, g.Ticket, g.Granted, g.From, g.Until, g.Notice, g.NoticeDue = true, access.InForce, "", g.Scope, noon, noon.Add(g.Duration), store.NoticeOwed, noon.Add(24*time.Hour)
}
