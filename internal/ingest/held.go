package ingest

import (
	"cmp"
	"slices"
	"time"
)

// held keeps batches that came before their predecessors: the bus delivers
// again what was on its way when a server ended, and by then later batches may
// have come. It belongs to the committer.
type held struct {
	units map[string][]*unit // by agent, in order of arrival
	count int
	bytes int
	// excused are agents of which a batch was refused: what is missing before
	// their next one is known, and not waited for.
	excused map[string]bool
}

func newHeld() *held { return &held{units: map[string][]*unit{}, excused: map[string]bool{}} }

// keep holds u until its predecessors came or deadline has passed; one that
// was held before keeps its former deadline. It reports false if there is no
// room.
func (h *held) keep(u *unit, deadline time.Time) bool {
	if h.count == maxHeld || h.bytes+u.size > maxHeldBytes {
		return false
	}
	if u.patience.IsZero() {
		u.patience = deadline
	}
	h.units[u.agent] = append(h.units[u.agent], u)
	h.count++
	h.bytes += u.size
	return true
}

// epoch is the epoch that the first held unit of an agent belongs to.
func (h *held) epoch(agent string) (string, bool) {
	if list := h.units[agent]; len(list) > 0 {
		return list[0].epoch, true
	}
	return "", false
}

// release returns what was held of the agents, in their order.
func (h *held) release(agents []string) []*unit {
	var out []*unit
	for _, agent := range agents {
		out = append(out, h.take(agent)...)
	}
	return out
}

// expired returns what is held of agents whose patience has ended; the first
// batch of each is marked so that it is taken in spite of the gap before it.
func (h *held) expired(now time.Time) []*unit {
	var out []*unit
	for agent, list := range h.units {
		if slices.ContainsFunc(list, func(u *unit) bool { return !u.patience.After(now) }) {
			list := h.take(agent)
			list[0].expired = true
			out = append(out, list...)
		}
	}
	return out
}

// take removes and returns the units of an agent: epochs in the order in which
// they came, and sequences within an epoch.
func (h *held) take(agent string) []*unit {
	list := h.units[agent]
	delete(h.units, agent)
	for _, u := range list {
		h.count--
		h.bytes -= u.size
	}
	var epochs []string
	for _, u := range list {
		if !slices.Contains(epochs, u.epoch) {
			epochs = append(epochs, u.epoch)
		}
	}
	slices.SortStableFunc(list, func(a, b *unit) int {
		return cmp.Or(cmp.Compare(slices.Index(epochs, a.epoch), slices.Index(epochs, b.epoch)), cmp.Compare(a.first, b.first))
	})
	return list
}
