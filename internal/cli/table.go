package cli

import (
	"strings"

	"github.com/rivo/uniseg"
)

// fit says what a column does when the table is wider than the terminal.
type fit int

const (
	whole fit = iota // never shortened: ids that a user copies
	cut              // clipped with an ellipsis
	flow             // wrapped onto further lines
)

const (
	gap       = 2  // columns between two columns
	leastCut  = 8  // what a cut column keeps
	leastFlow = 20 // what a flow column keeps as long as others can give way
)

type cell struct {
	text string
	hue  hue
}

// grid is a table before layout. All texts are clean.
type grid struct {
	heads []string
	fits  []fit
	rows  []gridRow
}

// gridRow is a row; a heading, if set, is printed above it.
type gridRow struct {
	heading string
	cells   []cell
}

// layout shares width among the columns: first flow columns give way, then
// cut columns, then flow columns again; whole columns never do.
func (g *grid) layout(width int) []int {
	widths := make([]int, len(g.heads))
	for i, h := range g.heads {
		widths[i] = uniseg.StringWidth(h)
		for _, r := range g.rows {
			widths[i] = max(widths[i], uniseg.StringWidth(r.cells[i].text))
		}
	}
	over := gap * (len(widths) - 1)
	for _, w := range widths {
		over += w
	}
	over -= width
	for _, step := range []struct {
		fit   fit
		least int
	}{{flow, leastFlow}, {cut, leastCut}, {flow, leastCut}} {
		for over > 0 {
			widest := -1
			for i, f := range g.fits {
				if f == step.fit && widths[i] > step.least && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
			over--
		}
	}
	return widths
}

// write draws the table for a terminal of a width in columns.
func (g *grid) write(b *strings.Builder, width int, colour bool) {
	widths := g.layout(width)
	heads := make([]cell, len(g.heads))
	for i, h := range g.heads {
		heads[i] = cell{h, faint}
	}
	g.writeRow(b, heads, widths, colour)
	for _, r := range g.rows {
		if r.heading != "" {
			b.WriteString("\n" + bold.paint(clip(r.heading, width), colour) + "\n")
		}
		g.writeRow(b, r.cells, widths, colour)
	}
}

func (g *grid) writeRow(b *strings.Builder, cells []cell, widths []int, colour bool) {
	lines := make([][]string, len(cells))
	height := 1
	for i, c := range cells {
		if g.fits[i] == flow {
			lines[i] = wrap(c.text, widths[i])
		} else if g.fits[i] == cut {
			lines[i] = []string{clip(c.text, widths[i])}
		} else {
			lines[i] = []string{c.text}
		}
		height = max(height, len(lines[i]))
	}
	for y := range height {
		blank := 0
		for i, c := range cells {
			text := ""
			if y < len(lines[i]) {
				text = lines[i][y]
			}
			if text != "" {
				b.WriteString(strings.Repeat(" ", blank) + c.hue.paint(text, colour))
				blank = 0
			}
			blank += widths[i] - uniseg.StringWidth(text) + gap
		}
		b.WriteByte('\n')
	}
}
