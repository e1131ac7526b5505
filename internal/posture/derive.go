package posture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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

// derive runs the services that judge facts: those that what changed may
// concern, or all if changed is nil. It returns the kinds that changed.
func (e *Engine) derive(v *view, changed changes) ([]string, error) {
	if v.subject.Scope != evidence.ScopeVM {
		return nil, nil
	}
	var out []string
	for _, d := range e.derivers {
		concerns := changed == nil
		for kind := range changed {
			concerns = concerns || slices.Contains(d.reads, kind)
		}
		if !concerns {
			continue
		}
		kinds, err := e.run(v, d, changed)
		if err != nil {
			return nil, err
		}
		out = append(out, kinds...)
	}
	return out, nil
}

// deriveDue runs the services whose result is missing, changes by time alone,
// or has become too old to be trusted.
func (e *Engine) deriveDue(v *view) error {
	if v.subject.Scope != evidence.ScopeVM {
		return nil
	}
	for _, d := range e.derivers {
		due := false
		for _, k := range d.makes {
			if err := v.load(k.Name); err != nil {
				return err
			}
			f := v.facts[k.Name]
			due = due || f == nil || (!f.Again.IsZero() && !v.now.Before(f.Again)) || v.contract.revived(*f, v.now)
		}
		if !due {
			continue
		}
		if _, err := e.run(v, d, nil); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) run(v *view, d deriver, changed changes) ([]string, error) {
	in, ends, err := v.input(d)
	if err != nil {
		return nil, err
	}
	var unread error
	in.Facts = func(kind string) (evidence.Fact, bool) {
		if err := v.load(kind); err != nil {
			unread = err
		}
		if f := v.facts[kind]; f != nil {
			return *f, true
		}
		return evidence.Fact{}, false
	}
	if unaffected(d, in, changed) {
		return nil, unread
	}
	if err := v.load(d.reads...); err != nil {
		return nil, err
	}
	derived, err := d.Derive(in)
	if unread != nil {
		return nil, unread
	}
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
		if _, err := v.contract.part.Decode(r.Kind, data); err != nil {
			return nil, fmt.Errorf("service %s: %w", d.name, err)
		}
		facts = append(facts, evidence.Fact{Kind: r.Kind, Data: data, ObservedAt: r.Observed, Again: earliest(r.Again, ends), Source: "service/" + d.name})
	}
	return e.keep(v, facts)
}

// unaffected reports that the service is sure to derive from in what it derived
// before the change.
func unaffected(d deriver, in service.Input, changed changes) bool {
	comparer, ok := d.Deriver.(service.Comparer)
	if !ok || changed == nil {
		return false
	}
	kinds := make([]string, 0, len(changed))
	for kind, old := range changed {
		if !slices.Contains(d.reads, kind) {
			continue
		}
		if old == nil {
			return false
		}
		kinds = append(kinds, kind)
	}
	before := in
	before.Facts = func(kind string) (evidence.Fact, bool) {
		if old := changed[kind]; old != nil {
			return *old, true
		}
		return in.Facts(kind)
	}
	return !comparer.Affected(before, in, kinds)
}

// input is what a service judges, but for the facts. ends, if set, is when the
// first of its policies ends.
func (v *view) input(d deriver) (in service.Input, ends time.Time, err error) {
	in = service.Input{Subject: v.subject, Now: v.now}
	policies, err := v.tx.Policies(v.own())
	if err != nil {
		return in, ends, err
	}
	for _, p := range policies { // the narrower subject's policy wins
		if p.Service != d.name || p.Until != nil && !v.now.Before(*p.Until) {
			continue
		}
		if p.Until != nil {
			ends = earliest(ends, *p.Until)
		}
		if in.Policy == nil || p.Subject == v.subject {
			in.Policy = p.Document
		}
	}
	waivers, err := v.standing()
	if err != nil {
		return in, ends, err
	}
	for _, w := range waivers {
		if strings.HasPrefix(w.Duty, d.name+"/") && w.InForce(v.now) {
			in.Waivers = append(in.Waivers, w)
		}
	}
	return in, ends, nil
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
	var changed []string
	for _, f := range facts {
		if err := v.load(f.Kind); err != nil {
			return nil, err
		}
		raw, err := canonical.Bytes(f.Data)
		if err != nil {
			return nil, err
		}
		f.Subject, f.Data, f.Digest, f.ChangedAt = v.subject, raw, canonical.Digest(raw), v.now
		if f.ObservedAt.IsZero() {
			f.ObservedAt = v.now
		}
		old := v.facts[f.Kind]
		if old == nil || old.Digest != f.Digest {
			changed = append(changed, f.Kind)
			if err := v.put(f); err != nil {
				return nil, err
			}
			continue
		}
		// A later Again needs no judging now: the timer comes at the former
		// one, asks again and finds the later.
		sooner := !f.Again.IsZero() && (old.Again.IsZero() || f.Again.Before(old.Again))
		if sooner || v.contract.revived(*old, v.now) {
			changed = append(changed, f.Kind)
		}
		f.ChangedAt = old.ChangedAt
		v.facts[f.Kind] = &f
		if v.looking {
			v.differs = v.differs || slices.Contains(changed, f.Kind)
			continue
		}
		if err := v.tx.RenewFact(f); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// earliest returns the earlier of two times of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
