package responsibility

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/evidence"
)

var day0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n int) time.Time { return day0.AddDate(0, 0, n) }

var shifted = Duty{ID: "A.1/C-1", Control: "A.1", Party: Customer, Scope: evidence.ScopeVM, Services: []string{"backup", "encryption"}}

// subscriptions draws a history over 60 days: any services, coverages, gaps,
// overlaps and open ends.
func subscriptions(t *rapid.T) []Subscription {
	subs := make([]Subscription, rapid.IntRange(0, 6).Draw(t, "count"))
	for i := range subs {
		from := rapid.IntRange(0, 50).Draw(t, "from")
		subs[i] = Subscription{
			ID: string(rune('a' + i)), Tenant: "t",
			Service: rapid.SampledFrom([]string{"backup", "encryption", "anti-malware"}).Draw(t, "service"),
			Covers:  rapid.SampledFrom([]Coverage{{All: true}, {VDC: "d1"}, {VDC: "d2"}, {VM: "v1"}, {VM: "v2"}}).Draw(t, "covers"),
			From:    day(from),
		}
		if rapid.Bool().Draw(t, "ends") {
			to := day(from + rapid.IntRange(1, 15).Draw(t, "length"))
			subs[i].To = &to
		}
	}
	return subs
}

// covered is the plain meaning: some subscription to a service of the duty
// covers VM v1 of VDC d1 on that day.
func covered(subs []Subscription, n int) bool {
	for _, s := range subs {
		counts := s.Service == "backup" || s.Service == "encryption"
		reaches := s.Covers.All || s.Covers.VDC == "d1" || s.Covers.VM == "v1"
		if counts && reaches && !day(n).Before(s.From) && (s.To == nil || day(n).Before(*s.To)) {
			return true
		}
	}
	return false
}

func TestExactlyOnePartyAtEveryMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subs := subscriptions(t)
		var began time.Time // when the present party took over, by walking the days
		provider := false
		for n := range 70 {
			if now := covered(subs, n); now != provider {
				provider, began = now, day(n)
			}
			a := Responsible(shifted, "v1", "d1", subs, day(n))
			want := Customer
			if provider {
				want = Provider
			}
			if a.Party != want {
				t.Fatalf("day %d: %s is responsible, want %s; %+v", n, a.Party, want, subs)
			}
			if !a.Since.Equal(began) {
				t.Fatalf("day %d: %s since %s, want %s; %+v", n, a.Party, a.Since, began, subs)
			}
			if a.Since.After(day(n)) {
				t.Fatalf("day %d: since lies in the future, %s", n, a.Since)
			}
			if (a.Subscription != "") != provider || (a.Service != "") != provider {
				t.Fatalf("day %d: %+v names a subscription without need or none", n, a)
			}
		}
	})
}

func TestOthersDutiesNeverMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subs := subscriptions(t)
		n := rapid.IntRange(0, 70).Draw(t, "day")
		for _, d := range []Duty{{ID: "A.1/C-2", Party: Customer}, {ID: "A.1/P-1", Party: Provider}, {ID: "A.1/C-3", Party: Customer, Services: []string{"network-ids"}}} {
			if a := Responsible(d, "v1", "d1", subs, day(n)); a != (Assignment{Party: d.Party}) {
				t.Fatalf("%s is assigned %+v", d.ID, a)
			}
		}
	})
}

func TestRenewalDoesNotMoveTheLine(t *testing.T) {
	end := day(30)
	first := Subscription{ID: "s1", Service: "backup", Covers: Coverage{All: true}, From: day(10), To: &end}
	renewed := Subscription{ID: "s2", Service: "backup", Covers: Coverage{VM: "v1"}, From: end}
	a := Responsible(shifted, "v1", "d1", []Subscription{first, renewed}, day(40))
	if a.Party != Provider || !a.Since.Equal(day(10)) || a.Subscription != "s2" {
		t.Errorf("assigned %+v", a)
	}
	late := renewed
	late.From = end.Add(time.Nanosecond)
	if a := Responsible(shifted, "v1", "d1", []Subscription{first, late}, day(40)); !a.Since.Equal(late.From) {
		t.Errorf("after a gap since is %s, want %s", a.Since, late.From)
	}
	if a := Responsible(shifted, "v1", "d1", []Subscription{first}, end); a.Party != Customer || !a.Since.Equal(end) {
		t.Errorf("at the end assigned %+v", a)
	}
}
