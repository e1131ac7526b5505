package authz

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"

	"github.com/demarc/demarc/internal/access"
)

var update = flag.Bool("update", false, "write the tables of docs/access.md")

const (
	page  = "../../docs/access.md"
	begin = "<!-- tables: written by `go test ./internal/authz -run TestDocs -update` -->\n"
	end   = "<!-- end of tables -->"
)

// The tables of docs/access.md are what the policy answers.
func TestDocs(t *testing.T) {
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the comments around its tables", page)
	}
	want := head + begin + tables(t) + end + tail
	if want == string(raw) {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not what the policy says; run the command that stands above them", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Each rule of the policy has an id, and each that forbids is in the page.
func TestRulesAreNamed(t *testing.T) {
	p := policy(t)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for n, rule := range p.set.All() {
		id := string(rule.Annotations()["id"])
		if id == "" || seen[id] {
			t.Errorf("rule %s has the id %q", n, id)
		}
		seen[id] = true
		if rule.Effect() == cedar.Forbid && !strings.Contains(string(raw), "`"+id+"`") {
			t.Errorf("%s does not tell of %s", page, id)
		}
	}
}

func tables(t *testing.T) string {
	t.Helper()
	p, docs := policy(t), actionDocs(t)
	var b strings.Builder
	for _, side := range []access.Side{access.CustomerSide, access.ProviderSide} {
		var roles []access.Role
		for _, r := range access.Roles {
			if r.Side() == side {
				roles = append(roles, r)
			}
		}
		b.WriteString("\n| |")
		for _, r := range roles {
			b.WriteString(" " + strings.TrimPrefix(string(r), string(side)+"-") + " |")
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(roles)) + "\n")
		for _, a := range access.Actions {
			row, any := "", false
			for _, r := range roles {
				where := p.where(r, a)
				any = any || where != ""
				row += " " + where + " |"
			}
			if any {
				b.WriteString("| `" + string(a) + "`: " + docs[a] + " |" + row + "\n")
			}
		}
	}
	b.WriteString("\n")
	return b.String()
}

// where says in a word or two where a person of the role, with a second factor,
// may do the action.
func (p *Policy) where(role access.Role, a access.Action) string {
	who := access.Principal{ID: "p-somebody", Role: role, Kind: access.Person, MFA: true}
	may := func(r Resource, granted bool) bool { return p.Permits(who, a, r, Case{Granted: granted}) }
	if role.Side() == access.CustomerSide {
		if who.Tenant = "t-1"; may(Resource{Tenant: "t-1"}, false) {
			return "yes"
		}
		return ""
	}
	provider, customers, own := may(Provider, false), may(Resource{Tenant: "t-1"}, false), may(Resource{Tenant: "t-1", Own: true}, false)
	switch {
	case provider && customers && own:
		return "yes"
	case provider && own:
		return "not at customers"
	case provider:
		return "provider only"
	case own && !customers:
		return "own tenants only"
	case customers && own:
		return "in tenants"
	case may(Resource{Tenant: "t-1"}, true):
		return "with a grant"
	}
	return ""
}

// actionDocs are the comments of the actions, without their first word.
func actionDocs(t *testing.T) map[access.Action]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../access/action.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[access.Action]string{}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			doc := strings.Join(strings.Fields(strings.TrimPrefix(v.Doc.Text(), v.Names[0].Name)), " ")
			docs[access.Action(word)] = strings.TrimSuffix(doc, ".")
		}
	}
	for _, a := range access.Actions {
		if docs[a] == "" {
			t.Errorf("action %s has no comment", a)
		}
	}
	return docs
}
