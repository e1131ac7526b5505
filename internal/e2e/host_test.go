package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// writeHost lays a made-up machine of testdata/hosts over root. Its comment
// holds directives, one a line:
//
//	command PATH    a program that prints what /answers holds
//	directory PATH
//	link PATH TARGET
//	remove PATH
//	mode MODE PATH
//	owner UID PATH
//	old PATH        what lies there was last fetched ten days ago
func writeHost(t testing.TB, root, name string) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "hosts", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	words := strings.NewReplacer(
		"$DAY", strconv.FormatInt(now.AddDate(0, 0, -30).Unix()/86400, 10),
		"$MICROS", strconv.FormatInt(now.Add(-time.Hour).UnixMicro(), 10))
	for _, f := range archive.Files {
		place(t, root, f.Name, words.Replace(string(f.Data)))
	}
	for line := range strings.Lines(string(archive.Comment)) {
		if err := direct(root, strings.Fields(line)); err != nil {
			t.Fatalf("%s: %s: %v", name, strings.TrimSpace(line), err)
		}
	}
}

// place writes one file of a made-up machine.
func place(t testing.TB, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// A new file, as editors do it, so that whoever reads the old one has it whole.
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if old, err := os.Stat(path); err == nil {
		if err := os.Chmod(path+".new", old.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func direct(root string, words []string) error {
	if len(words) < 2 {
		return nil
	}
	path := filepath.Join(root, words[len(words)-1])
	switch words[0] {
	case "command":
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return copyFile(filepath.Join(bin, "answer"), path)
	case "directory":
		return os.MkdirAll(path, 0o755)
	case "link":
		at := filepath.Join(root, words[1])
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(words[2], at)
	case "remove":
		return os.RemoveAll(path)
	case "mode":
		mode, err := strconv.ParseUint(words[1], 8, 32)
		if err != nil {
			return err
		}
		m := os.FileMode(mode & 0o777)
		if mode&0o1000 != 0 {
			m |= os.ModeSticky
		}
		return os.Chmod(path, m)
	case "owner":
		uid, err := strconv.Atoi(words[1])
		if err != nil || os.Geteuid() != 0 {
			return err
		}
		return os.Chown(path, uid, uid)
	case "old":
		then := time.Now().AddDate(0, 0, -10)
		return filepath.Walk(path, func(p string, _ os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return os.Chtimes(p, then, then)
		})
	}
	return nil // a line of the description
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

func readFile(t testing.TB, root, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
