package e2e

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// patience is how long a condition may take to come true.
const patience = 30 * time.Second

// TestScripts runs what users do at a shell. Each script has an empty data
// directory, a profile and three free ports of its own.
func TestScripts(t *testing.T) {
	needPrograms(t)
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: setup(nil), Cmds: commands, RequireExplicitExec: true})
}

// setup gives a script its surroundings; more are variables of its environment.
func setup(more map[string]string) func(*testscript.Env) error {
	return func(e *testscript.Env) error {
		ports, err := freePorts(4)
		if err != nil {
			return err
		}
		data := filepath.Join(e.WorkDir, "data")
		for name, v := range map[string]string{
			"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME": e.WorkDir, "XDG_CONFIG_HOME": filepath.Join(e.WorkDir, "config"),
			"DEMARC_DATA": data, "DEMARC_HTTP": ports[0], "DEMARC_HTTPS": ports[1], "DEMARC_BUS_LISTEN": ports[2], "DEMARC_SSH": "127.0.0.1:0", "SPARE": ports[3], "COLUMNS": "200",
		} {
			e.Setenv(name, v)
		}
		for name, v := range more {
			e.Setenv(name, v)
		}
		e.Defer(func() { endUp(data) })
		return nil
	}
}

// endUp ends what `demarc up` left running on a data directory.
func endUp(data string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = exec.CommandContext(ctx, filepath.Join(bin, "demarc"), "down", "--data", data).Run()
}

// commands are what the scripts can do beyond testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"until": cmdUntil, "grab": cmdGrab, "exits": cmdExits, "forms": cmdForms, "flip": cmdFlip, "endproc": cmdEndProcess,
}

// cmdUntil is "until REGEXP COMMAND...": it repeats the command until it
// succeeds and its standard output matches.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	limit, tick := time.After(patience), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-limit:
			ts.Fatalf("not within %s (%v); it printed:\n%s%s", patience, err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		case <-tick.C:
		}
	}
}

// cmdGrab is "grab NAME REGEXP": it keeps the first group's match in the last
// standard output as a variable.
func cmdGrab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: grab NAME REGEXP")
	}
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("%s does not match:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], m[1])
}

// cmdExits is "exits CODE COMMAND...".
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d; it said:\n%s", got, want, ts.ReadFile("stderr"))
	}
}

// cmdForms is "forms COMMAND...": it asks for each form of output and parses it.
// The list must not be empty, and all forms must have the same number of items;
// it is asked for again if something came in between.
func cmdForms(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: forms COMMAND...")
	}
	var found string
	for range 5 {
		if found = forms(ts, args); found == "" {
			return
		}
	}
	ts.Fatalf("%v: %s", args, found)
}

// forms returns what is wrong, or "".
func forms(ts *testscript.TestScript, args []string) string {
	ask := func(form string) string {
		ts.Check(ts.Exec(args[0], append(append([]string{}, args[1:]...), "--output", form)...))
		return ts.ReadFile("stdout")
	}
	var fromJSON, fromYAML []map[string]any
	ts.Check(json.Unmarshal([]byte(ask("json")), &fromJSON))
	ts.Check(yaml.Unmarshal([]byte(ask("yaml")), &fromYAML))
	rows, err := csv.NewReader(strings.NewReader(ask("csv"))).ReadAll()
	ts.Check(err)
	if len(fromJSON) == 0 || len(fromYAML) != len(fromJSON) || len(rows) != len(fromJSON)+1 {
		return fmt.Sprintf("%d items in JSON, %d in YAML, %d rows in CSV", len(fromJSON), len(fromYAML), len(rows))
	}
	for key := range fromJSON[0] {
		if _, ok := fromYAML[0][key]; !ok {
			return fmt.Sprintf("YAML lacks the key %q of JSON", key)
		}
	}
	if strings.TrimSpace(ask("table")) == "" {
		return "the table is empty"
	}
	return ""
}

// cmdFlip is "flip FILE N": it changes one byte, N of 100 of the way into the file.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE PERCENT")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := []byte(ts.ReadFile(args[0]))
	i := len(b) * at / 100
	if c := b[i] ^ 1; c == '\n' || b[i] == '\n' {
		i++
	}
	b[i] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// cmdEndProcess is "endproc SIGNAL PIDFILE".
func cmdEndProcess(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: endproc KILL|TERM PIDFILE")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	signal := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}[args[0]]
	ts.Check(syscall.Kill(pid, signal))
}
