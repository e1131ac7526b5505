// Command testreport reads `go test -json` and prints what a person wants to
// see: failures with their output, a line a package, and a closing line that
// counts. With -skips FILE a test that skipped itself must be listed there with
// the reason why it may, or the run fails: a machine that should run all must
// not pass by skipping.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	skips := flag.String("skips", "", "file of the tests that may skip")
	flag.Parse()
	may, err := allowed(*skips)
	if err == nil {
		var ok bool
		if ok, err = report(os.Stdin, os.Stdout, may); err == nil && !ok {
			os.Exit(1)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
}

// allowed reads the tests that may skip: "PACKAGE TEST-PATTERN  # why" a line.
// nil allows every test.
func allowed(path string) ([]*regexp.Regexp, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list := []*regexp.Regexp{}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		re, err := regexp.Compile("^" + strings.Join(strings.Fields(line), " ") + "$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, re)
	}
	return list, nil
}

// event is a line of go test -json.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

func report(in io.Reader, out io.Writer, may []*regexp.Regexp) (ok bool, err error) {
	output := map[string][]string{}
	passed, failed, skipped := 0, 0, 0
	broken := false
	var forbidden []string
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 1<<20), 16<<20)
	for sc.Scan() {
		var e event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			fmt.Fprintln(out, sc.Text()) // a build error of an older toolchain
			broken = true
			continue
		}
		pkg := strings.TrimPrefix(e.Package, "github.com/demarc/demarc/")
		key := pkg + " " + e.Test
		switch {
		case e.Action == "build-output":
			fmt.Fprint(out, e.Output)
		case e.Action == "build-fail":
			broken = true
		case e.Action == "output":
			output[key] = append(output[key], e.Output)
		case e.Test != "":
			switch e.Action {
			case "pass":
				passed++
			case "fail":
				failed++
				fmt.Fprintf(out, "FAIL %s\n%s", key, strings.Join(output[key], ""))
			case "skip":
				skipped++
				if may != nil && !listed(may, key) {
					forbidden = append(forbidden, key+"\n"+strings.Join(output[key], ""))
				}
			}
			if e.Action == "pass" || e.Action == "skip" {
				delete(output, key)
			}
		case e.Action == "fail":
			broken = true
			fmt.Fprintf(out, "FAIL %s (%.1f s)\n%s", pkg, e.Elapsed, tail(output[key], 60))
		case e.Action == "pass":
			fmt.Fprintf(out, "ok   %-46s %6.1f s\n", pkg, e.Elapsed)
		}
	}
	for _, f := range forbidden {
		fmt.Fprintf(out, "SKIPPED, but must run here (or be listed with its reason): %s", f)
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed == 0 && !broken && len(forbidden) == 0 && passed > 0, sc.Err()
}

func listed(may []*regexp.Regexp, key string) bool {
	for _, re := range may {
		if re.MatchString(key) {
			return true
		}
	}
	return false
}

// tail returns the last n lines.
func tail(lines []string, n int) string {
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
