package ledger

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/entry"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// A foreign client of C2SP tlog-tiles reads the whole ledger over HTTP,
// authenticates every tile against the checkpoint, and gets commitments only.
func TestTilesServeAForeignClient(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		for _, n := range []int{1, 255, 700, 66_000, 3} {
			add(t, l, some(n)...)
		}
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			data, err := l.Resource(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
			w.Write(data)
		}))
		defer srv.Close()
		f, err := torchwood.NewTileFetcher(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		client, err := torchwood.NewClient(f)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := f.ReadEndpoint(t.Context(), "checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		c := verified(t, l, signed)
		var n int64
		for i, data := range client.AllEntries(t.Context(), c.Tree, 0) {
			if i != n || len(data) != 32 {
				t.Fatalf("entry %d has %d bytes, want entry %d with 32", i, len(data), n)
			}
			n++
		}
		if err := client.Err(); err != nil {
			t.Fatal(err)
		}
		if n != 66_960 { // and the entry of the first key
			t.Errorf("read %d entries, want 66960", n)
		}
	})
}

func TestResourceRefusesOtherPaths(t *testing.T) {
	l := open(t, storetest.Open(t, storetest.SQLite(t)))
	add(t, l, some(300)...)
	for _, path := range []string{
		"", "checkpoint", "/checkpoint", "tile/0/002", "tile/0/001", "tile/0/001.p/45", "tile/1/001", "tile/9/000",
		"tile/63/000", "tile/00/000", "tile/entries/001", "tile/-1/000", "tile/0/x000/../000",
	} {
		if data, err := l.Resource(t.Context(), path); !errors.Is(err, ErrNoResource) {
			t.Errorf("%q gave %d bytes and error %v, want ErrNoResource", path, len(data), err)
		}
	}
	for _, path := range []string{"tile/0/000", "tile/0/001.p/44", "tile/0/000.p/7", "tile/1/000.p/1", "tile/entries/001.p/44"} {
		if _, err := l.Resource(t.Context(), path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// verified opens a checkpoint under the ledger's own keys.
func verified(t *testing.T, l *Log, signed []byte) torchwood.Checkpoint {
	t.Helper()
	keys, err := l.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(keys[len(keys)-1].VKey)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := torchwood.VerifyCheckpoint(signed, torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(l.Origin()), torchwood.SingleVerifierPolicy(v)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRunSignsEachSecondOfGrowthAndAtTheEnd(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, dsn)
	l := open(t, s)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), dsn) // its goroutines belong to the bubble
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l := open(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		sizes := func() int64 {
			signed, err := l.PublishedCheckpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return verified(t, l, signed).N
		}
		synctest.Wait()
		add(t, l, some(5)...)
		if n := sizes(); n != 1 {
			t.Errorf("signed size is %d before a second has passed, want 1", n)
		}
		time.Sleep(CheckpointEvery + time.Millisecond) // virtual time
		synctest.Wait()
		if n := sizes(); n != 6 {
			t.Errorf("signed size is %d after a second, want 6", n)
		}
		add(t, l, some(2)...)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if n := sizes(); n != 8 {
			t.Errorf("signed size is %d at the end, want 8", n)
		}
	})
}

func TestRotationIsSignedByBothKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		add(t, l, some(10)...)
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		next, err := l.Rotate(t.Context(), "provider-administrator/p-7")
		if err != nil {
			t.Fatal(err)
		}
		if next.FromSize != 12 {
			t.Errorf("the new key signs from size %d, want 12", next.FromSize)
		}
		signed, err := l.PublishedCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys, err := l.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var both []note.Verifier
		for _, k := range keys {
			v, err := note.NewVerifier(k.VKey)
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, v)
		}
		n, err := note.Open(signed, note.VerifierList(both...))
		if err != nil {
			t.Fatal(err)
		}
		if len(both) != 2 || len(n.Sigs) != 2 {
			t.Errorf("%d keys and %d signatures, want 2 of each", len(both), len(n.Sigs))
		}
		told, err := l.Line(t.Context(), next.FromSize-1)
		if err != nil {
			t.Fatal(err)
		}
		if told.Action != ActionKeyRotate || told.Actor != "provider-administrator/p-7" {
			t.Errorf("the ledger tells %s by %s of the rotation", told.Action, told.Actor)
		}
		add(t, l, some(1)...)
		last, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n, err = note.Open([]byte(last.Note), note.VerifierList(both...)); err != nil || len(n.Sigs) != 1 || n.Sigs[0].Hash != both[1].KeyHash() {
			t.Errorf("after the rotation: error %v, signatures %v", err, n)
		}
		err = s.Read(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.LedgerKeys()
			if err == nil && len(rows[0].Sealed) != 0 {
				t.Error("the old private key is still there")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestAbortedTransactionLeavesNoEntry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		add(t, l, some(300)...)
		before := mustRoot(t, l, 300)
		abort := errors.New("the act failed")
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := l.Append(tx, some(1000)...); err != nil {
				return err
			}
			return abort
		})
		if !errors.Is(err, abort) {
			t.Fatal(err)
		}
		if size, err := l.Size(t.Context()); err != nil || size != 300 {
			t.Errorf("size is %d, error %v", size, err)
		}
		if got := mustRoot(t, l, 300); got != before {
			t.Error("the root changed")
		}
		if first := add(t, l, some(1)...); first != 300 {
			t.Errorf("the next index is %d", first)
		}
	})
}

func TestSearch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		base := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
		var entries []Entry
		for i := range 50 {
			e := some(50)[i]
			e.Time = base.Add(time.Duration(i/2) * time.Second) // two of each time
			if i%5 == 0 {
				e.Action = "grant.approve"
			}
			entries = append(entries, e)
		}
		add(t, l, entries...)
		tenant, none := "t-2", "t-9"
		for name, c := range map[string]struct {
			f    Filter
			want func(i int, e Entry) bool
		}{
			"all":      {Filter{}, func(int, Entry) bool { return true }},
			"tenant":   {Filter{Tenant: &tenant}, func(_ int, e Entry) bool { return e.Tenant == "t-2" }},
			"unknown":  {Filter{Tenant: &none}, func(int, Entry) bool { return false }},
			"action":   {Filter{Action: "grant.approve"}, func(i int, _ Entry) bool { return i%5 == 0 }},
			"subject":  {Filter{Subject: "vm/v-17"}, func(i int, _ Entry) bool { return i == 17 }},
			"time":     {Filter{From: base.Add(5 * time.Second), To: base.Add(9 * time.Second)}, func(i int, _ Entry) bool { return i >= 10 && i < 18 }},
			"combined": {Filter{Tenant: &tenant, Action: "grant.approve", To: base.Add(20 * time.Second)}, func(i int, e Entry) bool { return i%5 == 0 && e.Tenant == "t-2" && i < 40 }},
		} {
			var want []int64
			for i := len(entries) - 1; i >= 0; i-- {
				if c.want(i, entries[i]) {
					want = append(want, int64(i))
				}
			}
			for _, limit := range []int{1, 3, 1000} {
				c.f.Limit, c.f.Cursor = limit, ""
				var got []int64
				for {
					page, err := l.Search(t.Context(), c.f)
					if err != nil {
						t.Fatal(err)
					}
					for _, line := range page.Lines {
						got = append(got, line.Index)
						if entry.Commit(line.Salt, line.AppendCanonical(nil)).Leaf() != tlog.Hash(storedLeaves(t, s, line.Index, line.Index+1)[0]) {
							t.Errorf("%s: line %d does not give its leaf", name, line.Index)
						}
					}
					if c.f.Cursor = page.Next; page.Next == "" {
						break
					}
				}
				if len(got) != len(want) {
					t.Fatalf("%s in pages of %d: %v, want %v", name, limit, got, want)
				}
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("%s in pages of %d: %v, want %v", name, limit, got, want)
					}
				}
			}
		}
	})
}
