package console

import (
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
)

func TestWords(t *testing.T) {
	names := map[string]string{"p-1": "Ada"}
	for _, c := range []struct{ got, want string }{
		{brief("vm/vm-01m803302mw42wmegtc97nr909", nil), "vm vm-…7nr909"},
		{brief("principal/p-1", names), "principal Ada"},
		{brief("provider/provider", nil), "provider"},
		{brief("catalogue/iso27017-cld@1.0.0", nil), "catalogue iso27017-cld@1.0.0"},
		{actor("customer-viewer/p-9", names), "customer viewer p-9"},
		{actor("provider-administrator/p-1", names), "Ada"},
		{lasting("24h0m0s"), "24 h"}, {lasting("15m0s"), "15 min"}, {lasting("soon"), "soon"},
		{ago(90 * time.Second), "1 min ago"}, {ago(-3 * time.Hour), "in 3 h"}, {ago(0), "just now"},
		{plural(1, "duty"), "1 duty"}, {plural(2, "duty"), "2 duties"}, {plural(0, "VM"), "0 VMs"},
		{bytesWord(1536 << 20), "1.5 GiB"},
		{tally(api.Counts{Met: 2}), "all 2 met"}, {tally(api.Counts{Met: 2, Waived: 1}), "1 of 3 waived"},
		{dutyPath("a/b", "X/Y", api.Subject{Scope: "vm", Name: "c&d"}), "/tenants/a%2Fb/duties/X/Y?vm=c%26d"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestHistoryShowsShortOutages asserts that the segments stay inside the
// picture and that the shortest can be seen.
func TestHistoryShowsShortOutages(t *testing.T) {
	now := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)
	begin, fell, rose := now.AddDate(-1, 0, 0), now.Add(-time.Minute), now.Add(-time.Second)
	got := history([]api.PastVerdict{{Verdict: "met", From: begin, Until: fell}, {Verdict: "not-met", From: fell, Until: rose}},
		api.Verdict{Verdict: "met", Since: rose}, now)
	if len(got.Segments) != 3 || !got.From.Equal(begin) {
		t.Fatalf("%+v", got)
	}
	for _, s := range got.Segments {
		if s.X < 0 || s.Width < 0.4 || s.X+s.Width > 100.0001 || !strings.Contains(s.Label, verdictWords[s.Verdict]) {
			t.Errorf("%+v", s)
		}
	}
}
