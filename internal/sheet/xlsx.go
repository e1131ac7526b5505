package sheet

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"github.com/demarc/demarc/internal/evidence"
)

// Names of the sheets.
const (
	matrixSheet = "Matrix"
	aboutSheet  = "About"
)

// fills are the colours of the verdicts: background and text.
var fills = map[evidence.Verdict][2]string{
	evidence.Met:           {"D7F0DD", "14532D"},
	evidence.NotMet:        {"FBD5D5", "7F1D1D"},
	evidence.Unknown:       {"FDEDC4", "713F12"},
	evidence.Waived:        {"DCE7FB", "1E3A8A"},
	evidence.NotApplicable: {"ECECEC", "444444"},
}

// XLSX writes the matrix as a workbook with the sheets Matrix (header fixed,
// filter on every column, standing coloured by verdict, set for printing in
// landscape on one page's width) and About. Texts are stored as texts and never
// as formulas. Equal input gives equal bytes.
func XLSX(w io.Writer, m Matrix) error {
	rows, err := Rows(m)
	if err != nil {
		return err
	}
	f := excelize.NewFile()
	defer f.Close() // holds nothing but memory
	b := book{f: f}
	b.do("name the first sheet", func() error { return f.SetSheetName("Sheet1", matrixSheet) })
	b.do("add the second sheet", func() error { _, err := f.NewSheet(aboutSheet); return err })
	b.matrix(rows)
	b.about(m)
	b.do("set the properties", func() error {
		return f.SetDocProps(&excelize.DocProperties{
			Title: "Responsibility matrix of " + line(m.Tenant), Creator: line(m.Provider), LastModifiedBy: line(m.Provider),
			Created: m.At.UTC().Format(time.RFC3339), Modified: m.At.UTC().Format(time.RFC3339),
		})
	})
	if b.err != nil {
		return b.err
	}
	if _, err := f.WriteTo(w); err != nil {
		return fmt.Errorf("sheet: write XLSX: %w", err)
	}
	return nil
}

// book keeps the first error, so that the layout below reads as layout.
type book struct {
	f   *excelize.File
	err error
}

func (b *book) do(what string, step func() error) {
	if b.err != nil {
		return
	}
	if err := step(); err != nil {
		b.err = fmt.Errorf("sheet: %s: %w", what, err)
	}
}

func (b *book) style(s *excelize.Style) (id int) {
	b.do("define a style", func() (err error) { id, err = b.f.NewStyle(s); return })
	return id
}

func (b *book) set(sheet string, col, row, style int, value any) {
	b.do("fill a cell", func() error {
		cell, err := excelize.CoordinatesToCellName(col, row)
		if err != nil {
			return err
		}
		if err := b.f.SetCellStyle(sheet, cell, cell, style); err != nil {
			return err
		}
		if s, ok := value.(string); ok {
			if s == "" {
				return nil
			}
			return b.f.SetCellStr(sheet, cell, s)
		}
		return b.f.SetCellValue(sheet, cell, value)
	})
}

func (b *book) header() int {
	return b.style(&excelize.Style{
		Font: &excelize.Font{Bold: true, Color: "FFFFFF"}, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"1F3A4D"}},
		Alignment: &excelize.Alignment{Vertical: "center", WrapText: true},
	})
}

func (b *book) body(align string) int {
	return b.style(&excelize.Style{
		Alignment: &excelize.Alignment{Horizontal: align, Vertical: "top", WrapText: true},
		Border:    []excelize.Border{{Type: "bottom", Color: "D0D0D0", Style: 1}},
	})
}

func (b *book) matrix(rows []Row) {
	header, body, number := b.header(), b.body("left"), b.body("center")
	b.height(matrixSheet, 1, 2)
	for j, r := range rows {
		b.height(matrixSheet, j+2, lines(r))
	}
	for i, c := range columns {
		name, err := excelize.ColumnNumberToName(i + 1)
		b.do("name a column", func() error { return err })
		b.do("set a column's width", func() error { return b.f.SetColWidth(matrixSheet, name, name, c.width) })
		b.set(matrixSheet, i+1, 1, header, c.title)
		for j, r := range rows {
			value, style := c.value(r), body
			if _, ok := value.(int); ok {
				style = number
			}
			b.set(matrixSheet, i+1, j+2, style, value)
		}
		if c.title == standing {
			b.colour(fmt.Sprintf("%s2:%s%d", name, name, len(rows)+1))
		}
	}
	last, err := excelize.CoordinatesToCellName(len(columns), len(rows)+1)
	b.do("find the last cell", func() error { return err })
	b.do("fix the header", func() error {
		return b.f.SetPanes(matrixSheet, &excelize.Panes{Freeze: true, XSplit: 3, YSplit: 1, TopLeftCell: "D2", ActivePane: "bottomRight"})
	})
	b.do("set the filter", func() error { return b.f.AutoFilter(matrixSheet, "A1:"+last, nil) })
	b.do("repeat the header in print", func() error {
		return b.f.SetDefinedName(&excelize.DefinedName{Name: "_xlnm.Print_Titles", RefersTo: matrixSheet + "!$1:$1", Scope: matrixSheet})
	})
	b.page(matrixSheet, "landscape")
}

// page sets A4 with narrow margins and one page's width.
func (b *book) page(sheet, orientation string) {
	a4, width, height, fit, margin := 9, 1, 0, true, 0.4 // margins in inches
	b.do("set the page", func() error {
		return errors.Join(
			b.f.SetSheetProps(sheet, &excelize.SheetPropsOptions{FitToPage: &fit}),
			b.f.SetPageLayout(sheet, &excelize.PageLayoutOptions{Orientation: &orientation, Size: &a4, FitToWidth: &width, FitToHeight: &height}),
			b.f.SetPageMargins(sheet, &excelize.PageLayoutMarginsOptions{Left: &margin, Right: &margin, Top: &margin, Bottom: &margin}))
	})
}

// lines is how many lines the row's longest cell wraps to. Programs compute
// row heights only when a person edits, so the file has to bring them.
func lines(r Row) int {
	most := 1
	for _, c := range columns {
		if s, ok := c.value(r).(string); ok {
			most = max(most, wrapped(s, c.width))
		}
	}
	return most
}

// wrapped estimates the lines of s in a column, a little to the generous side,
// because words do not fill a line.
func wrapped(s string, width float64) int {
	return int(math.Ceil(float64(utf8.RuneCountInString(s)) * 1.1 / width))
}

func (b *book) height(sheet string, row, lines int) {
	const line = 14.5 // points
	b.do("set a row's height", func() error { return b.f.SetRowHeight(sheet, row, min(line*float64(max(lines, 1))+2, 409)) })
}

// colour fills the cells of the range by the verdict that they hold.
func (b *book) colour(cells string) {
	var rules []excelize.ConditionalFormatOptions
	for _, v := range worstFirst {
		b.do("define a verdict's colour", func() error {
			id, err := b.f.NewConditionalStyle(&excelize.Style{
				Font: &excelize.Font{Color: fills[v][1]}, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{fills[v][0]}},
			})
			rules = append(rules, excelize.ConditionalFormatOptions{Type: "cell", Criteria: "==", Value: `"` + string(v) + `"`, Format: &id})
			return err
		})
	}
	b.do("colour the verdicts", func() error { return b.f.SetConditionalFormat(matrixSheet, cells, rules) })
}

func (b *book) about(m Matrix) {
	label, body := b.style(&excelize.Style{Font: &excelize.Font{Bold: true}, Alignment: &excelize.Alignment{Vertical: "top"}}), b.body("left")
	for i, pair := range [][2]string{
		{"Tenant", line(m.Tenant)},
		{"Provider", line(m.Provider)},
		{"As of", moment(m.At)},
		{"Catalogue", line(m.Catalogue.Title) + " (" + m.Catalogue.Name + " " + m.Catalogue.Version + ")"},
		{"Responsible", "Who carries the duty at the moment above. A duty that a service covers for some virtual machines only has a row for each party."},
		{"Since", "When that party took it, in UTC; the earliest, where it differs between machines. Empty: it always had it."},
		{"Standing", "The worst verdict of the row. met: shown by fresh evidence. not-met: shown not to be so. unknown: evidence is missing or stale; it never counts as met. waived: a risk accepted until a date. not-applicable: it does not concern the subject."},
		{"Counts", "How many of your subjects (virtual machines, virtual data centres, or you as a tenant) have each verdict. Duties about the provider's own infrastructure show none."},
	} {
		b.set(aboutSheet, 1, i+1, label, pair[0])
		b.set(aboutSheet, 2, i+1, body, pair[1])
		b.height(aboutSheet, i+1, wrapped(pair[1], 90))
	}
	b.do("set a column's width", func() error { return b.f.SetColWidth(aboutSheet, "A", "A", 16) })
	b.do("set a column's width", func() error { return b.f.SetColWidth(aboutSheet, "B", "B", 90) })
	b.page(aboutSheet, "portrait")
}
