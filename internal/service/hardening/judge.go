package hardening

import (
	"errors"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/service"
)

// maxMessageBytes bounds the message of one rule; lists of files can be long.
const maxMessageBytes = 400

// judgement holds the facts of one call of Derive.
type judgement struct {
	s          *Service
	facts      *assessment.Facts
	have, used uint64
	at         []time.Time // when the fact of a bit was observed
	why        []string    // why the fact of a bit is not there
}

// gather decodes the facts of the bits in need, once.
func (s *Service) gather(in service.Input, need uint64) *judgement {
	j := &judgement{s: s, facts: s.env.NewFacts(), at: make([]time.Time, len(s.reads)), why: make([]string, len(s.reads))}
	for i, kind := range s.reads {
		if need&(1<<i) == 0 {
			continue
		}
		f, ok := in.Facts(kind)
		if !ok {
			j.why[i] = "was not observed"
			continue
		}
		v, err := s.part.Decode(kind, f.Data)
		if err != nil {
			j.why[i] = err.Error()
			continue
		}
		j.facts.Set(kind, v)
		j.have |= 1 << i
		j.at[i] = f.ObservedAt
	}
	return j
}

// family returns the distribution family, "" if it is not known.
func (j *judgement) family() string {
	f, err := j.s.family.String(j.facts)
	if err != nil {
		return ""
	}
	j.used |= 1 << j.s.osBit
	return f
}

// observed returns the time of the oldest fact used.
func (j *judgement) observed() time.Time {
	var oldest time.Time
	for m := j.used & j.have; m != 0; m &= m - 1 {
		if at := j.at[bits.TrailingZeros64(m)]; oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// judge applies one rule. family is "" if it is not known.
func (j *judgement) judge(rule *compiled, family string, t *tailored) Judged {
	v := Judged{ID: rule.ID, Title: rule.Title, Category: rule.Category, Severity: rule.Severity}
	if t.severity != "" {
		v.Severity = t.severity
	}
	if t.disabled != "" {
		v.Status, v.Message = NotApplicable, "switched off by the policy: "+t.disabled
		return v
	}
	v.Status, v.Message = j.status(rule, family)
	if v.Status == Fail {
		v.Remedy = rule.Remedy[family]
		if family == "" { // such a rule is judged only if it is for all families
			v.Remedy = rule.Remedy[families[0]]
		}
	}
	if t.waived != "" && (v.Status == Fail || v.Status == Unknown) {
		v.Message += "; risk accepted: " + t.waived
		v.Status = Waived
	}
	v.Message = shorten(v.Message)
	return v
}

func (j *judgement) status(rule *compiled, family string) (Status, string) {
	if family == "" && len(rule.Families) < len(families) {
		return Unknown, j.missing(1 << j.s.osBit)
	}
	if rule.applies != nil {
		if lack := rule.needApplies &^ j.have; lack != 0 {
			return Unknown, j.missing(lack)
		}
		applies, err := rule.applies.Bool(j.facts)
		if err != nil {
			return Unknown, inWords(err)
		}
		if !applies {
			j.used |= rule.needApplies
			return NotApplicable, "does not concern this machine"
		}
	}
	if lack := rule.need &^ j.have; lack != 0 {
		return Unknown, j.missing(lack)
	}
	if rule.known != nil {
		known, err := rule.known.Bool(j.facts)
		if err != nil {
			return Unknown, inWords(err)
		}
		if !known {
			return Unknown, "cannot be judged unless " + rule.Known.Text
		}
	}
	pass, err := rule.pass.Bool(j.facts)
	if err != nil {
		return Unknown, inWords(err)
	}
	j.used |= rule.need
	if pass && rule.Passed != "" {
		return Pass, rule.Passed
	}
	found, err := rule.message.String(j.facts)
	switch {
	case err != nil:
		found = inWords(err)
	case found == "":
		found = "none found"
	}
	if pass {
		return Pass, found
	}
	return Fail, found
}

// missing says which facts are not there and why.
func (j *judgement) missing(lack uint64) string {
	var why []string
	for ; lack != 0; lack &= lack - 1 {
		i := bits.TrailingZeros64(lack)
		why = append(why, "needs the fact "+j.s.reads[i]+", which "+j.why[i])
	}
	return strings.Join(why, "; ")
}

// inWords says why an expression gave nothing. A key that is missing in a map
// is the usual case: the machine has no such setting, or it is not observed.
func inWords(err error) string {
	msg := err.Error()
	if inner := errors.Unwrap(err); inner != nil {
		msg = inner.Error()
	}
	if _, key, ok := strings.Cut(msg, "no such key: "); ok {
		return "cannot be judged: nothing was observed of " + key
	}
	return "cannot be judged: " + msg
}

// shorten cuts a message at the limit, between characters.
func shorten(s string) string {
	if len(s) <= maxMessageBytes {
		return s
	}
	cut := maxMessageBytes - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
