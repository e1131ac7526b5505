package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/demarc/demarc/"

// floors says on which floor each package stands. A package imports only lower
// floors, so that whoever reads one knows what it cannot depend on. The longest
// matching prefix counts.
var floors = []struct {
	prefix string
	floor  float64
	why    string
}{
	{"internal/canonical", 0, "primitives know nothing of the product"},
	{"internal/durable", 0, "primitives"},
	{"internal/rungroup", 0, "primitives"},
	{"internal/ident", 0, "primitives"},
	{"internal/silence", 0, "primitives; must need nothing but log"},

	{"internal/evidence", 1, "the domain does no I/O and has no clock; evidence is what the rest of it speaks of"},
	{"internal/lifecycle", 1, "domain"},
	{"internal/access", 1, "domain"},
	{"internal/responsibility", 1.5, "domain, in terms of evidence"},
	{"internal/responsibility/builtin", 1.6, "the built-in catalogue is data for responsibility"},
	{"internal/decision", 1.5, "domain: what a customer signs; the agent checks it with the same code"},
	{"internal/estate", 1.5, "domain, in terms of lifecycle"},

	{"api", 2, "public types and client: what others build upon must not move with the inside"},
	{"internal/assessment", 2, "contract: expressions over facts"},
	{"internal/judgement", 2.5, "contract: a catalogue compiled over facts"},
	{"internal/service", 2, "contract between product and managed services"},
	{"internal/wire", 2, "contract between agent and server"},

	{"internal/service/telemetry", 3, "plug-ins stand on contracts only"},
	{"internal/service/telemetry/observer", 3.1, "the agent's half knows the kinds of its service"},
	{"internal/service/hardening", 3, "plug-ins"},
	{"internal/service/all", 3.5, "the one place that lists plug-ins"},

	{"internal/store", 4, "adapters know technologies; use-cases do not"},
	{"internal/bus", 4, "adapter"},
	{"internal/eventstore", 4, "adapter"},
	{"internal/metrics", 4, "adapter"},
	{"internal/oscal", 4, "adapter"},
	{"internal/sheet", 4, "adapter"},
	{"internal/authz", 4, "adapter: Cedar decides, by the policy beside it"},
	{"internal/reach", 4, "adapter: listeners and handlers"},
	{"internal/keyring", 4, "adapter"},
	{"internal/pki", 4, "adapter"},
	{"internal/spool", 4, "adapter"},
	{"internal/sshca", 4, "adapter: OpenSSH's certificates"},

	{"internal/ledger/entry", 1, "what an entry says needs no database, so bundles verify anywhere"},
	{"internal/ledger/merkle", 1, "pure"},
	{"internal/ledger/signed", 1, "pure"},
	{"internal/ledger/bundle", 1.5, "offline verification"},
	{"internal/ledger", 5, "every use-case writes to it, so it lies below them all"},
	{"internal/recording", 5.5, "sessions are sealed into the ledger"},
	{"internal/witness", 5, "a program of its own beside the ledger"},

	{"internal/agent", 6, "use-case"},
	{"internal/consent", 6, "use-case"},
	{"internal/contract", 6, "use-case"},
	{"internal/events", 6, "use-case"},
	{"internal/fleet", 6, "use-case"},
	{"internal/gateway", 6, "use-case"},
	{"internal/grant", 6, "use-case"},
	{"internal/identity", 6, "use-case"},
	{"internal/infrastructure", 6, "use-case"},
	{"internal/ingest", 6, "use-case"},
	{"internal/matrix", 6, "use-case"},
	{"internal/posture", 6, "use-case"},
	{"internal/rights", 6, "use-case"},
	{"internal/selfcheck", 6, "use-case"},
	{"internal/tenancy", 6, "use-case"},
	{"internal/acts", 1.5, "what actions of the ledger mean, in terms of access"},
	{"internal/activity", 6, "use-case"},
	{"internal/incident", 6, "use-case"},
	{"internal/privilege", 6, "use-case"},
	{"internal/review", 6, "use-case"},
	{"internal/sessionaudit", 6, "use-case"},

	{"internal/httpapi", 7, "faces show use-cases"},
	{"internal/console", 7, "face"},
	{"internal/cli", 7, "face"},

	{"internal/role/server", 8, "roles put programs together"},
	{"internal/role", 8.5, "roles"},
	{"cmd", 9, "dispatch"},
}

// banned are imports that a floor would allow and a reason forbids.
var banned = []struct{ from, to, why string }{
	{"internal/cli", "internal/", "the command line speaks to a server through the public API only, as anybody's would"},
	{"internal/console", "internal/", "the console is a client of the API too, so a page cannot show what the API refuses"},
	{"api", "internal/", "public types must not drag the inside along"},
}

// exempt are packages of tests and generators.
var exempt = []string{"internal/house", "internal/e2e", "internal/store/storetest", "internal/bus/bustest", "internal/gateway/sshdtest", "internal/service/servicetest", "internal/service/all/gen", "internal/service/all/list", "bench"}

func floorOf(pkg string) (float64, bool) {
	best, floor := -1, 0.0
	for _, f := range floors {
		if (pkg == f.prefix || strings.HasPrefix(pkg, f.prefix+"/")) && len(f.prefix) > best {
			best, floor = len(f.prefix), f.floor
		}
	}
	return floor, best >= 0
}

// imports returns, for each package of the repository, what it imports of the
// repository, tests left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && rel != "." || rel == "bench") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			if in, ok := strings.CutPrefix(p, module); ok && !slices.Contains(out[pkg], in) {
				out[pkg] = append(out[pkg], in)
			}
		}
		if out[pkg] == nil {
			out[pkg] = []string{}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFloors(t *testing.T) {
	all := imports(t)
	if len(all) < 30 {
		t.Fatalf("only %d packages found below %s", len(all), root)
	}
	for pkg, uses := range all {
		if slices.ContainsFunc(exempt, func(e string) bool { return pkg == e || strings.HasPrefix(pkg, e+"/") }) {
			continue
		}
		from, ok := floorOf(pkg)
		if !ok {
			t.Errorf("%s stands on no floor: give it one in this test, with its reason", pkg)
			continue
		}
		for _, used := range uses {
			to, _ := floorOf(used)
			if to >= from && !strings.HasPrefix(pkg, used+"/") && !within(pkg, used) {
				t.Errorf("%s (floor %v) imports %s (floor %v): a package imports lower floors only; declare the interface that it needs, or move the code down", pkg, from, used, to)
			}
		}
	}
	for _, b := range banned {
		for pkg, uses := range all {
			for _, used := range uses {
				if (pkg == b.from || strings.HasPrefix(pkg, b.from+"/")) && strings.HasPrefix(used, b.to) && !within(pkg, used) {
					t.Errorf("%s imports %s: %s", pkg, used, b.why)
				}
			}
		}
	}
}

// within reports that both are parts of one package's folder.
func within(pkg, used string) bool {
	return strings.HasPrefix(used, pkg+"/")
}

// TestPlugins checks that plug-ins do not know each other: whoever adds one
// must not have to read another.
func TestPlugins(t *testing.T) {
	name := func(pkg string) string {
		rest, ok := strings.CutPrefix(pkg, "internal/service/")
		if !ok || strings.HasPrefix(rest, "all") || strings.HasPrefix(rest, "servicetest") {
			return ""
		}
		n, _, _ := strings.Cut(rest, "/")
		return n
	}
	for pkg, uses := range imports(t) {
		for _, used := range uses {
			if a, b := name(pkg), name(used); a != "" && b != "" && a != b {
				t.Errorf("%s imports %s: plug-ins never import each other", pkg, used)
			}
		}
	}
}

// TestFloorsAreThere finds entries of the table that outlived their package.
func TestFloorsAreThere(t *testing.T) {
	for _, f := range floors {
		if _, err := os.Stat(filepath.Join(root, f.prefix)); err != nil {
			t.Errorf("floor of %s: %v", f.prefix, err)
		}
	}
}
