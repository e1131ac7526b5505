package cli

import (
	"encoding/csv"
	"encoding/json"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// valid checks the form of the last output: valid json|yaml|csv, and for lists
// in JSON and YAML: valid json array.
func valid(ts *testscript.TestScript, neg bool, args []string) {
	out := ts.ReadFile("stdout")
	var value any
	switch args[0] {
	case "json":
		ts.Check(json.Unmarshal([]byte(out), &value))
	case "yaml":
		ts.Check(yaml.Unmarshal([]byte(out), &value))
	case "csv":
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		ts.Check(err)
		if len(rows) < 1 || !strings.HasSuffix(out, "\r\n") {
			ts.Fatalf("CSV without a head line or with line ends other than RFC 4180's")
		}
	default:
		ts.Fatalf("usage: valid json|yaml|csv [array]")
	}
	if len(args) > 1 {
		if _, ok := value.([]any); !ok {
			ts.Fatalf("%s is not an array", args[0])
		}
	}
}
