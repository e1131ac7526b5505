package builtin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/demarc/demarc/internal/responsibility"
)

func catalogue(t testing.TB) *responsibility.Catalogue {
	t.Helper()
	c, err := Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rows are the catalogue's duties as "id scope level modes services" lines.
func rows(c *responsibility.Catalogue) []string {
	var out []string
	for _, d := range c.Duties() {
		var modes []string
		for _, m := range d.Modes {
			modes = append(modes, string(m))
		}
		out = append(out, row(d.ID, string(d.Scope), string(d.Level), modes, d.Services))
	}
	return out
}

func row(id, scope, level string, modes, services []string) string {
	slices.Sort(modes)
	shifts := "-"
	if len(services) > 0 {
		shifts = strings.Join(services, ",")
	}
	return strings.Join([]string{id, scope, level, strings.Join(modes, ","), shifts}, " ")
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("the catalogue lacks the row %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("the catalogue has the row %s, which is not wanted", g)
		}
	}
}

func TestRows(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "rows.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		var services []string
		if f[4] != "-" {
			services = strings.Split(f[4], ",")
		}
		want = append(want, row(f[0], f[1], f[2], strings.Split(f[3], ","), services))
	}
	if len(want) != 145 {
		t.Fatalf("testdata has %d rows, want 145", len(want))
	}
	compare(t, rows(catalogue(t)), want)
}

// TestRowsAgainstSource compares with the list that the catalogue was written
// from, where it lies beside the repository.
func TestRowsAgainstSource(t *testing.T) {
	source := filepath.Join("..", "..", "..", "..", "shared", "duties.yaml")
	data, err := os.ReadFile(source)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIP: %s is not beside the repository", source)
	}
	if err != nil {
		t.Fatal(err)
	}
	var controls []struct {
		Control string
		Duties  []struct {
			ID, Scope, Level, Shifts, Duty, By string
			Mode                               []string
		}
	}
	if err := yaml.Unmarshal(data, &controls); err != nil {
		t.Fatal(err)
	}
	c := catalogue(t)
	var want []string
	for _, ctl := range controls {
		for _, d := range ctl.Duties {
			var services []string
			if d.Shifts != "" {
				services = []string{d.Shifts}
			}
			want = append(want, row(d.ID, d.Scope, d.Level, d.Mode, services))
			if own, ok := c.Duty(d.ID); ok {
				if own.Title == d.Duty || own.Evidence == d.By {
					t.Errorf("%s repeats the source word for word", d.ID)
				}
				if own.Control != ctl.Control {
					t.Errorf("%s is under control %s, want %s", d.ID, own.Control, ctl.Control)
				}
			}
		}
	}
	compare(t, rows(c), want)
}

func TestEveryDutyIsExplained(t *testing.T) {
	for _, d := range catalogue(t).Duties() {
		judged := d.Has(responsibility.Assessed) || d.Has(responsibility.Enforced)
		if judged != (d.Assessment != nil) {
			t.Errorf("%s: modes %v with assessment %v", d.ID, d.Modes, d.Assessment)
		}
		if a := d.Assessment; a != nil && (a.Met == "" || a.Message == "" || a.Remedy == "" || a.StaleAfter == 0) {
			t.Errorf("%s: assessment is incomplete: %+v", d.ID, a)
		}
		if d.Has(responsibility.Attested) && d.AttestationFor == 0 {
			t.Errorf("%s is attested for no time", d.ID)
		}
	}
}
