package ingest

import (
	"slices"
	"time"

	"github.com/demarc/demarc/internal/store"
)

// maxFormer is how many ended epochs of an agent are remembered.
const maxFormer = 64

// place is where a batch stands in its agent's sequence.
type place struct {
	// skip is how many of its first records were accepted before.
	skip uint64
	// missing is how many records before it never came.
	missing uint64
	// over says that its epoch has ended, so that what was not accepted of it
	// no longer can be.
	over bool
}

// placeOf compares a batch with its agent's position. It changes nothing.
func placeOf(a store.AgentIngest, epoch string, first, count uint64) place {
	last := a.Sequence
	if epoch != a.Epoch {
		i := slices.IndexFunc(a.Former, func(e store.Epoch) bool { return e.Name == epoch })
		if i < 0 { // a new spool
			return place{missing: first - 1}
		}
		return place{over: true, skip: accepted(a.Former[i].Sequence, first, count)}
	}
	if first > last+1 {
		return place{missing: first - last - 1}
	}
	return place{skip: accepted(last, first, count)}
}

// accepted is how many of count records from first on are not after last.
func accepted(last, first, count uint64) uint64 {
	if last < first {
		return 0
	}
	return min(count, last-first+1)
}

// advance moves the agent behind the batch, whose place is p.
func advance(a *store.AgentIngest, p place, epoch string, first, count uint64) {
	if p.over {
		return
	}
	if epoch != a.Epoch {
		if a.Epoch != "" {
			a.Former = append(a.Former, store.Epoch{Name: a.Epoch, Sequence: a.Sequence})
			a.Former = a.Former[max(0, len(a.Former)-maxFormer):]
		}
		a.Epoch, a.Sequence = epoch, 0
	}
	a.Lost += p.missing
	if end := first + count - 1; end > a.Sequence {
		a.Sequence = end
	}
}

// Bounds of the clock's correction.
const (
	// step is how far the estimate must be from the correction in force before
	// that changes: less cannot be told from the time that a message travels,
	// and a correction that wavers would give a record two times.
	step = time.Second
	// jump is more than a message can take to the bus: the agent's clock was set.
	jump = time.Minute
	// settle is how slowly the estimate rises: travel only ever adds.
	settle = 64
	// ahead is how far in the future a corrected time may lie.
	ahead = 5 * time.Second
)

// learn takes in what a batch says of the agent's clock: received minus sent is
// the clocks' difference plus the time of travel, so the smallest is the best.
func learn(a *store.AgentIngest, sent, received time.Time) {
	sample := received.Sub(sent)
	switch {
	case a.SeenAt.IsZero(), sample < a.Offset, sample > a.Offset+jump:
		a.Offset = sample
	default:
		a.Offset += (sample - a.Offset) / settle
	}
	if d := a.Offset - a.Skew; d >= step || d <= -step {
		a.Skew = a.Offset
	}
	if received.After(a.SeenAt) {
		a.SeenAt = received
	}
}

// correct gives an agent's time by the server's clock. What would lie in the
// future is given the time of receipt.
func correct(t time.Time, skew time.Duration, received time.Time) time.Time {
	t = t.Add(skew)
	if t.After(received.Add(ahead)) {
		return received
	}
	return t
}
