package ledger

import (
	"maps"
	"sync"

	"github.com/demarc/demarc/internal/store"
)

// maxKnownTenants bounds the memory of a tip.
const maxKnownTenants = 100_000

// tip is what this process knows of the ledger's end from its own last commit.
// It may be outdated, since others append too: it is used only together with a
// statement that has no effect unless it is true still.
type tip struct {
	mu        sync.Mutex
	known     bool
	head      store.LedgerHead // guarded by mu
	sequences map[string]int64 // guarded by mu; last of tenants, at head
}

// of returns the head, and the last sequences of the entries' tenants that are
// known, as a map of the caller's own.
func (t *tip) of(entries []Entry) (head store.LedgerHead, sequences map[string]int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sequences = map[string]int64{}
	for i := range entries {
		if n, ok := t.sequences[entries[i].Tenant]; ok {
			sequences[entries[i].Tenant] = n
		}
	}
	return t.head, sequences, t.known
}

// moved tells that g was committed on top of old. Commits can be told of out of
// order.
func (t *tip) moved(old store.LedgerHead, g *growth) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known && g.head.Size <= t.head.Size {
		return
	}
	if !t.known || old.Size != t.head.Size || len(t.sequences) > maxKnownTenants {
		t.sequences = map[string]int64{}
	}
	maps.Copy(t.sequences, g.sequences)
	t.known, t.head = true, g.head
}
