package assessment

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/demarc/demarc/internal/evidence"
)

// object is a fact, or an object inside one, as a CEL value: the members in
// the order of the declared type, so that a member is found by its place and
// not by its name. It is never changed after Decode.
type object struct {
	form *form
	// members holds one value per field; nil where an optional member is missing.
	members []ref.Val
}

// form is an object type prepared for evaluation.
type form struct {
	name   string
	cel    *types.Type
	fields []formField
	byName map[string]int
}

type formField struct {
	name     string
	quoted   string // the name as it stands in JSON
	optional bool
	typ      *evidence.Type
	cel      *types.Type
	form     *form // of the object, or of the elements, if they are objects
	enum     map[string]struct{}
	zero     ref.Val
}

func (o *object) get(i int) ref.Val {
	if v := o.members[i]; v != nil {
		return v
	}
	return o.form.fields[i].zero
}

// ConvertToNative implements ref.Val.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(o).AssignableTo(t) {
		return o, nil
	}
	return nil, fmt.Errorf("assessment: %s does not convert to %s", o.form.name, t)
}

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case o.form.cel:
		return o
	case types.TypeType:
		return o.form.cel
	}
	return types.NewErr("%s does not convert to %s", o.form.name, t.TypeName())
}

// Equal implements ref.Val.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	if !ok || p.form != o.form {
		return types.False
	}
	for i := range o.members {
		if o.get(i).Equal(p.get(i)) != types.True {
			return types.False
		}
	}
	return types.True
}

// Type implements ref.Val.
func (o *object) Type() ref.Type { return o.form.cel }

// Value implements ref.Val.
func (o *object) Value() any { return o }

// Get implements traits.Indexer, for access whose type is not known when compiled.
func (o *object) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.NewErr("a member of %s is named by a string", o.form.name)
	}
	i, ok := o.form.byName[string(name)]
	if !ok {
		return types.NewErr("%s has no member %s", o.form.name, name)
	}
	return o.get(i)
}

// IsSet implements traits.FieldTester.
func (o *object) IsSet(field ref.Val) ref.Val {
	name, ok := field.(types.String)
	if !ok {
		return types.NewErr("a member of %s is named by a string", o.form.name)
	}
	i, ok := o.form.byName[string(name)]
	if !ok {
		return types.NewErr("%s has no member %s", o.form.name, name)
	}
	return types.Bool(o.members[i] != nil)
}

// zeroOf is the value that a missing optional member has.
func zeroOf(t *evidence.Type) ref.Val {
	switch t.Basic {
	case evidence.Bool:
		return types.False
	case evidence.Int:
		return types.IntZero
	case evidence.Double:
		return types.Double(0)
	case evidence.Timestamp:
		return types.Timestamp{}
	case evidence.List:
		return types.NewRefValList(types.DefaultTypeAdapter, nil)
	case evidence.Map:
		return types.NewRefValMap(types.DefaultTypeAdapter, nil)
	case evidence.Object:
		return nil // set by the form, which knows the members
	default:
		return types.String("")
	}
}
