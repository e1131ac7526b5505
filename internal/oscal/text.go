package oscal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// line makes s one line without control characters: OSCAL's string datatype
// has neither line breaks nor blanks at its ends.
func line(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// OSCAL's descriptions are Markdown. A reason may quote what a guest reports,
// and a viewer must show that as text: no HTML, links, images or insertions.
var (
	escape   = strings.NewReplacer(`\`, `\\`, `<`, `\<`, `[`, `\[`, `{`, `\{`)
	unescape = strings.NewReplacer(`\\`, `\`, `\<`, `<`, `\[`, `[`, `\{`, `{`)
)

// markup returns s as one line of OSCAL markup that shows s itself.
func markup(s string) string { return escape.Replace(line(s)) }

// plain undoes markup.
func plain(s string) string { return line(unescape.Replace(s)) }

// token makes s an OSCAL token: a letter or underscore, then letters, digits,
// dots, hyphens and underscores.
func token(s string) string {
	var b strings.Builder
	for i, r := range s {
		letter := r == '_' || unicode.IsLetter(r)
		switch {
		case letter, i > 0 && (unicode.IsNumber(r) || r == '.' || r == '-'):
			b.WriteRune(r)
		case i == 0 && unicode.IsNumber(r):
			b.WriteString("_" + string(r))
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}

// cut shortens s to at most limit bytes, at a blank if there is one.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	if i := strings.LastIndexByte(s, ' '); i > limit/2 {
		s = s[:i]
	}
	return s + "…"
}
