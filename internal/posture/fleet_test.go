package posture_test

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// What differs is written; what stands is left as it is.
func TestRejudgeAllWritesWhatDiffers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		w.report(updates(0, 0))
		rejudgeAll(t, w) // tenant, VDC and provider for the first time
		first := w.want(patches, evidence.Met, "")
		entries := func() int64 {
			var head store.LedgerHead
			w.write(func(tx *store.Tx) (err error) { head, err = tx.LedgerHead(); return err })
			return head.Size
		}

		w.now = w.now.Add(time.Minute)
		before := entries()
		rejudgeAll(t, w)
		if j := w.want(patches, evidence.Met, ""); !j.EvaluatedAt.Equal(first.EvaluatedAt) {
			t.Errorf("a verdict that stands was written again at %v", j.EvaluatedAt)
		}
		if n := entries(); n != before {
			t.Errorf("%d ledger entries although nothing changed", n-before)
		}

		// A fact of which the verdict does not know yet.
		facts := w.facts(updates(4, 40))
		w.write(func(tx *store.Tx) error { return tx.PutFacts(facts) })
		rejudgeAll(t, w)
		if j := w.want(patches, evidence.NotMet, "4"); !j.Since.Equal(w.now) {
			t.Errorf("not met since %v, want %v", j.Since, w.now)
		}
		if n := entries(); n != before+1 {
			t.Errorf("%d ledger entries for one change", n-before)
		}
	})
}

// The timer must not come later than a verdict that stands says.
func TestFreshEvidenceMovesTheTimerWhenItComes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		confirm := w.report(updates(0, 0))
		due := w.want(patches, evidence.Met, "").DueAt
		w.now = due.Add(-time.Minute)
		for i := range confirm {
			confirm[i].ObservedAt = w.now
		}
		w.apply(confirm)
		rejudgeAll(t, w)
		w.sweepAt(due)
		if j := w.want(patches, evidence.Met, ""); !j.DueAt.After(due) {
			t.Errorf("due at %v after the timer came at %v", j.DueAt, due)
		}
	})
}

func rejudgeAll(t *testing.T, w *world) {
	t.Helper()
	if err := w.engine.RejudgeAll(t.Context(), true, nil); err != nil {
		t.Fatal(err)
	}
}

// facts are what report would report, to be stored past the engine.
func (w *world) facts(of map[string]any) []evidence.Fact {
	w.t.Helper()
	var out []evidence.Fact
	for _, u := range w.updates(of) {
		out = append(out, evidence.Fact{Subject: w.vm, Kind: u.Kind, Data: u.Data, Digest: u.Digest, ObservedAt: u.ObservedAt, ChangedAt: w.now, Source: "agent/a-1"})
	}
	return out
}

// updates are the facts as an agent reports them.
func (w *world) updates(of map[string]any) []posture.FactUpdate {
	w.t.Helper()
	var all []posture.FactUpdate
	for kind, data := range of {
		raw, digest := w.encode(data)
		all = append(all, posture.FactUpdate{Kind: kind, Data: raw, Digest: digest, ObservedAt: w.now})
	}
	return all
}
