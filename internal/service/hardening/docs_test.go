package hardening_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/service/hardening"
)

var update = flag.Bool("update", false, "write docs/hardening-rules.md anew")

// The table of rules in docs is made from the rules:
//
//	go test ./internal/service/hardening -run TestRuleTable -update
func TestRuleTable(t *testing.T) {
	const file = "../../../docs/hardening-rules.md"
	rules, err := hardening.Load(hardening.BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	want := ruleTable(rules)
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s does not show the rules as they are; run this test with -update", file)
	}
}

func ruleTable(rules []hardening.Rule) []byte {
	var b bytes.Buffer
	count := func(family string, level int) int {
		n := 0
		for _, r := range rules {
			if slices.Contains(r.Families, family) && r.Level <= level {
				n++
			}
		}
		return n
	}
	fmt.Fprint(&b, "# Which rules does the hardening baseline have?\n\n"+
		"Made from internal/service/hardening/rules by a test; do not edit. How to tailor and waive: [hardening.md](hardening.md).\n\n"+
		"| family | level 1 | level 2 |\n|---|---|---|\n")
	for _, f := range []string{hardening.Debian, hardening.RHEL} {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", f, count(f, 1), count(f, 2))
	}
	slices.SortStableFunc(rules, func(x, y hardening.Rule) int { return cmp.Compare(x.Category, y.Category) })
	category := ""
	for _, r := range rules {
		if r.Category != category {
			category = r.Category
			fmt.Fprintf(&b, "\n## %s\n\n| id | title | severity | level | families | reference |\n|---|---|---|---|---|---|\n", category)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %d | %s | %s |\n", r.ID, strings.ReplaceAll(r.Title, "|", `\|`), r.Severity, r.Level,
			strings.Join(r.Families, ", "), strings.Join(r.References, "; "))
	}
	return b.Bytes()
}
