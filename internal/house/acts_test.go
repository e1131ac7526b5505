package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/acts"
)

// TestEveryActHasWords reads from the code which actions are appended to the
// ledger: what customers are shown of them must be a sentence, not a code.
func TestEveryActHasWords(t *testing.T) {
	found := appended(t)
	if len(found) < 30 {
		t.Fatalf("only %d actions found in the code: %v", len(found), found)
	}
	for action, where := range found {
		if _, ok := acts.Of(action); !ok {
			t.Errorf("%s appends %s, for which internal/acts has no words", where, action)
		}
	}
	for _, action := range acts.All() {
		if _, ok := found[action]; !ok {
			t.Errorf("internal/acts has words for %s, which nothing appends", action)
		}
	}
}

var actionForm = regexp.MustCompile(`^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+$`)

// composed are the actions that the code puts together from parts, by the
// expression that does.
var composed = map[string][]string{
	`"device." + ?`:      {"device.confirm", "device.refuse"},
	`what + ".withdraw"`: {"attestation.withdraw", "waiver.withdraw"},
	`"grant." + a.what`: {
		"grant.request", "grant.ask", "grant.answer", "grant.propose", "grant.approve", "grant.refuse", "grant.revoke", "grant.withdraw", "grant.close",
		"grant.break-glass", "grant.notice", "grant.acknowledge", "grant.dispute", "grant.lapse", "grant.begin", "grant.expire", "grant.notice-overdue",
	},
}

// appended finds actions: the member Action of an entry, and what is handed to
// a parameter that is called action.
func appended(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	packages := map[string][]*ast.File{}
	set := token.NewFileSet()
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, 0)
		packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, files := range packages {
		if strings.Contains(dir, "/cli") || strings.Contains(dir, "/console") || strings.Contains(dir, "/authz") || strings.Contains(dir, "/httpapi") {
			continue
		}
		takes, constants := takesAction(files), actionConstants(files)
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				for _, e := range actionsOf(n, takes) {
					at := set.Position(e.Pos())
					for _, action := range actionValues(t, e, constants, at.String()) {
						out[action], _ = filepath.Rel(root, at.Filename)
					}
				}
				return true
			})
		}
	}
	return out
}

// takesAction returns the functions that have a parameter called action, with
// its place.
func takesAction(files []*ast.File) map[string]int {
	out := map[string]int{}
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			i := 0
			for _, p := range fn.Type.Params.List {
				for _, name := range p.Names {
					if name.Name == "action" {
						out[fn.Name.Name] = i
					}
					i++
				}
			}
		}
	}
	return out
}

// actionConstants returns the constants that are called Action….
func actionConstants(files []*ast.File) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Action") {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(lit.Value); err == nil && actionForm.MatchString(s) {
					out[spec.Names[0].Name] = s
				}
			}
			return true
		})
	}
	return out
}

// actionsOf returns the expressions in n that are actions of the ledger.
func actionsOf(n ast.Node, takes map[string]int) []ast.Expr {
	switch x := n.(type) {
	case *ast.CompositeLit:
		if !isEntry(x.Type) {
			return nil
		}
		for _, e := range x.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if k, ok := kv.Key.(*ast.Ident); ok && k.Name == "Action" {
					return []ast.Expr{kv.Value}
				}
			}
		}
	case *ast.AssignStmt:
		if len(x.Lhs) == 1 && len(x.Rhs) == 1 && exprText(x.Lhs[0]) == "action" {
			return x.Rhs
		}
	case *ast.CallExpr:
		name := ""
		switch f := x.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if i, ok := takes[name]; ok && i < len(x.Args) {
			return []ast.Expr{x.Args[i]}
		}
	}
	return nil
}

func isEntry(t ast.Expr) bool {
	switch x := t.(type) {
	case *ast.SelectorExpr:
		return x.Sel.Name == "Entry"
	case *ast.Ident:
		return x.Name == "Entry"
	}
	return false
}

// actionValues returns what an expression can be: a literal, or what composed
// says. A variable was looked at where it got its value.
func actionValues(t *testing.T, e ast.Expr, constants map[string]string, at string) []string {
	switch x := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(x.Value)
		if err == nil && actionForm.MatchString(s) {
			return []string{s}
		}
	case *ast.Ident:
		if s, ok := constants[x.Name]; ok {
			return []string{s}
		}
	case *ast.BinaryExpr:
		text := exprText(x)
		// What begins with two words says more of the same act: acts.Of.
		if lit, ok := x.X.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(lit.Value); err == nil && actionForm.MatchString(strings.TrimSuffix(s, ".")) {
				return []string{strings.TrimSuffix(s, ".")}
			}
		}
		if list, ok := composed[text]; ok {
			return list
		}
		t.Errorf("%s: the action %s is put together: say in this test what it can be", at, text)
	}
	return nil
}

func exprText(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BasicLit:
		return x.Value
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return exprText(x.X) + "." + x.Sel.Name
	case *ast.BinaryExpr:
		return exprText(x.X) + " " + x.Op.String() + " " + exprText(x.Y)
	}
	return "?"
}
