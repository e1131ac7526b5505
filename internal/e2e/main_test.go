package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// bin is the folder of the programs, built once per run; "" with -short.
var bin string

func TestMain(m *testing.M) {
	if jailed() {
		return // not reached: the program took the place of this one
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	if built := os.Getenv("DEMARC_E2E_BIN"); built != "" {
		bin = built
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "demarc-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// A user that has no rights runs the programs too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"github.com/demarc/demarc/cmd/demarc", "github.com/demarc/demarc/cmd/demarc-agent", "./testdata/answer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// needPrograms skips a test that has no programs to drive.
func needPrograms(t testing.TB) {
	t.Helper()
	if bin == "" {
		t.Skip("-short: the programs are not built")
	}
}
