package grant_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/store"
)

type environment struct {
	Active          int      `json:"active"`
	Unapproved      []string `json:"unapproved"`
	OpenAfterExpiry []string `json:"open_after_expiry"`
	WithoutTicket   []string `json:"without_ticket"`
}

type privileged struct {
	Standing           []string `json:"standing"`
	UnrecordedSessions []string `json:"unrecorded_sessions"`
	LongestHours       float64  `json:"longest_hours"`
}

func ask1[T any](t testing.TB, r *rig, src posture.Source, id string) (out T) {
	t.Helper()
	var facts []evidence.Fact
	err := r.store.Read(t.Context(), func(tx *store.Tx) (err error) {
		facts, err = src.Facts(tx, evidence.Subject{Scope: src.Scope(), Tenant: id, ID: id}, r.Now())
		return err
	})
	if err != nil || len(facts) != 1 {
		t.Fatalf("%d facts, %v", len(facts), err)
	}
	if err := json.Unmarshal(facts[0].Data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *rig) environment(t testing.TB) environment {
	t.Helper()
	return ask1[environment](t, r, grant.Environments{Sessions: r}, acme)
}

func (r *rig) privileged(t testing.TB) privileged {
	t.Helper()
	return ask1[privileged](t, r, grant.Privileged{Sessions: r}, "provider")
}

func TestFacts(t *testing.T) {
	r := newRig(t)
	if e, p := r.environment(t), r.privileged(t); e.Active != 0 || e.Unapproved == nil || len(p.Standing) != 0 || p.LongestHours != 0 {
		t.Errorf("%+v, %+v", e, p)
	}
	x := r.grant(t, 90)
	waiting := r.request(t, ask(60))
	r.live = []grant.Session{{ID: "s-1", Tenant: acme, Grant: x.ID, Recorded: true}}
	if e, p := r.environment(t), r.privileged(t); e.Active != 1 || len(e.Unapproved)+len(e.OpenAfterExpiry)+len(e.WithoutTicket) != 0 || p.LongestHours != 1.5 {
		t.Errorf("%+v, %+v", e, p)
	}
	r.live = append(r.live, grant.Session{ID: "s-2", Tenant: acme, Grant: waiting.ID}, grant.Session{ID: "s-3", Tenant: acme, Grant: "gr-none", Recorded: true})
	if e := r.environment(t); len(e.Unapproved) != 2 {
		t.Errorf("a session on a request, a session on nothing: %+v", e)
	}
	if p := r.privileged(t); len(p.UnrecordedSessions) != 1 || p.UnrecordedSessions[0] != "s-2" {
		t.Errorf("%+v", p)
	}
	// The end of its time, and what was not closed then. The timer did not come.
	r.live = r.live[:1]
	r.at(x.Until.Add(2 * time.Second))
	if e := r.environment(t); len(e.OpenAfterExpiry) != 0 {
		t.Errorf("while it is being closed: %+v", e)
	}
	r.at(x.Until.Add(6 * time.Second))
	if e := r.environment(t); len(e.OpenAfterExpiry) != 2 {
		t.Errorf("a grant and a session past their end: %+v", e)
	}
	r.step(t)
	if e := r.environment(t); len(e.OpenAfterExpiry) != 1 || e.Active != 0 {
		t.Errorf("a session past its end: %+v", e)
	}
	r.live = nil
	if e := r.environment(t); len(e.OpenAfterExpiry) != 0 {
		t.Errorf("%+v", e)
	}
}

// A session that goes on after its grant was revoked shows.
func TestSessionAfterRevocation(t *testing.T) {
	r := newRig(t)
	x := r.grant(t, 90)
	r.live = []grant.Session{{ID: "s-1", Tenant: acme, Grant: x.ID, Recorded: true}}
	if _, err := r.Revoke(t.Context(), anna, acme, x.ID, "enough"); err != nil {
		t.Fatal(err)
	}
	r.pass(6 * time.Second)
	if e := r.environment(t); len(e.OpenAfterExpiry) != 1 {
		t.Errorf("%+v", e)
	}
}

// A proof counts for a minute, and for the grant as it was.
func TestProofsAge(t *testing.T) {
	r := newRig(t)
	x := r.grant(t, 60)
	src := grant.Environments{Sessions: r, Proofs: &grant.Proofs{}}
	look := func() int { return len(ask1[environment](t, r, src, acme).Unapproved) }
	if n := look(); n != 0 {
		t.Fatalf("%d are not proven", n)
	}
	// Somebody past the product takes the keys away.
	if err := r.store.Write(t.Context(), func(tx *store.Tx) error {
		other := decision.KeySet{Tenant: acme, Version: 2, Keys: []decision.Key{newKey(t, otto.ID).Key}}
		return tx.InsertKeySet(&store.KeySet{KeySet: other, CreatedAt: start, By: otto.Actor()})
	}); err != nil {
		t.Fatal(err)
	}
	r.pass(59 * time.Second)
	if n := look(); n != 0 {
		t.Errorf("%d are not proven within the minute", n)
	}
	r.pass(time.Second)
	if n := look(); n != 1 {
		t.Errorf("a minute later %d are not proven", n)
	}
	r.is(t, x.ID, access.InForce)
}

// What is not as the customer signed it shows, whatever the grant says of itself.
func TestUnproven(t *testing.T) {
	r := newRig(t)
	x := r.grant(t, 60)
	y := r.grant(t, 30)
	err := r.store.Read(t.Context(), func(tx *store.Tx) error {
		sets, err := tx.KeySets(acme)
		if err != nil {
			return err
		}
		others := []store.KeySet{{KeySet: decision.KeySet{Tenant: acme, Version: 1, Keys: []decision.Key{newKey(t, anna.ID).Key}}}}
		for what, c := range map[string]struct {
			change func(*store.Grant)
			sets   []store.KeySet
			says   string
		}{
			"as it was signed":  {func(*store.Grant) {}, sets, ""},
			"no decision":       {func(g *store.Grant) { g.Decision = "d-none" }, sets, "no decision"},
			"another's":         {func(g *store.Grant) { g.Decision = y.Decision }, sets, "not signed"},
			"longer":            {func(g *store.Grant) { g.Until = g.Until.Add(time.Minute) }, sets, "not what the customer signed"},
			"wider":             {func(g *store.Grant) { g.Granted = append(g.Granted, g.Granted[0]) }, sets, "not what the customer signed"},
			"another holder":    {func(g *store.Grant) { g.Holder = sam.ID }, sets, "not what the customer signed"},
			"keys of others":    {func(*store.Grant) {}, others, "does not verify"},
			"no keys":           {func(*store.Grant) {}, nil, "does not verify"},
			"keys changed then": {func(*store.Grant) {}, append(sets, store.KeySet{KeySet: others[0].KeySet, CreatedAt: start.Add(time.Second)}), ""},
		} {
			g := x
			c.change(&g)
			got, err := grant.Unproven(tx, g, c.sets)
			if err != nil || !strings.Contains(got, c.says) || (got == "") != (c.says == "") {
				t.Errorf("%s: %q, %v", what, got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
