package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/demarc/demarc/api"
)

type matrixCmd struct {
	Tenant string `help:"The tenant." placeholder:"NAME"`
	At     moment `help:"At a moment: 2026-03-03T14:00:00Z, or 2026-03-03 for the end of that day in UTC; now if left out." placeholder:"TIME"`
}

// Help is shown below the flags.
func (matrixCmd) Help() string {
	return `Examples:
  demarc matrix --tenant acme
  demarc matrix --tenant acme --at 2026-03-03
  demarc matrix --tenant acme --output csv > matrix.csv`
}

// Run prints the matrix of a tenant.
func (c *matrixCmd) Run(ctx context.Context, s *session) error {
	at, err := c.At.day(s.now())
	if err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	tenant, err := s.tenantOr(ctx, client, c.Tenant)
	if err != nil {
		return err
	}
	m, err := client.Matrix(ctx, tenant, at)
	if err != nil {
		return fmt.Errorf("reading the matrix of tenant %s: %w", tenant, err)
	}
	switch s.flags.Output {
	case "csv":
		return s.printCSV(records(m.Rows, matrixColumns))
	case "table":
		d := &drawing{page: page{width: s.width(), colour: s.colour()}}
		d.matrix(m)
		return s.print(d.String())
	}
	return s.printValue(m)
}

var matrixColumns = []column[api.MatrixRow]{
	{key: "duty", text: func(r api.MatrixRow) string { return r.Duty }},
	{key: "control", text: func(r api.MatrixRow) string { return r.Control }},
	{key: "title", text: func(r api.MatrixRow) string { return r.Title }},
	{key: "scope", text: func(r api.MatrixRow) string { return r.Scope }},
	{key: "level", text: func(r api.MatrixRow) string { return r.Level }},
	{key: "customer", text: func(r api.MatrixRow) string { return shares(r.Customer) }},
	{key: "provider", text: func(r api.MatrixRow) string { return shares(r.Provider) }},
	{key: "services", text: func(r api.MatrixRow) string { return strings.Join(r.Services, " ") }},
	{key: "worst", text: func(r api.MatrixRow) string { return r.Worst }},
}

func shares(list []api.Share) string {
	parts := make([]string, len(list))
	for i, sh := range list {
		parts[i] = about(sh.Subject)
		if sh.Since != nil {
			parts[i] += " since " + stampOf(sh.Since)
		}
		if sh.Service != "" {
			parts[i] += " by " + sh.Service
		}
	}
	return strings.Join(parts, "; ")
}

// drawing draws a matrix: the customer's side left, the provider's right.
type drawing struct{ page }

// half is the width of each side; the line and its margins take 3 columns.
func (d *drawing) half() int { return (d.width - 3) / 2 }

func (d *drawing) matrix(m api.Matrix) {
	d.line(bold, "Who is responsible for what")
	d.line(faint, fmt.Sprintf("tenant %s · %s UTC · catalogue %s", m.Tenant.Name, clock(m.At), m.Catalogue))
	d.blank()
	d.both([]cell{{"CUSTOMER", bold}}, []cell{{"PROVIDER", bold}})
	control := ""
	for _, r := range m.Rows {
		if r.Control != control {
			control = r.Control
			d.WriteString(faint.paint(rule(control, d.half(), d.width), d.colour) + "\n")
		}
		d.both(d.side(r, r.Customer, m.Tenant), d.side(r, r.Provider, m.Tenant))
	}
	if len(m.Rows) == 0 {
		d.text(0, "No duty was in force then.")
	}
}

// side is one party's half of a row: nothing if it is responsible for nothing.
func (d *drawing) side(r api.MatrixRow, list []api.Share, tenant api.Tenant) []cell {
	if len(list) == 0 {
		return nil
	}
	mark := []rune(badge(r.Worst))[:1]
	out := []cell{{string(mark) + " " + clean(r.Duty), verdictHue(r.Worst)}}
	for _, line := range wrap(clean(r.Title), d.half()-2) {
		out = append(out, cell{"  " + line, plain})
	}
	for _, sh := range list {
		if sh.Subject.ID == tenant.ID && sh.Since == nil {
			continue // the whole tenant, from the beginning: nothing to add
		}
		text := about(sh.Subject)
		if sh.Since != nil {
			text += ", since " + sh.Since.UTC().Format("2006-01-02")
		}
		if sh.Service != "" {
			text += ", by " + sh.Service
		}
		for i, line := range wrap(clean(text), d.half()-4) {
			lead := "  → "
			if i > 0 {
				lead = "    "
			}
			out = append(out, cell{lead + line, faint})
		}
	}
	return out
}

// both writes two halves side by side with the line between them.
func (d *drawing) both(left, right []cell) {
	for y := range max(len(left), len(right)) {
		var l, r cell
		if y < len(left) {
			l = left[y]
		}
		if y < len(right) {
			r = right[y]
		}
		l.text, r.text = clip(l.text, d.half()), clip(r.text, d.half())
		space := strings.Repeat(" ", max(0, d.half()-uniseg.StringWidth(l.text)))
		d.WriteString(strings.TrimRight(l.hue.paint(l.text, d.colour)+space+" │ "+r.hue.paint(r.text, d.colour), " ") + "\n")
	}
}

// rule is a horizontal line with a title that crosses the line in the middle.
func rule(title string, half, width int) string {
	title = "── " + clip(clean(title), half-6) + " "
	left := title + strings.Repeat("─", max(0, half+1-uniseg.StringWidth(title)))
	return left + "┼" + strings.Repeat("─", max(0, width-half-2))
}
