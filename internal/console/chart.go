package console

import (
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// segment is a part of a bar or timeline, in hundredths of its width.
type segment struct {
	Verdict  string
	X, Width float64
	Label    string
}

// barChart is a stacked bar of counts.
type barChart struct {
	Segments []segment
	Label    string
}

// bar draws counts, what calls for attention first.
func bar(c api.Counts) barChart {
	sum := total(c)
	if sum == 0 {
		return barChart{Label: "nothing judged yet"}
	}
	n := byVerdict(c)
	var out barChart
	var words []string
	x := 0.0
	for _, v := range verdicts {
		if n[v] == 0 {
			continue
		}
		w := 100 * float64(n[v]) / float64(sum)
		label := plural(n[v], "duty") + " " + verdictWords[v]
		out.Segments = append(out.Segments, segment{Verdict: v, X: x, Width: w, Label: label})
		words = append(words, label)
		x += w
	}
	out.Label = strings.Join(words, ", ")
	return out
}

func byVerdict(c api.Counts) map[string]int {
	return map[string]int{"met": c.Met, "not-met": c.NotMet, "unknown": c.Unknown, "not-applicable": c.NotApplicable, "waived": c.Waived}
}

func minus(a, b api.Counts) api.Counts {
	return api.Counts{
		Met: max(a.Met-b.Met, 0), NotMet: max(a.NotMet-b.NotMet, 0), Unknown: max(a.Unknown-b.Unknown, 0),
		NotApplicable: max(a.NotApplicable-b.NotApplicable, 0), Waived: max(a.Waived-b.Waived, 0),
	}
}

func plus(a, b api.Counts) api.Counts {
	return api.Counts{
		Met: a.Met + b.Met, NotMet: a.NotMet + b.NotMet, Unknown: a.Unknown + b.Unknown,
		NotApplicable: a.NotApplicable + b.NotApplicable, Waived: a.Waived + b.Waived,
	}
}

// one counts a single verdict.
func one(verdict string) api.Counts {
	switch verdict {
	case "met":
		return api.Counts{Met: 1}
	case "not-met":
		return api.Counts{NotMet: 1}
	case "not-applicable":
		return api.Counts{NotApplicable: 1}
	case "waived":
		return api.Counts{Waived: 1}
	}
	return api.Counts{Unknown: 1}
}

// worst is the verdict that calls for most attention; empty without any.
func worst(c api.Counts) string {
	n := byVerdict(c)
	for _, v := range verdicts {
		if n[v] > 0 {
			return v
		}
	}
	return ""
}

// timeline is the history of a verdict up to now.
type timeline struct {
	From, Until time.Time
	Segments    []segment
}

// history draws the past verdicts and the present one. A segment has a least
// width, so that a short outage in a long history can be seen.
func history(past []api.PastVerdict, present api.Verdict, now time.Time) timeline {
	const least = 0.4
	out := timeline{From: present.Since, Until: now}
	for _, p := range past {
		if p.From.Before(out.From) {
			out.From = p.From
		}
	}
	width := now.Sub(out.From)
	if width <= 0 {
		width = 1
	}
	at := func(t time.Time) float64 { return min(max(100*float64(t.Sub(out.From))/float64(width), 0), 100) }
	add := func(verdict, party string, from, until time.Time) {
		x := min(at(from), 100-least)
		out.Segments = append(out.Segments, segment{
			Verdict: verdict, X: x, Width: max(at(until)-x, least),
			Label: verdictWords[verdict] + " (" + party + "), " + from.UTC().Format("2 Jan 2006 15:04") + " to " + until.UTC().Format("2 Jan 2006 15:04"),
		})
	}
	for _, p := range past {
		add(p.Verdict, p.Party, p.From, p.Until)
	}
	add(present.Verdict, present.Party, present.Since, now)
	return out
}
