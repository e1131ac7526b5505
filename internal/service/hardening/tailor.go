package hardening

import (
	"cmp"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service"
)

// tailored is what policy and waivers say of one rule.
type tailored struct {
	disabled, waived string // the reason, or ""
	severity         Severity
}

type tailoring struct {
	level int
	rules []tailored // by place of the rule
	again time.Time
}

func (s *Service) tailor(p Policy, in service.Input) tailoring {
	t := tailoring{level: max(p.Level, 1), rules: make([]tailored, len(s.rules))}
	ends := func(at time.Time) {
		if !at.IsZero() && (t.again.IsZero() || at.Before(t.again)) {
			t.again = at
		}
	}
	for _, d := range p.Disabled {
		if i, ok := s.index[d.Rule]; ok && (d.Until.IsZero() || in.Now.Before(d.Until)) {
			t.rules[i].disabled = d.Reason
			ends(d.Until)
		}
	}
	for _, o := range p.SeverityOverrides {
		if i, ok := s.index[o.Rule]; ok {
			t.rules[i].severity = o.Severity
		}
	}
	for _, w := range in.Waivers {
		id, ok := strings.CutPrefix(w.Duty, Name+"/")
		if i, known := s.index[id]; ok && known {
			t.rules[i].waived = cmp.Or(w.Reason, "no reason given")
			ends(w.Expires)
		}
	}
	return t
}
