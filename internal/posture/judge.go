package posture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// ground is everything that the judgement of a subject's duties stands on.
type ground struct {
	facts   map[string]evidence.Fact
	decoded *assessment.Facts
	values  map[string]*assessment.Value
	broken  map[string]string // kinds whose stored data cannot be read, and why
	waivers []evidence.Waiver
	attests []evidence.Attestation
	subs    []responsibility.Subscription
	// unseen says for a fact kind why the agent does not watch it.
	unseen map[string]string
}

// judge judges the duties of the view's subject and writes what changed. It
// returns the verdicts that stood before.
func (e *Engine) judge(v *view, duties []*judgement.Duty) ([]store.StandingVerdict, error) {
	if len(duties) == 0 {
		return nil, nil
	}
	var ids []string // all, if there are many
	if len(duties) <= 20 {
		for _, d := range duties {
			ids = append(ids, d.ID)
		}
	}
	standing, err := v.tx.Standing(v.subject, ids...)
	if err != nil {
		return nil, err
	}
	if v.looking && len(standing) == 0 {
		v.differs = true
		return nil, nil
	}
	g, err := e.gather(v, duties)
	if err != nil {
		return nil, err
	}
	former := make(map[string]*store.StandingVerdict, len(standing))
	for i := range standing {
		former[standing[i].Duty] = &standing[i]
	}
	var write, replaced, changed []evidence.Judgement
	for _, d := range duties {
		j := e.decide(v, d, g)
		old := former[d.ID]
		if old != nil && old.Verdict == j.Verdict {
			j.Since = old.Since
		}
		if old != nil && settled(old, j, v.now) {
			continue
		}
		if v.looking {
			v.differs = true
			return standing, nil
		}
		write = append(write, j)
		if old != nil && old.Same(j) {
			continue
		}
		changed = append(changed, j)
		if old != nil && (old.Verdict != j.Verdict || old.Party != j.Party) {
			past, err := old.Full()
			if err != nil {
				return nil, err
			}
			replaced = append(replaced, past)
		}
	}
	if v.looking {
		return standing, nil
	}
	if err := v.tx.PutVerdicts(write); err != nil {
		return nil, err
	}
	if err := v.tx.AddHistory(replaced, v.now); err != nil {
		return nil, err
	}
	if len(changed) == 0 {
		return standing, nil
	}
	if err := e.record(v, changed); err != nil {
		return nil, err
	}
	v.tx.OnCommit(func() { e.cfg.Changed(changed) })
	return standing, nil
}

// settled reports that the stored judgement need not be written again: it says
// the same on the same evidence, and the timer comes no later than it must. If
// the timer comes sooner, it judges again and moves the time then.
func settled(old *store.StandingVerdict, j evidence.Judgement, now time.Time) bool {
	if !old.Same(j) || old.Control != j.Control || !old.SameEvidence(j) {
		return false
	}
	if old.DueAt.Equal(j.DueAt) {
		return true
	}
	return old.DueAt.After(now) && (j.DueAt.IsZero() || old.DueAt.Before(j.DueAt))
}

// record tells the ledger of changed judgements: one entry with their digest.
func (e *Engine) record(v *view, changed []evidence.Judgement) error {
	type line struct {
		Duty    string           `json:"duty"`
		Party   string           `json:"party"`
		Verdict evidence.Verdict `json:"verdict"`
	}
	lines := make([]line, len(changed))
	for i, j := range changed {
		lines[i] = line{j.Duty, j.Party, j.Verdict}
	}
	raw, err := canonical.JSON(lines)
	if err != nil {
		return err
	}
	_, err = e.cfg.Ledger.Append(v.tx, ledger.Entry{
		Time: v.now, Tenant: v.subject.Tenant, Actor: "system/posture", Action: "posture.change", Subject: v.subject.String(),
		Digests: map[string]string{"judgements": canonical.Digest(raw)},
	})
	return err
}

// gather reads everything that the duties need.
func (e *Engine) gather(v *view, duties []*judgement.Duty) (*ground, error) {
	g := &ground{
		facts: map[string]evidence.Fact{}, values: map[string]*assessment.Value{}, broken: map[string]string{},
		decoded: v.contract.Environment.NewFacts(), unseen: map[string]string{},
	}
	kinds := []string{wire.KindAgent}
	shifting := false
	for _, d := range duties {
		kinds = append(kinds, d.Reads...)
		shifting = shifting || len(d.Services) > 0
	}
	if err := v.load(kinds...); err != nil {
		return nil, err
	}
	if f := v.facts[wire.KindAgent]; f != nil && v.subject.Scope == evidence.ScopeVM {
		g.unseen = unseen(f.Data)
	}
	for _, kind := range kinds {
		f := v.facts[kind]
		if _, ok := v.contract.Environment.Kind(kind); !ok || f == nil || g.values[kind] != nil {
			continue
		}
		val, err := v.contract.part.Decode(kind, f.Data)
		if err != nil {
			g.broken[kind] = err.Error()
			continue
		}
		g.facts[kind], g.values[kind] = *f, val
	}
	var err error
	if g.waivers, err = v.standing(); err != nil {
		return nil, err
	}
	if g.attests, err = v.tx.Attestations(v.own(), v.now); err != nil {
		return nil, err
	}
	if shifting && v.vm != nil {
		if g.subs, err = v.tx.Subscriptions(v.subject.Tenant); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// unseen reads from an agent.state fact why kinds are not watched.
func unseen(data []byte) map[string]string {
	var s wire.AgentState
	if err := json.Unmarshal(data, &s); err != nil {
		return nil
	}
	out := map[string]string{}
	for _, svc := range s.Services {
		for _, c := range svc.Coverage {
			if !c.Watched {
				out[c.Aspect] = c.Reason
			}
		}
	}
	return out
}

// decide judges one duty.
func (e *Engine) decide(v *view, d *judgement.Duty, g *ground) evidence.Judgement {
	j := evidence.Judgement{
		Subject: v.subject, Duty: d.ID, Control: d.Control, Party: string(v.assign(d, g.subs).Party),
		Since: v.now, EvaluatedAt: v.now,
	}
	if d.Met != nil {
		e.assess(v, d, g, &j)
	} else {
		j.Verdict, j.Reason = evidence.Met, ""
	}
	if d.Has(responsibility.Attested) && j.Verdict != evidence.NotApplicable {
		attest(v, d, g, &j)
	}
	waive(v, d, g, &j)
	return j
}

// assess judges by the facts, leaving stale ones out.
func (e *Engine) assess(v *view, d *judgement.Duty, g *ground, j *evidence.Judgement) {
	g.decoded.Reset()
	var stale []string
	for _, kind := range d.Reads {
		f, ok := g.facts[kind]
		if !ok {
			continue
		}
		until := f.ObservedAt.Add(d.StaleAfter)
		if !v.now.Before(until) {
			stale = append(stale, kind)
			continue
		}
		j.DueAt = earliest(j.DueAt, earliest(until, f.Again))
		g.decoded.Set(kind, g.values[kind])
		j.Evidence = append(j.Evidence, evidence.Reference{
			Type: "fact", Ref: kind, Subject: f.Subject, Digest: f.Digest, At: f.ObservedAt, Source: f.Source,
		})
	}
	finding, err := d.Judge(g.decoded)
	switch {
	case err != nil:
		j.Verdict, j.Reason = evidence.Unknown, "the facts could not be judged: "+err.Error()
	case finding.Outcome == judgement.Unknown:
		j.Verdict, j.Reason = evidence.Unknown, e.why(d, g, finding.Missing, stale)
	case finding.Outcome == judgement.NotMet:
		j.Verdict, j.Reason = evidence.NotMet, finding.Message
	case finding.Outcome == judgement.NotApplicable:
		j.Verdict, j.Reason = evidence.NotApplicable, "does not concern this "+string(d.Scope)+", by "+strings.Join(d.Applies.Reads(), ", ")
	default:
		j.Verdict, j.Reason = evidence.Met, "met, by "+strings.Join(d.Met.Reads(), ", ")
		if blind := g.blind(d.Met.Reads()); blind != "" {
			j.Verdict, j.Reason = evidence.Unknown, "what is seen is right, but not all is seen: "+blind
		}
	}
}

// blind says which of the kinds an observer sees in part only, and why: what
// it does not see may be wrong.
func (g *ground) blind(kinds []string) string {
	var parts []string
	for _, kind := range kinds {
		if why := g.unseen[kind]; why != "" {
			parts = append(parts, kind+" ("+why+")")
		}
	}
	return strings.Join(parts, "; ")
}

// why says in plain words which facts are missing and what would bring them.
func (e *Engine) why(d *judgement.Duty, g *ground, missing, stale []string) string {
	parts := make([]string, 0, len(missing))
	for _, kind := range missing {
		switch {
		case slices.Contains(stale, kind):
			parts = append(parts, fmt.Sprintf("%s was last seen at %s and counts for %s", kind, g.facts[kind].ObservedAt.Format(time.RFC3339), short(d.StaleAfter)))
		case g.broken[kind] != "":
			parts = append(parts, fmt.Sprintf("the stored %s cannot be read: %s", kind, g.broken[kind]))
		case g.unseen[kind] != "":
			parts = append(parts, fmt.Sprintf("%s cannot be seen: %s", kind, g.unseen[kind]))
		case slices.Contains(d.NotProvided, kind) && e.provider[kind] == "":
			parts = append(parts, fmt.Sprintf("no service provides the fact %s yet", kind))
		case d.Scope == evidence.ScopeVM && strings.HasPrefix(kind, "host."):
			parts = append(parts, fmt.Sprintf("no agent has sent %s", kind))
		default:
			parts = append(parts, fmt.Sprintf("there is no fact %s", kind))
		}
	}
	return strings.Join(parts, "; ")
}

// short prints a duration without zero parts: 36h, 90m, 45s.
func short(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if s == "" {
		return "0s"
	}
	return s
}

// attest joins a person's statement: a duty that needs one is not met without.
func attest(v *view, d *judgement.Duty, g *ground, j *evidence.Judgement) {
	for _, a := range g.attests {
		if a.Duty != d.ID {
			continue
		}
		if a.Effective.After(v.now) {
			j.DueAt = earliest(j.DueAt, a.Effective)
			continue
		}
		if a.InForce(v.now) {
			j.DueAt = earliest(j.DueAt, a.Expires)
			j.Evidence = append(j.Evidence, evidence.Reference{Type: "attestation", Ref: a.ID, Subject: a.Subject, At: a.CreatedAt, Source: a.By})
			if j.Reason == "" {
				j.Reason = "attested until " + a.Expires.Format(time.DateOnly)
			}
			return
		}
	}
	missing := "nobody has attested it; an attestation counts for at most " + short(d.AttestationFor)
	switch j.Verdict {
	case evidence.Met:
		j.Verdict, j.Reason = evidence.Unknown, missing
	case evidence.Unknown:
		j.Reason += "; " + missing
	}
}

// waive turns a duty that is not met, or not known to be, into an accepted risk.
func waive(v *view, d *judgement.Duty, g *ground, j *evidence.Judgement) {
	for _, w := range g.waivers {
		if w.Duty != d.ID {
			continue
		}
		if w.Effective.After(v.now) {
			j.DueAt = earliest(j.DueAt, w.Effective)
			continue
		}
		if !w.InForce(v.now) || (j.Verdict != evidence.NotMet && j.Verdict != evidence.Unknown) {
			continue
		}
		j.DueAt = earliest(j.DueAt, w.Expires)
		j.Verdict = evidence.Waived
		j.Reason = fmt.Sprintf("waived until %s (%s); without the waiver: %s", w.Expires.Format(time.DateOnly), w.Reason, j.Reason)
		j.Evidence = append(j.Evidence, evidence.Reference{Type: "waiver", Ref: w.ID, Subject: w.Subject, At: w.CreatedAt, Source: w.AcceptedBy})
		return
	}
}
