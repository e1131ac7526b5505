// Package hardening is the service that judges how well a machine is hardened:
// baselines in the manner of the CIS benchmarks, written as data (rules/*.yaml)
// and judged on the server over the facts that other services observe. It
// touches no machine.
package hardening

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
)

//go:embed rules/*.yaml
var builtIn embed.FS

// Name is the service's name, and the first part of the duty that a waiver of
// one of its rules names: "hardening/ssh-permit-root-login".
const Name = "hardening"

// BuiltIn returns the rule files that the product comes with.
func BuiltIn() fs.FS {
	sub, err := fs.Sub(builtIn, "rules")
	if err != nil {
		panic("hardening: embedded rules: " + err.Error()) // the folder is fixed at build time
	}
	return sub
}

// New returns the service with the built-in rules.
func New() service.Service { return With(BuiltIn()) }

// With returns the service with the rules of all *.yaml files at the top of
// files. They are read and checked by Prepare.
func With(files fs.FS) *Service { return &Service{files: files} }

// Service judges rules. After Prepare it is immutable and safe for concurrent
// use.
type Service struct {
	files fs.FS

	// Set once by Prepare.
	version string
	env     *assessment.Environment
	part    *assessment.Part
	reads   []string // fact kinds; the place of a kind is its bit in a mask
	family  *assessment.Program
	osBit   int
	rules   []compiled
	index   map[string]int // place of a rule by its id
}

var (
	_ service.Deriver       = (*Service)(nil)
	_ service.Preparer      = (*Service)(nil)
	_ service.PolicyChecker = (*Service)(nil)
	_ service.Comparer      = (*Service)(nil)
)

// Manifest implements service.Service.
func (*Service) Manifest() service.Manifest {
	return service.Manifest{
		Name:     Name,
		Title:    "Hardening baseline",
		Doc:      "Judges the settings of a machine by a baseline in the manner of the CIS benchmarks, with tailoring and expiring waivers.",
		Standard: true,
		Kinds:    []evidence.Kind{resultKind},
		Policy:   policyType,
	}
}

// Prepare implements service.Preparer: it reads the rules and checks every
// expression against the kinds. The error lists all faults, each as a *Fault.
func (s *Service) Prepare(kinds []evidence.Kind) error {
	rules, err := Load(s.files)
	if err != nil {
		return fmt.Errorf("hardening: load rules: %w", err)
	}
	version, err := versionOf(s.files)
	if err != nil {
		return fmt.Errorf("hardening: load rules: %w", err)
	}
	env, err := assessment.NewEnvironment(kinds)
	if err != nil {
		return fmt.Errorf("hardening: %w", err)
	}
	c := compiler{env: env, bits: map[string]int{}}
	if err := c.compile(rules); err != nil {
		return fmt.Errorf("hardening: check rules: %w", err)
	}
	s.version, s.env, s.rules, s.reads = version, env, c.rules, c.kinds
	s.part = env.Part(c.programs()...)
	s.family, s.osBit = c.family, c.bits[factOS]
	s.index = make(map[string]int, len(c.rules))
	for i := range c.rules {
		s.index[c.rules[i].ID] = i
	}
	return nil
}

// Reads implements service.Deriver.
func (s *Service) Reads() []string { return s.reads }

// Rule reports whether there is a rule of that id, which a waiver names as
// hardening/ID.
func (s *Service) Rule(id string) bool { _, ok := s.index[id]; return ok }

// CheckPolicy implements service.PolicyChecker.
func (s *Service) CheckPolicy(doc json.RawMessage) error {
	p, err := ParsePolicy(doc)
	if err != nil {
		return err
	}
	return p.check(s.Rule, s.ids)
}

func (s *Service) ids() []string {
	ids := make([]string, len(s.rules))
	for i := range s.rules {
		ids[i] = s.rules[i].ID
	}
	return ids
}
