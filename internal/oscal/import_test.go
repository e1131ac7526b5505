package oscal

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

func exported(t testing.TB, c *responsibility.Catalogue) []byte {
	d, err := Component(head, c)
	if err != nil {
		t.Fatal(err)
	}
	return encoded(t, d)
}

func TestImportOfOwnExportGivesTheSameCatalogue(t *testing.T) {
	want := catalogue()
	got, err := Import(exported(t, want), want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	alone, err := Import(exported(t, want), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range alone.Duties() {
		if d.Assessment != nil || len(d.Modes) != 1 || d.Modes[0] != responsibility.Attested || d.AttestationFor != attestedFor {
			t.Errorf("%s is not attested though nothing says how to measure it: %+v", d.ID, d)
		}
	}

	// An id that says something else must not be judged by the known expression.
	other := catalogue()
	other.Controls[0].Duties[0].Title = "Water the plants."
	got, err = Import(exported(t, other), want)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := got.Duty("CLD.6.3.1/C-1.2a"); d.Assessment != nil {
		t.Error("a duty with another text took over the assessment")
	}
}

const foreign = `{"$schema":"http://example.org/s.json","component-definition":{"uuid":"a7ba800c-a432-44cd-9075-0862cd66da6b",
"metadata":{"title":"Vendor X: Cloud!","last-modified":"2024-01-01T00:00:00.00000-00:00","version":"7","oscal-version":"1.1.2"},
"components":[{"uuid":"91f646c5-b1b6-4786-9ec3-2305a044e217","type":"service","title":"X","description":"x",
"control-implementations":[{"uuid":"d5f9b263-965d-440b-99e7-77f5df670a11","source":"https://example.org/catalog.json","description":"x",
"implemented-requirements":[
{"uuid":"cfcdd674-8595-4f98-a9d1-3ac70825c49f","control-id":"ac-1","description":"Access policy","statements":[
 {"statement-id":"ac-1_smt.a","uuid":"2652b814-2a6b-4b6d-a0ae-8bc7a007209f","description":"We write\nthe policy."},
 {"statement-id":"ac-1_smt.a","uuid":"2652b814-2a6b-4b6d-a0ae-8bc7a007209e","description":"And again."},
 {"statement-id":"ac-1_smt.b","uuid":"2652b814-2a6b-4b6d-a0ae-8bc7a007209d","description":"You read it.","responsible-roles":[{"role-id":"customer"}]}]},
{"uuid":"cfcdd674-8595-4f98-a9d1-3ac70825c49e","control-id":"ac-2","description":"You manage accounts.","props":[{"name":"control-origination","value":"customer-provided"}]}
]}]}]}}`

func TestImportOfForeignDefinition(t *testing.T) {
	c, err := Import([]byte(foreign), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "vendor-x-cloud" || c.Version != "7" || c.Title != "Vendor X: Cloud!" {
		t.Errorf("name %q, version %q, title %q", c.Name, c.Version, c.Title)
	}
	want := []responsibility.Duty{
		{ID: "ac-1/P-a", Control: "ac-1", Title: "We write the policy.", Party: responsibility.Provider, Scope: evidence.ScopeProvider},
		{ID: "ac-1/P-a.2", Control: "ac-1", Title: "And again.", Party: responsibility.Provider, Scope: evidence.ScopeProvider},
		{ID: "ac-1/C-b", Control: "ac-1", Title: "You read it.", Party: responsibility.Customer, Scope: evidence.ScopeTenant},
		{ID: "ac-2/C-1", Control: "ac-2", Title: "You manage accounts.", Party: responsibility.Customer, Scope: evidence.ScopeTenant},
	}
	for i := range want {
		want[i].Level, want[i].Modes, want[i].AttestationFor = responsibility.Must, []responsibility.Mode{responsibility.Attested}, attestedFor
	}
	if got := c.Duties(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestImportRefusals(t *testing.T) {
	own := string(exported(t, catalogue()))
	swap := func(s, old, with string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("the document has no %q", old)
		}
		return strings.Replace(s, old, with, 1)
	}
	const first = "/component-definition/components/0/control-implementations/0/implemented-requirements/0"
	for name, c := range map[string]struct{ in, want string }{
		"empty":           {"", "EOF"},
		"not JSON":        {"catalog: {}", "byte 0"},
		"another model":   {`{"catalog":{}}`, "at /catalog: a component-definition is needed"},
		"two models":      {swap(own, "{\n", `{"catalog":{},`), "holds one model"},
		"nothing":         {`{}`, "no member component-definition"},
		"after it":        {own + "{}", "byte"},
		"unknown member":  {swap(foreign, `"description":"Access policy"`, `"description":"Access policy","colour":"red"`), "at " + first + "/colour: OSCAL has no such member here"},
		"duplicate":       {swap(foreign, `"control-id":"ac-1"`, `"control-id":"ac-1","control-id":"ac-1"`), "duplicate object member name"},
		"wrong type":      {swap(foreign, `"control-id":"ac-1"`, `"control-id":1`), "at " + first + "/control-id"},
		"invalid UTF-8":   {swap(foreign, "Access", "Acc\xff"), "UTF-8"},
		"too deep":        {strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested deeper than 32"},
		"too long":        {strings.Repeat(" ", MaxImportBytes+1), "the limit is 16777216"},
		"OSCAL 2":         {swap(foreign, "1.1.2", "2.0.0"), "/metadata/oscal-version"},
		"imports others":  {swap(foreign, `"components"`, `"import-component-definitions":[{"href":"http://169.254.169.254/"}],"components"`), "are not followed"},
		"bad control":     {swap(foreign, `"ac-1"`, `"ac 1/../"`), "at " + first + "/control-id"},
		"bad statement":   {swap(foreign, `"ac-1_smt.a"`, `"ac-1_smt.ä/ö"`), "at " + first + "/statements/0/statement-id"},
		"empty duty":      {swap(foreign, `We write\nthe policy.`, ` `), "at " + first + "/statements/0/description"},
		"no duties":       {`{"component-definition":{"uuid":"x","metadata":{"title":"x","last-modified":"2024-01-01T00:00:00Z","version":"7","oscal-version":"1.1.2"}}}`, "no duties"},
		"both sides":      {swap(own, `"value": "responsibility"`, `"value": "provided"`), `property "export" must be "responsibility"`},
		"id and party":    {swap(own, `"value": "customer"`, `"value": "provider"`), "does not fit control"},
		"no party":        {swap(own, `"value": "customer"`, `"value": "x"`), `party "x"`},
		"bad scope":       {swap(own, `"value": "vm"`, `"value": "moon"`), `scope "moon"`},
		"bad level":       {swap(own, `"value": "must"`, `"value": "may"`), `level "may"`},
		"bad service":     {swap(own, `"value": "patching"`, `"value": "Patching!"`), `service "Patching!"`},
		"service twice":   {swap(own, `"value": "patching"`, `"value": "vulnerability-management"`), "there twice"},
		"duty twice":      {swap(own, `"value": "CLD.6.3.1/C-1.3b"`, `"value": "CLD.6.3.1/C-1.2a"`), "is there twice, first at " + first + "/statements/0"},
		"catalogue name":  {swap(own, `"value": "small"`, `"value": "../small"`), "catalogue name"},
		"bad time":        {swap(foreign, "2024-01-01T00:00:00.00000-00:00", "yesterday"), "/metadata/last-modified"},
		"services oddly":  {swap(own, `"value": "vm"`, `"value": "tenant"`), "which move only"},
		"clause too long": {swap(own, `"value": "CLD.6.3.1/C-1.3b"`, `"value": "CLD.6.3.1/C-`+strings.Repeat("1", 40)+`"`), "does not fit control"},
	} {
		got, err := Import([]byte(c.in), nil)
		if !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: want a refusal with %q, got %v", name, c.want, err)
		}
	}
}

// FuzzImport asserts that what is accepted is a whole catalogue that can be
// exported and read back as the same.
func FuzzImport(f *testing.F) {
	f.Add([]byte(foreign))
	f.Add(exported(f, catalogue()))
	f.Add([]byte(`{"component-definition":{}}`))
	if b, err := os.ReadFile("testdata/tenant-ssp.json"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Import(data, nil)
		if err != nil {
			if !errors.Is(err, ErrImport) || len(err.Error()) > 2000 {
				t.Fatalf("not a clear refusal: %v", err)
			}
			return
		}
		again, err := Import(exported(t, c), nil)
		if err != nil {
			t.Fatalf("own export of an accepted document is refused: %v", err)
		}
		if !reflect.DeepEqual(again, c) {
			a, _ := json.Marshal(again)
			b, _ := json.Marshal(c)
			t.Fatalf("a round trip changed the catalogue:\n%s\n%s", b, a)
		}
	})
}
