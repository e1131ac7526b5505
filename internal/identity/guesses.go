package identity

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// guesses are the people at whose accounts somebody guesses: tries were turned
// away because too many had failed. They are kept for a moment and recorded
// together, so that signing in takes as long for accounts that there are as for
// those that there are not, and a flood makes few entries.
type guesses struct {
	mu  sync.Mutex
	who map[string]struct{} // guarded by mu
}

// guessesKept bounds the accounts that wait to be recorded.
const guessesKept = 1000

// guessed notes that err turned away a try at the person's account.
func (i *Identities) guessed(person string, err error) error {
	var slowed *Slowed
	if person == "" || !errors.As(err, &slowed) {
		return err
	}
	i.guesses.mu.Lock()
	defer i.guesses.mu.Unlock()
	if i.guesses.who == nil {
		i.guesses.who = map[string]struct{}{}
	}
	if len(i.guesses.who) < guessesKept {
		i.guesses.who[person] = struct{}{}
	}
	return err
}

// RecordGuesses puts what was noted into the ledger, for whoever reviews it.
// What cannot be recorded now is at the next call.
func (i *Identities) RecordGuesses(ctx context.Context) error {
	i.guesses.mu.Lock()
	who := i.guesses.who
	i.guesses.who = nil
	i.guesses.mu.Unlock()
	if len(who) == 0 {
		return nil
	}
	err := i.Store.Write(ctx, func(tx *store.Tx) error {
		var entries []ledger.Entry
		for _, id := range slices.Sorted(maps.Keys(who)) {
			c, err := tx.Principal(id)
			if err != nil {
				return err
			}
			entries = append(entries, ledger.Entry{Time: i.Now(), Tenant: c.Tenant, Actor: "system/sign-in", Action: "sign-in.refuse", Subject: "person/" + id})
		}
		_, err := i.Ledger.Append(tx, entries...)
		return err
	})
	if err != nil {
		i.guesses.mu.Lock()
		defer i.guesses.mu.Unlock()
		if i.guesses.who == nil {
			i.guesses.who = who
		}
	}
	return err
}
