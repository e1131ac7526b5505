package hardening

import (
	"errors"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
)

// Policy is the tailoring of the baseline for one machine. The zero value is
// level 1 with every rule on. It is signed and sent as canonical JSON.
type Policy struct {
	Level             int                `json:"level,omitempty" doc:"1 or 2; 1 if missing. Level 2 holds level 1."`
	Disabled          []Disabled         `json:"disabled,omitempty" doc:"rules that do not concern the machine"`
	SeverityOverrides []SeverityOverride `json:"severity_overrides,omitempty" doc:"rules that matter more or less here"`
}

// Disabled switches one rule off.
type Disabled struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason" doc:"why the rule does not concern the machine; shown with the result"`
	// Until is when the rule is judged again; never if zero.
	Until time.Time `json:"until,omitzero" doc:"when the rule is judged again; never if missing"`
}

// SeverityOverride changes how much one rule matters.
type SeverityOverride struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity" enum:"high,medium,low"`
	Reason   string   `json:"reason"`
}

var policyType = evidence.KindOf[Policy]("hardening.policy", evidence.ScopeVM, 0, "Tailoring of the hardening baseline.").Type

// ErrPolicy is wrapped by every refusal of a policy.
var ErrPolicy = errors.New("hardening policy refused")

// Bounds of a policy.
const (
	maxPolicyBytes   = 256 << 10
	maxPolicyEntries = 1_000
	maxReasonBytes   = 500
)

// ParsePolicy reads a policy document. It is strict: unknown and repeated
// members and values out of bounds are refused. Whether the rules exist is
// not its question; see Service.CheckPolicy. An empty doc is the zero Policy.
func ParsePolicy(doc []byte) (Policy, error) {
	var p Policy
	if len(doc) == 0 {
		return p, nil
	}
	if len(doc) > maxPolicyBytes {
		return Policy{}, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrPolicy, len(doc), maxPolicyBytes)
	}
	if err := jsonv2.Unmarshal(doc, &p, jsonv2.RejectUnknownMembers(true)); err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := p.check(nil, nil); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Canonical returns the policy as RFC 8785 canonical JSON, the bytes that are signed.
func (p Policy) Canonical() ([]byte, error) {
	b, err := canonical.JSON(p)
	if err != nil {
		return nil, fmt.Errorf("hardening policy: %w", err)
	}
	return b, nil
}

// check reports the first thing wrong. With known, rules must exist; ids then
// gives their names for a proposal.
func (p Policy) check(known func(id string) bool, ids func() []string) error {
	if p.Level < 0 || p.Level > 2 {
		return fmt.Errorf("%w: level is %d; it must be 1 or 2", ErrPolicy, p.Level)
	}
	if n := len(p.Disabled) + len(p.SeverityOverrides); n > maxPolicyEntries {
		return fmt.Errorf("%w: it names %d rules, the limit is %d: choose the lower level instead", ErrPolicy, n, maxPolicyEntries)
	}
	disabled, overridden := map[string]int{}, map[string]int{}
	entry := func(list string, i int, rule, reason string, seen map[string]int) error {
		if before, twice := seen[rule]; twice {
			return fmt.Errorf("%w: %s[%d] names rule %q, which %s[%d] names already", ErrPolicy, list, i, rule, list, before)
		}
		seen[rule] = i
		switch {
		case strings.TrimSpace(reason) == "":
			return fmt.Errorf("%w: %s[%d] (%s) has no reason: say why, for whoever reads the result", ErrPolicy, list, i, rule)
		case len(reason) > maxReasonBytes:
			return fmt.Errorf("%w: %s[%d] (%s) has a reason of %d bytes, the limit is %d", ErrPolicy, list, i, rule, len(reason), maxReasonBytes)
		case known != nil && !known(rule):
			if near := nearest(rule, ids()); near != "" {
				return fmt.Errorf("%w: %s[%d] names rule %q, which does not exist; did you mean %q?", ErrPolicy, list, i, rule, near)
			}
			return fmt.Errorf("%w: %s[%d] names rule %q, which does not exist", ErrPolicy, list, i, rule)
		}
		return nil
	}
	for i, d := range p.Disabled {
		if err := entry("disabled", i, d.Rule, d.Reason, disabled); err != nil {
			return err
		}
	}
	for i, o := range p.SeverityOverrides {
		if err := entry("severity_overrides", i, o.Rule, o.Reason, overridden); err != nil {
			return err
		}
		if o.Severity != High && o.Severity != Medium && o.Severity != Low {
			return fmt.Errorf("%w: severity_overrides[%d] (%s) has severity %q; it must be high, medium or low", ErrPolicy, i, o.Rule, o.Severity)
		}
	}
	return nil
}
