package judgement

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
)

// complete fills a fact that tells only what matters with the emptiest value
// of every other member, so that the strict decoder takes it.
func complete(t *evidence.Type, given any) any {
	switch t.Basic {
	case evidence.Object:
		m, _ := given.(map[string]any)
		out := map[string]any{}
		for name, v := range m {
			out[name] = v // a member that the type lacks stays, and Decode refuses it
		}
		for _, f := range t.Fields {
			if v, ok := m[f.Name]; ok || !f.Optional {
				out[f.Name] = complete(f.Type, v)
			}
		}
		return out
	case evidence.List:
		out := []any{}
		items, _ := given.([]any)
		for _, v := range items {
			out = append(out, complete(t.Elem, v))
		}
		return out
	}
	if given != nil {
		return given
	}
	switch t.Basic {
	case evidence.Bool:
		return false
	case evidence.Int, evidence.Double:
		return 0
	case evidence.Timestamp:
		return "2026-01-05T08:00:00Z"
	case evidence.Map:
		return map[string]any{}
	}
	if t.Enum != nil {
		return t.Enum[0]
	}
	return ""
}

// base are the facts of one well-kept Debian server with SSH, a web server and
// a database (host.json), and of its tenant and provider (provider.json).
func base(t testing.TB, files ...string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, name := range files {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

// merged is old with the members of change put in; change is not kept.
func merged(old, change any) any {
	o, isObject := old.(map[string]any)
	c, ok := change.(map[string]any)
	if !isObject || !ok {
		return change
	}
	out := maps.Clone(o)
	for name, v := range c {
		out[name] = merged(o[name], v)
	}
	return out
}

// set decodes facts by kind; null takes a fact away.
func set(t testing.TB, c *Compiled, facts *assessment.Facts, byKind map[string]any) {
	t.Helper()
	for name, given := range byKind {
		kind, ok := c.Environment.Kind(name)
		if !ok {
			t.Fatalf("no kind %s", name)
		}
		if given == nil {
			facts.Set(name, nil)
			continue
		}
		full, err := json.Marshal(complete(kind.Type, given))
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Environment.Decode(name, full)
		if err != nil {
			t.Fatal(err)
		}
		facts.Set(name, v)
	}
}

// parsed reads facts by kind written as JSON.
func parsed(t testing.TB, text string) map[string]any {
	t.Helper()
	var byKind map[string]any
	if err := json.Unmarshal([]byte(text), &byKind); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return byKind
}
