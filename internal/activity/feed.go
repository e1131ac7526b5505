package activity

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/store"
)

// look is how often the feed reads what was appended. The ledger is read, not
// told: so acts of every server of the installation come, in their order, and
// none is missed.
const (
	look     = 500 * time.Millisecond
	readOnce = 500
)

// Feed hands acts to watchers as they are appended. It is safe for concurrent use.
type Feed struct {
	Activity *Activity
	Log      *slog.Logger

	mu       sync.Mutex
	watchers map[*Watcher]struct{} // guarded by mu
}

// Watcher receives acts.
type Watcher struct {
	// C delivers acts. A nil slice means that some were lost: read the list.
	C      chan []Act
	tenant string
	behind bool // guarded by the feed's mu
}

// Watch begins to deliver acts in a tenant, in all tenants if it is empty,
// until stop is called.
func (f *Feed) Watch(tenant string) (w *Watcher, stop func()) {
	w = &Watcher{C: make(chan []Act, 64), tenant: tenant}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers == nil {
		f.watchers = map[*Watcher]struct{}{}
	}
	f.watchers[w] = struct{}{}
	return w, func() {
		f.mu.Lock()
		delete(f.watchers, w)
		f.mu.Unlock()
	}
}

// Run reads the ledger's end and delivers what is new, until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	at := int64(-1) // unknown
	for {
		next, err := f.step(ctx, at)
		if err != nil && ctx.Err() == nil {
			f.Log.Error("read the ledger's end", "error", err)
		}
		at = next
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// step delivers the entries from at on, and returns where the next step begins.
func (f *Feed) step(ctx context.Context, at int64) (next int64, err error) {
	var found []Act
	err = f.Activity.Store.Read(ctx, func(tx *store.Tx) error {
		head, err := tx.LedgerHead()
		if err != nil {
			return err
		}
		if at < 0 || head.Size-at > 20*readOnce {
			// At the start, and where more was appended than watchers care to see.
			if at >= 0 {
				f.deliver(nil)
			}
			at = head.Size
			return nil
		}
		for at < head.Size {
			rows, err := tx.LedgerEntries(at, min(head.Size, at+readOnce))
			if err != nil {
				return err
			}
			var some []store.LedgerEntry
			for _, r := range rows {
				if shown(r) {
					some = append(some, r)
				}
			}
			said, err := f.Activity.words(tx, some)
			if err != nil {
				return err
			}
			found, at = append(found, said...), min(head.Size, at+readOnce)
		}
		return nil
	})
	if len(found) > 0 {
		f.deliver(found)
	}
	return at, err
}

// deliver hands acts to those who watch their tenant; nil tells all that some
// were lost. It never blocks.
func (f *Feed) deliver(found []Act) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		var mine []Act
		for _, a := range found {
			if w.tenant == "" || w.tenant == a.Tenant {
				mine = append(mine, a)
			}
		}
		if found == nil || len(mine) > 0 {
			w.deliver(mine)
		}
	}
}

func (w *Watcher) deliver(mine []Act) {
	if w.behind {
		select {
		case w.C <- nil:
			w.behind = false
		default:
			return
		}
	}
	select {
	case w.C <- mine:
	default:
		w.behind = true
	}
}
