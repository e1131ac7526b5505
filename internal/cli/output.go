package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// column is one column of a list of T, or one line of a single T.
type column[T any] struct {
	// key heads the column in CSV; head does in a table, which leaves out a
	// column without one.
	key, head string
	fit       fit
	// text is the whole value, for CSV, and for tables unless show is set.
	text func(T) string
	show func(T) string
	hue  func(T) hue
}

func (c column[T]) cell(item T) cell {
	out := cell{}
	if c.show != nil {
		out.text = clean(c.show(item))
	} else {
		out.text = clean(c.text(item))
	}
	if c.hue != nil {
		out.hue = c.hue(item)
	}
	return out
}

// without returns the columns but the one of a key.
func without[T any](columns []column[T], key string) []column[T] {
	return slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.key == key })
}

// printList prints items in the form asked for. Where a table would be empty,
// the sentence empty goes to standard error instead.
func printList[T any](s *session, items []T, columns []column[T], empty string) error {
	return printGroups(s, items, columns, func(T) string { return "" }, empty)
}

// printGroups is printList with a heading above each run of items that have
// the same one.
func printGroups[T any](s *session, items []T, columns []column[T], heading func(T) string, empty string) error {
	if items == nil {
		items = []T{}
	}
	switch s.flags.Output {
	case "csv":
		return s.printCSV(records(items, columns))
	case "table":
	default:
		return s.printValue(items)
	}
	if len(items) == 0 {
		fmt.Fprintln(s.streams.Err, empty)
		return nil
	}
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column[T]) bool { return c.head == "" })
	g := &grid{}
	for _, c := range columns {
		g.heads, g.fits = append(g.heads, c.head), append(g.fits, c.fit)
	}
	last := ""
	for _, item := range items {
		row := gridRow{}
		if h := clean(heading(item)); h != last {
			row.heading, last = h, h
		}
		for _, c := range columns {
			row.cells = append(row.cells, c.cell(item))
		}
		g.rows = append(g.rows, row)
	}
	var b strings.Builder
	g.write(&b, s.width(), s.colour())
	return s.print(b.String())
}

// printOne prints a single item: in a table, a line for each column that has a
// value.
func printOne[T any](s *session, item T, columns []column[T]) error {
	switch s.flags.Output {
	case "csv":
		return s.printCSV(records([]T{item}, columns))
	case "table":
	default:
		return s.printValue(item)
	}
	label := 0
	for _, c := range columns {
		label = max(label, len(c.head))
	}
	var b strings.Builder
	for _, c := range columns {
		v := c.cell(item)
		if v.text == "" || c.head == "" {
			continue
		}
		lines := []string{v.text}
		if c.fit == flow {
			lines = wrap(v.text, max(leastFlow, s.width()-label-gap))
		}
		for i, line := range lines {
			head := ""
			if i == 0 {
				head = c.head
			}
			b.WriteString(faint.paint(pad(head, label+gap), s.colour()) + v.hue.paint(line, s.colour()) + "\n")
		}
	}
	return s.print(b.String())
}

func records[T any](items []T, columns []column[T]) [][]string {
	var head []string
	for _, c := range columns {
		head = append(head, c.key)
	}
	out := [][]string{head}
	for _, item := range items {
		var record []string
		for _, c := range columns {
			record = append(record, c.text(item))
		}
		out = append(out, record)
	}
	return out
}

// printCSV prints RFC 4180, with its line ends.
func (s *session) printCSV(records [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if err := w.WriteAll(records); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return s.print(b.String())
}

// printValue prints JSON, or the same as YAML.
func (s *session) printValue(value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	if s.flags.Output != "yaml" {
		return s.print(b.String())
	}
	node, err := yamlOf(json.NewDecoder(&b))
	if err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	var out bytes.Buffer
	y := yaml.NewEncoder(&out)
	y.SetIndent(2)
	if err := y.Encode(node); err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	return s.print(out.String())
}

// yamlOf turns JSON into a YAML document with the same keys in the same order.
func yamlOf(in *json.Decoder) (*yaml.Node, error) {
	in.UseNumber()
	token, err := in.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		if t == '{' {
			node.Kind, node.Tag = yaml.MappingNode, "!!map"
		}
		for in.More() {
			child, err := yamlOf(in)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		if len(node.Content) == 0 {
			node.Style = yaml.FlowStyle
		}
		_, err := in.Token()
		return node, err
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: t}, nil
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(t.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(t)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
}

// print writes to standard output; what cannot be written is an error.
func (s *session) print(text string) error {
	if _, err := io.WriteString(s.streams.Out, text); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// note tells the user something beside the output, in table form only, so that
// scripts that read another form see nothing but errors on standard error.
func (s *session) note(format string, args ...any) {
	if s.flags.Output == "table" {
		fmt.Fprintf(s.streams.Err, format+"\n", args...)
	}
}
