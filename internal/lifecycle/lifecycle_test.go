package lifecycle_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

func TestNext(t *testing.T) {
	for _, from := range lifecycle.States {
		for _, to := range lifecycle.States {
			got, err := lifecycle.Next(from, to)
			legal := slices.Contains(lifecycle.Moves, lifecycle.Move{From: from, To: to})
			switch {
			case legal && (err != nil || got != to):
				t.Errorf("%s to %s: %s, %v", from, to, got, err)
			case !legal && (!errors.Is(err, lifecycle.ErrIllegalMove) || got != from):
				t.Errorf("%s to %s: %s, %v", from, to, got, err)
			}
		}
	}
}

// TestEveryLifeCanEnd: from each state deleted can be reached, from deleted none.
func TestEveryLifeCanEnd(t *testing.T) {
	reached := map[lifecycle.State]bool{lifecycle.Deleted: true}
	for range lifecycle.States {
		for _, m := range lifecycle.Moves {
			if m.From == lifecycle.Deleted {
				t.Errorf("what is deleted becomes %s", m.To)
			}
			reached[m.From] = reached[m.From] || reached[m.To]
		}
	}
	begun := slices.Clone(lifecycle.Initial)
	for range lifecycle.States {
		for _, m := range lifecycle.Moves {
			if slices.Contains(begun, m.From) && !slices.Contains(begun, m.To) {
				begun = append(begun, m.To)
			}
		}
	}
	for _, s := range lifecycle.States {
		if !reached[s] {
			t.Errorf("%s is a dead end", s)
		}
		if !slices.Contains(begun, s) {
			t.Errorf("%s is never reached", s)
		}
	}
}

// TestDatabaseRefusesWhatNextRefuses walks lives at random: both databases
// accept exactly the moves that Next does, and the states that a life begins in.
func TestDatabaseRefusesWhatNextRefuses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
		tenant, vdc := estate.Tenant{ID: "t-1", Name: "acme", CreatedAt: now}, estate.VDC{ID: "vdc-1", Tenant: "t-1", Name: "main", CreatedAt: now}
		err := s.Write(ctx, func(tx *store.Tx) error {
			if err := tx.InsertTenant(&tenant); err != nil {
				return err
			}
			return tx.InsertVDC(&vdc)
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		states := rapid.SampledFrom(append(slices.Clone(lifecycle.States), "limbo"))
		rapid.Check(t, func(t *rapid.T) {
			n++
			vm := estate.VM{ID: "vm-" + number(n), Tenant: "t-1", VDC: "vdc-1", Name: "vm-" + number(n), State: states.Draw(t, "first"), CreatedAt: now}
			insert := func() error { return s.Write(ctx, func(tx *store.Tx) error { return tx.InsertVM(&vm) }) }
			if err := insert(); !slices.Contains(lifecycle.Initial, vm.State) {
				if !errors.Is(err, store.ErrConflict) {
					t.Fatalf("a life that begins as %s: %v", vm.State, err)
				}
				vm.State = rapid.SampledFrom(lifecycle.Initial).Draw(t, "instead")
				err = insert()
				if err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatalf("a life that begins as %s: %v", vm.State, err)
			}
			for range rapid.IntRange(1, 12).Draw(t, "moves") {
				next := vm
				next.State = states.Draw(t, "next")
				_, want := lifecycle.Next(vm.State, next.State)
				err := s.Write(ctx, func(tx *store.Tx) error { return tx.UpdateVM(&next) })
				switch {
				case next.State == vm.State: // no move
					want = nil
					if err != nil {
						t.Fatalf("%s stays: %v", vm.State, err)
					}
				case (want == nil) != (err == nil), err != nil && !errors.Is(err, store.ErrConflict):
					t.Fatalf("%s to %s: Next says %v, the database %v", vm.State, next.State, want, err)
				}
				if err == nil {
					vm = next
				}
			}
		})
	})
}

func number(n int) string {
	const digits = "0123456789"
	if n < 10 {
		return digits[n : n+1]
	}
	return number(n/10) + digits[n%10:n%10+1]
}
