package sheet

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/demarc/demarc/internal/responsibility/builtin"
)

// Before a tenant has a VM, its matrix still lists every duty once.
func TestBuiltInCatalogueFillsTheMatrix(t *testing.T) {
	c, err := builtin.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	m := matrix()
	m.Catalogue, m.Standings = c, nil
	records, err := csv.NewReader(bytes.NewReader(text(t, m))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	duties := c.Duties()
	if len(records) != len(duties)+1 {
		t.Fatalf("%d rows for %d duties", len(records)-1, len(duties))
	}
	for i, d := range duties {
		if got := records[i+1][2]; got != d.ID {
			t.Errorf("row %d is of duty %s, want %s", i+1, got, d.ID)
		}
	}
	workbook(t, m)
}
