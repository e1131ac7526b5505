// Package assessment judges facts: it compiles CEL expressions over typed
// facts once and evaluates them many times. Every fact kind is a variable of
// its own name (host.sshd), typed by the kind's form, so an expression that
// reads a member that does not exist is refused when it is compiled. Source:
// the Common Expression Language specification, https://cel.dev.
package assessment

import (
	"fmt"
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"github.com/demarc/demarc/internal/evidence"
)

// Environment knows a set of fact kinds. It is immutable and safe for
// concurrent use.
type Environment struct {
	kinds map[string]evidence.Kind
	forms map[string]*form
	slots map[string]int // place of a kind in Facts
	names []string       // by slot
	env   *cel.Env
}

// NewEnvironment prepares the kinds for use in expressions. Two kinds of one
// name are an error.
func NewEnvironment(kinds []evidence.Kind) (*Environment, error) {
	e := &Environment{
		kinds: map[string]evidence.Kind{}, forms: map[string]*form{}, slots: map[string]int{},
	}
	p := &provider{Registry: nil, forms: map[string]*form{}}
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("assessment: type registry: %w", err)
	}
	p.Registry = reg
	opts := []cel.EnvOption{
		cel.CustomTypeAdapter(reg), cel.CustomTypeProvider(p),
		ext.Strings(), ext.Sets(), ext.Lists(), ext.Bindings(), cel.OptionalTypes(),
	}
	opts = append(opts, functions()...)
	for _, k := range kinds {
		if _, twice := e.kinds[k.Name]; twice {
			return nil, fmt.Errorf("assessment: fact kind %s is defined twice", k.Name)
		}
		f := p.add("fact."+k.Name, k.Type)
		e.kinds[k.Name], e.forms[k.Name] = k, f
		e.slots[k.Name] = len(e.names)
		e.names = append(e.names, k.Name)
		opts = append(opts, cel.Variable(k.Name, f.cel))
	}
	if e.env, err = cel.NewEnv(opts...); err != nil {
		return nil, fmt.Errorf("assessment: environment: %w", err)
	}
	return e, nil
}

// Kind returns the kind of that name.
func (e *Environment) Kind(name string) (evidence.Kind, bool) {
	k, ok := e.kinds[name]
	return k, ok
}

// Kinds returns the names of all kinds, sorted.
func (e *Environment) Kinds() []string {
	return slices.Sorted(slices.Values(e.names))
}

// Facts are the facts that one evaluation stands on.
type Facts struct {
	env    *Environment
	values []*Value // by slot
}

// NewFacts returns an empty set of facts.
func (e *Environment) NewFacts() *Facts {
	return &Facts{env: e, values: make([]*Value, len(e.names))}
}

// Set puts the fact of a kind in place of the former; nil takes it away. The
// value must come from Decode of the same environment and kind.
func (f *Facts) Set(kind string, v *Value) {
	if i, ok := f.env.slots[kind]; ok {
		f.values[i] = v
	}
}

// Has reports whether a fact of the kind is there.
func (f *Facts) Has(kind string) bool {
	i, ok := f.env.slots[kind]
	return ok && f.values[i] != nil
}

// Reset takes all facts away, so that the set can be used for another subject.
func (f *Facts) Reset() { clear(f.values) }

// ResolveName implements the activation of CEL.
func (f *Facts) ResolveName(name string) (any, bool) {
	i, ok := f.env.slots[name]
	if !ok || f.values[i] == nil {
		return nil, false
	}
	return f.values[i].obj, true
}

// Parent implements the activation of CEL.
func (f *Facts) Parent() cel.Activation { return nil }

// provider tells CEL about the object types.
type provider struct {
	*types.Registry
	forms map[string]*form
}

func (p *provider) add(name string, t *evidence.Type) *form {
	f := &form{name: name, cel: cel.ObjectType(name), byName: map[string]int{}}
	for i, m := range t.Fields {
		ff := formField{name: m.Name, quoted: strconv.Quote(m.Name), optional: m.Optional, typ: m.Type, zero: zeroOf(m.Type)}
		ff.cel, ff.form = p.typeOf(name+"."+m.Name, m.Type)
		if m.Type.Basic == evidence.Object {
			ff.zero = &object{form: ff.form, members: make([]ref.Val, len(ff.form.fields))}
		}
		if m.Type.Enum != nil {
			ff.enum = map[string]struct{}{}
			for _, s := range m.Type.Enum {
				ff.enum[s] = struct{}{}
			}
		}
		f.fields = append(f.fields, ff)
		f.byName[m.Name] = i
	}
	p.forms[name] = f
	return f
}

func (p *provider) typeOf(name string, t *evidence.Type) (*cel.Type, *form) {
	switch t.Basic {
	case evidence.Bool:
		return cel.BoolType, nil
	case evidence.Int:
		return cel.IntType, nil
	case evidence.Double:
		return cel.DoubleType, nil
	case evidence.Timestamp:
		return cel.TimestampType, nil
	case evidence.List:
		elem, f := p.typeOf(name, t.Elem)
		return cel.ListType(elem), f
	case evidence.Map:
		elem, f := p.typeOf(name, t.Elem)
		return cel.MapType(cel.StringType, elem), f
	case evidence.Object:
		f := p.add(name, t)
		return f.cel, f
	default:
		return cel.StringType, nil
	}
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if f, ok := p.forms[name]; ok {
		return types.NewTypeTypeWithParam(f.cel), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	f, ok := p.forms[name]
	if !ok {
		return p.Registry.FindStructFieldNames(name)
	}
	names := make([]string, len(f.fields))
	for i, m := range f.fields {
		names[i] = m.name
	}
	return names, true
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	f, ok := p.forms[name]
	if !ok {
		return p.Registry.FindStructFieldType(name, field)
	}
	i, ok := f.byName[field]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:    f.fields[i].cel,
		IsSet:   func(target any) bool { return target.(*object).members[i] != nil },
		GetFrom: func(target any) (any, error) { return target.(*object).get(i), nil },
	}, true
}

// NewValue implements types.Provider: expressions cannot make facts.
func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := p.forms[name]; ok {
		return types.NewErr("a fact cannot be made in an expression")
	}
	return p.Registry.NewValue(name, fields)
}
