package responsibility

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/demarc/demarc/internal/evidence"
)

// reserved words of CEL cannot name a part of a fact: an expression could not
// read it. Source: CEL language definition, section Syntax.
var reserved = strings.Fields(`as break const continue else false for function if import in let loop
	namespace null package return true var void while`)

// kind reads the declaration of a fact kind.
func (r *reader) kind(n *yaml.Node) (evidence.Kind, bool) {
	m := r.object(n, "a fact", "name", "scope", "doc", "members")
	if m == nil {
		return evidence.Kind{}, false
	}
	before := len(r.faults)
	k := evidence.Kind{
		Name:  r.formed(m, "name", kindForm, "lower-case words joined by dots, as in host.sshd"),
		Scope: oneOf(r, m, "scope", evidence.Scopes...),
		Doc:   r.text(m, "doc"),
	}
	if k.Name != "" && len(k.Name) > 100 {
		r.fault(m.get("name"), "", "the name has %d characters, the limit is 100", len(k.Name))
	}
	for _, word := range strings.Split(k.Name, ".") {
		if slices.Contains(reserved, word) {
			r.fault(m.get("name"), "use another word", "%s is a reserved word of the expression language", word)
		}
	}
	if mn := m.get("members"); mn != nil {
		k.Type = r.form(mn, k.Name)
	} else {
		r.fault(n, "add members", "fact %s has no members", k.Name)
	}
	return k, len(r.faults) == before && k.Type != nil
}

// form reads the members of an object.
func (r *reader) form(n *yaml.Node, path string) *evidence.Type {
	m := r.object(n, "members")
	if m == nil {
		return nil
	}
	if len(n.Content) == 0 {
		r.fault(n, "name at least one", "%s has no members", path)
	}
	t := &evidence.Type{Basic: evidence.Object, Name: path}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case !memberForm.MatchString(key.Value):
			r.fault(key, "use lower-case letters, digits and underscores", "member name %q is malformed", short(key.Value))
		case slices.Contains(reserved, key.Value):
			r.fault(key, "use another word", "%s is a reserved word of the expression language", key.Value)
		default:
			if f, ok := r.field(n.Content[i+1], path+"."+key.Value); ok {
				f.Name = key.Value
				t.Fields = append(t.Fields, f)
			}
		}
	}
	return t
}

// field reads a member's type: a short one ("string", "list<int>", "double?")
// or a mapping with type, of, members, enum, optional and doc.
func (r *reader) field(n *yaml.Node, path string) (evidence.Field, bool) {
	if n.Kind == yaml.ScalarNode {
		word := r.scalar(n, "the type of a member")
		inner, optional := strings.CutSuffix(word, "?")
		t := r.word(n, inner)
		return evidence.Field{Type: t, Optional: optional}, t != nil
	}
	m := r.object(n, "a member", "type", "of", "members", "enum", "optional", "doc")
	if m == nil {
		return evidence.Field{}, false
	}
	f := evidence.Field{Type: r.composed(m, path)}
	if m.get("doc") != nil {
		f.Doc = r.text(m, "doc")
	}
	if o := m.get("optional"); o != nil {
		if o.Kind != yaml.ScalarNode || o.ShortTag() != "!!bool" {
			r.fault(o, "write true or false", "optional is %s", nodeName(o))
		}
		f.Optional = o.Value == "true"
	}
	return f, f.Type != nil
}

func (r *reader) composed(m *members, path string) *evidence.Type {
	word := r.text(m, "type")
	if word == "" {
		return nil
	}
	var t *evidence.Type
	switch evidence.Basic(word) {
	case evidence.Object:
		if mn := m.get("members"); mn != nil {
			t = r.form(mn, path)
		} else {
			r.fault(m.node, "add members", "an object has no members")
		}
	case evidence.List, evidence.Map:
		of := m.get("of")
		if of == nil {
			r.fault(m.node, "add of, the type of the elements", "a %s does not say of what", word)
			return nil
		}
		elem, ok := r.field(of, path)
		if !ok {
			return nil
		}
		if elem.Optional {
			r.fault(of, "leave the question mark out", "an element cannot be optional")
		}
		t = &evidence.Type{Basic: evidence.Basic(word), Elem: elem.Type}
	default:
		t = r.word(m.get("type"), word)
	}
	if t == nil {
		return nil
	}
	for key, fits := range map[string]bool{
		"of": t.Basic == evidence.List || t.Basic == evidence.Map, "members": t.Basic == evidence.Object, "enum": t.Basic == evidence.String,
	} {
		if n := m.get(key); n != nil && !fits {
			r.fault(n, "leave it out", "type %s has no %s", t.Basic, key)
		}
	}
	for _, item := range r.items(m.get("enum"), "enum") {
		t.Enum = append(t.Enum, r.scalar(item, "a value of enum"))
	}
	return t
}

// word reads a short type.
func (r *reader) word(n *yaml.Node, word string) *evidence.Type {
	switch b := evidence.Basic(word); b {
	case evidence.Bool, evidence.Int, evidence.Double, evidence.String, evidence.Timestamp:
		return &evidence.Type{Basic: b}
	}
	for _, b := range []evidence.Basic{evidence.List, evidence.Map} {
		if inner, ok := strings.CutPrefix(word, string(b)+"<"); ok && strings.HasSuffix(inner, ">") && strings.Count(word, "<") <= 4 {
			elem := r.word(n, strings.TrimSuffix(inner, ">"))
			if elem == nil {
				return nil
			}
			return &evidence.Type{Basic: b, Elem: elem}
		}
	}
	r.fault(n, "use bool, int, double, string, timestamp, list<…>, map<…>, or a mapping with type", "%q is no type", short(word))
	return nil
}
