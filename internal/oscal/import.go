package oscal

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/responsibility"
)

// Limits of an imported component definition.
const (
	MaxImportBytes = 16 << 20
	maxImportDepth = 32
	maxDuties      = 10_000
	maxTitleBytes  = 2000
)

// attestedFor is how long an attestation of an imported duty counts at most.
const attestedFor = 365 * 24 * time.Hour

// ErrImport is wrapped by every refusal of Import. The message gives the place
// as a JSON pointer (RFC 6901).
var ErrImport = errors.New("component definition refused")

// Import reads a component definition (OSCAL 1.x, JSON) as a catalogue of
// duties: one for each statement of an implemented requirement, or one for the
// requirement where it has no statements.
//
// What Component wrote comes back as it was, but for two things: the
// expressions of assessments are not part of an export, and blanks are single.
// A duty that known has with the same id, title, party and scope keeps known's
// modes, assessment and attestation period; every other becomes an attested
// duty, whose attestations count for a year, because nothing in OSCAL says how
// to measure it. known may be nil.
//
// In a document of others a statement is the provider's duty with scope
// provider, or the customer's with scope tenant where the role "customer" alone
// is responsible for it or the property "control-origination" says
// customer-provided or customer-configured; the level is must. A description longer than 2,000 bytes is cut with an ellipsis.
//
// Unknown members, duplicate members, more than MaxImportBytes, nesting deeper
// than 32, more than 10,000 duties and references to other component
// definitions are refused, with an error that wraps ErrImport.
func Import(data []byte, known *responsibility.Catalogue) (*responsibility.Catalogue, error) {
	def, err := decode(data)
	if err != nil {
		return nil, err
	}
	r := importer{known: map[string]responsibility.Duty{}, controls: map[string]int{}, places: map[string]string{}, numbered: map[string]int{}}
	if known != nil {
		for _, d := range known.Duties() {
			r.known[d.ID] = d
		}
	}
	if err := r.definition(def); err != nil {
		return nil, err
	}
	return &r.out, nil
}

func refuse(at, format string, args ...any) error {
	return fmt.Errorf("%w: at %s: %s", ErrImport, at, fmt.Sprintf(format, args...))
}

type importer struct {
	out      responsibility.Catalogue
	known    map[string]responsibility.Duty
	controls map[string]int    // control id to its index in out.Controls
	places   map[string]string // duty id to the pointer of its statement
	numbered map[string]int    // id of foreign statements to how many there were
}

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	controlForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)
	clauseForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)
	serviceForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	notName     = regexp.MustCompile(`[^a-z0-9.-]+`)
)

func (r *importer) definition(def *model.ComponentDefinition) error {
	root := string(root)
	if !strings.HasPrefix(def.Metadata.OscalVersion, "1.") {
		return refuse(root+"/metadata/oscal-version", "version %q is not 1.x", cut(def.Metadata.OscalVersion, 40))
	}
	if def.ImportComponentDefinitions != nil {
		return refuse(root+"/import-component-definitions", "references to other definitions are not followed; merge them into one file first")
	}
	r.out.Title = cut(plain(def.Metadata.Title), maxTitleBytes)
	r.out.Version = cut(line(def.Metadata.Version), 100)
	for i, c := range deref(def.Components) {
		at := fmt.Sprintf("%s/components/%d", root, i)
		if err := r.component(at, c); err != nil {
			return err
		}
	}
	switch {
	case len(r.places) == 0:
		return refuse(root, "it has no implemented requirements, and so no duties")
	case r.out.Title == "":
		return refuse(root+"/metadata/title", "it is empty")
	case r.out.Version == "":
		return refuse(root+"/metadata/version", "it is empty")
	case r.out.Name == "":
		r.out.Name = nameOf(r.out.Title)
	}
	return nil
}

func (r *importer) component(at string, c model.DefinedComponent) error {
	if name := one(c.Props, propCatalogue); name != "" && r.out.Name == "" {
		if !nameForm.MatchString(name) {
			return refuse(at+"/props", "catalogue name %q is malformed", cut(name, 80))
		}
		r.out.Name = name
	}
	for i, set := range deref(c.ControlImplementations) {
		if one(c.Props, propCatalogue) != "" {
			r.out.Title = cut(plain(set.Description), maxTitleBytes)
		}
		for j, req := range set.ImplementedRequirements {
			where := fmt.Sprintf("%s/control-implementations/%d/implemented-requirements/%d", at, i, j)
			if err := r.requirement(where, req); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *importer) requirement(at string, req model.ImplementedRequirementControlImplementation) error {
	control := one(req.Props, propControl)
	if control == "" {
		control = req.ControlId
	}
	if !controlForm.MatchString(control) {
		return refuse(at+"/control-id", "control id %q must have 1 to 40 letters, digits, dots, hyphens and underscores", cut(control, 80))
	}
	title := cut(plain(req.Description), maxTitleBytes)
	if title == "" {
		title = control
	}
	index, ok := r.controls[control]
	if !ok {
		index = len(r.out.Controls)
		r.controls[control] = index
		r.out.Controls = append(r.out.Controls, responsibility.Control{ID: control, Title: title})
	}
	statements := deref(req.Statements)
	if len(statements) == 0 {
		return r.duty(at, index, control, model.ControlStatementImplementation{
			StatementId: req.ControlId, Description: req.Description, Props: req.Props, ResponsibleRoles: req.ResponsibleRoles,
		})
	}
	for i, s := range statements {
		// A foreign requirement may say for all its statements whose they are.
		if s.Props == nil {
			s.Props = req.Props
		}
		if s.ResponsibleRoles == nil {
			s.ResponsibleRoles = req.ResponsibleRoles
		}
		if err := r.duty(fmt.Sprintf("%s/statements/%d", at, i), index, control, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *importer) duty(at string, index int, control string, s model.ControlStatementImplementation) error {
	if len(r.places) == maxDuties {
		return refuse(at, "it has more than %d duties", maxDuties)
	}
	d := responsibility.Duty{Control: control, Title: cut(plain(s.Description), maxTitleBytes)}
	if d.Title == "" {
		return refuse(at+"/description", "it is empty, and it is what must be so")
	}
	var err error
	if one(s.Props, propDuty) != "" {
		err = ownDuty(at, &d, s)
	} else {
		err = r.foreignDuty(at, &d, s)
	}
	if err != nil {
		return err
	}
	if first, twice := r.places[d.ID]; twice {
		return refuse(at, "duty %s is there twice, first at %s", d.ID, first)
	}
	r.places[d.ID] = at
	d.Modes, d.AttestationFor = []responsibility.Mode{responsibility.Attested}, attestedFor
	if k, ok := r.known[d.ID]; ok && line(k.Title) == d.Title && k.Party == d.Party && k.Scope == d.Scope {
		d.Modes, d.Assessment, d.AttestationFor = slices.Clone(k.Modes), k.Assessment, k.AttestationFor
	}
	r.out.Controls[index].Duties = append(r.out.Controls[index].Duties, d)
	return nil
}

// nameOf makes a catalogue name of a title.
func nameOf(title string) string {
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(title), "-"), "-.")
	if len(name) > 64 {
		name = strings.Trim(name[:64], "-.")
	}
	if name == "" {
		return "imported"
	}
	return name
}

// all returns the values of the properties of that name in NS.
func all(p *[]model.Property, name string) []string {
	var values []string
	for _, x := range deref(p) {
		if x.Ns == NS && x.Name == name {
			values = append(values, line(x.Value))
		}
	}
	return values
}

// one returns the first of all, or "".
func one(p *[]model.Property, name string) string {
	if values := all(p, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

func deref[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}
