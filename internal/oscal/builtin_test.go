package oscal

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/responsibility/builtin"
)

// fleet gives every duty a standing for each of n VMs, or one where it is about
// something else.
func fleet(c *responsibility.Catalogue, n int) []Standing {
	var out []Standing
	for _, d := range c.Duties() {
		ids := []string{"t-acme"}
		if d.Scope == evidence.ScopeVM {
			ids = nil
			for i := range n {
				ids = append(ids, fmt.Sprintf("vm-%05d", i))
			}
		}
		for i, id := range ids {
			a := responsibility.Assignment{Party: d.Party}
			if len(d.Services) > 0 && i%2 == 1 {
				a = responsibility.Assignment{Party: responsibility.Provider, Service: d.Services[0], Since: march}
			}
			sub := evidence.Subject{Scope: d.Scope, Tenant: acme.ID, ID: id}
			out = append(out, standing(d.ID, sub, id, a, evidence.Verdicts[i%len(evidence.Verdicts)], "because", fact(sub, "host.os", "a")))
		}
	}
	return out
}

func TestBuiltInCatalogueKeepsTheSchemaAndComesBack(t *testing.T) {
	c, err := builtin.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	in := plan()
	in.Standings = fleet(c, 3)
	for name, make := range map[string]func() (*Document, error){
		"component":      func() (*Document, error) { return Component(head, c) },
		"provider's SSP": func() (*Document, error) { return ProviderSSP(head, c) },
		"tenant's SSP":   func() (*Document, error) { return SSP(head, c, in) },
		"results": func() (*Document, error) {
			return Results(head, c, Assessment{Tenant: acme, From: march, At: noon, Standings: in.Standings})
		},
	} {
		doc, err := make()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		validate(t, name, encoded(t, doc))
	}
	again, err := Import(exported(t, c), c)
	if err != nil {
		t.Fatal(err)
	}
	want, got := c.Duties(), again.Duties()
	for i := range want {
		want[i].At = responsibility.Position{} // a place in a file that the export is not
		want[i].Title, want[i].Evidence = line(want[i].Title), line(want[i].Evidence)
	}
	if !reflect.DeepEqual(got, want) {
		for i := range got {
			if i < len(want) && !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("came back\n%+v\nwent out\n%+v", got[i], want[i])
			}
		}
		t.Fatalf("%d duties came back of %d", len(got), len(want))
	}
}

func BenchmarkResultsOf1000VMs(b *testing.B) {
	c, err := builtin.Catalogue()
	if err != nil {
		b.Fatal(err)
	}
	standings := fleet(c, 1000)
	b.ReportAllocs()
	for b.Loop() {
		doc, err := Results(head, c, Assessment{Tenant: acme, From: march, At: noon, Standings: standings})
		if err != nil {
			b.Fatal(err)
		}
		var size counter
		if err := Encode(&size, doc); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/1e6, "MB")
		b.ReportMetric(float64(len(standings)), "findings")
	}
}

func BenchmarkSSPOf1000VMs(b *testing.B) {
	c, err := builtin.Catalogue()
	if err != nil {
		b.Fatal(err)
	}
	in := plan()
	in.Standings = fleet(c, 1000)
	b.ReportAllocs()
	for b.Loop() {
		doc, err := SSP(head, c, in)
		if err != nil {
			b.Fatal(err)
		}
		var size counter
		if err := Encode(&size, doc); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/1e6, "MB")
	}
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
