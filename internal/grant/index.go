package grant

import (
	"sync"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/store"
)

// index knows which grants are in force, so that every decision can ask. It is
// safe for concurrent use.
type index struct {
	mu sync.RWMutex
	// live are the grants in force, by who may use them where, then by id.
	live map[holding]map[string]span // guarded by mu
	// known is the last change taken in of each live grant, and of those that
	// ended since the last load: commits may be heard of out of order.
	known map[string]int64 // guarded by mu
	// upTo is the change up to which everything that is stored was taken in.
	upTo     int64                    // guarded by mu
	watchers map[chan string]struct{} // guarded by mu
}

type holding struct{ principal, tenant string }

type span struct{ from, until time.Time }

func newIndex() index {
	return index{live: map[holding]map[string]span{}, known: map[string]int64{}, watchers: map[chan string]struct{}{}}
}

// take notes how a grant is now, and tells watchers if it ended.
func (i *index) take(x store.Grant) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if x.Changed <= i.known[x.ID] {
		return
	}
	at := holding{x.Holder, x.Tenant}
	_, was := i.live[at][x.ID]
	i.known[x.ID] = x.Changed
	if x.State == access.InForce {
		if i.live[at] == nil {
			i.live[at] = map[string]span{}
		}
		i.live[at][x.ID] = span{x.From.Add(-access.ClockSkew), x.Until}
		return
	}
	if delete(i.live[at], x.ID); len(i.live[at]) == 0 {
		delete(i.live, at)
	}
	if was || x.State.Over() && !x.From.IsZero() {
		i.tell(x.ID)
	}
}

// tell hands an ended grant to the watchers, but for one that is far behind.
func (i *index) tell(id string) {
	for w := range i.watchers {
		select {
		case w <- id:
		default:
		}
	}
}

func (i *index) loaded() int64 {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.upTo
}

// load notes that everything up to that change was taken in, and forgets what
// can no longer be heard of late.
func (i *index) load(upTo int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.upTo = upTo
	const late = 10_000
	if len(i.known) < 2*late {
		return
	}
	for id, n := range i.known {
		if n < upTo-late {
			delete(i.known, id)
		}
	}
}

// Granted reports whether the principal holds a grant for the tenant that is in
// force now. It reads memory only.
func (g *Grants) Granted(principal, tenant string) bool {
	i := &g.index
	i.mu.RLock()
	defer i.mu.RUnlock()
	spans := i.live[holding{principal, tenant}]
	if len(spans) == 0 {
		return false
	}
	now := g.cfg.Now()
	for _, s := range spans {
		if !now.Before(s.from) && now.Before(s.until) {
			return true
		}
	}
	return false
}

// Ended delivers the id of every grant that ends, from now on: at once where
// this process ended it, within half a second where another one did. Who falls a
// thousand behind misses some: to be sure, ask Active from time to time. cancel
// gives the channel back.
func (g *Grants) Ended() (ids <-chan string, cancel func()) {
	i := &g.index
	w := make(chan string, 1024)
	i.mu.Lock()
	i.watchers[w] = struct{}{}
	i.mu.Unlock()
	return w, func() {
		i.mu.Lock()
		delete(i.watchers, w)
		i.mu.Unlock()
	}
}
