// Package events tells those who watch, such as an open console page, what has
// just changed. It is a courtesy, not a record: a watcher that is too slow is
// told to look again.
package events

import (
	"sync"

	"github.com/demarc/demarc/internal/evidence"
)

// Broker hands changed judgements to watchers. It is safe for concurrent use.
type Broker struct {
	mu       sync.Mutex
	watchers map[*Watcher]struct{} // guarded by mu
}

// Watcher receives changes.
type Watcher struct {
	// C delivers changes. A nil slice means that some were lost: look again.
	C      chan []evidence.Judgement
	wants  func(evidence.Subject) bool
	behind bool // guarded by the broker's mu
}

// NewBroker returns a broker without watchers.
func NewBroker() *Broker { return &Broker{watchers: map[*Watcher]struct{}{}} }

// Watch begins to deliver changes about the subjects that wants accepts, until
// stop is called.
func (b *Broker) Watch(wants func(evidence.Subject) bool) (w *Watcher, stop func()) {
	w = &Watcher{C: make(chan []evidence.Judgement, 64), wants: wants}
	b.mu.Lock()
	b.watchers[w] = struct{}{}
	b.mu.Unlock()
	return w, func() {
		b.mu.Lock()
		delete(b.watchers, w)
		b.mu.Unlock()
	}
}

// Publish delivers changed judgements. It never blocks.
func (b *Broker) Publish(js []evidence.Judgement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		var mine []evidence.Judgement
		for _, j := range js {
			if w.wants(j.Subject) {
				mine = append(mine, j)
			}
		}
		if len(mine) > 0 {
			w.deliver(mine)
		}
	}
}

// deliver hands js over, or notes that the watcher is behind and tells it as
// soon as there is room.
func (w *Watcher) deliver(js []evidence.Judgement) {
	if w.behind {
		select {
		case w.C <- nil:
			w.behind = false
		default:
			return
		}
	}
	select {
	case w.C <- js:
	default:
		w.behind = true
	}
}
