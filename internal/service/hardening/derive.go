package hardening

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/demarc/demarc/internal/service"
)

// Derive implements service.Deriver. It gives one fact, hardening.result, or
// none if there is no fact to judge or no baseline for the system.
//
// A rule whose facts are missing is unknown, and so is one whose expression
// fails. A waiver turns fail and unknown into waived. Rules that the policy
// names and that no longer exist have no effect; CheckPolicy refuses them when
// a policy is written.
func (s *Service) Derive(in service.Input) ([]service.Derived, error) {
	if s.env == nil {
		return nil, errors.New("hardening: Derive was called before Prepare")
	}
	policy, err := ParsePolicy(in.Policy)
	if err != nil {
		return nil, err
	}
	j := s.gather(in, ^uint64(0))
	family := j.family()
	if j.have == 0 || (family != "" && !slices.Contains(families, family)) {
		return nil, nil
	}
	t := s.tailor(policy, in)
	r := Result{
		Baseline: fmt.Sprintf("%s-level-%d", cmp.Or(family, "linux"), t.level), Version: s.version,
		FailedMust: []string{}, FailedIDs: []string{}, WeakNetwork: []string{}, DatabaseFailed: []string{},
		Results: make([]Judged, 0, len(s.rules)),
	}
	categories := map[string]*Category{}
	for i := range s.rules {
		rule := &s.rules[i]
		if rule.Level > t.level || (family != "" && !slices.Contains(rule.Families, family)) {
			continue
		}
		v := j.judge(rule, family, &t.rules[i])
		r.add(rule, v, categories)
	}
	r.finish(categories)
	return []service.Derived{{Kind: FactResult, Data: r, Observed: j.observed(), Again: t.again}}, nil
}

// Affected implements service.Comparer: it applies the rules that read changed
// facts to the facts before and now.
func (s *Service) Affected(before, now service.Input, changed []string) bool {
	if s.env == nil {
		return true
	}
	var mask uint64
	for i, kind := range s.reads {
		if slices.Contains(changed, kind) {
			mask |= 1 << i
		}
	}
	if mask&(1<<s.osBit) != 0 {
		return true // another system may have another baseline
	}
	policy, err := ParsePolicy(now.Policy)
	if err != nil {
		return true
	}
	level := max(policy.Level, 1)
	need := uint64(1) << s.osBit
	for i := range s.rules {
		if s.rules[i].need&mask != 0 && s.rules[i].Level <= level {
			need |= s.rules[i].need
		}
	}
	a, b := s.gather(before, need), s.gather(now, need)
	family := b.family()
	for i := range s.rules {
		rule := &s.rules[i]
		if rule.need&mask == 0 || rule.Level > level || (family != "" && !slices.Contains(rule.Families, family)) {
			continue
		}
		statusA, messageA := a.status(rule, family)
		statusB, messageB := b.status(rule, family)
		if statusA != statusB || messageA != messageB {
			return true
		}
	}
	return false
}
