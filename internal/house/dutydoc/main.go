// Command dutydoc writes docs/duties.md: every duty of the built-in catalogue,
// what makes it live, and the tests that exercise it end to end. A test names
// its duties in comments above it: //demarc:duty ID in Go, # demarc:duty ID in
// a script.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/responsibility/builtin"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	show := flag.Bool("print", false, "print, and write nothing")
	flag.Parse()
	if err := run(*root, *show); err != nil {
		fmt.Fprintln(os.Stderr, "dutydoc:", err)
		os.Exit(1)
	}
}

var (
	marker = regexp.MustCompile(`^(?://|# ?)demarc:duty (\S+)\s*$`)
	test   = regexp.MustCompile(`^func ((?:Test|Fuzz)\w+)\(`)
)

func run(root string, show bool) error {
	tests, err := exercised(root)
	if err != nil {
		return err
	}
	doc, err := document(tests)
	if err != nil {
		return err
	}
	if show {
		_, err = os.Stdout.Write(doc)
		return err
	}
	return durable.WriteFile(filepath.Join(root, "docs/duties.md"), doc, 0o644)
}

// exercised returns the tests of each duty.
func exercised(root string) (map[string][]string, error) {
	out := map[string][]string{}
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".txtar") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		script := strings.HasSuffix(path, ".txtar")
		var waiting []string
		add := func(name string) {
			for _, id := range waiting {
				if !slices.Contains(out[id], name) {
					out[id] = append(out[id], name)
				}
			}
			waiting = nil
		}
		for line := range strings.Lines(string(data)) {
			if m := marker.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
				waiting = append(waiting, m[1])
			} else if m := test.FindStringSubmatch(line); m != nil && !script {
				add(filepath.ToSlash(filepath.Dir(rel)) + " " + m[1])
			} else if !strings.HasPrefix(line, "//") && !script {
				waiting = nil
			}
		}
		if script {
			add(filepath.ToSlash(rel))
		}
		return nil
	})
	return out, err
}

func document(tests map[string][]string) ([]byte, error) {
	cat, err := builtin.Catalogue()
	if err != nil {
		return nil, err
	}
	live, all := 0, 0
	var rows bytes.Buffer
	for _, c := range cat.Controls {
		fmt.Fprintf(&rows, "\n## %s %s\n\n| Duty | What must be so | What makes it live | Exercised by |\n|---|---|---|---|\n", c.ID, c.Title)
		for _, d := range c.Duties {
			all++
			by := "not live"
			if names := tests[d.ID]; len(names) > 0 {
				live++
				by = "`" + strings.Join(names, "`, `") + "`"
			}
			fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", d.ID, cell(d.Title), cell(d.Evidence), by)
			delete(tests, d.ID)
		}
	}
	for id := range tests {
		return nil, fmt.Errorf("a test exercises %s, which the catalogue does not have", id)
	}
	var doc bytes.Buffer
	fmt.Fprintf(&doc, "# Which duties are live, and which test shows it?\n\nA duty is live when a test exercises it end to end: %d of %d are. Generated from the\ncatalogue and the tests by `go generate ./internal/house/...`; do not edit.\n", live, all)
	doc.Write(rows.Bytes())
	return doc.Bytes(), nil
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
