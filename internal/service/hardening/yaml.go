package hardening

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mapping returns the values of a mapping by key. A key that ends in "?" may
// be missing. It reports faults and returns false if there were any.
func (l *loader) mapping(n *yaml.Node, what string, keys ...string) (map[string]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode {
		l.fault(n, "%s must be a mapping, is %s", what, kindOf(n))
		return nil, false
	}
	before := len(l.faults)
	m := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(keys, k.Value) && !slices.Contains(keys, k.Value+"?"):
			l.fault(k, "%s has no key %q; it has %s", what, k.Value, strings.ReplaceAll(strings.Join(keys, ", "), "?", ""))
		case m[k.Value] != nil:
			l.fault(k, "key %q stands twice", k.Value)
		default:
			m[k.Value] = v
		}
	}
	for _, k := range keys {
		if !strings.HasSuffix(k, "?") && m[k] == nil {
			l.fault(n, "%s lacks the key %q", what, k)
		}
	}
	return m, len(l.faults) == before
}

// text returns a string that is not empty.
func (l *loader) text(n *yaml.Node, what string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag != "!!str":
		l.fault(n, "%s must be a text, is %s", what, kindOf(n))
	case strings.TrimSpace(n.Value) == "":
		l.fault(n, "%s is empty", what)
	case len(n.Value) > maxTextBytes:
		l.fault(n, "%s has %d bytes, the limit is %d", what, len(n.Value), maxTextBytes)
	default:
		return n.Value, true
	}
	return "", false
}

func (l *loader) expression(n *yaml.Node, what string) Expression {
	if n == nil {
		return Expression{}
	}
	s, _ := l.text(n, what)
	e := Expression{Text: s, file: l.file, line: n.Line, column: n.Column}
	e.block = n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		e.column++
	}
	return e
}

// oneOf returns a scalar that must be one of the choices, or "".
func (l *loader) oneOf(n *yaml.Node, what string, choices []string) string {
	if n.Kind != yaml.ScalarNode || !slices.Contains(choices, n.Value) {
		l.fault(n, "%s must be one of %s", what, strings.Join(choices, ", "))
		return ""
	}
	return n.Value
}

// set returns a list of different choices, sorted.
func (l *loader) set(n *yaml.Node, what string, choices []string) []string {
	var out []string
	for _, c := range l.list(n, what) {
		switch v := l.oneOf(c, what, choices); {
		case v == "":
		case slices.Contains(out, v):
			l.fault(c, "%s names %s twice", what, v)
		default:
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// list returns the items of a sequence that is not empty.
func (l *loader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		l.fault(n, "%s must be a list, is %s", what, kindOf(n))
		return nil
	}
	if len(n.Content) == 0 {
		l.fault(n, "%s is an empty list", what)
	}
	return n.Content
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias, which rule files do not use"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!str":
		return "a text"
	}
	return "something else"
}
