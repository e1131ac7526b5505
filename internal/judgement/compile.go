// Package judgement joins a catalogue to the facts that the registered
// services provide: it compiles the assessment of every duty once, says which
// facts each duty stands on and which of them nobody provides yet, and judges
// a duty by the facts of a subject.
package judgement

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
)

// Compiled is a catalogue ready to judge. It is immutable and safe for
// concurrent use.
type Compiled struct {
	Catalogue *responsibility.Catalogue
	// Environment decodes facts of every kind that a service provides or the
	// catalogue declares.
	Environment *assessment.Environment
	// Duties are all duties, in the order of the catalogue.
	Duties []*Duty

	byID   map[string]*Duty
	byKind map[string][]*Duty
}

// Duty is a duty with its assessment compiled.
type Duty struct {
	responsibility.Duty
	// Applies, Met and Message are nil where the duty has none: Applies is then
	// always true, and a duty without Met is only attested.
	Applies, Met, Message *assessment.Program
	// Reads are the fact kinds that the three expressions read, sorted.
	Reads []string
	// NotProvided are those of Reads that no service provides, sorted.
	NotProvided []string
	// StaleAfter is how old a fact may be that the verdict rests on.
	StaleAfter time.Duration
}

// Duty returns the duty of that id, or nil.
func (c *Compiled) Duty(id string) *Duty { return c.byID[id] }

// Reading returns the duties that read facts of the kind, in the order of the
// catalogue. The caller must not change the list.
func (c *Compiled) Reading(kind string) []*Duty { return c.byKind[kind] }

// Compile compiles the catalogue over the fact kinds that services provide and
// those that it declares itself. A kind that is both must cover the members
// that the catalogue declares; the service's form then counts. The error is a
// *responsibility.Refusal with every fault at its place in the file.
func Compile(cat *responsibility.Catalogue, provided []evidence.Kind) (*Compiled, error) {
	kinds, faults := join(cat, provided)
	env, err := assessment.NewEnvironment(kinds)
	if err != nil {
		return nil, fmt.Errorf("judgement: catalogue %s: %w", cat.Name, err)
	}
	c := &Compiled{Catalogue: cat, Environment: env, byID: map[string]*Duty{}, byKind: map[string][]*Duty{}}
	given := map[string]bool{}
	for _, k := range provided {
		given[k.Name] = true
	}
	for _, d := range cat.Duties() {
		cd, wrong := compileDuty(env, d)
		faults = append(faults, wrong...)
		for _, kind := range cd.Reads {
			c.byKind[kind] = append(c.byKind[kind], cd)
			if !given[kind] {
				cd.NotProvided = append(cd.NotProvided, kind)
			}
		}
		c.Duties = append(c.Duties, cd)
		c.byID[d.ID] = cd
	}
	if err := responsibility.Refuse(faults); err != nil {
		return nil, err
	}
	return c, nil
}

// join returns the kinds of both, the service's where both have one.
func join(cat *responsibility.Catalogue, provided []evidence.Kind) (kinds []evidence.Kind, faults []responsibility.Fault) {
	kinds = slices.Clone(provided)
	for _, declared := range cat.Facts {
		i := slices.IndexFunc(provided, func(k evidence.Kind) bool { return k.Name == declared.Name })
		if i < 0 {
			kinds = append(kinds, declared)
			continue
		}
		fault := func(reason string) {
			faults = append(faults, responsibility.Fault{
				At: cat.FactAt(declared.Name), Reason: fmt.Sprintf("the catalogue's %s does not fit the service's: %s", declared.Name, reason),
				Mend: "declare what the service provides, or nothing",
			})
		}
		if provided[i].Scope != declared.Scope {
			fault(fmt.Sprintf("scope is %s, not %s", provided[i].Scope, declared.Scope))
		}
		if why := provided[i].Type.Covers(declared.Type); why != "" {
			fault(why)
		}
	}
	return kinds, faults
}

func compileDuty(env *assessment.Environment, d responsibility.Duty) (*Duty, []responsibility.Fault) {
	cd := &Duty{Duty: d}
	a := d.Assessment
	if a == nil {
		return cd, nil
	}
	cd.StaleAfter = a.StaleAfter
	var faults []responsibility.Fault
	for _, e := range []struct {
		name, text string
		at         responsibility.Position
		to         **assessment.Program
		compile    func(string) (*assessment.Program, error)
	}{
		{"applies", a.Applies, a.AppliesAt, &cd.Applies, env.CompileBool},
		{"met", a.Met, a.MetAt, &cd.Met, env.CompileBool},
		{"message", a.Message, a.MessageAt, &cd.Message, env.CompileString},
	} {
		if e.text == "" {
			continue
		}
		p, err := e.compile(e.text)
		if err != nil {
			faults = append(faults, located(d.ID, e.name, e.at, err))
			continue
		}
		*e.to = p
		cd.Reads = append(cd.Reads, p.Reads()...)
		faults = append(faults, outOfScope(env, d, e.name, e.at, p)...)
	}
	slices.Sort(cd.Reads)
	cd.Reads = slices.Compact(cd.Reads)
	return cd, faults
}

// located moves a fault of an expression to its place in the file.
func located(duty, expression string, at responsibility.Position, err error) responsibility.Fault {
	f := responsibility.Fault{At: at, Reason: fmt.Sprintf("%s of %s: %v", expression, duty, err)}
	if ee, ok := errors.AsType[*assessment.ExpressionError](err); ok {
		f.At = at.Within(ee.Line, ee.Column)
		f.Reason = fmt.Sprintf("%s of %s: %s", expression, duty, strings.ReplaceAll(ee.Reason, "\n", " "))
	}
	return f
}

// outOfScope finds facts about something narrower than the duty's subject: a
// tenant has many VMs, so that "the" fact of a VM would be any of them.
func outOfScope(env *assessment.Environment, d responsibility.Duty, expression string, at responsibility.Position, p *assessment.Program) (faults []responsibility.Fault) {
	for _, name := range p.Reads() {
		k, _ := env.Kind(name)
		if slices.Index(evidence.Scopes, k.Scope) >= slices.Index(evidence.Scopes, d.Scope) {
			continue
		}
		place := p.ReadAt(name)
		faults = append(faults, responsibility.Fault{
			At:     at.Within(place.Line, place.Column),
			Reason: fmt.Sprintf("%s of %s: %s is about a %s, the duty about a %s", expression, d.ID, name, k.Scope, d.Scope),
			Mend:   "read a fact that sums it up for the " + string(d.Scope),
		})
	}
	return faults
}
