package oscal

import (
	"fmt"
	"slices"
	"strings"

	model "github.com/defenseunicorns/go-oscal/src/types/oscal-1-2-2"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// ownDuty reads the properties that Component writes.
func ownDuty(at string, d *responsibility.Duty, s model.ControlStatementImplementation) error {
	d.ID = one(s.Props, propDuty)
	d.Party = responsibility.Party(one(s.Props, propParty))
	d.Scope = evidence.Scope(one(s.Props, propScope))
	d.Level = responsibility.Level(one(s.Props, propLevel))
	d.Evidence = one(s.Props, propEvidence)
	d.Services = all(s.Props, propService)
	at += "/props"
	side, prefix := exportResponsibility, d.Control+"/C-"
	if d.Party == responsibility.Provider {
		side, prefix = exportProvided, d.Control+"/P-"
	}
	clause, fits := strings.CutPrefix(d.ID, prefix)
	switch {
	case d.Party != responsibility.Customer && d.Party != responsibility.Provider:
		return refuse(at, "party %q is neither customer nor provider", cut(string(d.Party), 40))
	case !fits || !clauseForm.MatchString(clause):
		return refuse(at, "duty id %q does not fit control %s and party %s", cut(d.ID, 80), d.Control, d.Party)
	case one(s.Props, propExport) != side:
		return refuse(at, "duty %s is the %s's, so its property %q must be %q", d.ID, d.Party, propExport, side)
	case !slices.Contains(evidence.Scopes, d.Scope):
		return refuse(at, "scope %q is none of %v", cut(string(d.Scope), 40), evidence.Scopes)
	case d.Level != responsibility.Must && d.Level != responsibility.Should:
		return refuse(at, "level %q is neither must nor should", cut(string(d.Level), 40))
	case len(d.Services) > 0 && (d.Party != responsibility.Customer || d.Scope != evidence.ScopeVM):
		return refuse(at, "duty %s has services, which move only a customer's duty about a VM", d.ID)
	}
	for i, name := range d.Services {
		if len(name) > 40 || !serviceForm.MatchString(name) || slices.Contains(d.Services[:i], name) {
			return refuse(at, "service %q of duty %s is malformed or there twice", cut(name, 80), d.ID)
		}
	}
	return nil
}

// foreignDuty makes a duty of a statement that says nothing in NS.
func (r *importer) foreignDuty(at string, d *responsibility.Duty, s model.ControlStatementImplementation) error {
	d.Party, d.Scope, d.Level = responsibility.Provider, evidence.ScopeProvider, responsibility.Must
	letter := "/P-"
	if ofCustomer(s) {
		d.Party, d.Scope, letter = responsibility.Customer, evidence.ScopeTenant, "/C-"
	}
	clause := strings.TrimPrefix(s.StatementId, d.Control)
	clause = strings.TrimPrefix(clause, "_smt")
	clause = strings.TrimLeft(clause, "._-")
	if clause == "" {
		clause = "1"
	}
	if !clauseForm.MatchString(clause) {
		return refuse(at+"/statement-id", "statement id %q gives no clause of 1 to 32 letters, digits, dots, hyphens and underscores", cut(s.StatementId, 80))
	}
	// Several components may speak of one statement: their duties are numbered.
	id := d.Control + letter + clause
	d.ID = id
	if r.numbered[id]++; r.numbered[id] > 1 {
		d.ID = fmt.Sprintf("%s.%d", id, r.numbered[id])
	}
	return nil
}

// ofCustomer looks for the two ways in which component definitions tell whose a
// statement is.
func ofCustomer(s model.ControlStatementImplementation) bool {
	if roles := deref(s.ResponsibleRoles); len(roles) == 1 && roles[0].RoleId == roleCustomer {
		return true
	}
	return slices.ContainsFunc(deref(s.Props), func(p model.Property) bool {
		return p.Name == "control-origination" && (p.Value == "customer-provided" || p.Value == "customer-configured")
	})
}
