package activity

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

type rig struct {
	testing.TB
	log      *ledger.Log
	activity *Activity
}

func newRig(t testing.TB, dsn string) *rig {
	t.Helper()
	s := storetest.Open(t, dsn)
	log, err := ledger.New(ledger.Config{Store: s, Origin: "demarc/test", Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, log, &Activity{Store: s, Subjects: map[string]Describer{
		"grant": func(_ *store.Tx, id string) (string, error) {
			if id == "gr-gone" {
				return "", store.ErrNotFound
			}
			return "for ticket 4711", nil
		},
	}}}
}

func (r *rig) append(entries ...ledger.Entry) {
	r.Helper()
	err := r.activity.Store.Write(r.Context(), func(tx *store.Tx) error { _, err := r.log.Append(tx, entries...); return err })
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) list(q Query) Page {
	r.Helper()
	p, err := r.activity.List(r.Context(), q)
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func entry(tenant, actor, action, subject string) ledger.Entry {
	return ledger.Entry{Time: noon, Tenant: tenant, Actor: actor, Action: action, Subject: subject}
}

func TestList(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, dsn(t))
			r.append(
				entry("t-1", "provider-support/p-7", "grant.request", "grant/gr-1"),
				entry("t-1", "customer-owner/p-1", "grant.approve", "grant/gr-1"),
				entry("t-2", "provider-support/p-7", "contact.read", "tenant/t-2"),
				entry("t-1", "system/posture", "posture.change", "vm/v-1"),
				entry("t-1", "system/grant", "grant.expire", "grant/gr-1"),
				entry("", "provider-administrator/p-0", "catalogue.load", "catalogue/c"),
				entry("t-1", "provider-support/p-7", "grant.close", "grant/gr-gone"),
			)
			var got []string
			for _, a := range r.list(Query{Tenant: "t-1"}).Acts {
				got = append(got, a.Words)
			}
			want := []string{
				"Provider support (p-7) gave access back",
				"demarc (grant) ended access as its time was over for ticket 4711",
				"Provider support (p-7) asked for access for ticket 4711",
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			first := r.list(Query{Tenant: "t-1", Limit: 1})
			if len(first.Acts) != 1 || first.Next == "" {
				t.Fatalf("first page: %+v", first)
			}
			if second := r.list(Query{Tenant: "t-1", Limit: 1, Cursor: first.Next}); len(second.Acts) != 1 || second.Acts[0].Action != "grant.expire" {
				t.Errorf("second page: %+v", second)
			}
			if late := r.list(Query{Tenant: "t-1", Since: noon.Add(time.Second)}); len(late.Acts) != 0 {
				t.Errorf("since later: %+v", late)
			}
			for _, cursor := range []string{"x", "-1", "0"} {
				if _, err := r.activity.List(t.Context(), Query{Tenant: "t-1", Cursor: cursor}); !errors.Is(err, ErrCursor) {
					t.Errorf("cursor %q: %v", cursor, err)
				}
			}
		})
	}
}

// A ledger of which little is shown is read in pages of bounded work: they can
// be empty, and lead to what there is.
func TestListIsBounded(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.append(entry("t-1", "provider-support/p-7", "grant.request", "grant/gr-1"))
	many := make([]ledger.Entry, 5000)
	for i := range many {
		many[i] = entry("t-1", "system/posture", "posture.change", "vm/v-1")
		many[i].Time = noon.Add(time.Hour)
	}
	for range 9 {
		r.append(many...)
	}
	pages, found := 0, 0
	for q := (Query{Tenant: "t-1"}); ; pages++ {
		p := r.list(q)
		found += len(p.Acts)
		if q.Cursor = p.Next; p.Next == "" {
			break
		}
	}
	if found != 1 || pages != 2 {
		t.Errorf("%d found after %d further pages, want 1 after 2", found, pages)
	}
	// Nobody who asks for what came lately pays for what was long ago.
	if p := r.list(Query{Tenant: "t-1", Since: noon.Add(2 * time.Hour)}); p.Next != "" {
		t.Error("nothing came since, and there is another page")
	}
}

// Watchers get what concerns them, in order, and are told when they were slow.
func TestFeed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	f := &Feed{Activity: r.activity, Log: slog.New(slog.DiscardHandler)}
	r.append(entry("t-1", "provider-support/p-7", "contact.read", "tenant/t-1"))
	at, err := f.step(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	one, stop := f.Watch("t-1")
	defer stop()
	all, stopAll := f.Watch("")
	defer stopAll()
	r.append(
		entry("t-2", "provider-support/p-7", "contact.read", "tenant/t-2"), entry("t-1", "system/posture", "posture.change", "vm/v"),
		entry("t-1", "provider-support/p-7", "grant.request", "grant/gr-1"), entry("", "provider-administrator/p-0", "catalogue.load", "catalogue/c"),
	)
	if at, err = f.step(t.Context(), at); err != nil || at != 5 {
		t.Fatalf("at %d, %v", at, err)
	}
	if got := <-one.C; len(got) != 1 || got[0].Index != 3 || got[0].Tenant != "t-1" {
		t.Errorf("the tenant's watcher got %+v", got)
	}
	if got := <-all.C; len(got) != 2 || got[0].Index != 1 || got[1].Index != 3 {
		t.Errorf("the provider's watcher got %+v", got)
	}
	for range cap(one.C) + 1 {
		f.deliver([]Act{{Tenant: "t-1"}})
	}
	for range cap(one.C) {
		<-one.C
	}
	f.deliver([]Act{{Tenant: "t-1", Index: 9}})
	if got := <-one.C; got != nil {
		t.Errorf("a slow watcher is not told: %+v", got)
	}
	if got := <-one.C; len(got) != 1 || got[0].Index != 9 {
		t.Errorf("after that: %+v", got)
	}
	stop()
	f.deliver([]Act{{Tenant: "t-1"}})
	if len(one.C) != 0 {
		t.Error("a watcher that stopped gets more")
	}
}

// BenchmarkList reads the newest page of what the provider did, and the
// emptiest one, of a ledger with a million entries.
//
//	go test ./internal/activity -run '^$' -bench List -benchtime 20x
func BenchmarkList(b *testing.B) {
	r := newRig(b, storetest.SQLite(b))
	many := make([]ledger.Entry, 10_000)
	for i := range many {
		many[i] = entry("t-1", "system/posture", "posture.change", "vm/v-1")
		if i%1000 == 0 {
			many[i] = entry("t-1", "provider-support/p-7", "contact.read", "tenant/t-1")
		}
	}
	for range 100 {
		r.append(many...)
	}
	read := func(b *testing.B, q Query) {
		for b.Loop() {
			if _, err := r.activity.List(context.Background(), q); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("newest", func(b *testing.B) { read(b, Query{Tenant: "t-1", Limit: 10}) })
	b.Run("emptiest", func(b *testing.B) { read(b, Query{Tenant: "t-1", Limit: 1000, Until: noon.Add(-time.Hour)}) })
	b.Run("middle", func(b *testing.B) { read(b, Query{Tenant: "t-1", Limit: 10, Cursor: "500000"}) })
}
