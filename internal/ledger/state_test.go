package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

func TestState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		at := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
		entry := some(1)[0]
		entry.Time = at
		want := func(want State) {
			t.Helper()
			if got, err := l.State(t.Context()); err != nil || got != want {
				t.Errorf("state %+v, error %v, want %+v", got, err, want)
			}
		}
		want(State{})
		add(t, l, entry, entry)
		want(State{Entries: 2, UnsignedSince: at, UncosignedSince: at})
		mustCheckpoint(t, l) // with the entry of the first key
		want(State{Entries: 3, Signed: 3, UncosignedSince: at})
		if err := witnesses(t, l, startWitness(t, l, "witness.test/w")).Cosign(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(State{Entries: 3, Signed: 3, Cosigned: 3})
		entry.Time = at.Add(time.Minute)
		add(t, l, entry)
		want(State{Entries: 4, Signed: 3, UnsignedSince: entry.Time, Cosigned: 3, UncosignedSince: entry.Time})
	})
}

func TestVerifierRemembersTheFault(t *testing.T) {
	dsn := storetest.SQLite(t)
	l := grown(t, storetest.Open(t, dsn))
	v := NewVerifier(l, time.Hour)
	if at, fault := v.Last(); !at.IsZero() || fault != "" {
		t.Errorf("before the first: %v, %q", at, fault)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- v.Run(ctx) }()
	for at := (time.Time{}); at.IsZero(); at, _ = v.Last() {
		select {
		case err := <-ended:
			t.Fatalf("Run ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	db := raw(t, dsn)
	dropTriggers(t, db)
	if _, err := db.Exec("UPDATE ledger_entry SET subject = 'vm/v-0' WHERE idx = 7"); err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(t.Context()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error is %v, want ErrCorrupt", err)
	}
	if _, fault := v.Last(); fault != "ledger_entry 7: the entry and its salt do not give its leaf" {
		t.Errorf("fault is %q", fault)
	}
}

func TestNewRefuses(t *testing.T) {
	s := storetest.Open(t, storetest.SQLite(t))
	for _, c := range []Config{{Origin: "demarc/x"}, {Store: s}, {Store: s, Origin: "a b"}, {Store: s, Origin: "a+b"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestAppendRefusesTheLedgersOwnActions(t *testing.T) {
	l := open(t, storetest.Open(t, storetest.SQLite(t)))
	err := l.store.Write(t.Context(), func(tx *store.Tx) error {
		e := some(1)[0]
		e.Action = ActionKeyRotate
		_, err := l.Append(tx, e)
		return err
	})
	if err == nil {
		t.Error("an entry about a key that is none was accepted")
	}
}
