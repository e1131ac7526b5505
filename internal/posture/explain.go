package posture

import (
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

// Explanation is everything that one verdict stands on.
type Explanation struct {
	evidence.Judgement
	Duty       *judgement.Duty
	Assignment responsibility.Assignment
	// Facts are the facts that the duty reads, stale ones too.
	Facts        []evidence.Fact
	Attestations []evidence.Attestation
	Waivers      []evidence.Waiver
	History      []store.PastJudgement
	// WouldChange says in words what would change the verdict.
	WouldChange []string
}

// Explain explains the verdict on a duty of a subject.
func (e *Engine) Explain(tx *store.Tx, duty string, s evidence.Subject) (Explanation, error) {
	v, err := e.look(tx, s)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Duty: v.contract.Duty(duty)}
	if x.Duty == nil {
		return x, fmt.Errorf("duty %q: %w", duty, store.ErrNotFound)
	}
	js, err := tx.Verdicts(store.VerdictFilter{Subject: &s, Duty: duty})
	if err != nil {
		return x, err
	}
	if len(js) == 0 {
		return x, fmt.Errorf("%s of %s has not been judged: %w", duty, s, store.ErrNotFound)
	}
	x.Judgement = js[0]
	g, err := e.gather(v, []*judgement.Duty{x.Duty})
	if err != nil {
		return x, err
	}
	x.Assignment = v.assign(x.Duty, g.subs)
	for _, kind := range x.Duty.Reads {
		if f, ok := g.facts[kind]; ok {
			x.Facts = append(x.Facts, f)
		}
	}
	x.Attestations = slices.DeleteFunc(g.attests, func(a evidence.Attestation) bool { return a.Duty != duty })
	x.Waivers = slices.DeleteFunc(g.waivers, func(w evidence.Waiver) bool { return w.Duty != duty })
	if x.History, err = tx.History(s, duty, 20); err != nil {
		return x, err
	}
	x.WouldChange = e.wouldChange(x, g)
	return x, nil
}

// wouldChange says what would change the verdict.
func (e *Engine) wouldChange(x Explanation, g *ground) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	remedy := ""
	if x.Duty.Assessment != nil {
		remedy = x.Duty.Assessment.Remedy
	}
	switch x.Verdict {
	case evidence.NotMet:
		say("met, once the facts show otherwise: %s", remedy)
		say("waived, if %s accepts the risk until a date", ownerWords(x.Assignment))
	case evidence.Unknown:
		for _, kind := range x.Duty.Reads {
			if _, ok := g.facts[kind]; ok {
				continue
			}
			if e.provider[kind] == "" && slices.Contains(x.Duty.NotProvided, kind) {
				say("judged, once a service provides the fact %s; none does yet", kind)
			} else {
				say("judged, once the fact %s arrives", kind)
			}
		}
		if x.Duty.Has(responsibility.Attested) {
			say("met, if the facts allow it and somebody attests it")
		}
	case evidence.Met:
		if !x.DueAt.IsZero() {
			say("unknown at %s, unless fresh evidence arrives before", x.DueAt.Format(time.RFC3339))
		}
		say("not met, as soon as a fact shows it")
	case evidence.Waived:
		say("judged as it is, when the waiver ends or is withdrawn")
	case evidence.NotApplicable:
		say("judged, once the facts show that it concerns this %s", x.Duty.Scope)
	}
	if x.Assignment.Party == responsibility.Customer {
		for _, s := range x.Duty.Services {
			say("the provider's duty, by a subscription to %s", s)
		}
	} else if x.Assignment.Subscription != "" {
		say("the customer's duty again, when the subscription to %s ends", x.Assignment.Service)
	}
	return out
}

func ownerWords(a responsibility.Assignment) string { return "the " + string(a.Party) }
