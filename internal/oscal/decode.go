package oscal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// root is where the component definition is in the file.
const root = jsontext.Pointer("/component-definition")

// decode reads a component definition strictly: valid UTF-8, no duplicate and
// no unknown members, one value and nothing after it.
func decode(data []byte) (*model.ComponentDefinition, error) {
	if len(data) > MaxImportBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrImport, len(data), MaxImportBytes)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if err := scan(data); err != nil {
		return nil, err
	}
	var models map[string]jsontext.Value
	if err := json.Unmarshal(data, &models); err != nil {
		return nil, located(err)
	}
	delete(models, "$schema")
	raw, ok := models[root.LastToken()]
	switch {
	case !ok && len(models) == 1:
		for name := range models {
			return nil, refuse("/"+cut(line(name), 60), "a component-definition is needed here")
		}
	case !ok:
		return nil, refuse("/", "it has no member component-definition")
	case len(models) > 1:
		return nil, refuse("/", "an OSCAL file holds one model; this one has members besides component-definition")
	}
	def := &model.ComponentDefinition{}
	if err := json.Unmarshal(raw, def, json.RejectUnknownMembers(true)); err != nil {
		return nil, below(root, err)
	}
	return def, nil
}

// scan checks syntax and depth before anything is built in memory.
func scan(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		_, err := dec.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return located(err)
		case dec.StackDepth() > maxImportDepth:
			return refuse(clip(dec.StackPointer()), "it is nested deeper than %d", maxImportDepth)
		}
	}
}

func located(err error) error { return below("", err) }

// below turns an error of the JSON reader, which read the value at base, into a
// refusal with its place.
func below(base jsontext.Pointer, err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return refuse(clip(base+syntax.JSONPointer), "byte %d: %s", syntax.ByteOffset, cut(line(syntax.Err.Error()), 200))
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		why := "it has the wrong JSON type"
		switch {
		case errors.Is(semantic.Err, json.ErrUnknownName):
			why = "OSCAL has no such member here"
		case semantic.Err != nil:
			why = cut(line(semantic.Err.Error()), 200)
		case semantic.JSONKind != 0:
			why = fmt.Sprintf("a JSON %s cannot be here", semantic.JSONKind)
		}
		return refuse(clip(base+semantic.JSONPointer), "%s", why)
	}
	return fmt.Errorf("%w: %s", ErrImport, cut(line(err.Error()), 200))
}

// clip bounds a pointer that is made of foreign names.
func clip(p jsontext.Pointer) string {
	if p == "" {
		return "/"
	}
	return cut(line(string(p)), 300)
}
