// Package posture keeps the verdict on every duty: it takes facts in, derives
// further facts from them, judges the duties that read what changed, and
// writes facts, verdicts, history and ledger entry in the caller's one
// transaction. Verdicts therefore never lag behind the facts that are stored.
package posture

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Source gives facts that the server itself knows about a subject, such as
// whether its agent reports. It is asked whenever the subject is judged by the
// timer, and when somebody says that what it knows has changed.
type Source interface {
	// Scope is the scope of the subjects that it knows.
	Scope() evidence.Scope
	// Facts returns facts about the subject, with Kind, Data (encoded), and
	// Again where the fact changes by time alone.
	Facts(tx *store.Tx, s evidence.Subject, now time.Time) ([]evidence.Fact, error)
}

// Config makes an Engine. All members are required unless marked.
type Config struct {
	Catalogue *judgement.Compiled
	Services  []service.Service
	Sources   []Source // optional
	// Observers follow facts that somebody observed. Optional.
	Observers []Observer
	Store     *store.Store
	Ledger    Recorder
	Now       func() time.Time
	Log       *slog.Logger
	// Heavy, if set, is called before all subjects are judged, and what it
	// returns afterwards: a moment to spend memory on speed.
	Heavy func() (end func())
	// Changed is told of changed judgements after they are durable. Optional;
	// it must not block.
	Changed func([]evidence.Judgement)
}

// Engine judges duties. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	derivers []deriver
	provider map[string]string // fact kind to the service that provides it
	contract atomic.Pointer[contract]
}

// contract is the catalogue in force with what follows from it.
type contract struct {
	*judgement.Compiled
	// minStale is, by fact kind, the shortest time for which any duty trusts it.
	minStale map[string]time.Duration
	byScope  map[evidence.Scope][]*judgement.Duty
	// part decodes what duties read of facts, and reads are the kinds that
	// judging the duties of a scope takes, sorted.
	part  *assessment.Part
	reads map[evidence.Scope][]string
}

type deriver struct {
	service.Deriver
	name  string
	reads []string
	makes []evidence.Kind
}

// New returns an engine over the catalogue and services.
func New(cfg Config) (*Engine, error) {
	if cfg.Changed == nil {
		cfg.Changed = func([]evidence.Judgement) {}
	}
	if cfg.Heavy == nil {
		cfg.Heavy = func() func() { return func() {} }
	}
	e := &Engine{cfg: cfg, provider: map[string]string{}}
	for _, s := range cfg.Services {
		m := s.Manifest()
		for _, k := range m.Kinds {
			if other, twice := e.provider[k.Name]; twice {
				return nil, fmt.Errorf("fact kind %s is provided by both %s and %s", k.Name, other, m.Name)
			}
			e.provider[k.Name] = m.Name
		}
		if d, ok := s.(service.Deriver); ok {
			e.derivers = append(e.derivers, deriver{Deriver: d, name: m.Name, reads: d.Reads(), makes: m.Kinds})
		}
	}
	e.SetCatalogue(cfg.Catalogue)
	return e, nil
}

// SetCatalogue puts another catalogue in force. Verdicts follow when their
// subjects are judged next; RejudgeAll does it at once.
func (e *Engine) SetCatalogue(compiled *judgement.Compiled) {
	c := &contract{Compiled: compiled, minStale: map[string]time.Duration{}, byScope: map[evidence.Scope][]*judgement.Duty{},
		reads: map[evidence.Scope][]string{}}
	var programs []*assessment.Program
	for _, d := range compiled.Duties {
		c.byScope[d.Scope] = append(c.byScope[d.Scope], d)
		c.reads[d.Scope] = append(append(c.reads[d.Scope], wire.KindAgent), d.Reads...)
		programs = append(programs, d.Applies, d.Met, d.Message)
		for _, kind := range d.Reads {
			if old, ok := c.minStale[kind]; !ok || d.StaleAfter < old {
				c.minStale[kind] = d.StaleAfter
			}
		}
	}
	for scope, kinds := range c.reads {
		slices.Sort(kinds)
		c.reads[scope] = slices.Compact(kinds)
	}
	c.part = compiled.Environment.Part(programs...)
	e.contract.Store(c)
}

// Catalogue returns the catalogue that is in force.
func (e *Engine) Catalogue() *judgement.Compiled { return e.contract.Load().Compiled }

// Provider returns the service that provides facts of the kind, or "".
func (e *Engine) Provider(kind string) string { return e.provider[kind] }

// ErrResync says that an agent confirmed a fact that is not the stored one, or
// that is not there: it must send its facts in full. Everything else of the
// update was applied.
var ErrResync = errors.New("a confirmed fact is not the stored one")

// Update is what somebody observed about a subject.
type Update struct {
	Subject evidence.Subject
	// Source is kept with the facts: "agent/<id>" or "server".
	Source string
	Facts  []FactUpdate
}

// FactUpdate is one observed fact. The data must have the form of its kind.
type FactUpdate struct {
	Kind string
	// Data is nil when the state is still the one with the digest.
	Data       []byte
	Digest     string
	ObservedAt time.Time
}

// Apply stores the facts of u and everything that follows from them, within
// tx. It returns ErrResync when confirmations did not match; tx is then still
// good to commit.
func (e *Engine) Apply(tx *store.Tx, u Update) error {
	if len(u.Facts) == 0 {
		return nil
	}
	v, err := e.look(tx, u.Subject)
	if err != nil {
		return err
	}
	changes, resync, err := v.takeIn(u)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		if err := e.follow(v, changes); err != nil {
			return err
		}
		if err := e.observe(v, changes); err != nil {
			return err
		}
	}
	if resync {
		return ErrResync
	}
	return nil
}

// changes are kinds of fact that concern duties anew, with the fact before,
// which is nil if there was none or if it had counted for stale.
type changes map[string]*evidence.Fact

// takeIn stores the facts.
func (v *view) takeIn(u Update) (changed changes, resync bool, err error) {
	kinds := make([]string, len(u.Facts))
	for i, f := range u.Facts {
		kinds[i] = f.Kind
	}
	if err := v.load(kinds...); err != nil {
		return nil, false, err
	}
	changed = changes{}
	puts := map[string]evidence.Fact{}
	var confirmed []string
	var observed time.Time
	for _, f := range u.Facts {
		old := v.facts[f.Kind]
		if old != nil && f.ObservedAt.Before(old.ObservedAt) {
			continue // an older look than the stored one
		}
		same := old != nil && old.Digest == f.Digest
		if f.Data == nil && !same {
			resync = true
			continue
		}
		revived := old != nil && v.contract.revived(*old, v.now)
		if !same || f.Kind == wire.KindAgent || revived {
			if _, twice := changed[f.Kind]; !twice {
				changed[f.Kind] = old
			}
			if revived {
				changed[f.Kind] = nil
			}
		}
		if same {
			confirmed = append(confirmed, f.Kind)
			observed = later(observed, f.ObservedAt)
			continue
		}
		fact := evidence.Fact{
			Subject: u.Subject, Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: f.ObservedAt, ChangedAt: v.now, Source: u.Source,
		}
		puts[f.Kind], v.facts[f.Kind] = fact, &fact
		confirmed = slices.DeleteFunc(confirmed, func(kind string) bool { return kind == f.Kind })
	}
	if err := v.put(values(puts)...); err != nil {
		return nil, false, err
	}
	if err := v.tx.ConfirmFacts(u.Subject, confirmed, observed); err != nil {
		return nil, false, err
	}
	for _, kind := range confirmed {
		seen := *v.facts[kind]
		seen.ObservedAt = later(seen.ObservedAt, observed)
		v.facts[kind] = &seen
	}
	return changed, resync, nil
}

// revived reports that a duty may have taken the fact for stale.
func (c *contract) revived(old evidence.Fact, now time.Time) bool {
	trusted, read := c.minStale[old.Kind]
	return read && now.Sub(old.ObservedAt) >= trusted
}

// values returns the facts sorted by kind, so that writes are in one order.
func values(m map[string]evidence.Fact) []evidence.Fact {
	out := make([]evidence.Fact, 0, len(m))
	for _, f := range m {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b evidence.Fact) int {
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return out
}

// follow derives from the changed kinds and judges the duties that read them
// or what was derived.
func (e *Engine) follow(v *view, changed changes) error {
	if _, ok := changed[wire.KindAgent]; ok {
		known, err := e.ask(v)
		if err != nil {
			return err
		}
		for _, kind := range known {
			changed[kind] = nil
		}
	}
	kinds := slices.Sorted(maps.Keys(changed))
	derived, err := e.derive(v, changed)
	if err != nil {
		return err
	}
	var duties []*judgement.Duty
	for _, kind := range append(kinds, derived...) {
		for _, d := range v.contract.Reading(kind) {
			if !slices.Contains(duties, d) {
				duties = append(duties, d)
			}
		}
	}
	if _, err := e.judge(v, only(duties, v.subject.Scope)); err != nil {
		return err
	}
	return e.within(v.tx, v.subject, duties)
}

func only(duties []*judgement.Duty, scope evidence.Scope) []*judgement.Duty {
	var out []*judgement.Duty
	for _, d := range duties {
		if d.Scope == scope {
			out = append(out, d)
		}
	}
	return out
}

// Rejudge judges all duties of the subjects, for instance because a waiver or
// a subscription changed, or a subject is new. Sources are asked again, and
// services derive again.
func (e *Engine) Rejudge(tx *store.Tx, subjects ...evidence.Subject) error {
	return e.rejudgeEach(tx, subjects, true)
}

func (e *Engine) rejudgeEach(tx *store.Tx, subjects []evidence.Subject, derive bool) error {
	for _, s := range subjects {
		v, err := e.look(tx, s)
		if err != nil {
			return err
		}
		if err := e.rejudge(v, derive); err != nil {
			return err
		}
	}
	return nil
}

// rejudge judges all duties of the view's subject. Without derive, what
// services derived before counts as it is stored, unless its time has come.
func (e *Engine) rejudge(v *view, derive bool) error {
	if err := v.load(v.contract.reads[v.subject.Scope]...); err != nil {
		return err
	}
	if _, err := e.ask(v); err != nil {
		return err
	}
	if derive {
		if _, err := e.derive(v, nil); err != nil {
			return err
		}
	} else if err := e.deriveDue(v); err != nil {
		return err
	}
	standing, err := e.judge(v, v.contract.byScope[v.subject.Scope])
	if err != nil {
		return err
	}
	return e.forget(v, standing)
}

// forget removes the verdicts of duties that the catalogue in force lacks;
// their history stays.
func (e *Engine) forget(v *view, standing []store.StandingVerdict) error {
	var gone []evidence.Judgement
	var ids []string
	for _, s := range standing {
		if v.contract.Duty(s.Duty) != nil {
			continue
		}
		j, err := s.Full()
		if err != nil {
			return err
		}
		gone, ids = append(gone, j), append(ids, j.Duty)
	}
	if v.looking {
		v.differs = v.differs || len(gone) > 0
		return nil
	}
	if err := v.tx.AddHistory(gone, v.now); err != nil {
		return err
	}
	return v.tx.DropVerdicts(v.subject, ids)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
