package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// document is what is looked at of the description.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version, Description string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Parameters  []struct {
			Name, In, Description string
			Required              bool
			Schema                schema
		}
		RequestBody *struct {
			Content map[string]struct{ Schema schema }
		}
		Responses map[string]struct {
			Description string
			Content     map[string]struct{ Schema schema }
		}
		Security *[]map[string][]string
	}
	Components struct {
		Schemas         map[string]schema
		SecuritySchemes map[string]struct{ Type, Scheme string }
	}
	Security []map[string][]string
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        any
	Description string
	Properties  map[string]schema
	Items       *schema
	Required    []string
	Additional  any `json:"additionalProperties"`
}

// refs calls f with every reference in s.
func (s schema) refs(f func(string)) {
	if s.Ref != "" {
		f(s.Ref)
	}
	if s.Items != nil {
		s.Items.refs(f)
	}
	for _, p := range s.Properties {
		p.refs(f)
	}
}

func TestDescription(t *testing.T) {
	a := shared.do(request{path: "/openapi.json"})
	if a.status != http.StatusOK || !strings.Contains(a.header.Get("Content-Type"), "json") {
		t.Fatalf("%d %s", a.status, a.header.Get("Content-Type"))
	}
	var d document
	if err := json.Unmarshal([]byte(a.body), &d); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Title == "" || d.Info.Version == "" || d.Info.Description == "" {
		t.Errorf("%s of %+v", d.OpenAPI, d.Info)
	}
	if s := d.Components.SecuritySchemes["token"]; s.Type != "http" || s.Scheme != "bearer" || len(d.Security) != 1 {
		t.Errorf("security %+v %+v", d.Components.SecuritySchemes, d.Security)
	}
	used := map[string]bool{}
	use := func(ref string) {
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if _, known := d.Components.Schemas[name]; !ok || !known {
			t.Errorf("a reference to %s, which is not there", ref)
		}
		used[name] = true
	}
	ids := map[string]bool{}
	inPath := regexp.MustCompile(`\{([^}]+)\}`)
	for path, item := range d.Paths {
		for method, op := range item {
			where := strings.ToUpper(method) + " " + path
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" {
				t.Errorf("%s: id %q (each once), summary %q", where, op.OperationID, op.Summary)
			}
			ids[op.OperationID] = true
			named := map[string]bool{}
			for _, p := range op.Parameters {
				if p.In == "path" {
					named[p.Name] = true
				}
				if p.In == "path" && !p.Required {
					t.Errorf("%s: path parameter %s is not required", where, p.Name)
				}
				if p.Description == "" {
					t.Errorf("%s: parameter %s has no description", where, p.Name)
				}
				p.Schema.refs(use)
			}
			for _, m := range inPath.FindAllStringSubmatch(path, -1) {
				if !named[m[1]] {
					t.Errorf("%s: parameter %s is not described", where, m[1])
				}
			}
			if op.RequestBody != nil {
				for _, c := range op.RequestBody.Content {
					c.Schema.refs(use)
				}
			}
			if len(op.Responses) == 0 {
				t.Errorf("%s has no responses", where)
			}
			for status, r := range op.Responses {
				if r.Description == "" {
					t.Errorf("%s: response %s has no description", where, status)
				}
				for _, c := range r.Content {
					c.Schema.refs(use)
				}
			}
		}
	}
	for name, s := range d.Components.Schemas {
		s.refs(use)
		if s.Description == "" || strings.HasSuffix(s.Description, ": ") {
			t.Errorf("schema %s has no description", name)
		}
		for _, r := range s.Required {
			if _, ok := s.Properties[r]; !ok {
				t.Errorf("schema %s requires %s, which it does not have", name, r)
			}
		}
		for p, ps := range s.Properties {
			if ps.Ref == "" && ps.Description == "" && !slices.Contains(plain, p) {
				t.Errorf("schema %s: member %s has no description", name, p)
			}
		}
	}
	for name := range d.Components.Schemas {
		if !used[name] {
			t.Errorf("schema %s is used nowhere", name)
		}
	}
}

// plain are members whose names say everything.
var plain = []string{"id", "name", "title", "created_at", "items", "next", "reason", "text", "doc", "from", "to", "since", "status", "detail", "errors"}
