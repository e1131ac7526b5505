package bundle

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"empty":           "",
		"not JSON":        "x",
		"other format":    `{"format":"other"}`,
		"unknown member":  `{"format":"demarc-ledger-bundle/v1","note":"x"}`,
		"deep":            strings.Repeat(`{"keys":[`, 100_000),
		"space":           `{ "format":"demarc-ledger-bundle/v1"}`,
		"member twice":    `{"format":"demarc-ledger-bundle/v1","format":"demarc-ledger-bundle/v1"}`,
		"members missing": `{"format":"demarc-ledger-bundle/v1"}`,
	} {
		if _, err := Parse([]byte(data)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// A bundle that was written by an earlier build still verifies: files outlive
// programs.
func TestKeptBundle(t *testing.T) {
	data, err := os.ReadFile("testdata/v1.bundle")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/v1.vkey")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(bytes.NewReader(data), Options{Keys: []string{strings.TrimSpace(string(key))}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Origin != "demarc/test" || r.Tenant != "t-2" || len(r.Entries) != 9 || len(r.Witnesses) != 1 {
		t.Errorf("report %+v", r)
	}
}

func FuzzVerify(f *testing.F) {
	if data, err := os.ReadFile("testdata/v1.bundle"); err == nil {
		f.Add(data)
	}
	f.Add([]byte(`{"format":"demarc-ledger-bundle/v1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := Verify(bytes.NewReader(data), Options{}); err == nil && len(r.NotProven) == 0 {
			t.Errorf("nothing is said not to be proven of %q", data)
		}
	})
}
