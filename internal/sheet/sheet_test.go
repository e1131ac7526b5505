package sheet

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

var update = flag.Bool("update", false, "write the golden file anew")

// secret marks text of the provider that no tenant may see.
const secret = "PROVIDER-INTERNAL"

var (
	noon  = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	march = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
)

func small() *responsibility.Catalogue {
	attested := []responsibility.Mode{responsibility.Attested}
	return &responsibility.Catalogue{
		Name: "small", Version: "1.0.0", Title: "Small contract",
		Controls: []responsibility.Control{{ID: "CLD.6.3.1", Title: "Shared roles", Duties: []responsibility.Duty{
			{ID: "CLD.6.3.1/C-1.2a", Title: "Keep systems at the latest security patches.", Party: responsibility.Customer, Scope: evidence.ScopeVM, Level: responsibility.Must,
				Modes: []responsibility.Mode{responsibility.Assessed}, Services: []string{"patching"}, Assessment: &responsibility.Assessment{Remedy: "Install the pending updates."}},
			{ID: "CLD.6.3.1/C-1.3b", Title: `=HYPERLINK("http://evil.example/"), "quoted"`, Party: responsibility.Customer, Scope: evidence.ScopeTenant, Level: responsibility.Should, Modes: attested},
			{ID: "CLD.6.3.1/P-1.1b", Title: "Patch hypervisors regularly.", Party: responsibility.Provider, Scope: evidence.ScopeProvider, Level: responsibility.Must, Modes: attested},
			{ID: "CLD.6.3.1/P-1.2a", Title: "Hand over VMs as ordered.", Party: responsibility.Provider, Scope: evidence.ScopeVM, Level: responsibility.Must, Modes: attested},
		}}},
	}
}

func vm(id string) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t-acme", ID: id}
}

func matrix() Matrix {
	customer, provider := responsibility.Assignment{Party: responsibility.Customer}, responsibility.Assignment{Party: responsibility.Provider}
	return Matrix{
		Provider: "Northern Cloud", Tenant: "Acme", TenantID: "t-acme", At: noon, Catalogue: small(),
		Standings: []Standing{
			{Duty: "CLD.6.3.1/C-1.2a", Subject: vm("v1"), Assignment: customer, Verdict: evidence.NotMet},
			{Duty: "CLD.6.3.1/C-1.2a", Subject: vm("v2"), Assignment: customer, Verdict: evidence.Met},
			{Duty: "CLD.6.3.1/C-1.2a", Subject: vm("v3"), Verdict: evidence.Met,
				Assignment: responsibility.Assignment{Party: responsibility.Provider, Since: march, Service: "patching", Subscription: secret}},
			{Duty: "CLD.6.3.1/C-1.3b", Subject: evidence.Subject{Scope: evidence.ScopeTenant, Tenant: "t-acme", ID: "t-acme"}, Assignment: customer, Verdict: evidence.Unknown},
			{Duty: "CLD.6.3.1/P-1.1b", Subject: evidence.Subject{Scope: evidence.ScopeProvider, ID: secret}, Assignment: provider, Verdict: evidence.NotMet},
			{Duty: "CLD.6.3.1/P-1.2a", Subject: vm("v1"), Assignment: provider, Verdict: evidence.Met},
		},
	}
}

func workbook(t *testing.T, m Matrix) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := XLSX(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func text(t *testing.T, m Matrix) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := CSV(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCSVIsAsRecorded(t *testing.T) {
	got := text(t, matrix())
	path := filepath.Join("testdata", "matrix.csv")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the CSV differs from %s; look, then run with -update:\n%s", path, got)
	}
}

// The workbook holds what the CSV holds, as texts and numbers and without formulas.
func TestWorkbookHoldsTheSameAsCSV(t *testing.T) {
	doc := workbook(t, matrix())
	if !bytes.Equal(doc, workbook(t, matrix())) {
		t.Error("equal input gave different workbooks")
	}
	f, err := excelize.OpenReader(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.GetSheetList(); !slices.Equal(got, []string{matrixSheet, aboutSheet}) {
		t.Errorf("sheets %v", got)
	}
	want, err := csv.NewReader(bytes.NewReader(text(t, matrix()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, record := range want {
		for j, field := range record {
			cell, _ := excelize.CoordinatesToCellName(j+1, i+1)
			got, err := f.GetCellValue(matrixSheet, cell)
			if err != nil || inert(got) != field {
				t.Errorf("%s is %q, the CSV has %q (%v)", cell, got, field, err)
			}
			if formula, _ := f.GetCellFormula(matrixSheet, cell); formula != "" {
				t.Errorf("%s is the formula %q", cell, formula)
			}
			kind, _ := f.GetCellType(matrixSheet, cell)
			if _, err := strconv.Atoi(field); field != "" && (err == nil) == (kind == excelize.CellTypeSharedString) {
				t.Errorf("%s = %q has cell type %v", cell, field, kind)
			}
		}
	}
	rules, err := f.GetConditionalFormats(matrixSheet)
	if err != nil || len(rules) != 1 {
		t.Errorf("conditional formats %v, %v", rules, err)
	}
	panes, err := f.GetPanes(matrixSheet)
	if err != nil || !panes.Freeze || panes.YSplit != 1 {
		t.Errorf("the header is not fixed: %+v, %v", panes, err)
	}
}

func TestProvidersInternalsStayOut(t *testing.T) {
	doc := workbook(t, matrix())
	archive, err := zip.NewReader(bytes.NewReader(doc), int64(len(doc)))
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]byte{"csv": text(t, matrix())}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if parts[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range parts {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s shows the provider's internals", name)
		}
	}
	without := matrix()
	without.Standings = slices.DeleteFunc(without.Standings, func(s Standing) bool { return s.Subject.Scope == evidence.ScopeProvider })
	if !bytes.Equal(text(t, without), parts["csv"]) {
		t.Error("the verdict on the provider's own subject changes the tenant's matrix")
	}
}

func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'=1", "\r\n=1": "'=1", " =1": "'=1", "＝1": "'＝1",
		"plain": "plain", "a=b": "a=b", "": "", "two\nlines": "two lines", "bad\xffbyte": "bad\uFFFDbyte", "nul\x00": "nul",
	} {
		if got := inert(in); got != want {
			t.Errorf("inert(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRefusedInput(t *testing.T) {
	for want, change := range map[string]func(*Matrix){
		"needs a catalogue":         func(m *Matrix) { m.Catalogue = nil },
		"belongs to another tenant": func(m *Matrix) { m.Standings[0].Subject.Tenant = "t-other" },
		"no such duty":              func(m *Matrix) { m.Standings[0].Duty = "X/C-1" },
		"scope is vm":               func(m *Matrix) { m.Standings[0].Subject.Scope = evidence.ScopeTenant },
		"neither customer":          func(m *Matrix) { m.Standings[0].Party = "" },
		"does not move":             func(m *Matrix) { m.Standings[2].Service = "backup" },
		"none of":                   func(m *Matrix) { m.Standings[0].Verdict = "good" },
		"there twice":               func(m *Matrix) { m.Standings[1] = m.Standings[0] },
	} {
		m := matrix()
		change(&m)
		var b bytes.Buffer
		if err := CSV(&b, m); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("want an error with %q and nothing written, got %v and %d bytes", want, err, b.Len())
		}
		if err := XLSX(&b, m); err == nil || b.Len() > 0 {
			t.Errorf("%s: a workbook was written (%v)", want, err)
		}
	}
}

// Every duty is there, and every subject of every duty is counted in exactly
// one row of it.
func TestRowsCountEverySubjectOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := matrix()
		m.Standings = nil
		subjects := map[string]int{}
		for _, d := range m.Catalogue.Duties() {
			if d.Scope != evidence.ScopeVM {
				continue
			}
			for i := range rapid.IntRange(0, 6).Draw(t, "subjects") {
				s := Standing{Duty: d.ID, Subject: vm(fmt.Sprint(i)), Assignment: responsibility.Assignment{Party: d.Party}, Verdict: rapid.SampledFrom(worstFirst).Draw(t, "verdict")}
				if len(d.Services) > 0 && rapid.Bool().Draw(t, "moved") {
					s.Assignment = responsibility.Assignment{Party: responsibility.Provider, Service: d.Services[0], Since: march}
				}
				m.Standings = append(m.Standings, s)
				subjects[d.ID]++
			}
		}
		rows, err := Rows(m)
		if err != nil {
			t.Fatal(err)
		}
		counted, seen := map[string]int{}, map[string]bool{}
		for _, r := range rows {
			key := r.Duty + "|" + string(r.Party) + "|" + r.Service
			if seen[key] {
				t.Fatalf("two rows for %s", key)
			}
			seen[key] = true
			counted[r.Duty] += 0
			for _, n := range r.Count {
				counted[r.Duty] += n
			}
			if r.ToDo == "" || (r.Party == responsibility.Provider) != strings.HasPrefix(r.ToDo, "Nothing") {
				t.Fatalf("%s: to do %q", key, r.ToDo)
			}
		}
		for _, d := range m.Catalogue.Duties() {
			if n, ok := counted[d.ID]; !ok || n != subjects[d.ID] {
				t.Fatalf("duty %s counts %d of %d subjects", d.ID, n, subjects[d.ID])
			}
		}
	})
}

// Another program, not the one that wrote it, opens the workbook and finds the
// same in it.
func TestLibreOfficeOpensTheWorkbook(t *testing.T) {
	office, err := exec.LookPath("soffice")
	if err != nil {
		t.Skip("LibreOffice is not installed (Debian: libreoffice-calc-nogui)")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "matrix.xlsx"), workbook(t, matrix()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), office, "-env:UserInstallation=file://"+filepath.Join(dir, "profile"),
		"--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76", "--outdir", dir, filepath.Join(dir, "matrix.xlsx"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	converted, err := os.ReadFile(filepath.Join(dir, "matrix.csv"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(bytes.NewReader(converted)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want, err := csv.NewReader(bytes.NewReader(text(t, matrix()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		for j := range got[i] {
			got[i][j] = inert(got[i][j])
		}
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("LibreOffice reads\n%q\nwant\n%q", got, want)
	}
}
