package cli

import (
	"strings"
)

// page is prose for a terminal. All texts are cleaned on their way in.
type page struct {
	strings.Builder
	width  int
	colour bool
}

func (p *page) blank() { p.WriteByte('\n') }

// line writes one line, clipped.
func (p *page) line(h hue, text string) {
	p.WriteString(h.paint(clip(clean(text), p.width), p.colour) + "\n")
}

// head writes a heading with a blank line above.
func (p *page) head(text string) {
	p.blank()
	p.line(bold, text)
}

// text writes a paragraph, wrapped, indented, and by two more from its second
// line on if it is a list item.
func (p *page) text(indent int, text string) {
	p.paragraph(plain, indent, text)
}

// detail is text that steps back.
func (p *page) detail(indent int, text string) {
	p.paragraph(faint, indent, text)
}

func (p *page) paragraph(h hue, indent int, text string) {
	hang := 0
	if strings.HasPrefix(text, "- ") {
		hang = 2
	}
	for i, line := range wrap(clean(text), p.width-indent-hang) {
		space := indent
		if i > 0 {
			space += hang
		}
		p.WriteString(strings.Repeat(" ", space) + h.paint(line, p.colour) + "\n")
	}
}

// pair writes a label with its value, or nothing if there is no value.
func (p *page) pair(label, value string) {
	const column = 14
	if value == "" {
		return
	}
	for i, line := range wrap(clean(value), p.width-2-column) {
		if i > 0 {
			label = ""
		}
		p.WriteString("  " + faint.paint(pad(label, column), p.colour) + line + "\n")
	}
}
