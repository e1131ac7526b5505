package posture

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
)

// ask takes in what the server's own sources know about the subject, and
// returns the kinds that changed.
func (e *Engine) ask(v *view) (changed []string, err error) {
	for _, src := range e.cfg.Sources {
		if src.Scope() != v.subject.Scope {
			continue
		}
		facts, err := src.Facts(v.tx, v.subject, v.now)
		if err != nil {
			return nil, err
		}
		for i := range facts {
			facts[i].Source = "server"
		}
		kinds, err := e.keep(v, facts)
		if err != nil {
			return nil, err
		}
		changed = append(changed, kinds...)
	}
	return changed, nil
}

// derive runs the services that judge facts: those that read one of the
// changed kinds, or all if changed is nil. It returns the kinds that changed.
func (e *Engine) derive(v *view, changed []string) ([]string, error) {
	var out []string
	for _, d := range e.derivers {
		if changed != nil && !slices.ContainsFunc(d.reads, func(k string) bool { return slices.Contains(changed, k) }) {
			continue
		}
		if v.subject.Scope != evidence.ScopeVM {
			continue
		}
		kinds, err := e.run(v, d)
		if err != nil {
			return nil, err
		}
		out = append(out, kinds...)
	}
	return out, nil
}

func (e *Engine) run(v *view, d deriver) ([]string, error) {
	in, err := e.input(v, d)
	if err != nil {
		return nil, err
	}
	derived, err := d.Derive(in)
	if err != nil {
		// The service is broken, not the facts: its former result goes stale
		// and says so. The facts themselves must not be lost for it.
		e.cfg.Log.Error("service cannot judge facts", "service", d.name, "subject", v.subject.ID, "error", err)
		return nil, nil
	}
	facts := make([]evidence.Fact, 0, len(derived))
	for _, r := range derived {
		data, err := json.Marshal(r.Data)
		if err != nil {
			return nil, fmt.Errorf("encode %s of service %s: %w", r.Kind, d.name, err)
		}
		if _, err := v.contract.Environment.Decode(r.Kind, data); err != nil {
			return nil, fmt.Errorf("service %s: %w", d.name, err)
		}
		facts = append(facts, evidence.Fact{Kind: r.Kind, Data: data, ObservedAt: r.Observed, Again: r.Again, Source: "service/" + d.name})
	}
	return e.keep(v, facts)
}

func (e *Engine) input(v *view, d deriver) (service.Input, error) {
	in := service.Input{Subject: v.subject, Now: v.now}
	facts, err := v.tx.Facts([]evidence.Subject{v.subject}, d.reads...)
	if err != nil {
		return in, err
	}
	in.Facts = func(kind string) (evidence.Fact, bool) {
		for _, f := range facts {
			if f.Kind == kind {
				return f, true
			}
		}
		return evidence.Fact{}, false
	}
	policies, err := v.tx.Policies(v.own())
	if err != nil {
		return in, err
	}
	for _, p := range policies { // the narrower subject's policy wins
		if p.Service == d.name && (in.Policy == nil || p.Subject == v.subject) {
			in.Policy = p.Document
		}
	}
	waivers, err := v.tx.Waivers(v.own(), v.now)
	if err != nil {
		return in, err
	}
	for _, w := range waivers {
		if len(w.Duty) > len(d.name) && w.Duty[:len(d.name)+1] == d.name+"/" && w.InForce(v.now) {
			in.Waivers = append(in.Waivers, w)
		}
	}
	return in, nil
}

// own returns the subject and its tenant: a statement about the tenant counts
// for everything that it has.
func (v *view) own() []evidence.Subject {
	if t, ok := v.around[evidence.ScopeTenant]; ok && t != v.subject {
		return []evidence.Subject{v.subject, t}
	}
	return []evidence.Subject{v.subject}
}

// keep stores facts that the server made and returns the kinds that changed.
func (e *Engine) keep(v *view, facts []evidence.Fact) ([]string, error) {
	if len(facts) == 0 {
		return nil, nil
	}
	kinds := make([]string, len(facts))
	for i, f := range facts {
		kinds[i] = f.Kind
	}
	stored, err := v.tx.Facts([]evidence.Subject{v.subject}, kinds...)
	if err != nil {
		return nil, err
	}
	var changed []string
	for i := range facts {
		f := &facts[i]
		raw, err := canonical.Bytes(f.Data)
		if err != nil {
			return nil, err
		}
		f.Subject, f.Data, f.Digest, f.ChangedAt = v.subject, raw, canonical.Digest(raw), v.now
		if f.ObservedAt.IsZero() {
			f.ObservedAt = v.now
		}
		j := slices.IndexFunc(stored, func(s evidence.Fact) bool { return s.Kind == f.Kind })
		switch {
		case j < 0 || stored[j].Digest != f.Digest:
			changed = append(changed, f.Kind)
		default:
			f.ChangedAt = stored[j].ChangedAt
			// A later Again needs no judging now: the timer comes at the former
			// one, asks again and finds the later.
			sooner := !f.Again.IsZero() && (stored[j].Again.IsZero() || f.Again.Before(stored[j].Again))
			if sooner || v.contract.revived(stored[j], v.now) {
				changed = append(changed, f.Kind)
			}
		}
	}
	return changed, v.tx.PutFacts(facts)
}

// earliest returns the earlier of two times of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
