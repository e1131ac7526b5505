package observer

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/canonical"
)

// maxString bounds every string of a fact.
const maxString = 4096

// encode returns a fact in canonical JSON, with every list and map present,
// times in UTC to the second, and strings bounded and valid UTF-8.
func encode(fact any) ([]byte, error) {
	v := reflect.New(reflect.TypeOf(fact)).Elem()
	v.Set(reflect.ValueOf(fact))
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%T is not a struct", fact)
	}
	shape(v)
	return canonical.JSON(v.Interface())
}

func shape(v reflect.Value) {
	if t, ok := v.Interface().(time.Time); ok {
		if !t.IsZero() {
			v.Set(reflect.ValueOf(t.UTC().Truncate(time.Second)))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			shape(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			return
		}
		// The list may be shared with a cache; only the copy is changed.
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			shape(c.Index(i))
		}
		v.Set(c)
	case reflect.Map:
		c := reflect.MakeMap(v.Type())
		for it := v.MapRange(); it.Next(); {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.Set(it.Key())
			elem.Set(it.Value())
			shape(key)
			shape(elem)
			c.SetMapIndex(key, elem)
		}
		v.Set(c)
	case reflect.String:
		v.SetString(clean(v.String()))
	}
}

// clean makes foreign text fit for a fact.
func clean(s string) string {
	if len(s) > maxString {
		s = s[:maxString]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, s)
}
