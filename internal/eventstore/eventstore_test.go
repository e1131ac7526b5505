package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func open(t testing.TB, dir string) Store {
	t.Helper()
	s, err := Open(Config{Address: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func events(tenant uint32, agent string, first, n int, at time.Time) []Event {
	list := make([]Event, n)
	for i := range list {
		list[i] = Event{
			Tenant: tenant, Time: at.Add(time.Duration(i) * time.Millisecond), Agent: agent, VM: "vm-" + agent,
			Class: "activity", Kind: "process.start", Epoch: "e1", Seq: uint64(first + i),
			Data: json.RawMessage(fmt.Sprintf(`{"user":"u%d","n":%d}`, tenant, first+i)),
		}
	}
	return list
}

func TestQueriesStayInTheirTenant(t *testing.T) {
	each(t, func(t *testing.T, s Store) {
		ctx, now := t.Context(), time.Now().Add(-time.Minute)
		for tenant := range uint32(3) {
			if err := s.Append(ctx, events(tenant, "a", 1, 50, now)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		from, to := now.Add(-time.Hour), now.Add(time.Hour)
		for _, text := range []string{"", "*", `{agent="a"}`, `u1 or *`, `agent:a or u2 or u0`, `* or in(* | fields user)`, `kind:process.start # | limit 1`, `) or (`, `* | limit 1`, `* | union (*)`, `_stream_id:0000000000000000e934a84adb05276890d7f7bfcadabe92 or u0`} {
			found, err := s.Query(ctx, 1, text, from, to, 1000)
			if err != nil && !errors.Is(err, ErrQuery) {
				t.Errorf("%q: %v", text, err)
			}
			for _, ev := range found {
				if !strings.Contains(string(ev.Data), `"u1"`) {
					t.Errorf("%q shows an event of another tenant: %s", text, ev.Data)
				}
			}
			if (text == "" || text == "*" || text == `{agent="a"}`) && len(found) != 50 {
				t.Errorf("%q finds %d of 50", text, len(found))
			}
		}
		if found, err := s.Query(ctx, 7, "*", from, to, 10); err != nil || len(found) != 0 {
			t.Errorf("an unknown tenant finds %d events, %v", len(found), err)
		}
	})
}

func TestQueryIsBoundedAndNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, s Store) {
		ctx, now := t.Context(), time.Now().Add(-time.Minute).UTC()
		in := events(4, "a", 1, 100, now)
		if err := s.Append(ctx, in); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		found, err := s.Query(ctx, 4, "kind:process.start", now, now.Add(time.Hour), 7)
		if err != nil || len(found) != 7 {
			t.Fatalf("%d events, %v; want 7", len(found), err)
		}
		for i, ev := range found {
			want := in[99-i]
			if !ev.Time.Equal(want.Time) || string(ev.Data) != string(want.Data) || ev.Seq != want.Seq || ev.VM != want.VM || ev.Class != want.Class || ev.Epoch != want.Epoch {
				t.Errorf("event %d is %+v, want %+v", i, ev, want)
			}
		}
		if found, _ := s.Query(ctx, 4, "", now, now.Add(9*time.Millisecond), 1000); len(found) != 10 {
			t.Errorf("%d events in 10 ms, want 10", len(found))
		}
		for _, bad := range []struct {
			text  string
			limit int
			to    time.Time
		}{{"*", 0, now}, {"*", MaxLimit + 1, now}, {strings.Repeat("a", MaxQueryBytes+1), 1, now}, {"(", 1, now}, {"* | stats count()", 1, now}, {"*", 1, now.Add(-time.Hour)}} {
			if _, err := s.Query(ctx, 4, bad.text, now, bad.to, bad.limit); !errors.Is(err, ErrQuery) {
				t.Errorf("query %.20q limit %d: %v, want ErrQuery", bad.text, bad.limit, err)
			}
		}
	})
}

func TestExistingAfterReopening(t *testing.T) {
	dir, ctx, now := t.TempDir()+"/e", t.Context(), time.Now().Add(-48*time.Hour)
	s := open(t, dir)
	for _, list := range [][]Event{events(1, "a", 1, 10, now), events(1, "a", 21, 10, now), events(1, "b", 11, 10, now), events(2, "a", 11, 10, now)} {
		if err := s.Append(ctx, list); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, events(1, "a", 1, 1, now)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("append to a closed store: %v", err)
	}
	s = open(t, dir)
	set, err := s.Existing(ctx, 1, "a", "e1", 5, 25)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 30; seq++ {
		_, there := set[seq]
		if want := (seq >= 5 && seq <= 10) || (seq >= 21 && seq <= 25); there != want {
			t.Errorf("sequence %d: %v, want %v", seq, there, want)
		}
	}
	if set, _ := s.Existing(ctx, 1, "a", "e2", 1, 30); len(set) != 0 {
		t.Errorf("another epoch has %d sequences", len(set))
	}
}

func TestFullDiskIsRefused(t *testing.T) {
	s, err := Open(Config{Address: t.TempDir() + "/e", ReserveBytes: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(t.Context(), events(1, "a", 1, 1, time.Now())); !errors.Is(err, ErrUnavailable) {
		t.Errorf("append to a full disk: %v", err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir() + "/e"
	open(t, dir)
	if _, err := Open(Config{Address: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second opening: %v", err)
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"*", "a or b", `{x="y"} z`, "a | limit 1", `in(* | fields a)`, "options(concurrency=3) *", `"`, "a#b"} {
		f.Add(s)
	}
	if err := prepareProcess(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := parseFilter(text)
		if err != nil {
			if !errors.Is(err, ErrQuery) {
				t.Fatal(err)
			}
			return
		}
		if again, err := parseFilter(filter); err != nil {
			t.Fatalf("%q was accepted as %q, which is not a filter: %v", text, again, err)
		}
	})
}

func BenchmarkAppendAndSync(b *testing.B) {
	s, ctx := open(b, b.TempDir()+"/e"), context.Background()
	list := events(1, "a", 1, 1000, time.Now())
	for i := range list {
		list[i].Data = json.RawMessage(fmt.Sprintf(`{"user":"u%d","n":%d,"line":%q}`, i, i, strings.Repeat("lorem ipsum ", 20)))
	}
	var syncs time.Duration
	n := 0
	for b.Loop() {
		if err := s.Append(ctx, list); err != nil {
			b.Fatal(err)
		}
		if n++; n%20 == 0 {
			start := time.Now()
			if err := s.Sync(ctx); err != nil {
				b.Fatal(err)
			}
			syncs += time.Since(start)
		}
	}
	b.ReportMetric(float64(n*1000)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(syncs.Milliseconds())/float64(max(1, n/20)), "ms/sync")
}
