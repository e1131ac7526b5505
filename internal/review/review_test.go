package review_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/review"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var (
	day    = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	anna   = access.Principal{ID: "p-anna", Role: access.CustomerOwner, Tenant: "t-1", Kind: access.Person, MFA: true}
	robot  = access.Principal{ID: "p-robot", Role: access.CustomerAdministrator, Tenant: "t-1", Kind: access.Service}
	digest = "sha256:" + strings.Repeat("0", 64)
)

// rig is a store with two tenants, and reviews by a clock that tests move.
type rig struct {
	*testing.T
	store   *store.Store
	log     *ledger.Log
	now     time.Time
	reviews *review.Reviews
	judged  []evidence.Subject
}

// Rejudge implements review.Judge.
func (r *rig) Rejudge(_ *store.Tx, s ...evidence.Subject) error {
	r.judged = append(r.judged, s...)
	return nil
}

func newRig(t *testing.T, dsn string) *rig {
	t.Helper()
	r := &rig{T: t, store: storetest.Open(t, dsn), now: day}
	var err error
	if r.log, err = ledger.New(ledger.Config{Store: r.store, Origin: "demarc/test", Now: func() time.Time { return r.now }}); err != nil {
		t.Fatal(err)
	}
	r.reviews = r.server()
	r.write(func(tx *store.Tx) error {
		for _, id := range []string{"t-1", "t-2"} {
			if err := tx.InsertTenant(&estate.Tenant{ID: id, Name: "name-" + id, CreatedAt: day}); err != nil {
				return err
			}
			vdc := estate.VDC{ID: "vdc-" + id, Tenant: id, Name: "main", CreatedAt: day}
			if err := tx.InsertVDC(&vdc); err != nil {
				return err
			}
			vm := estate.VM{ID: "v-" + id, Tenant: id, VDC: vdc.ID, Name: "web-" + id, State: lifecycle.Active, CreatedAt: day}
			if err := tx.InsertVM(&vm); err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

// server is another server of the same installation.
func (r *rig) server() *review.Reviews {
	return &review.Reviews{Store: r.store, Ledger: r.log, Judge: r, Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler)}
}

func (r *rig) write(f func(tx *store.Tx) error) {
	r.Helper()
	if err := r.store.Write(r.Context(), f); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) sweep() {
	r.Helper()
	if err := r.reviews.Sweep(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// open returns the open review of tenant t-1.
func (r *rig) open(kind string) (review.Sheet, bool) {
	r.Helper()
	list, err := r.reviews.List(r.Context(), "t-1", store.Page{})
	if err != nil {
		r.Fatal(err)
	}
	var found []store.Review
	for _, v := range list {
		if v.Kind == kind && v.Signed == nil {
			found = append(found, v)
		}
	}
	if len(found) > 1 {
		r.Fatalf("%d open reviews of %s", len(found), kind)
	}
	if len(found) == 0 {
		return review.Sheet{}, false
	}
	s, err := r.reviews.Get(r.Context(), "t-1", found[0].ID)
	if err != nil {
		r.Fatal(err)
	}
	return s, true
}

func all(s review.Sheet) review.SignOff {
	off := review.SignOff{Through: s.Through, Outcome: review.Fine}
	for _, i := range s.Items {
		off.LookedAt = append(off.LookedAt, review.Seen{Item: i.ID, Digest: i.Digest})
	}
	return off
}

func (r *rig) sign(s review.Sheet, off review.SignOff) {
	r.Helper()
	if _, err := r.reviews.SignOff(r.Context(), anna, "t-1", s.ID, off); err != nil {
		r.Fatal(err)
	}
}

// facts returns the facts about reviews of tenant t-1 by kind.
func (r *rig) facts() map[string]map[string]any {
	r.Helper()
	out := map[string]map[string]any{}
	err := r.store.Read(r.Context(), func(tx *store.Tx) error {
		list, err := review.Source{}.Facts(tx, evidence.Subject{Scope: evidence.ScopeTenant, Tenant: "t-1", ID: "t-1"}, r.now)
		for _, f := range list {
			var v map[string]any
			if err := json.Unmarshal(f.Data, &v); err != nil {
				return err
			}
			out[f.Kind] = v
			if !f.Again.After(r.now) {
				r.Errorf("%s is not looked at again", f.Kind)
			}
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *rig) append(n int, e ledger.Entry) {
	r.Helper()
	entries := make([]ledger.Entry, n)
	for i := range entries {
		entries[i] = e
	}
	r.write(func(tx *store.Tx) error { _, err := r.log.Append(tx, entries...); return err })
}

func databases(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, storetest.SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, storetest.Postgres(t)) })
}

// A year in the life of a tenant: reviews open once, whoever sweeps, whatever
// the clock does, and the fact says when one is late.
func TestYear(t *testing.T) { databases(t, year) }

func year(t *testing.T, dsn string) {
	r := newRig(t, dsn)
	r.append(3, ledger.Entry{Tenant: "t-1", Actor: "provider-support/p-9", Action: "contact.read", Subject: "tenant/t-1"})
	r.sweep()
	r.sweep()
	first, ok := r.open(review.Logs)
	if !ok || !first.Due.Equal(day.Add(30*24*time.Hour)) {
		t.Fatalf("first review: %v, due %v", ok, first.Due)
	}
	if f := r.facts()["review.logs"]; f["signed"] != false || f["last_days"] != 0.0 || f["every_days"] != 30.0 {
		t.Errorf("before the first sign-off: %v", f)
	}
	r.sign(first, all(first))
	if f := r.facts()["review.logs"]; f["signed"] != true || len(f["looked_at"].([]any)) != len(first.Items) {
		t.Errorf("after the first sign-off: %v", f)
	}
	if _, ok := r.open(review.Logs); ok {
		t.Error("a review is open right after the sign-off")
	}
	// It opens a week before it is due, and once, with two servers and restarts.
	r.now = day.Add(23*24*time.Hour - time.Second)
	r.sweep()
	if _, ok := r.open(review.Logs); ok {
		t.Error("a review opened too early")
	}
	r.now = day.Add(23 * 24 * time.Hour)
	for range 3 {
		r.reviews = r.server()
		r.sweep()
	}
	second, ok := r.open(review.Logs)
	if !ok || !second.Due.Equal(day.Add(30*24*time.Hour)) {
		t.Fatalf("second review: %v, due %v", ok, second.Due)
	}
	// The clock jumps back, and far ahead: still one.
	r.now = day.AddDate(-1, 0, 0)
	r.sweep()
	if f := r.facts()["review.logs"]; f["last_days"] != 0.0 {
		t.Errorf("a sign-off in the future is %v days old", f["last_days"])
	}
	r.now = day.Add(30*24*time.Hour - time.Second)
	if f := r.facts()["review.logs"]; f["last_days"].(float64) > 30 {
		t.Errorf("late before it is due: %v", f)
	}
	r.now = day.Add(30 * 24 * time.Hour)
	if f := r.facts()["review.logs"]; f["last_days"].(float64) <= 30 {
		t.Errorf("not late when it was due: %v", f)
	}
	r.now = day.AddDate(1, 0, 0)
	r.sweep()
	r.sweep()
	if again, _ := r.open(review.Logs); again.ID != second.ID || !again.Overdue(r.now) {
		t.Errorf("a year later %s is open, overdue %v; want %s", again.ID, again.Overdue(r.now), second.ID)
	}
	if n := r.count("review.open"); n != 3 { // of t-1: two of logs, one of networks
		t.Errorf("%d entries that a review opened, want 3", n)
	}
}

func (r *rig) count(action string) int {
	r.Helper()
	tenant := "t-1"
	page, err := r.log.Search(r.Context(), ledger.Filter{Tenant: &tenant, Action: action})
	if err != nil {
		r.Fatal(err)
	}
	return len(page.Lines)
}

func TestItems(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.append(2, ledger.Entry{Tenant: "t-1", Actor: "system/posture", Action: "posture.change", Subject: "vm/v-t-1"})
	r.append(1, ledger.Entry{Tenant: "t-1", Actor: "provider-security/p-7", Action: "grant.break-glass", Subject: "grant/g-1"})
	r.append(5, ledger.Entry{Tenant: "t-2", Actor: "provider-support/p-secret", Action: "contact.read", Subject: "tenant/t-2"})
	r.append(1, ledger.Entry{Tenant: "t-1", Actor: "customer-owner/p-anna", Action: "subscription.create", Subject: "subscription/s-1"})
	r.sweep()
	s, _ := r.open(review.Logs)
	raw, _ := json.Marshal(s)
	if strings.Contains(string(raw), "p-secret") || strings.Contains(string(raw), "t-2") {
		t.Errorf("the review shows another tenant's matter: %s", raw)
	}
	if s.Items[0].ID != "entries/grant.break-glass" && s.Items[0].Unusual == "" {
		t.Errorf("the unusual does not come first: %+v", s.Items)
	}
	by := map[string]review.Item{}
	for _, i := range s.Items {
		by[i.ID] = i
	}
	if i := by["entries/grant.break-glass"]; i.Unusual != "emergency access" || i.Count != 1 {
		t.Errorf("broken glass: %+v", i)
	}
	if i := by["entries/posture.change"]; i.Unusual != "" || i.Count != 2 || *i.From != 0 || *i.To != 1 {
		t.Errorf("verdicts: %+v", i)
	}
	if i := by["entries/subscription.create"]; !strings.Contains(i.Unusual, "not seen in a review before") {
		t.Errorf("a stranger: %+v", i)
	}
	r.sign(s, all(s))
	// The next one knows who was seen, and begins where this one ended.
	r.append(1, ledger.Entry{Tenant: "t-1", Actor: "customer-owner/p-anna", Action: "subscription.end", Subject: "subscription/s-1"})
	r.now = r.now.AddDate(0, 0, 25)
	r.sweep()
	s, _ = r.open(review.Logs)
	for _, i := range s.Items {
		if i.ID == "entries/subscription.end" && i.Unusual != "" || i.ID == "entries/grant.break-glass" {
			t.Errorf("the second review shows %+v", i)
		}
	}
}

func TestSignOffIsRefused(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.append(1, ledger.Entry{Tenant: "t-1", Actor: "customer-owner/p-anna", Action: "subscription.create", Subject: "subscription/s-1"})
	r.sweep()
	s, _ := r.open(review.Logs)
	good := all(s)
	for name, c := range map[string]struct {
		by     access.Principal
		tenant string
		change func(*review.SignOff)
		want   error
	}{
		"by a program":             {by: robot, want: review.ErrPersonOnly},
		"by the first credential":  {by: access.Principal{ID: "p-0", Role: access.ProviderAdministrator, Kind: access.Setup}, want: review.ErrPersonOnly},
		"of nothing":               {change: func(o *review.SignOff) { o.LookedAt = nil }, want: estate.ErrInvalid},
		"of what is not offered":   {change: func(o *review.SignOff) { o.LookedAt[0].Item = "entries/none" }, want: estate.ErrInvalid},
		"of another digest":        {change: func(o *review.SignOff) { o.LookedAt[0].Digest = digest }, want: store.ErrConflict},
		"of no digest":             {change: func(o *review.SignOff) { o.LookedAt[0].Digest = "x" }, want: estate.ErrInvalid},
		"with another outcome":     {change: func(o *review.SignOff) { o.Outcome = "great" }, want: estate.ErrInvalid},
		"to follow up, without":    {change: func(o *review.SignOff) { o.Outcome = review.FollowUp }, want: estate.ErrInvalid},
		"with control characters":  {change: func(o *review.SignOff) { o.Notes = "a\x1b[2J" }, want: estate.ErrInvalid},
		"through what is not yet":  {change: func(o *review.SignOff) { o.Through = 1 << 40 }, want: estate.ErrInvalid},
		"through less than before": {change: func(o *review.SignOff) { o.Through = -1 }, want: estate.ErrInvalid},
		"of another tenant":        {tenant: "t-2", want: store.ErrNotFound},
	} {
		off := good
		off.LookedAt = append([]review.Seen{}, good.LookedAt...)
		if c.change != nil {
			c.change(&off)
		}
		if c.by.ID == "" {
			c.by = anna
		}
		if c.tenant == "" {
			c.tenant = "t-1"
		}
		if _, err := r.reviews.SignOff(t.Context(), c.by, c.tenant, s.ID, off); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if f := r.facts()["review.logs"]; f["signed"] != false {
		t.Errorf("a refused sign-off counts: %v", f)
	}
	r.sign(s, good)
	if _, err := r.reviews.SignOff(t.Context(), anna, "t-1", s.ID, good); !errors.Is(err, store.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	// Not even the database lets it be changed.
	err := r.store.Write(t.Context(), func(tx *store.Tx) error { return tx.MoveReview("t-1", s.ID, day) })
	if err == nil {
		t.Error("a signed review was moved")
	}
}

func firewall(open ...string) string {
	var list []map[string]string
	for _, o := range open {
		list = append(list, map[string]string{"protocol": "tcp", "ports": o, "source": "any", "rule": "inet filter input 3"})
	}
	raw, _ := json.Marshal(map[string]any{"backend": "nftables", "input_policy": "drop", "input_policy6": "drop", "output_policy": "accept", "forward_policy": "drop", "open": list})
	return string(raw)
}

// report stores what an agent sees of a VM's network, as posture does.
func (r *rig) report(kind, data string) {
	r.Helper()
	s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t-1", ID: "v-t-1"}
	r.write(func(tx *store.Tx) error {
		f := evidence.Fact{Subject: s, Kind: kind, Data: []byte(data), Digest: fmt.Sprint(len(data), data[:10]), ObservedAt: r.now, ChangedAt: r.now, Source: "agent/a"}
		if err := tx.PutFacts([]evidence.Fact{f}); err != nil {
			return err
		}
		return r.reviews.Observe(tx, s)
	})
}

func TestNetwork(t *testing.T) { databases(t, network) }

func network(t *testing.T, dsn string) {
	r := newRig(t, dsn)
	r.report("host.firewall", firewall("22"))
	r.report("host.listeners", `{"external":["tcp/22:sshd"],"listeners":[]}`)
	r.sweep()
	if f := r.facts()["review.network"]; f["changes_unreviewed"] != 7.0 {
		t.Errorf("never reviewed: %v", f)
	}
	s, _ := r.open(review.Network)
	if len(s.Items) != 1 || s.Items[0].Unusual != "never reviewed" {
		t.Fatalf("items: %+v", s.Items)
	}
	r.sign(s, all(s))
	if f := r.facts()["review.network"]; f["changes_unreviewed"] != 0.0 || f["signed"] != true {
		t.Errorf("reviewed: %v", f)
	}
	r.judged = nil
	r.report("host.firewall", firewall("22", "443"))
	if len(r.judged) == 0 {
		t.Error("the tenant is not judged when its network changed")
	}
	if f := r.facts()["review.network"]; f["changes_unreviewed"] != 1.0 {
		t.Errorf("one opening more: %v", f)
	}
	r.report("host.firewall", firewall("22"))
	if f := r.facts()["review.network"]; f["changes_unreviewed"] != 0.0 {
		t.Errorf("back as it was: %v", f)
	}
	// What changed while somebody looked must be looked at again.
	r.now = day.AddDate(0, 0, 89)
	r.report("host.firewall", firewall("22", "8080"))
	r.sweep()
	s, _ = r.open(review.Network)
	if got := strings.Join(s.Items[0].Lines, "\n"); got != "+ lets in tcp 8080 from any" {
		t.Errorf("difference: %s", got)
	}
	r.report("host.firewall", firewall("22", "9090"))
	if _, err := r.reviews.SignOff(t.Context(), anna, "t-1", s.ID, all(s)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("signed off what was not seen: %v", err)
	}
	s, _ = r.open(review.Network)
	r.sign(s, all(s))
	if f := r.facts()["review.network"]; f["changes_unreviewed"] != 0.0 {
		t.Errorf("in the end: %v", f)
	}
}

func TestInterval(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.sweep()
	for _, c := range []struct {
		kind string
		days int
		ok   bool
	}{{"logs", 0, false}, {"logs", 91, false}, {"network", 181, false}, {"tea", 10, false}, {"logs", 90, true}, {"logs", 1, true}} {
		if _, err := r.reviews.SetInterval(t.Context(), anna, "t-1", c.kind, c.days); (err == nil) != c.ok {
			t.Errorf("%s every %d days: %v", c.kind, c.days, err)
		}
	}
	s, _ := r.open(review.Logs)
	if !s.Due.Equal(day.Add(24 * time.Hour)) {
		t.Errorf("due %v", s.Due)
	}
	r.append(1, ledger.Entry{Tenant: "t-1", Actor: "customer-owner/p-anna", Action: "subscription.create", Subject: "subscription/s-1"})
	s, _ = r.open(review.Logs)
	r.sign(s, all(s))
	if _, err := r.reviews.SetInterval(t.Context(), anna, "t-1", "logs", 90); err != nil {
		t.Fatal(err)
	}
	r.now = day.AddDate(0, 0, 5)
	r.sweep()
	if _, ok := r.open(review.Logs); ok {
		t.Error("opened by the former interval")
	}
}

func TestCatchUp(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t-1", ID: "v-t-1"}
	r.write(func(tx *store.Tx) error {
		return tx.PutFacts([]evidence.Fact{{Subject: s, Kind: "host.firewall", Data: []byte(firewall("22")), Digest: "d", ObservedAt: day, ChangedAt: day, Source: "agent/a"}})
	})
	for range 2 {
		if err := r.reviews.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.sweep()
	if f := r.facts()["review.network"]; f["changes_unreviewed"] != 6.0 {
		t.Errorf("facts from before: %v", f)
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ before, now, added, removed string }{
		{"", "", "", ""}, {"a", "a", "", ""}, {"", "a b", "a b", ""}, {"a b", "", "", "a b"}, {"a c", "b c d", "b d", "a"},
	} {
		added, removed := review.Diff(strings.Fields(c.before), strings.Fields(c.now))
		if strings.Join(added, " ") != c.added || strings.Join(removed, " ") != c.removed {
			t.Errorf("%q to %q: + %v - %v", c.before, c.now, added, removed)
		}
	}
}

// BenchmarkSheet prepares a review of logs of a tenant with a million entries.
//
//	go test ./internal/review -run '^$' -bench Sheet -benchtime 10x
func BenchmarkSheet(b *testing.B) {
	s := storetest.Open(b, storetest.SQLite(b))
	log, err := ledger.New(ledger.Config{Store: s, Origin: "demarc/test", Now: func() time.Time { return day }})
	if err != nil {
		b.Fatal(err)
	}
	reviews := &review.Reviews{Store: s, Ledger: log, Judge: &rig{}, Now: func() time.Time { return day }, Log: slog.New(slog.DiscardHandler)}
	many := make([]ledger.Entry, 10_000)
	for i := range many {
		many[i] = ledger.Entry{Time: day, Tenant: "t-1", Actor: fmt.Sprintf("customer-viewer/p-%d", i%50), Action: []string{"posture.change", "vm.declare", "contact.read"}[i%3], Subject: "vm/v-1"}
	}
	write := func(f func(tx *store.Tx) error) {
		if err := s.Write(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
	write(func(tx *store.Tx) error {
		return tx.InsertTenant(&estate.Tenant{ID: "t-1", Name: "acme", CreatedAt: day})
	})
	for range 100 {
		write(func(tx *store.Tx) error { _, err := log.Append(tx, many...); return err })
	}
	if err := reviews.Sweep(b.Context()); err != nil {
		b.Fatal(err)
	}
	list, err := reviews.List(b.Context(), "t-1", store.Page{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for _, v := range list {
			if sheet, err := reviews.Get(b.Context(), "t-1", v.ID); err != nil || v.Kind == review.Logs && sheet.Omitted == 0 {
				b.Fatal(sheet.Omitted, err)
			}
		}
	}
}
