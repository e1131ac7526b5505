package metrics

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func open(t testing.TB, dir string) Store {
	t.Helper()
	s, err := Open(Config{Address: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func fill(t testing.TB, s Store, now time.Time) {
	t.Helper()
	var list []Sample
	for tenant := range 3 {
		for vm := range 4 {
			for i := range 10 {
				list = append(list, Sample{
					Tenant: fmt.Sprintf("t%d", tenant), VM: fmt.Sprintf("t%d-vm%d", tenant, vm), Name: "demarc_host_load1",
					Time: now.Add(time.Duration(i-10) * time.Minute), Value: float64(100*tenant + vm),
				})
			}
		}
	}
	if err := s.Append(t.Context(), list); err != nil {
		t.Fatal(err)
	}
}

func TestQueriesStayInTheirTenant(t *testing.T) {
	each(t, func(t *testing.T, s Store) {
		now := time.Now()
		fill(t, s, now)
		for _, c := range []struct {
			text string
			want int
		}{
			{`demarc_host_load1`, 4},
			{`{__name__=~".+"}`, 4},
			{`sum by (tenant, vm) (demarc_host_load1)`, 4},
			{`demarc_host_load1 or demarc_host_load1{vm="t2-vm1"}`, 4},
			{`max_over_time(demarc_host_load1[5m])`, 4},
			{`max_over_time((demarc_host_load1 * 2)[5m:1m])`, 4},
			{`demarc_host_load1{vm="t2-vm1"}`, 0},
			{`label_replace(demarc_host_load1, "tenant", "t2", "", "")`, 4},
			{`demarc_host_load1 and on() vector(1)`, 4},
		} {
			got, err := s.Query(t.Context(), "t1", c.text, now)
			if err != nil || len(got) != c.want {
				t.Errorf("%s: %d series, %v; want %d", c.text, len(got), err, c.want)
			}
			for _, line := range got {
				if vm := line.Labels["vm"]; !strings.HasPrefix(vm, "t1-") {
					t.Errorf("%s shows %s", c.text, vm)
				}
				if _, shown := line.Labels["tenant"]; shown {
					t.Errorf("%s shows the tenant label", c.text)
				}
			}
		}
		for _, text := range []string{
			`demarc_host_load1{tenant="t2"}`, `{tenant=~".*"}`, `sum(demarc_host_load1{tenant!="t1"})`, `demarc_host_load1{"tenant"="t2"}`,
			`max_over_time(demarc_host_load1{tenant="t2"}[5m])`, `1 + on() (demarc_host_load1 or {tenant="t0"})`,
			`{`, ``, strings.Repeat("(", MaxQueryBytes+1), `info(demarc_host_load1)`, `"text"`,
		} {
			if got, err := s.Query(t.Context(), "t1", text, now); !errors.Is(err, ErrQuery) {
				t.Errorf("%.60s: %d series, %v; want ErrQuery", text, len(got), err)
			}
		}
		if _, err := s.Query(t.Context(), "", "demarc_host_load1", now); !errors.Is(err, ErrQuery) {
			t.Errorf("no tenant: %v", err)
		}
	})
}

func TestSamplesThatComeTwiceOrLate(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	each(t, func(t *testing.T, s Store) {
		twiceAndLate(t, s, now)
		checkSamples(t, s, now)
	})
	dir := t.TempDir()
	s := open(t, dir)
	twiceAndLate(t, s, now)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkSamples(t, open(t, dir), now)
}

func twiceAndLate(t *testing.T, s Store, now time.Time) {
	t.Helper()
	for range 3 {
		fill(t, s, now)
	}
	late := []Sample{
		{Tenant: "t1", VM: "t1-vm0", Name: "demarc_host_load1", Time: now.Add(-90 * time.Second), Value: 7},
		{Tenant: "t1", VM: "t1-vm0", Name: "demarc_host_load1", Time: now.Add(-time.Minute), Value: 99}, // differs from what is there
		{Tenant: "t1", VM: "t1-vm0", Name: "demarc_host_load1", Time: now.Add(-48 * time.Hour), Value: 1},
	}
	if err := s.Append(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func checkSamples(t *testing.T, s Store, now time.Time) {
	t.Helper()
	got, err := s.Query(t.Context(), "t1", `count_over_time(demarc_host_load1{vm="t1-vm0"}[1h])`, now)
	if err != nil || len(got) != 1 || got[0].Points[0].Value != 11 {
		t.Errorf("got %v, %v; want 11 samples", got, err)
	}
	line, err := s.QueryRange(t.Context(), "t1", `demarc_host_load1{vm="t1-vm0"}`, now.Add(-90*time.Second), now.Add(-60*time.Second), 30*time.Second)
	if err != nil || len(line) != 1 || len(line[0].Points) != 2 || line[0].Points[0].Value != 7 || line[0].Points[1].Value != 100 {
		t.Errorf("range: %v, %v", line, err)
	}
}

func TestRangeIsBounded(t *testing.T) {
	each(t, func(t *testing.T, s Store) {
		now := time.Now()
		for _, c := range []struct {
			from, to time.Time
			step     time.Duration
		}{{now.Add(-24 * time.Hour), now, time.Second}, {now, now.Add(-time.Hour), time.Second}, {now.Add(-time.Hour), now, 0}} {
			if _, err := s.QueryRange(t.Context(), "t1", "up", c.from, c.to, c.step); !errors.Is(err, ErrQuery) {
				t.Errorf("%v: %v, want ErrQuery", c, err)
			}
		}
	})
}

func TestFullDiskIsRefused(t *testing.T) {
	s, err := Open(Config{Address: t.TempDir(), ReserveBytes: 1 << 60, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(t.Context(), []Sample{{Tenant: "t", VM: "v", Name: "n", Time: time.Now()}}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("append to a full disk: %v", err)
	}
}

func FuzzBind(f *testing.F) {
	for _, s := range []string{`up`, `sum(rate(a[5m]))`, `{a="b",tenant="x"}`, `a or on(b) c`, `max_over_time(a[1h:5m] @ end())`, `"x"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bound, err := Bind("t1", text)
		if err != nil {
			return
		}
		expr, err := language.ParseExpr(bound)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, bound, err)
		}
		for _, matchers := range selectors(expr) {
			if n := strings.Count(matchers, `tenant="t1"`); n != 1 {
				t.Fatalf("%q became %q, where a selector has the tenant %d times", text, bound, n)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, now := open(b, b.TempDir()), time.Now()
	list := make([]Sample, 1000)
	n := 0
	for b.Loop() {
		for i := range list {
			list[i] = Sample{Tenant: "t1", VM: fmt.Sprint("vm", i), Name: "demarc_host_load1", Time: now.Add(time.Duration(n) * time.Second), Value: float64(n)}
		}
		n++
		if err := s.Append(b.Context(), list); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*1000)/b.Elapsed().Seconds(), "samples/s")
}
