package responsibility

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a catalogue file.
const (
	MaxFileBytes = 4 << 20
	maxDepth     = 24
	maxNodes     = 400_000
)

// Parse reads a catalogue file or a fragment of one; docs/catalogue.md
// describes the form. file names it in positions. It is strict: the error is a
// *Refusal with every fault, and then nothing of the file is returned.
// Expressions are not compiled here; package judgement does that.
func Parse(file string, data []byte) (*Catalogue, error) {
	r := &reader{file: file}
	if root := r.document(data); root != nil {
		c := r.catalogue(root)
		if c != nil {
			r.faults = append(r.faults, c.resolve(c.Extends != "")...)
		}
		if len(r.faults) == 0 {
			return c, nil
		}
	}
	return nil, Refuse(r.faults)
}

// document returns the root mapping of the one YAML document in data, or nil
// after a fault.
func (r *reader) document(data []byte) *yaml.Node {
	if len(data) > MaxFileBytes {
		r.faultAt(1, 1, "split it into fragments", "the file has %d bytes, the limit is %d", len(data), MaxFileBytes)
		return nil
	}
	if !utf8.Valid(data) {
		line, column := invalidUTF8(data)
		r.faultAt(line, column, "save the file as UTF-8", "a byte is not UTF-8")
		return nil
	}
	r.lines = strings.Split(string(data), "\n")
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := decode(dec, &doc); err != nil {
		r.syntax(err)
		return nil
	}
	if err := decode(dec, &second); err == nil {
		r.fault(&second, "put it into a file of its own", "a second YAML document begins here")
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		r.faultAt(1, 1, "begin with name, version and title", "the file is empty")
		return nil
	}
	if nodes := 0; !r.plain(&doc, 0, &nodes) {
		return nil
	}
	return doc.Content[0]
}

// decode turns a panic of the YAML library into an error: the file comes from
// outside.
func decode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: cannot be read: %v", p)
		}
	}()
	return dec.Decode(n)
}

// plain refuses aliases, anchors, merge keys and tags: with them a short file
// can stand for an endless one. It also bounds depth and size.
func (r *reader) plain(n *yaml.Node, depth int, nodes *int) bool {
	*nodes++
	switch {
	case n.Kind == yaml.AliasNode:
		r.fault(n, "write the value out", "the alias *%s is not accepted", n.Value)
		return false
	case n.Anchor != "":
		r.fault(n, "write the value out where it is needed", "the anchor &%s is not accepted", n.Anchor)
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.fault(n, "leave it out", "the tag %s is not accepted", n.Tag)
		return false
	case depth > maxDepth:
		r.fault(n, "", "values are nested more than %d deep", maxDepth)
		return false
	case *nodes > maxNodes:
		r.fault(n, "split the file into fragments", "the file has more than %d values", maxNodes)
		return false
	}
	for _, c := range n.Content {
		if !r.plain(c, depth+1, nodes) {
			return false
		}
	}
	return true
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax reports malformed YAML. The library gives a line only; the column is
// that of the line's first character.
func (r *reader) syntax(err error) {
	m := yamlLine.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0])
	if m == nil {
		r.faultAt(1, 1, "begin with name, version and title", "the file is empty")
		return
	}
	line, _ := strconv.Atoi(m[1])
	line = min(max(line, 1), len(r.lines))
	// The library may count a line less where it stumbles over indentation.
	for at := line; at <= min(line+1, len(r.lines)); at++ {
		lead := r.lines[at-1][:indent(r.lines[at-1])]
		if tab := strings.IndexByte(lead, '\t'); tab >= 0 {
			r.faultAt(at, 1+tab, "indent with spaces", "a tab indents the line")
			return
		}
	}
	r.faultAt(line, 1+indent(r.lines[line-1]), "", "is not YAML: %s", m[2])
}

// indent is how many spaces and tabs a line begins with.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

func invalidUTF8(data []byte) (line, column int) {
	line, column = 1, 1
	for len(data) > 0 {
		c, n := utf8.DecodeRune(data)
		switch {
		case c == utf8.RuneError && n == 1:
			return line, column
		case c == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		data = data[n:]
	}
	return line, column
}

// Names and identifiers that a catalogue uses.
var (
	nameForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	versionForm = regexp.MustCompile(`^\d{1,6}\.\d{1,6}\.\d{1,6}(-[0-9a-z.-]{1,32})?$`)
	controlForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)
	clauseForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
	serviceForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	kindForm    = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	memberForm  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// AnyCatalogue is what a fragment extends that fits every catalogue.
const AnyCatalogue = "*"

func (r *reader) catalogue(n *yaml.Node) *Catalogue {
	m := r.object(n, "a catalogue", "name", "version", "title", "extends", "controls", "facts")
	if m == nil {
		return nil
	}
	c := &Catalogue{places: map[string]Position{}}
	if ext := m.get("extends"); ext != nil {
		c.Extends = r.text(m, "extends")
		if c.Extends != AnyCatalogue && !nameForm.MatchString(c.Extends) {
			r.fault(ext, `write the name of a catalogue, or "*" for any`, "extends is %q", c.Extends)
		}
		for _, key := range []string{"name", "version", "title"} {
			if v := m.get(key); v != nil {
				r.fault(v, "leave it out", "a fragment has the %s of the catalogue that it extends", key)
			}
		}
	} else {
		c.Name = r.formed(m, "name", nameForm, "lower-case letters, digits, dots and hyphens")
		c.Version = r.formed(m, "version", versionForm, `three numbers, "1.0.0"`)
		c.Title = r.text(m, "title")
	}
	r.controls(c, m.get("controls"))
	for _, k := range r.items(m.get("facts"), "facts") {
		if kind, ok := r.kind(k); ok {
			if first, twice := c.places["fact "+kind.Name]; twice {
				r.fault(k, "", "fact kind %s is declared twice, first at %s", kind.Name, first)
				continue
			}
			c.places["fact "+kind.Name] = r.at(k)
			c.Facts = append(c.Facts, kind)
		}
	}
	if m.get("controls") == nil && m.get("facts") == nil {
		r.fault(n, "add a list of controls", "the file has neither controls nor facts")
	}
	return c
}

func (r *reader) controls(c *Catalogue, list *yaml.Node) {
	for _, n := range r.items(list, "controls") {
		m := r.object(n, "a control", "id", "title", "duties")
		if m == nil {
			continue
		}
		ctl := Control{ID: r.formed(m, "id", controlForm, "letters, digits, dots, hyphens and underscores"), At: r.at(n)}
		if c.Extends == "" || m.get("title") != nil {
			ctl.Title = r.text(m, "title")
		}
		if first, twice := c.places["control "+ctl.ID]; twice && ctl.ID != "" {
			r.fault(m.get("id"), "", "control %s is there twice, first at %s", ctl.ID, first)
		}
		c.places["control "+ctl.ID] = ctl.At
		duties := r.items(m.get("duties"), "duties")
		if len(duties) == 0 {
			r.fault(n, "add a list of duties", "control %s has no duties", ctl.ID)
		}
		for _, dn := range duties {
			d, ok := r.duty(dn, ctl.ID)
			if !ok {
				continue
			}
			if first, twice := c.places["duty "+d.ID]; twice {
				r.fault(dn, "", "duty %s is there twice, first at %s", d.ID, first)
				continue
			}
			c.places["duty "+d.ID] = d.At
			ctl.Duties = append(ctl.Duties, d)
		}
		c.Controls = append(c.Controls, ctl)
	}
}
