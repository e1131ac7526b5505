// Package sheet writes the customer responsibility matrix of one tenant as a
// spreadsheet (XLSX, ECMA-376) and as CSV (RFC 4180): for every duty of the
// contract who carries it, since when, by which service, how it stands for the
// tenant's own VMs, and what is left for the tenant to do.
//
// A matrix leaves the provider's house. Its input has no member for reasons,
// facts or evidence, and what is given about the provider's own subjects is
// dropped, so that nothing of the provider's inside can be in it.
package sheet

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// worstFirst orders verdicts for the one that a row shows.
var worstFirst = []evidence.Verdict{evidence.NotMet, evidence.Unknown, evidence.Waived, evidence.Met, evidence.NotApplicable}

// Standing is one duty for one subject of the tenant at the matrix's moment.
type Standing struct {
	Duty    string
	Subject evidence.Subject
	responsibility.Assignment
	Verdict evidence.Verdict
}

// Matrix is what the sheets are made of. All members are required but Standings.
type Matrix struct {
	// Provider and Tenant are names, TenantID the tenant's id.
	Provider, Tenant, TenantID string
	// At is the moment that the matrix describes.
	At        time.Time
	Catalogue *responsibility.Catalogue
	Standings []Standing
}

// Row is one line of the matrix: a duty and a party. A duty that a service
// covers for some VMs only has a row for each party, and one for each service.
type Row struct {
	Control, ControlTitle string
	Duty, Title           string
	Scope                 evidence.Scope
	Level                 responsibility.Level
	Party                 responsibility.Party
	// Since is when the party took the duty for the first of the row's
	// subjects; zero if it always had it.
	Since time.Time
	// Service moved the duty to the provider; empty if none did.
	Service string
	// Count has how many subjects have which verdict. Empty for duties about
	// the provider itself.
	Count map[evidence.Verdict]int
	// ToDo says what is left to the tenant.
	ToDo string
}

// Verdict is the worst of the row, "" without any.
func (r Row) Verdict() evidence.Verdict {
	for _, v := range worstFirst {
		if r.Count[v] > 0 {
			return v
		}
	}
	return ""
}

// Rows returns the lines of the matrix in the order of the catalogue. Every
// duty has at least one. It refuses standings of other tenants, of unknown
// duties and of parties and services that the catalogue does not allow.
func Rows(m Matrix) ([]Row, error) {
	if m.Catalogue == nil || m.TenantID == "" || m.At.IsZero() || line(m.Provider) == "" || line(m.Tenant) == "" {
		return nil, fmt.Errorf("sheet: a matrix needs a catalogue, the names of provider and tenant, the tenant's id and a moment")
	}
	grouped, err := group(m)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, c := range m.Catalogue.Controls {
		for _, d := range c.Duties {
			rows = append(rows, rowsOf(c, d, grouped[d.ID])...)
		}
	}
	return rows, nil
}

func group(m Matrix) (map[string][]Standing, error) {
	duties := map[string]responsibility.Duty{}
	for _, d := range m.Catalogue.Duties() {
		duties[d.ID] = d
	}
	seen := map[string]bool{}
	out := map[string][]Standing{}
	for i, s := range m.Standings {
		d, known := duties[s.Duty]
		key := s.Duty + " " + s.Subject.String()
		var why string
		switch {
		case !known:
			why = "the catalogue has no such duty"
		case s.Subject.Scope != d.Scope:
			why = fmt.Sprintf("the duty's scope is %s", d.Scope)
		case s.Subject.Scope == evidence.ScopeProvider:
			continue
		case s.Subject.Tenant != m.TenantID:
			why = "the subject belongs to another tenant"
		case s.Party != responsibility.Customer && s.Party != responsibility.Provider:
			why = fmt.Sprintf("party %q is neither customer nor provider", s.Party)
		case s.Party != d.Party && !slices.Contains(d.Services, s.Service):
			why = fmt.Sprintf("service %q does not move the duty", s.Service)
		case !slices.Contains(worstFirst, s.Verdict):
			why = fmt.Sprintf("verdict %q is none of %v", s.Verdict, worstFirst)
		case seen[key]:
			why = "it is there twice"
		}
		if why != "" {
			return nil, fmt.Errorf("sheet: standing %d, duty %s for %s: %s", i, s.Duty, s.Subject, why)
		}
		seen[key] = true
		out[s.Duty] = append(out[s.Duty], s)
	}
	return out, nil
}

func rowsOf(c responsibility.Control, d responsibility.Duty, list []Standing) []Row {
	blank := Row{
		Control: c.ID, ControlTitle: line(c.Title), Duty: d.ID, Title: line(d.Title),
		Scope: d.Scope, Level: d.Level, Party: d.Party, Count: map[evidence.Verdict]int{},
	}
	var rows []Row
	for _, s := range list {
		service := s.Service
		if s.Party == d.Party {
			service = ""
		}
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Party == s.Party && r.Service == service })
		if i < 0 {
			r := blank
			r.Party, r.Service, r.Since, r.Count = s.Party, service, s.Since, map[evidence.Verdict]int{}
			rows, i = append(rows, r), len(rows)
		}
		if s.Since.Before(rows[i].Since) {
			rows[i].Since = s.Since
		}
		rows[i].Count[s.Verdict]++
	}
	if len(rows) == 0 {
		rows = []Row{blank}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if a.Party != b.Party {
			return strings.Compare(string(a.Party), string(b.Party))
		}
		return strings.Compare(a.Service, b.Service)
	})
	for i := range rows {
		rows[i].ToDo = toDo(d, rows[i])
	}
	return rows
}

// toDo says in words what the tenant still has to do about the row.
func toDo(d responsibility.Duty, r Row) string {
	switch {
	case r.Party == responsibility.Provider && r.Service != "":
		return "Nothing while the service " + r.Service + " runs. When it ends, the duty is yours again."
	case r.Party == responsibility.Provider:
		return "Nothing: the provider carries it."
	}
	var text string
	open := r.Count[evidence.NotMet] + r.Count[evidence.Unknown] + r.Count[evidence.Waived]
	switch {
	case open == 0 && r.Count[evidence.Met] > 0:
		text = "Keep it so."
	case open == 0 && r.Count[evidence.NotApplicable] > 0:
		return "At present it does not concern you."
	case d.Assessment != nil && d.Assessment.Remedy != "":
		text = line(d.Assessment.Remedy)
	default:
		text = line(d.Title)
	}
	if d.Has(responsibility.Attested) {
		text += " Attest it before the last attestation expires."
	}
	if len(d.Services) > 0 {
		text += " Or take the service " + strings.Join(d.Services, " or ") + ", and the provider does it."
	}
	return text
}

// line makes s one line of valid UTF-8 without control characters, as both a
// cell and a CSV field want it.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == '\uFFFE' || r == '\uFFFF' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}
