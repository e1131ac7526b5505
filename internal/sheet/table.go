package sheet

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/evidence"
)

// column is one column of the matrix in both forms.
type column struct {
	title string
	// width is the width in the spreadsheet, in characters.
	width float64
	// value is a string or an int.
	value func(Row) any
}

// standing is the title of the column that is coloured by verdict.
const standing = "Standing"

var columns = []column{
	{"Control", 11, func(r Row) any { return r.Control }},
	{"Control title", 20, func(r Row) any { return r.ControlTitle }},
	{"Duty", 17, func(r Row) any { return r.Duty }},
	{"What must be so", 42, func(r Row) any { return r.Title }},
	{"Level", 8, func(r Row) any { return string(r.Level) }},
	{"About", 9, func(r Row) any { return string(r.Scope) }},
	{"Responsible", 12, func(r Row) any { return string(r.Party) }},
	{"Since", 21, func(r Row) any { return moment(r.Since) }},
	{"Service", 18, func(r Row) any { return r.Service }},
	{standing, 14, func(r Row) any { return string(r.Verdict()) }},
	{"Met", 8, count(evidence.Met)},
	{"Not met", 8, count(evidence.NotMet)},
	{"Unknown", 9, count(evidence.Unknown)},
	{"Waived", 8, count(evidence.Waived)},
	{"Not applicable", 11, count(evidence.NotApplicable)},
	{"What you do", 46, func(r Row) any { return r.ToDo }},
}

// count tells nothing, rather than 0, where the provider itself is the subject.
func count(v evidence.Verdict) func(Row) any {
	return func(r Row) any {
		if r.Scope == evidence.ScopeProvider {
			return ""
		}
		return r.Count[v]
	}
}

// moment is RFC 3339 in UTC; empty for "always".
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// CSV writes the matrix as RFC 4180: a header line, comma, CRLF, UTF-8 without
// a byte order mark. Spreadsheet programs run a field that begins with "=",
// "+", "-" or "@" as a formula; such a field gets an apostrophe before it.
// No field begins with a tab or another control character: they become blanks,
// and blanks at the ends are cut.
func CSV(w io.Writer, m Matrix) error {
	rows, err := Rows(m)
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.title
	}
	lines := [][]string{record}
	for _, r := range rows {
		record := make([]string, len(columns))
		for i, c := range columns {
			switch v := c.value(r).(type) {
			case int:
				record[i] = strconv.Itoa(v)
			case string:
				record[i] = inert(v)
			}
		}
		lines = append(lines, record)
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("sheet: write CSV: %w", err)
	}
	return nil
}

// inert keeps s from being read as a formula.
func inert(s string) string {
	if s = line(s); s != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}
