package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/demarc/demarc/api"
)

// update rewrites what is compared: tables in scripts and the command table of
// docs/cli.md.
var update = flag.Bool("update", false, "rewrite expected output")

// instant is when the scripts run.
var instant = time.Date(2026, 3, 3, 14, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"demarc": demarc})
}

// demarc is the program that scripts run: cli.Run with a fixed clock and
// stand-ins for what main gives in.
func demarc() {
	echo := func(name string) Program {
		return func(_ context.Context, args []string, st Streams) error {
			fmt.Fprintf(st.Out, "%s %q\n", name, args)
			return nil
		}
	}
	s := &session{
		streams: Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
		programs: Programs{
			Version: "1.2.3", Server: echo("server"), Up: echo("up"), Down: echo("down"), Witness: echo("witness"),
			Verify: verifyWord, Validate: validateWord, Approval: approvalWord,
		},
		env: os.Getenv,
		now: func() time.Time { return instant },
	}
	os.Exit(s.run(context.Background(), os.Args[1:]))
}

// verifyWord takes a bundle for good if it says so.
func verifyWord(_ context.Context, bundle io.Reader, trust Trust) (Verification, error) {
	raw, err := io.ReadAll(bundle)
	if err != nil {
		return Verification{}, err
	}
	if !strings.HasPrefix(string(raw), "good") {
		return Verification{}, errors.New("leaf 7 is not in the tree of the checkpoint")
	}
	return Verification{
		Origin: "demarc.example", TreeSize: 12, Entries: 3, First: instant.Add(-time.Hour), Last: instant,
		Keys: []string{"demarc.example+1a2b3c4d"}, Trusted: len(trust.Keys) > 0,
	}, nil
}

// validateWord finds fault with a tab, as the compiler would.
func validateWord(_ context.Context, in api.CatalogueSource) (api.Catalogue, error) {
	if i := strings.Index(in.Source, "bogus:"); i >= 0 {
		line := 1 + strings.Count(in.Source[:i], "\n")
		return api.Catalogue{}, &api.Problem{
			Title: "bad catalogue", Status: 422, Detail: "the catalogue has a fault",
			Errors: []api.ProblemError{{Location: fmt.Sprintf("%s:%d:1", in.File, line), Message: `unknown key "bogus"`}},
		}
	}
	return api.Catalogue{Name: "mine", Version: "1", Title: "Mine", Duties: 2, Digest: "sha256:00"}, nil
}

// TestScripts plays a user at a terminal against a server with canned answers.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			fake := newFake()
			web := httptest.NewServer(fake)
			e.Defer(web.Close)
			e.Setenv("DEMARC_SERVER", web.URL)
			e.Setenv("DEMARC_TOKEN", "good-token")
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("PORT", web.URL[strings.LastIndex(web.URL, ":")+1:])
			e.Setenv("XDG_CONFIG_HOME", "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"valid":   valid,
			"where":   where,
			"profile": profile,
		},
	})
}

// exits runs a command and compares its exit code: exits CODE PROGRAM ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// where replaces the address of the fake server in a file, so that output
// which names it can be compared.
func where(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("DEMARC_SERVER"), "SERVER")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// profile writes a client profile with a token file: profile FILE SERVER
func profile(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(Profile{Server: args[1], TokenFile: "token"}.Save(ts.MkAbs(args[0])))
}
