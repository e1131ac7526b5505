package cli

import (
	"cmp"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// clean makes text that others wrote safe for a terminal: it is one line, and
// control and direction characters, which could hide or forge what is shown,
// become U+FFFD.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, text)
}

// cleanLines is clean for a text of several lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

// clip shortens text to a width in columns, ending with an ellipsis.
func clip(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	var b strings.Builder
	used := 0
	g := uniseg.NewGraphemes(text)
	for g.Next() {
		if used+g.Width() > width-1 {
			break
		}
		used += g.Width()
		b.WriteString(g.Str())
	}
	return b.String() + "…"
}

// pad fills text up to a width in columns.
func pad(text string, width int) string {
	if n := width - uniseg.StringWidth(text); n > 0 {
		return text + strings.Repeat(" ", n)
	}
	return text
}

// wrap breaks text into lines of a width in columns, between words where
// possible. It gives at least one line, and takes time in proportion to text.
func wrap(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(text) {
		n := uniseg.StringWidth(word)
		if line != "" && used+1+n <= width {
			line, used = line+" "+word, used+1+n
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		if n > width {
			pieces := split(word, width)
			last := len(pieces) - 1
			lines, word = append(lines, pieces[:last]...), pieces[last]
			n = uniseg.StringWidth(word)
		}
		line, used = word, n
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// split cuts a word into pieces of at most width columns, between graphemes; a
// grapheme that is wider is a piece of its own.
func split(word string, width int) []string {
	var pieces []string
	from, used := 0, 0
	g := uniseg.NewGraphemes(word)
	for g.Next() {
		at, _ := g.Positions()
		if at > from && used+g.Width() > width {
			pieces = append(pieces, word[from:at])
			from, used = at, 0
		}
		used += g.Width()
	}
	return append(pieces, word[from:])
}

// natural compares texts with their runs of digits as numbers, so that
// CLD.6.3.1 comes before CLD.13.1.4.
func natural(a, b string) int {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			x, y := strings.TrimLeft(a[:i], "0"), strings.TrimLeft(b[:j], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits text begins with.
func digits(text string) int {
	return len(text) - len(strings.TrimLeft(text, "0123456789"))
}
