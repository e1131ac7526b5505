package oscal

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// Verdict is how a duty stands for one subject.
type Verdict string

const (
	Met           Verdict = "met"
	NotMet        Verdict = "not-met"
	Unknown       Verdict = "unknown"
	NotApplicable Verdict = "not-applicable"
	Waived        Verdict = "waived"
)

var verdicts = []Verdict{Met, NotMet, Unknown, NotApplicable, Waived}

// Standing is one duty for one subject at the moment of the document.
type Standing struct {
	// Duty is the id of a duty of the catalogue. Subject has the duty's scope.
	Duty    string
	Subject evidence.Subject
	// Name is what the tenant calls the subject; its id if empty.
	Name string
	// Assignment says who is responsible, since when and by which service.
	responsibility.Assignment
	Verdict Verdict
	// Reason says in plain words why. It may quote facts about the subject.
	Reason string
	// Since is when the verdict became what it is; Evaluated when it was last
	// reached. Either may be zero.
	VerdictSince, Evaluated time.Time
	// Evidence is what the verdict rests on.
	Evidence []Evidence
}

// Evidence names one thing that a verdict rests on, never its content.
type Evidence struct {
	Form Form
	// Kind is the fact kind; empty for statements of persons.
	Kind string
	// Digest is the "sha256:…" of the canonical form.
	Digest string
	// At is when it was observed or became effective.
	At time.Time
	// Expires is when it stops counting; zero if it does not.
	Expires time.Time
}

// Form is what sort of evidence it is.
type Form string

const (
	FactEvidence        Form = "fact"
	AttestationEvidence Form = "attestation"
	WaiverEvidence      Form = "waiver"
)

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	kindForm   = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,99}$`)
)

// checkEvidence says what is wrong, or "". Its strictness keeps content from
// passing where a name or a digest belongs.
func checkEvidence(list []Evidence) string {
	for i, e := range list {
		switch {
		case e.Form != FactEvidence && e.Form != AttestationEvidence && e.Form != WaiverEvidence:
			return fmt.Sprintf("evidence %d has the form %q, none of fact, attestation, waiver", i, e.Form)
		case e.Form == FactEvidence && !kindForm.MatchString(e.Kind), e.Form != FactEvidence && e.Kind != "":
			return fmt.Sprintf("evidence %d: a fact has a kind, and nothing else has one", i)
		case !digestForm.MatchString(e.Digest):
			return fmt.Sprintf("evidence %d has no digest of the form sha256:<64 hex digits>", i)
		case e.At.IsZero():
			return fmt.Sprintf("evidence %d has no time", i)
		}
	}
	return ""
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
		key := s.Duty + " " + s.Subject.String()
		var why string
		switch {
		case !ok:
			why = fmt.Sprintf("catalogue %s has no such duty", c.Name)
		case s.Subject.Scope != d.Scope:
			why = fmt.Sprintf("the duty's scope is %s", d.Scope)
		case s.Party != responsibility.Customer && s.Party != responsibility.Provider:
			why = fmt.Sprintf("party %q is neither customer nor provider", s.Party)
		case s.Party != d.Party && !slices.Contains(d.Services, s.Service):
			why = fmt.Sprintf("party is %s, but the duty is the %s's and service %q does not move it", s.Party, d.Party, s.Service)
		case !slices.Contains(verdicts, s.Verdict):
			why = fmt.Sprintf("verdict %q is none of %v", s.Verdict, verdicts)
		case seen[key]:
			why = "it is there twice"
		case tenant != "" && s.Subject.Scope != evidence.ScopeProvider && s.Subject.Tenant != tenant:
			why = "the subject belongs to another tenant"
		default:
			why = checkEvidence(s.Evidence)
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
		if s.Party == p {
			out = append(out, s)
		}
	}
	return out
}

// subjects returns each subject once, in order, with the name it goes by.
func (g standings) subjects() []Standing {
	byKey := map[string]Standing{}
	for _, list := range g {
		for _, s := range list {
			if have, ok := byKey[s.Subject.String()]; !ok || have.Name < s.Name {
				byKey[s.Subject.String()] = s
			}
		}
	}
	keys := make([]string, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]Standing, 0, len(keys))
	for _, k := range keys {
		out = append(out, byKey[k])
	}
	return out
}
