package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment is a time on the command line: RFC 3339, a date (its first instant in
// UTC), or an amount of time ahead of now as 30d, 12h or 45m.
type moment string

const momentForms = "write a date (2026-03-03), a time (2026-03-03T14:00:00Z) or a time ahead (30d, 12h, 45m)"

// at resolves the moment; an empty one is nil.
func (m moment) at(now time.Time) (*time.Time, error) {
	text := strings.TrimSpace(string(m))
	if text == "" {
		return nil, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		t = t.UTC()
		return &t, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return &t, nil
	}
	unit := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute}[text[len(text)-1]]
	n, err := strconv.Atoi(text[:len(text)-1])
	if err != nil || unit == 0 || n < 0 || n > 100_000 {
		return nil, usage(momentForms, "%q is not a time", text)
	}
	t := now.Add(time.Duration(n) * unit).UTC().Truncate(time.Second)
	return &t, nil
}

// text is the moment as the API takes it in a query, RFC 3339.
func (m moment) text(now time.Time) (string, error) {
	t, err := m.at(now)
	if err != nil || t == nil {
		return "", err
	}
	return t.Format(time.RFC3339), nil
}

// day is text, but for a date leaves it to the server which instant is meant.
func (m moment) day(now time.Time) (string, error) {
	if _, err := time.Parse(time.DateOnly, string(m)); err == nil {
		return string(m), nil
	}
	return m.text(now)
}

// stamp prints a time for machines, RFC 3339 in UTC; the zero time is empty.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func stampOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return stamp(*t)
}

// clock prints a time for people, to the minute in UTC.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func clockOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return clock(*t)
}

// age prints how long ago a time was, in its largest unit.
func (s *session) age(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := s.now().Sub(t)
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 2*365*24*time.Hour:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	}
	return fmt.Sprintf("%d y", int(d.Hours()/24/365))
}
