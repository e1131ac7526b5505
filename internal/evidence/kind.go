package evidence

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Kind describes one kind of fact: its name, what it is about, and the form of
// its data. Kinds are values built once with KindOf and never changed.
type Kind struct {
	// Name is dotted lower case, "host.sshd".
	Name string
	// Scope is what facts of the kind are about.
	Scope Scope
	// Doc says in one sentence what the fact holds.
	Doc string
	// Every is how often an observer looks when nothing tells it to look sooner.
	Every time.Duration
	// Type is the form of the data, always an object.
	Type *Type
}

// Basic is the form of a value.
type Basic string

const (
	Bool      Basic = "bool"
	Int       Basic = "int"
	Double    Basic = "double"
	String    Basic = "string"
	Timestamp Basic = "timestamp" // RFC 3339, UTC
	List      Basic = "list"
	Map       Basic = "map" // string keys
	Object    Basic = "object"
)

// Type is the form of one value inside a fact.
type Type struct {
	Basic Basic
	// Name identifies an object type: the kind's name, then the path of fields.
	Name string
	// Elem is the element of a list or map.
	Elem *Type
	// Fields are the members of an object, in the order of declaration.
	Fields []Field
	// Enum, if set, lists the only strings allowed.
	Enum []string
}

// Field is a member of an object.
type Field struct {
	Name string
	Doc  string
	Type *Type
	// Optional members may be missing; they then have the zero value and
	// has() is false.
	Optional bool
	// Metric, if set, names the time series that a number is also kept as.
	Metric string
}

// Field returns the member of that name.
func (t *Type) Field(name string) (Field, bool) {
	for _, f := range t.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// KindOf builds a kind from the Go struct T. Fields are named by their json
// tags; `doc` describes, `enum` (comma-separated) limits strings, `metric`
// names a time series, and omitempty or omitzero makes a member optional. It
// panics on a type that facts cannot have: kinds are package-level values, so
// the first test shows it.
func KindOf[T any](name string, scope Scope, every time.Duration, doc string) Kind {
	t := typeOf(reflect.TypeFor[T](), name)
	if t.Basic != Object {
		panic(fmt.Sprintf("evidence: kind %s: %s is no struct", name, reflect.TypeFor[T]()))
	}
	return Kind{Name: name, Scope: scope, Every: every, Doc: doc, Type: t}
}

func typeOf(t reflect.Type, path string) *Type {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &Type{Basic: Timestamp}
	case t.Kind() == reflect.Pointer:
		return typeOf(t.Elem(), path)
	}
	switch t.Kind() {
	case reflect.Bool:
		return &Type{Basic: Bool}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return &Type{Basic: Int}
	case reflect.Float64, reflect.Float32:
		return &Type{Basic: Double}
	case reflect.String:
		return &Type{Basic: String}
	case reflect.Slice:
		return &Type{Basic: List, Elem: typeOf(t.Elem(), path)}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return &Type{Basic: Map, Elem: typeOf(t.Elem(), path)}
		}
	case reflect.Struct:
		return objectOf(t, path)
	}
	panic(fmt.Sprintf("evidence: %s: type %s cannot be part of a fact", path, t))
}

func objectOf(t reflect.Type, path string) *Type {
	o := &Type{Basic: Object, Name: path}
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, opts, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if tag == "-" || !sf.IsExported() {
			continue
		}
		if tag == "" {
			panic(fmt.Sprintf("evidence: %s.%s has no json name", path, sf.Name))
		}
		f := Field{
			Name: tag, Doc: sf.Tag.Get("doc"), Metric: sf.Tag.Get("metric"),
			Type:     typeOf(sf.Type, path+"."+tag),
			Optional: strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero"),
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.Type.Enum = strings.Split(e, ",")
		}
		o.Fields = append(o.Fields, f)
	}
	return o
}

// JSONSchema returns the kind's data form as JSON Schema 2020-12.
func (k Kind) JSONSchema() json.RawMessage {
	s := k.Type.schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = k.Name
	s["description"] = k.Doc
	b, err := json.Marshal(s)
	if err != nil {
		panic("evidence: schema of " + k.Name + ": " + err.Error())
	}
	return b
}

func (t *Type) schema() map[string]any {
	switch t.Basic {
	case Bool:
		return map[string]any{"type": "boolean"}
	case Int:
		return map[string]any{"type": "integer"}
	case Double:
		return map[string]any{"type": "number"}
	case Timestamp:
		return map[string]any{"type": "string", "format": "date-time"}
	case List:
		return map[string]any{"type": "array", "items": t.Elem.schema()}
	case Map:
		return map[string]any{"type": "object", "additionalProperties": t.Elem.schema()}
	case Object:
		props, required := map[string]any{}, []string{}
		for _, f := range t.Fields {
			p := f.Type.schema()
			if f.Doc != "" {
				p["description"] = f.Doc
			}
			props[f.Name] = p
			if !f.Optional {
				required = append(required, f.Name)
			}
		}
		return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
	default:
		s := map[string]any{"type": "string"}
		if t.Enum != nil {
			s["enum"] = t.Enum
		}
		return s
	}
}

// Covers reports the first member that want has and t lacks or types
// differently, as a dotted path with a reason; "" when t covers want. A
// catalogue declares the members that it reads, and a service's kind must
// cover them.
func (t *Type) Covers(want *Type) string {
	if t.Basic != want.Basic {
		return fmt.Sprintf("is %s, not %s", t.Basic, want.Basic)
	}
	if t.Elem != nil {
		return t.Elem.Covers(want.Elem)
	}
	for _, w := range want.Fields {
		i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == w.Name })
		if i < 0 {
			return w.Name + " is missing"
		}
		if why := t.Fields[i].Type.Covers(w.Type); why != "" {
			return w.Name + " " + why
		}
	}
	return ""
}
