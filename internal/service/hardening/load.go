package hardening

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of rule files.
const (
	maxFileBytes = 1 << 20
	maxRules     = 5_000
	maxTextBytes = 2_000
	maxFaults    = 50
)

// Fault is one thing that is wrong in a rule file. Line and Column count from 1.
type Fault struct {
	File         string
	Line, Column int
	Reason       string
}

// Error implements error in the form file:line:column: reason.
func (f *Fault) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Reason)
}

var (
	idForm       = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	categoryForm = idForm
	yamlLine     = regexp.MustCompile(`line (\d+): `)
)

// Load reads the rules of all *.yaml files at the top of files, sorted by id.
// It is strict: unknown, repeated and missing keys, wrong types and values,
// aliases, and an id that was used before are refused. The error joins every
// *Fault found, in the order of the files, 50 at most. Expressions are not
// looked into; Service.Prepare does that.
func Load(files fs.FS) ([]Rule, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list rule files: %w", err)
	}
	l := loader{seen: map[string]string{}}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read rule file %s: %w", name, err)
		}
		l.load(name, b)
	}
	if len(l.rules) == 0 && len(l.faults) == 0 {
		return nil, errors.New("no rules: there is no *.yaml file with any")
	}
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	slices.SortFunc(l.rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return l.rules, nil
}

type loader struct {
	file   string
	rules  []Rule
	seen   map[string]string // place of a rule by its id
	faults []error
}

func (l *loader) fault(n *yaml.Node, format string, args ...any) {
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, &Fault{File: l.file, Line: max(n.Line, 1), Column: max(n.Column, 1), Reason: fmt.Sprintf(format, args...)})
	}
}

func (l *loader) load(name string, data []byte) {
	l.file = name
	if len(data) > maxFileBytes {
		l.fault(&yaml.Node{}, "the file has %d bytes, the limit is %d", len(data), maxFileBytes)
		return
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			l.fault(&yaml.Node{}, "the file is empty")
			return
		}
		l.syntax(err)
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.fault(doc.Content[0], "the file must hold one document")
		return
	}
	top, ok := l.mapping(doc.Content[0], "a rule file", "category", "rules")
	if !ok {
		return
	}
	category, ok := l.text(top["category"], "category")
	if ok && !categoryForm.MatchString(category) {
		l.fault(top["category"], "category %q must be lower-case words joined by hyphens", category)
	}
	for _, n := range l.list(top["rules"], "rules") {
		if len(l.rules) == maxRules {
			l.fault(n, "more than %d rules", maxRules)
			return
		}
		if r, ok := l.rule(n); ok {
			r.Category = category
			l.rules = append(l.rules, r)
		}
	}
}

// syntax reports an error of the YAML parser, which tells the line in words.
func (l *loader) syntax(err error) {
	at := yaml.Node{}
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(reason); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		reason = strings.Replace(reason, m[0], "", 1)
	}
	l.fault(&at, "is not YAML: %s", reason)
}

func (l *loader) rule(n *yaml.Node) (Rule, bool) {
	before := len(l.faults)
	m, ok := l.mapping(n, "a rule", "id", "title", "severity", "level", "families", "tags?",
		"applies?", "known?", "pass", "message", "passed?", "rationale", "references", "remedy")
	if !ok {
		return Rule{}, false
	}
	var r Rule
	r.ID, ok = l.text(m["id"], "id")
	switch where, twice := l.seen[r.ID]; {
	case !ok:
	case !idForm.MatchString(r.ID) || len(r.ID) > 80:
		l.fault(m["id"], "id %q must be lower-case words joined by hyphens, 80 characters at most", r.ID)
	case twice:
		l.fault(m["id"], "id %q is used before, at %s", r.ID, where)
	default:
		l.seen[r.ID] = fmt.Sprintf("%s:%d", l.file, m["id"].Line)
	}
	r.Title, _ = l.text(m["title"], "title")
	r.Severity = Severity(l.oneOf(m["severity"], "severity", severities))
	if lv := l.oneOf(m["level"], "level", []string{"1", "2"}); lv != "" {
		r.Level = int(lv[0] - '0')
	}
	r.Families = l.set(m["families"], "families", families)
	if m["tags"] != nil {
		r.Tags = l.set(m["tags"], "tags", tags)
	}
	r.Applies, r.Known = l.expression(m["applies"], "applies"), l.expression(m["known"], "known")
	r.Pass, r.Message = l.expression(m["pass"], "pass"), l.expression(m["message"], "message")
	if m["passed"] != nil {
		r.Passed, _ = l.text(m["passed"], "passed")
	}
	r.Rationale, _ = l.text(m["rationale"], "rationale")
	for _, c := range l.list(m["references"], "references") {
		if s, ok := l.text(c, "a reference"); ok {
			r.References = append(r.References, s)
		}
	}
	r.Remedy = l.remedy(m["remedy"], r.Families)
	return r, len(l.faults) == before
}

// remedy is one text for all families, or one text for each.
func (l *loader) remedy(n *yaml.Node, of []string) map[string]string {
	out := map[string]string{}
	if n.Kind != yaml.MappingNode {
		if s, ok := l.text(n, "remedy"); ok {
			for _, f := range of {
				out[f] = s
			}
		}
		return out
	}
	m, ok := l.mapping(n, "remedy", of...)
	if !ok {
		return nil
	}
	for _, f := range of {
		out[f], _ = l.text(m[f], "remedy for "+f)
	}
	return out
}
