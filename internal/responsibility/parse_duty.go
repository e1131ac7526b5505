package responsibility

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/demarc/demarc/internal/evidence"
)

func (r *reader) duty(n *yaml.Node, control string) (Duty, bool) {
	m := r.object(n, "a duty", "id", "title", "party", "scope", "level", "modes", "evidence", "services", "assessment", "attestation_for")
	if m == nil {
		return Duty{}, false
	}
	before := len(r.faults)
	d := Duty{
		ID: r.text(m, "id"), Control: control, At: r.at(n),
		Title:    r.text(m, "title"),
		Party:    oneOf(r, m, "party", Customer, Provider),
		Scope:    oneOf(r, m, "scope", evidence.Scopes...),
		Level:    oneOf(r, m, "level", Must, Should),
		Modes:    r.modes(m),
		Evidence: r.text(m, "evidence"),
		Services: r.services(m),
	}
	r.dutyID(m, d)
	r.dutyServices(m, d)
	r.dutyAssessment(m, &d)
	r.dutyAttestation(m, &d)
	return d, len(r.faults) == before
}

// dutyID holds the id to its control and party: CONTROL/C-CLAUSE, CONTROL/P-CLAUSE.
func (r *reader) dutyID(m *members, d Duty) {
	if d.ID == "" || d.Control == "" || d.Party == "" {
		return
	}
	prefix := d.Control + "/C-"
	if d.Party == Provider {
		prefix = d.Control + "/P-"
	}
	clause, ok := strings.CutPrefix(d.ID, prefix)
	if !ok || !clauseForm.MatchString(clause) {
		r.fault(m.get("id"), "write "+prefix+" and the clause", "the id %q does not fit control %s and party %s", short(d.ID), d.Control, d.Party)
	}
}

func (r *reader) modes(m *members) []Mode {
	n := m.get("modes")
	if n == nil {
		r.fault(m.node, "add modes, a list of enforced, assessed, attested", "a duty has no modes")
		return nil
	}
	items := r.items(n, "modes")
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		r.fault(n, "name enforced, assessed or attested", "modes is empty")
	}
	var modes []Mode
	for _, item := range items {
		mode := Mode(r.scalar(item, "a mode"))
		switch {
		case mode == "":
		case mode != Enforced && mode != Assessed && mode != Attested:
			r.fault(item, "", "mode %q is none of [enforced assessed attested]", short(string(mode)))
		case slices.Contains(modes, mode):
			r.fault(item, "keep one", "mode %s is there twice", mode)
		default:
			modes = append(modes, mode)
		}
	}
	return modes
}

func (r *reader) services(m *members) []string {
	var names []string
	for _, item := range r.items(m.get("services"), "services") {
		name := r.scalar(item, "a service")
		switch {
		case name == "":
		case len(name) > 40 || !serviceForm.MatchString(name):
			r.fault(item, "use lower-case words joined by hyphens, as in file-integrity", "service name %q is malformed", short(name))
		case slices.Contains(names, name):
			r.fault(item, "keep one", "service %s is there twice", name)
		default:
			names = append(names, name)
		}
	}
	return names
}

func (r *reader) dutyServices(m *members, d Duty) {
	n := m.get("services")
	switch {
	case n == nil || len(d.Services) == 0:
	case d.Party == Provider:
		r.fault(n, "leave services out", "a service can only take over a customer's duty; %s is the provider's", d.ID)
	case d.Scope != "" && d.Scope != evidence.ScopeVM:
		r.fault(n, "leave services out or make the scope vm", "a subscription covers VMs; %s has scope %s", d.ID, d.Scope)
	}
}

func (r *reader) dutyAssessment(m *members, d *Duty) {
	n := m.get("assessment")
	needed := d.Has(Assessed) || d.Has(Enforced)
	switch {
	case n == nil && needed:
		r.fault(m.node, "add an assessment with met, message, stale_after and remedy", "duty %s is enforced or assessed but has no assessment", d.ID)
		return
	case n == nil:
		return
	case !needed && len(d.Modes) > 0:
		r.fault(n, "leave it out or add the mode assessed", "duty %s is only attested but has an assessment", d.ID)
	}
	a := r.object(n, "an assessment", "applies", "met", "message", "stale_after", "remedy", "same_as")
	if a == nil {
		return
	}
	if same := a.get("same_as"); same != nil {
		d.Assessment = &Assessment{SameAs: r.scalar(same, "same_as"), At: r.at(same)}
		if len(a.values) > 1 {
			r.fault(n, "leave the other members out", "an assessment that is the same as another has same_as only")
		}
		return
	}
	as := &Assessment{At: r.at(n), Remedy: r.text(a, "remedy")}
	if e := a.get("applies"); e != nil {
		as.Applies, as.AppliesAt = r.expression(e, "applies")
	}
	for key, to := range map[string]struct {
		text *string
		at   *Position
	}{"met": {&as.Met, &as.MetAt}, "message": {&as.Message, &as.MessageAt}} {
		if e := a.get(key); e != nil {
			*to.text, *to.at = r.expression(e, key)
		} else {
			r.fault(n, "add "+key, "the assessment of %s has no %s", d.ID, key)
		}
	}
	if e := a.get("stale_after"); e != nil {
		as.StaleAfter = r.duration(e, "stale_after")
	} else {
		r.fault(n, "add stale_after, for example 24h", "the assessment of %s does not say when facts are stale", d.ID)
	}
	d.Assessment = as
}

func (r *reader) dutyAttestation(m *members, d *Duty) {
	n := m.get("attestation_for")
	switch {
	case n == nil && d.Has(Attested):
		r.fault(m.node, "add attestation_for, for example 365d", "duty %s is attested but does not say for how long", d.ID)
	case n == nil:
	case !d.Has(Attested) && len(d.Modes) > 0:
		r.fault(n, "leave it out or add the mode attested", "duty %s is not attested but has attestation_for", d.ID)
	default:
		d.AttestationFor = r.duration(n, "attestation_for")
	}
}
