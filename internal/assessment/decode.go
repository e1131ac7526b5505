package assessment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/demarc/demarc/internal/evidence"
)

// Bounds of a fact. The cost of an expression is estimated against them, so a
// fact that keeps them cannot make an evaluation run away.
const (
	MaxListItems   = 20_000
	MaxStringBytes = 64 << 10
)

// ErrForm is wrapped by every refusal of data that does not have the form of
// its kind.
var ErrForm = errors.New("does not have the form of its kind")

// Value is the decoded data of one fact, ready to be judged. It is immutable
// and safe for concurrent use.
type Value struct{ obj *object }

// Decode reads the data of a fact of the given kind. It is strict: unknown,
// repeated or missing members, other types and values out of bounds are
// refused with the path of the member.
func (e *Environment) Decode(kind string, data []byte) (*Value, error) {
	f, ok := e.forms[kind]
	if !ok {
		return nil, fmt.Errorf("%w: no service provides facts of kind %q", ErrForm, kind)
	}
	if len(data) > evidence.MaxRecordBytes {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d", ErrForm, kind, len(data), evidence.MaxRecordBytes)
	}
	d := decoder{dec: jsontext.NewDecoder(bytes.NewBuffer(data))}
	return d.fact(f, kind, nil)
}

// fact reads a whole document. Members that are not needed, if needed is given,
// get the zero value.
func (d *decoder) fact(f *form, kind string, needed []bool) (*Value, error) {
	obj, err := d.object(f, needed)
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", ErrForm, kind, d.where(err))
	}
	if _, err := d.dec.ReadToken(); err != io.EOF {
		return nil, fmt.Errorf("%w: %s: something follows the object", ErrForm, kind)
	}
	return &Value{obj: obj}, nil
}

type decoder struct{ dec *jsontext.Decoder }

// misfit is a value of a wrong form; the decoder's own errors are malformed JSON.
type misfit struct{ path, why string }

func (m *misfit) Error() string { return m.path + ": " + m.why }

func (d *decoder) misfit(format string, args ...any) error {
	return &misfit{path: string(d.dec.StackPointer()), why: fmt.Sprintf(format, args...)}
}

func (d *decoder) where(err error) string {
	if m, ok := errors.AsType[*misfit](err); ok {
		return m.Error()
	}
	return ": " + err.Error()
}

func (d *decoder) object(f *form, needed []bool) (*object, error) {
	tok, err := d.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	if tok.Kind() != '{' {
		return nil, d.misfit("must be an object, is %s", kindName(tok.Kind()))
	}
	o := &object{form: f, members: make([]ref.Val, len(f.fields))}
	next := 0 // members usually come in the declared order
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadValue()
		if err != nil {
			return nil, err
		}
		i := next
		if i >= len(f.fields) || f.fields[i].quoted != string(name) {
			unquoted, err := jsontext.AppendUnquote(nil, name)
			if err != nil {
				return nil, err
			}
			var ok bool
			if i, ok = f.byName[string(unquoted)]; !ok {
				return nil, d.misfit("is not a member of %s", f.name)
			}
		}
		next = i + 1
		if needed != nil && !needed[i] {
			if err := d.dec.SkipValue(); err != nil {
				return nil, err
			}
			o.members[i] = f.fields[i].zero
			continue
		}
		v, err := d.value(f.fields[i].typ, f.fields[i].form)
		if err != nil {
			return nil, err
		}
		if s, ok := v.(types.String); ok && f.fields[i].enum != nil {
			if _, ok := f.fields[i].enum[string(s)]; !ok {
				return nil, d.misfit("is %q, which is none of %v", s, f.fields[i].typ.Enum)
			}
		}
		o.members[i] = v
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return nil, err
	}
	for i, v := range o.members {
		if v == nil && !f.fields[i].optional {
			return nil, d.misfit("%s is missing", f.fields[i].name)
		}
	}
	return o, nil
}

func (d *decoder) value(t *evidence.Type, f *form) (ref.Val, error) {
	switch t.Basic {
	case evidence.Object:
		o, err := d.object(f, nil)
		if err != nil {
			return nil, err
		}
		return o, nil
	case evidence.List:
		return d.list(t, f)
	case evidence.Map:
		return d.dict(t, f)
	}
	tok, err := d.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch k := tok.Kind(); {
	case t.Basic == evidence.Bool && (k == 't' || k == 'f'):
		return types.Bool(tok.Bool()), nil
	case t.Basic == evidence.Int && k == '0':
		n, err := tok.Int()
		if err != nil {
			return nil, d.misfit("must be a whole number within 64 bits")
		}
		return types.Int(n), nil
	case t.Basic == evidence.Double && k == '0':
		x, err := tok.Float()
		if err != nil {
			return nil, d.misfit("must be a number within 64 bits")
		}
		return types.Double(x), nil
	case t.Basic == evidence.String && k == '"':
		s := tok.String()
		if len(s) > MaxStringBytes {
			return nil, d.misfit("has %d bytes, the limit is %d", len(s), MaxStringBytes)
		}
		return types.String(s), nil
	case t.Basic == evidence.Timestamp && k == '"':
		ts, err := time.Parse(time.RFC3339Nano, tok.String())
		if err != nil {
			return nil, d.misfit("must be a time as in RFC 3339")
		}
		return types.Timestamp{Time: ts}, nil
	default:
		return nil, d.misfit("must be %s, is %s", t.Basic, kindName(k))
	}
}

func (d *decoder) list(t *evidence.Type, f *form) (ref.Val, error) {
	if err := d.open('[', "a list"); err != nil {
		return nil, err
	}
	var items []ref.Val
	for d.dec.PeekKind() != ']' {
		if len(items) == MaxListItems {
			return nil, d.misfit("has more than %d items", MaxListItems)
		}
		v, err := d.value(t.Elem, f)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	_, err := d.dec.ReadToken()
	return types.NewRefValList(types.DefaultTypeAdapter, items), err
}

func (d *decoder) dict(t *evidence.Type, f *form) (ref.Val, error) {
	if err := d.open('{', "an object"); err != nil {
		return nil, err
	}
	items := map[ref.Val]ref.Val{}
	for d.dec.PeekKind() != '}' {
		if len(items) == MaxListItems {
			return nil, d.misfit("has more than %d members", MaxListItems)
		}
		name, err := d.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := types.String(name.String())
		v, err := d.value(t.Elem, f)
		if err != nil {
			return nil, err
		}
		items[key] = v
	}
	_, err := d.dec.ReadToken()
	return types.NewRefValMap(types.DefaultTypeAdapter, items), err
}

// open reads the start of a list or object. A null stands for an empty one
// nowhere: the emitter must say what it means.
func (d *decoder) open(want jsontext.Kind, what string) error {
	tok, err := d.dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != want {
		return d.misfit("must be %s, is %s", what, kindName(tok.Kind()))
	}
	return nil
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "nothing"
}
