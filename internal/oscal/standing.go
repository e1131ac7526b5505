package oscal

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// Standing is one duty for one subject at the moment of the document.
type Standing struct {
	// Judgement is the verdict with its reason and evidence. Its Party is not
	// read: it may be older than the assignment.
	evidence.Judgement
	// Assignment says who is responsible, since when and by which service.
	Assignment responsibility.Assignment
	// Name is what the tenant calls the subject; its id if empty.
	Name string
}

// The types of evidence.Reference.
const (
	factEvidence        = "fact"
	attestationEvidence = "attestation"
	waiverEvidence      = "waiver"
)

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	refForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$`)
)

// checkEvidence says what is wrong, or "". Its strictness keeps content from
// passing where a name or a digest belongs.
func checkEvidence(tenant string, list []evidence.Reference) string {
	for i, e := range list {
		switch {
		case e.Type != factEvidence && e.Type != attestationEvidence && e.Type != waiverEvidence:
			return fmt.Sprintf("evidence %d has the type %q, none of fact, attestation, waiver", i, e.Type)
		case !refForm.MatchString(e.Ref):
			return fmt.Sprintf("evidence %d needs a fact's kind or a statement's id", i)
		case (e.Type == factEvidence || e.Digest != "") && !digestForm.MatchString(e.Digest):
			return fmt.Sprintf("evidence %d has no digest of the form sha256:<64 hex digits>", i)
		case e.At.IsZero():
			return fmt.Sprintf("evidence %d has no time", i)
		case isForeign(tenant, e.Subject):
			return fmt.Sprintf("evidence %d is about another tenant", i)
		}
	}
	return ""
}

// isForeign reports whether s has no place in a document of the tenant because
// it belongs to another one.
func isForeign(tenant string, s evidence.Subject) bool {
	return tenant != "" && s.Scope != evidence.ScopeProvider && s.Tenant != tenant
}

func (s Standing) name() string {
	if n := line(s.Name); n != "" {
		return n
	}
	return s.Subject.ID
}

// standings holds checked standings by duty, in a fixed order.
type standings map[string][]Standing

// group checks the input and sorts it by duty and subject. A tenant's document
// refuses subjects of other tenants, so that a mistake of the caller cannot
// show one tenant to another, and leaves the provider's own subjects out.
func group(c *responsibility.Catalogue, tenant string, in []Standing) (standings, error) {
	duties := map[string]responsibility.Duty{}
	for _, d := range c.Duties() {
		duties[d.ID] = d
	}
	seen := map[string]bool{}
	out := standings{}
	for i, s := range in {
		d, ok := duties[s.Duty]
		a := s.Assignment
		key := s.Duty + " " + s.Subject.String()
		var why string
		switch {
		case !ok:
			why = fmt.Sprintf("catalogue %s has no such duty", c.Name)
		case s.Subject.Scope != d.Scope:
			why = fmt.Sprintf("the duty's scope is %s", d.Scope)
		case a.Party != responsibility.Customer && a.Party != responsibility.Provider:
			why = fmt.Sprintf("party %q is neither customer nor provider", a.Party)
		case a.Party != d.Party && !slices.Contains(d.Services, a.Service):
			why = fmt.Sprintf("party is %s, but the duty is the %s's and service %q does not move it", a.Party, d.Party, a.Service)
		case !slices.Contains(evidence.Verdicts, s.Verdict):
			why = fmt.Sprintf("verdict %q is none of %v", s.Verdict, evidence.Verdicts)
		case seen[key]:
			why = "it is there twice"
		case isForeign(tenant, s.Subject):
			why = "the subject belongs to another tenant"
		default:
			why = checkEvidence(tenant, s.Evidence)
		}
		if why != "" {
			return nil, fmt.Errorf("oscal: standing %d, duty %s for %s: %s", i, s.Duty, s.Subject, why)
		}
		seen[key] = true
		if tenant != "" && s.Subject.Scope == evidence.ScopeProvider {
			continue
		}
		out[s.Duty] = append(out[s.Duty], s)
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b Standing) int {
			if a.Subject.String() < b.Subject.String() {
				return -1
			}
			return 1
		})
	}
	return out, nil
}

// by returns the standings that are now with the party.
func by(p responsibility.Party, in []Standing) []Standing {
	var out []Standing
	for _, s := range in {
		if s.Assignment.Party == p {
			out = append(out, s)
		}
	}
	return out
}

// subjects returns each subject of a verdict or of evidence once, in order, as
// a standing that has little but the subject and its name.
func (g standings) subjects() []Standing {
	byKey := map[string]Standing{}
	for _, list := range g {
		for _, s := range list {
			for _, e := range s.Evidence {
				if _, ok := byKey[e.Subject.String()]; !ok {
					byKey[e.Subject.String()] = Standing{Judgement: evidence.Judgement{Subject: e.Subject}}
				}
			}
			if have, ok := byKey[s.Subject.String()]; !ok || have.Name < s.Name {
				byKey[s.Subject.String()] = s
			}
		}
	}
	var out []Standing
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		out = append(out, byKey[key])
	}
	return out
}
