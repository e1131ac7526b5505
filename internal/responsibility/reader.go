package responsibility

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxTextBytes bounds a title, a doc or a remedy.
const maxTextBytes = 2000

// reader walks the nodes of one file and collects faults, so that all of them
// are reported together.
type reader struct {
	file   string
	lines  []string
	faults []Fault
}

func (r *reader) at(n *yaml.Node) Position {
	return Position{File: r.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func (r *reader) fault(n *yaml.Node, mend, format string, args ...any) {
	r.faultAt(max(n.Line, 1), max(n.Column, 1), mend, format, args...)
}

func (r *reader) faultAt(line, column int, mend, format string, args ...any) {
	r.faults = append(r.faults, Fault{
		At: Position{File: r.file, Line: line, Column: column}, Reason: fmt.Sprintf(format, args...), Mend: mend,
	})
}

// members are those of a YAML mapping.
type members struct {
	node   *yaml.Node
	what   string
	values map[string]*yaml.Node
}

func (m *members) get(key string) *yaml.Node { return m.values[key] }

// object reads a mapping whose keys are all known, or returns nil after a fault.
func (r *reader) object(n *yaml.Node, what string, known ...string) *members {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "", "%s must be a mapping with %s; it is %s", what, strings.Join(known, ", "), nodeName(n))
		return nil
	}
	m := &members{node: n, what: what, values: make(map[string]*yaml.Node, len(n.Content)/2)}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || (known != nil && !slices.Contains(known, key.Value)) {
			r.fault(key, "known are "+strings.Join(known, ", "), "%s has no member %q", what, short(key.Value))
			continue
		}
		if _, twice := m.values[key.Value]; twice {
			r.fault(key, "keep one", "%s is there twice", key.Value)
			continue
		}
		m.values[key.Value] = value
	}
	return m
}

// items reads a list; nil where the node is missing.
func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fault(n, "", "%s must be a list; it is %s", what, nodeName(n))
		return nil
	}
	return n.Content
}

// text reads a required, non-empty string.
func (r *reader) text(m *members, key string) string {
	n := m.get(key)
	if n == nil {
		r.fault(m.node, "add "+key, "%s has no %s", m.what, key)
		return ""
	}
	return r.scalar(n, key)
}

func (r *reader) scalar(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, "", "%s must be a text; it is %s", what, nodeName(n))
		return ""
	}
	if n.ShortTag() != "!!str" {
		r.fault(n, "put it in quotes", "%s must be a text; %s is %s", what, short(n.Value), nodeName(n))
		return ""
	}
	s := strings.TrimSpace(n.Value)
	switch {
	case s == "":
		r.fault(n, "", "%s is empty", what)
	case len(s) > maxTextBytes:
		r.fault(n, "", "%s has %d bytes, the limit is %d", what, len(s), maxTextBytes)
	}
	return s
}

func (r *reader) formed(m *members, key string, form *regexp.Regexp, say string) string {
	s := r.text(m, key)
	if s != "" && !form.MatchString(s) {
		r.fault(m.get(key), "use "+say, "%s %q is malformed", key, short(s))
		return ""
	}
	return s
}

// oneOf reads a required string out of a set.
func oneOf[T ~string](r *reader, m *members, key string, allowed ...T) T {
	s := T(r.text(m, key))
	if s != "" && !slices.Contains(allowed, s) {
		r.fault(m.get(key), "", "%s %q is none of %v", key, short(string(s)), allowed)
		return ""
	}
	return s
}

var durationForm = regexp.MustCompile(`^([1-9]\d{0,6})([mhd])$`)

// duration reads whole minutes, hours or days: 90m, 36h, 35d.
func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, "", "%s must be a duration; it is %s", what, nodeName(n))
		return 0
	}
	f := durationForm.FindStringSubmatch(n.Value)
	if f == nil {
		r.fault(n, "write whole minutes, hours or days: 90m, 36h, 35d", "%s %q is no duration", what, short(n.Value))
		return 0
	}
	count, _ := strconv.Atoi(f[1])
	d := time.Duration(count) * map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[f[2]]
	const longest = 10 * 366 * 24 * time.Hour
	if d > longest {
		r.fault(n, "", "%s is longer than ten years", what)
		return 0
	}
	return d
}

// expression reads the text of a CEL expression and the place of its first
// character. A form in which YAML folds lines is refused, so that a place in
// the expression is a place in the file.
func (r *reader) expression(n *yaml.Node, what string) (string, Position) {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, "", "%s must be an expression; it is %s", what, nodeName(n))
		return "", Position{}
	}
	at := r.at(n)
	text := strings.TrimRight(n.Value, "\n ")
	if strings.TrimSpace(text) == "" {
		r.fault(n, "leave it out or write an expression", "%s is empty", what)
		return "", at
	}
	switch n.Style {
	case yaml.LiteralStyle:
		at.Line++
		if at.Column = 1 + r.indentation(at.Line, text); at.Column == 0 {
			at.Column = 1
		}
		return text, at
	case yaml.FoldedStyle:
		r.fault(n, "write it as a block with |", "%s is folded with >", what)
		return "", at
	}
	if n.Style == yaml.SingleQuotedStyle || n.Style == yaml.DoubleQuotedStyle {
		at.Column++
	}
	if src := r.lines[at.Line-1]; !strings.Contains(src, text) && n.Style == 0 {
		r.fault(n, "write it on one line or as a block with |", "%s goes over several lines", what)
	}
	return text, at
}

// indentation is by how many columns the block whose text begins on the line
// is indented.
func (r *reader) indentation(line int, text string) int {
	for i, l := range strings.Split(text, "\n") {
		if strings.TrimSpace(l) == "" || line-1+i >= len(r.lines) {
			continue
		}
		return max(strings.Index(r.lines[line-1+i], l), 0)
	}
	return 0
}

func nodeName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	}
	return "a text"
}

// short keeps a value that goes into a message to a readable length.
func short(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
