package grant_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/store"
)

// TestMachine does anything in any order, with the clock going forth and back,
// and holds every grant to what must always be so.
func TestMachine(t *testing.T) {
	reached := map[access.GrantState]int{}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		m := machine{rig: r, t: t, signed: map[string]bool{}}
		everybody := []access.Principal{eva, sam, root, anna, otto, vera, olga}
		who := func() access.Principal { return rapid.SampledFrom(everybody).Draw(rt, "who") }
		minutes := func() time.Duration { return time.Duration(rapid.IntRange(-1, 800).Draw(rt, "minutes")) * time.Minute }
		id := func() string {
			if len(m.ids) == 0 {
				return "gr-none"
			}
			return rapid.SampledFrom(m.ids).Draw(rt, "grant")
		}
		ctx := t.Context()
		keep := func(x store.Grant, err error) {
			if err == nil && x.ID != "" {
				m.add(x.ID)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"request": func(rt *rapid.T) {
				q := ask(0)
				q.Duration = minutes()
				if rapid.Bool().Draw(rt, "later") {
					q.From = r.Now().Add(minutes())
				}
				keep(r.Request(ctx, eva, acme, q))
			},
			"break glass": func(*rapid.T) {
				keep(r.BreakGlass(ctx, sam, acme, grant.Emergency{Reason: "it burns", Scope: shell, Duration: minutes()}))
			},
			"extend":      func(*rapid.T) { keep(r.Extend(ctx, eva, acme, id(), minutes(), "")) },
			"ask":         func(*rapid.T) { r.Ask(ctx, who(), acme, id(), "what for?") },
			"answer":      func(*rapid.T) { r.Answer(ctx, who(), acme, id(), "for the disk") },
			"refuse":      func(*rapid.T) { r.Refuse(ctx, who(), acme, id(), "not now") },
			"revoke":      func(*rapid.T) { r.Revoke(ctx, who(), acme, id(), "enough") },
			"close":       func(*rapid.T) { r.Close(ctx, who(), acme, id(), "it is done") },
			"notice":      func(*rapid.T) { r.Notify(ctx, who(), acme, id(), "put it out", "INC-9") },
			"acknowledge": func(*rapid.T) { r.Acknowledge(ctx, who(), acme, id(), "") },
			"dispute":     func(*rapid.T) { r.Dispute(ctx, who(), acme, id(), "it did not burn") },
			"approve": func(*rapid.T) {
				by := who()
				terms := grant.Terms{Duration: minutes()}
				if _, d, err := r.Approve(ctx, by, acme, id(), terms); err == nil {
					m.mayDecide(rt, by)
					m.proposed = append(m.proposed, d)
				}
			},
			"sign": func(rt *rapid.T) {
				if len(m.proposed) == 0 {
					return
				}
				d, by := rapid.SampledFrom(m.proposed).Draw(rt, "decision"), who()
				if err := r.sign(t, by, d); err == nil {
					m.mayDecide(rt, by)
					m.signed[d] = true
				}
			},
			"time": func(rt *rapid.T) {
				r.pass(time.Duration(rapid.IntRange(-60, 2000).Draw(rt, "passes")) * time.Minute)
				r.step(t)
			},
			"": func(rt *rapid.T) { m.check(rt) },
		})
		for _, id := range m.ids {
			reached[r.get(t, id).State]++
		}
	})
	t.Log(reached)
}

type machine struct {
	*rig
	t        *testing.T
	ids      []string
	proposed []string
	signed   map[string]bool
}

func (m *machine) add(id string) { m.ids = append(m.ids, id) }

func (m *machine) mayDecide(rt *rapid.T, by access.Principal) {
	if by.ID != anna.ID && by.ID != otto.ID {
		rt.Fatalf("%s decided", by.ID)
	}
}

// check holds every grant to its rules.
func (m *machine) check(rt *rapid.T) {
	granted := map[string]bool{}
	for _, id := range m.ids {
		x, history, err := m.Get(m.t.Context(), acme, id)
		if err != nil {
			rt.Fatal(err)
		}
		state := access.GrantState("")
		for i, e := range history {
			if e.Number != int64(i+1) || e.From != state {
				rt.Fatalf("history of %s has a gap at %d: %+v", id, i, history)
			}
			if e.From != e.To {
				if _, err := access.NextGrant(e.From, e.To); err != nil {
					rt.Fatal(err)
				}
			}
			state = e.To
		}
		if state != x.State || x.Version != int64(len(history)) || m.what(m.t, id) != m.ledgerOf(id) {
			rt.Fatalf("%s is %s, its history ends in %s, the ledger says %s", id, x.State, state, m.ledgerOf(id))
		}
		if x.BreakGlass && x.Until.Sub(x.From) > time.Hour || x.Until.Sub(x.From) > x.Duration {
			rt.Fatalf("%s lasts %s", id, x.Until.Sub(x.From))
		}
		if !x.From.IsZero() && !x.BreakGlass && !m.signed[x.Decision] {
			rt.Fatalf("%s was granted without a signature", id)
		}
		granted[x.Holder] = granted[x.Holder] || x.InForce(m.Now())
	}
	for _, p := range []access.Principal{eva, sam, anna} {
		if m.Granted(p.ID, acme) != granted[p.ID] {
			rt.Fatalf("the index says %v of %s, the table %v", m.Granted(p.ID, acme), p.ID, granted[p.ID])
		}
	}
}
