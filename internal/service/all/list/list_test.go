package list

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A service is added by its folder alone; this fails when the lists were not
// made anew after that.
func TestNoFolderWasForgotten(t *testing.T) {
	files, err := Files("../..")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: run `go generate ./internal/service/all`", path)
		}
	}
}

func TestFindsServicesAndObserversByTheirNew(t *testing.T) {
	dir := t.TempDir()
	for path, text := range map[string]string{
		"one/one.go":               "package one\nfunc New() service.Service { return nil }",
		"one/observer/observer.go": "package observer\nfunc New() service.Observer { return nil }",
		"two/two.go":               "package two\ntype Two struct{}\nfunc New() Two { return Two{} }",
		"kinds/kinds.go":           "package kinds\nfunc New(n int) int { return n }",
		"later/later_test.go":      "package later\nfunc New() service.Service { return nil }",
		"all/all.go":               "package all\nfunc New() service.Service { return nil }",
		"errors.go":                "package service",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	services, err := find(dir, ".", "Service")
	if err != nil || strings.Join(services, " ") != "one two" {
		t.Errorf("services: %v, %v", services, err)
	}
	observers, err := find(dir, "observer", "Observer")
	if err != nil || strings.Join(observers, " ") != "one/observer" {
		t.Errorf("observers: %v, %v", observers, err)
	}
}
