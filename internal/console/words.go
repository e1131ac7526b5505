package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// noTime is passed where a file has no time of change.
var noTime time.Time

// verdicts in the order in which they call for attention.
var verdicts = []string{"not-met", "unknown", "waived", "met", "not-applicable"}

var verdictWords = map[string]string{
	"met": "met", "not-met": "not met", "unknown": "unknown", "not-applicable": "not applicable", "waived": "waived",
}

var scopeWords = map[string]string{"vm": "VM", "vdc": "VDC"}

// vocabulary is what templates can call.
func vocabulary(a assets, now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"asset":       a.path,
		"now":         now,
		"word":        func(verdict string) string { return orElse(verdictWords[verdict], "not judged yet") },
		"symbol":      func(verdict string) string { return orElse(knownVerdict(verdict), "none") },
		"day":         func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"stamp":       func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") },
		"iso":         func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ago":         func(t time.Time) string { return ago(now().Sub(t)) },
		"action":      func(s string) string { return strings.NewReplacer(".", " ", "-", " ").Replace(s) },
		"actor":       actor,
		"brief":       brief,
		"lasting":     lasting,
		"clock":       func(t time.Time) string { return t.UTC().Format("15:04 UTC") },
		"doing":       func(s string) string { return orElse(doingWords[s], s) },
		"minutes":     minutesWord,
		"whole":       func(n int64) int { return int(n) },
		"seconds":     func(s float64) string { return durationClock(s) },
		"reviewtitle": func(kind string) string { return orElse(reviewTitles[kind], kind) },
		"role":        func(s string) string { return strings.ReplaceAll(s, "-", " ") },
		"pretty":      pretty,
		"short":       short,
		"clause":      clause,
		"dutypath":    dutyPath,
		"duty":        func(tenant, id string) string { return dutyPath(tenant, id, api.Subject{}) },
		"path":        pathOf,
		"plural":      plural,
		"amount":      amount,
		"bar":         bar,
		"bytes":       bytesWord,
		"list":        func(s []string) string { return strings.Join(s, ", ") },
		"total":       total,
		"tally":       tally,
		"scope":       func(s string) string { return orElse(scopeWords[s], s) },
		"percent":     func(part, whole float64) float64 { return min(max(100*part/max(whole, 1), 0), 100) },
	}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// knownVerdict keeps foreign words out of class names.
func knownVerdict(v string) string {
	if verdictWords[v] == "" {
		return ""
	}
	return v
}

// tally says how many have the verdict that calls for most attention.
func tally(c api.Counts) string {
	v := worst(c)
	n, all := byVerdict(c)[v], total(c)
	if n == all {
		return fmt.Sprintf("all %d %s", all, verdictWords[v])
	}
	return fmt.Sprintf("%d of %d %s", n, all, verdictWords[v])
}

func total(c api.Counts) int { return c.Met + c.NotMet + c.Unknown + c.NotApplicable + c.Waived }

// amount is the title of n things, without the number: the plural is formed of
// the first noun, as in "decisions to sign".
func amount(n int, title string) string {
	if n == 1 {
		return title
	}
	for _, after := range []string{" to ", " that ", " of yours"} {
		if noun, rest, ok := strings.Cut(title, after); ok {
			return strings.TrimPrefix(plural(2, noun), "2 ") + after + rest
		}
	}
	return strings.TrimPrefix(plural(2, title), "2 ")
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "ss") {
		return fmt.Sprintf("%d %ses", n, one)
	}
	if strings.HasSuffix(one, "y") && !strings.HasSuffix(one, "ay") && !strings.HasSuffix(one, "ey") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(one, "y"))
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// ago says how long something is past, in its largest unit; the future is
// told as such.
func ago(d time.Duration) string {
	if d < -time.Second {
		return "in " + span(-d)
	}
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// actor tells "customer-viewer/p-1" as "customer viewer p-1", or with the name
// of p-1 if that is known.
func actor(who string, names map[string]string) string {
	role, id, found := strings.Cut(who, "/")
	if !found {
		return who
	}
	if name := names[id]; name != "" {
		return name
	}
	return strings.ReplaceAll(role, "-", " ") + " " + brief(id, nil)
}

// brief shortens the ids in "vm/vm-01m803302mw42wmegtc97nr909" to their end,
// where they differ most, or tells the name if that is known.
func brief(subject string, names map[string]string) string {
	const long, tail = 16, 6
	kind, id, found := strings.Cut(subject, "/")
	switch {
	case !found:
		kind, id = "", subject
	case kind == id:
		return kind
	default:
		kind += " "
	}
	if name := names[id]; name != "" {
		return kind + name
	}
	if prefix, rest, ok := strings.Cut(id, "-"); ok && len(rest) > long && !strings.ContainsAny(rest, "-@./") {
		id = prefix + "-…" + rest[len(rest)-tail:]
	}
	return kind + id
}

// lasting tells a duration such as 2h0m0s in words.
func lasting(s string) string {
	d, err := time.ParseDuration(s)
	if err != nil {
		return s
	}
	return span(d)
}

// pretty indents JSON; what is not JSON is shown as it is.
func pretty(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// short cuts a digest to what a person compares.
func short(digest string) string {
	const head = 12
	algorithm, hex, found := strings.Cut(digest, ":")
	if !found {
		algorithm, hex = "", digest
	} else {
		algorithm += ":"
	}
	if len(hex) > head {
		hex = hex[:head] + "…"
	}
	return algorithm + hex
}

func clause(duty string) string {
	_, c, found := strings.Cut(duty, "/")
	if !found {
		return duty
	}
	return c
}

// pathOf joins segments to a path, each escaped.
func pathOf(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// dutyPath is the page of a duty of a tenant, about one VM or VDC if the
// subject is one.
func dutyPath(tenant, duty string, about api.Subject) string {
	control, clause, _ := strings.Cut(duty, "/")
	p := pathOf("tenants", tenant, "duties", control, clause)
	switch about.Scope {
	case "vm", "vdc":
		p += "?" + url.Values{about.Scope: {orElse(about.Name, about.ID)}}.Encode()
	}
	return p
}

func bytesWord(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if n < 1024 || unit == "TiB" {
			if n < 10 && unit != "B" {
				return fmt.Sprintf("%.1f %s", n, unit)
			}
			return fmt.Sprintf("%.0f %s", n, unit)
		}
		n /= 1024
	}
	return ""
}

// durationClock tells seconds as minutes and seconds, as the player does.
func durationClock(s float64) string {
	n := int(s)
	return fmt.Sprintf("%02d:%02d", n/60, n%60)
}
