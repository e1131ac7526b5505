package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/demarc/demarc/internal/role/agent"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"demarc-agent": func() {
			os.Exit(run(os.Args[1:], agent.Program{Version: "test", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

// banned says what the agent, which runs on machines of others, does without,
// and why. A path that ends in "/..." means all packages below it too.
var banned = map[string]string{
	"cel.dev/cel-go/...":                               "duties are judged on the server",
	"github.com/google/cel-go/...":                     "duties are judged on the server",
	"github.com/uptrace/bun/...":                       "the agent has no database",
	"modernc.org/sqlite/...":                           "the agent has no database; its spool is files",
	"github.com/jackc/pgx/...":                         "the agent has no database",
	"github.com/nats-io/nats-server/...":               "the agent is a client of the bus",
	"github.com/nats-io/jwt/...":                       "the agent passes its JWT on and does not judge it",
	"github.com/prometheus/...":                        "metrics are facts and are kept on the server",
	"github.com/VictoriaMetrics/...":                   "events are kept on the server",
	"github.com/danielgtaylor/huma/...":                "the agent listens to nobody",
	"github.com/google/osv-scalibr":                    "the scanner's root package weighs 44 MB; extractors are called directly",
	"github.com/kopia/kopia/...":                       "backups are not the agent's",
	"k8s.io/client-go/...":                             "platforms are the server's",
	"github.com/demarc/demarc/internal/bus/...":        "it is the server's side of the bus",
	"github.com/demarc/demarc/internal/store/...":      "the agent has no database",
	"github.com/demarc/demarc/internal/assessment/...": "duties are judged on the server",
	"github.com/demarc/demarc/internal/service/all":    "it lists the server's halves of the services",
}

func TestAgentStaysSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		for path, why := range banned {
			root, below := strings.CutSuffix(path, "/...")
			if dep == root || below && strings.HasPrefix(dep, root+"/") {
				t.Errorf("the agent links %s, but %s", dep, why)
			}
		}
	}
}

// build links the agent as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("links the product")
	}
	path := filepath.Join(t.TempDir(), "demarc-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func TestBinaryStaysSmall(t *testing.T) {
	info, err := os.Stat(build(t))
	if err != nil {
		t.Fatal(err)
	}
	const limit = 25 << 20
	t.Logf("the agent has %.1f MiB", float64(info.Size())/(1<<20))
	if info.Size() > limit {
		t.Errorf("the agent has %d bytes, the limit is %d", info.Size(), limit)
	}
}
