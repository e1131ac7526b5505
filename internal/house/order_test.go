package house

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's root.
const root = "../.."

// maxLines is the length of a Go file beyond which it surely has more than one
// subject.
const maxLines = 600

func eachFile(t *testing.T, suffix string, f func(path string, data []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." && d.Name() != ".ci" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil {
			f(rel, data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreShort(t *testing.T) {
	eachFile(t, ".go", func(path string, data []byte) {
		if n := bytes.Count(data, []byte("\n")); n > maxLines && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines: would each part know its room?", path, n)
		}
	})
}

// TestNobodySleeps keeps tests from waiting for time to pass: a condition with a
// deadline, or testing/synctest, tells what is waited for.
func TestNobodySleeps(t *testing.T) {
	eachFile(t, "_test.go", func(path string, data []byte) {
		if path == "internal/house/order_test.go" {
			return
		}
		sc := bufio.NewScanner(bytes.NewReader(data))
		sc.Buffer(nil, 1<<20)
		for n := 1; sc.Scan(); n++ {
			if strings.Contains(sc.Text(), "time.Sleep(") && !strings.Contains(sc.Text(), "synctest") && !bytes.Contains(data, []byte("testing/synctest")) {
				t.Errorf("%s:%d sleeps", path, n)
			}
		}
	})
}

var vague = regexp.MustCompile(`^package (util|utils|common|core|types|helper|helpers|manager|misc|base)\b`)

func TestPackagesHaveNames(t *testing.T) {
	eachFile(t, ".go", func(path string, data []byte) {
		for line := range strings.Lines(string(data)) {
			if vague.MatchString(line) {
				t.Errorf("%s: %s says nothing of what is in it", path, strings.TrimSpace(line))
			}
			if strings.HasPrefix(line, "package ") {
				return
			}
		}
	})
}

// TestReadme holds the README to two set-up commands.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "make ") {
			commands = append(commands, strings.Fields(line)[1])
		}
	}
	if strings.Join(commands, " ") != "up test" {
		t.Errorf("README has the set-up commands %v, want make up and make test", commands)
	}
}

// TestGeneratedDocuments runs the generator of docs/duties.md and compares.
func TestGeneratedDocuments(t *testing.T) {
	out, err := exec.Command("go", "run", "./dutydoc", "-root", root, "-print").Output()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join(root, "docs/duties.md"))
	if err != nil || !bytes.Equal(have, out) {
		t.Errorf("docs/duties.md is not what the tests exercise (%v): run go generate ./internal/house/...", err)
	}
}
