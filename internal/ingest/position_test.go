package ingest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/store"
)

func TestPlaceOf(t *testing.T) {
	a := store.AgentIngest{Epoch: "e2", Sequence: 10, Former: []store.Epoch{{Name: "e1", Sequence: 5}}}
	for _, c := range []struct {
		epoch        string
		first, count uint64
		want         place
	}{
		{"e2", 11, 3, place{}},
		{"e2", 12, 3, place{missing: 1}},
		{"e2", 1, 10, place{skip: 10}},
		{"e2", 3, 2, place{skip: 2}},
		{"e2", 8, 5, place{skip: 3}},
		{"e2", 10, 1, place{skip: 1}},
		{"e2", 11, 0, place{}},
		{"e1", 1, 5, place{over: true, skip: 5}},
		{"e1", 4, 5, place{over: true, skip: 2}},
		{"e1", 6, 5, place{over: true}},
		{"e3", 1, 5, place{}},
		{"e3", 4, 5, place{missing: 3}},
	} {
		if got := placeOf(a, c.epoch, c.first, c.count); got != c.want {
			t.Errorf("%s %d+%d: %+v, want %+v", c.epoch, c.first, c.count, got, c.want)
		}
	}
}

// Whatever order batches come in and however often, each sequence is accepted
// at most once, and what was accepted and what counts as lost add up.
func TestEverySequenceIsAcceptedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a store.AgentIngest
		accepted := map[string]map[uint64]int{}
		for range rapid.IntRange(1, 60).Draw(t, "batches") {
			epoch := rapid.SampledFrom([]string{"e1", "e2", "e3"}).Draw(t, "epoch")
			first := rapid.Uint64Range(1, 40).Draw(t, "first")
			count := rapid.Uint64Range(0, 10).Draw(t, "count")
			p := placeOf(a, epoch, first, count)
			if p.skip > count {
				t.Fatalf("skips %d of %d", p.skip, count)
			}
			if p.over {
				advance(&a, p, epoch, first, count)
				continue
			}
			if accepted[epoch] == nil {
				accepted[epoch] = map[uint64]int{}
			}
			for seq := first + p.skip; seq < first+count; seq++ {
				if accepted[epoch][seq]++; accepted[epoch][seq] > 1 {
					t.Fatalf("%s/%d was accepted twice", epoch, seq)
				}
			}
			advance(&a, p, epoch, first, count)
		}
		var got, ends uint64
		for _, m := range accepted {
			got += uint64(len(m))
		}
		for _, e := range append(a.Former, store.Epoch{Name: a.Epoch, Sequence: a.Sequence}) {
			ends += e.Sequence
		}
		if got+a.Lost != ends {
			t.Fatalf("%d accepted and %d lost do not make %d", got, a.Lost, ends)
		}
	})
}

func TestFormerEpochsAreBounded(t *testing.T) {
	var a store.AgentIngest
	for i := range 3 * maxFormer {
		epoch := "e" + time.Duration(i).String()
		advance(&a, placeOf(a, epoch, 1, 1), epoch, 1, 1)
	}
	if len(a.Former) != maxFormer {
		t.Errorf("%d epochs are remembered, want %d", len(a.Former), maxFormer)
	}
}

func TestLearn(t *testing.T) {
	t0 := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		samples []time.Duration // received minus sent
		want    time.Duration
	}{
		{"travel is no skew", []time.Duration{300 * time.Millisecond, 20 * time.Millisecond, 900 * time.Millisecond}, 0},
		{"a day ahead", []time.Duration{-24 * time.Hour, -24*time.Hour + 500*time.Millisecond}, -24 * time.Hour},
		{"an hour behind", []time.Duration{time.Hour, time.Hour + time.Second}, time.Hour},
		{"set forward", []time.Duration{0, 0, -10 * time.Minute}, -10 * time.Minute},
		{"set back", []time.Duration{0, 0, 10 * time.Minute}, 10 * time.Minute},
		{"the smallest counts", []time.Duration{30 * time.Second, 3 * time.Second}, 3 * time.Second},
		{"one slow message", []time.Duration{0, 30 * time.Second}, 0},
	} {
		var a store.AgentIngest
		for i, s := range c.samples {
			received := t0.Add(time.Duration(i) * time.Second)
			learn(&a, received.Add(-s), received)
		}
		if a.Skew != c.want {
			t.Errorf("%s: skew %s, want %s", c.name, a.Skew, c.want)
		}
	}
}

func TestCorrect(t *testing.T) {
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at   time.Time
		skew time.Duration
		want time.Time
	}{
		{now.Add(-time.Minute), 0, now.Add(-time.Minute)},
		{now.Add(24*time.Hour - time.Minute), -24 * time.Hour, now.Add(-time.Minute)},
		{now.Add(time.Hour), 0, now},
		{now.Add(time.Second), 0, now.Add(time.Second)},
	} {
		if got := correct(c.at, c.skew, now); !got.Equal(c.want) {
			t.Errorf("%s by %s is %s, want %s", c.at, c.skew, got, c.want)
		}
	}
}
