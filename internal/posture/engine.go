// Package posture keeps the verdict on every duty: it takes facts in, derives
// further facts from them, judges the duties that read what changed, and
// writes facts, verdicts, history and ledger entry in the caller's one
// transaction. Verdicts therefore never lag behind the facts that are stored.
package posture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

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
	Store     *store.Store
	Ledger    Recorder
	Now       func() time.Time
	Log       *slog.Logger
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
}

type deriver struct {
	service.Deriver
	name  string
	reads []string
}

// New returns an engine over the catalogue and services.
func New(cfg Config) (*Engine, error) {
	if cfg.Changed == nil {
		cfg.Changed = func([]evidence.Judgement) {}
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
			e.derivers = append(e.derivers, deriver{Deriver: d, name: m.Name, reads: d.Reads()})
		}
	}
	e.SetCatalogue(cfg.Catalogue)
	return e, nil
}

// SetCatalogue puts another catalogue in force. Verdicts follow when their
// subjects are judged next; RejudgeAll does it at once.
func (e *Engine) SetCatalogue(compiled *judgement.Compiled) {
	c := &contract{Compiled: compiled, minStale: map[string]time.Duration{}, byScope: map[evidence.Scope][]*judgement.Duty{}}
	for _, d := range compiled.Duties {
		c.byScope[d.Scope] = append(c.byScope[d.Scope], d)
		for _, kind := range d.Reads {
			if old, ok := c.minStale[kind]; !ok || d.StaleAfter < old {
				c.minStale[kind] = d.StaleAfter
			}
		}
	}
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
	changed, resync, err := e.takeIn(tx, u)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		if err := e.follow(tx, u.Subject, changed); err != nil {
			return err
		}
	}
	if resync {
		return ErrResync
	}
	return nil
}

// takeIn stores the facts and returns the kinds whose change concerns duties.
func (e *Engine) takeIn(tx *store.Tx, u Update) (changed []string, resync bool, err error) {
	kinds := make([]string, len(u.Facts))
	for i, f := range u.Facts {
		kinds[i] = f.Kind
	}
	if len(kinds) == 0 {
		return nil, false, nil
	}
	stored, err := tx.Facts([]evidence.Subject{u.Subject}, kinds...)
	if err != nil {
		return nil, false, err
	}
	former := make(map[string]evidence.Fact, len(stored))
	for _, f := range stored {
		former[f.Kind] = f
	}
	now, c := e.cfg.Now(), e.contract.Load()
	puts := map[string]evidence.Fact{}
	var confirmed []string
	var observed time.Time
	for _, f := range u.Facts {
		old, known := former[f.Kind]
		if known && f.ObservedAt.Before(old.ObservedAt) {
			continue // an older look than the stored one
		}
		same := known && old.Digest == f.Digest
		if f.Data == nil && !same {
			resync = true
			continue
		}
		if !same || f.Kind == wire.KindAgent || c.revived(old, now) {
			changed = append(changed, f.Kind)
		}
		if same {
			confirmed = append(confirmed, f.Kind)
			observed = later(observed, f.ObservedAt)
			continue
		}
		fact := evidence.Fact{
			Subject: u.Subject, Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: f.ObservedAt, ChangedAt: now, Source: u.Source,
		}
		puts[f.Kind], former[f.Kind] = fact, fact
	}
	if err := tx.ConfirmFacts(u.Subject, confirmed, observed); err != nil {
		return nil, false, err
	}
	if err := tx.PutFacts(values(puts)); err != nil {
		return nil, false, err
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
func (e *Engine) follow(tx *store.Tx, s evidence.Subject, changed []string) error {
	v, err := e.look(tx, s)
	if err != nil {
		return err
	}
	if slices.Contains(changed, wire.KindAgent) {
		known, err := e.ask(v)
		if err != nil {
			return err
		}
		changed = append(changed, known...)
	}
	derived, err := e.derive(v, changed)
	if err != nil {
		return err
	}
	var duties []*judgement.Duty
	for _, kind := range append(changed, derived...) {
		for _, d := range v.contract.Reading(kind) {
			if !slices.Contains(duties, d) {
				duties = append(duties, d)
			}
		}
	}
	if err := e.judge(v, only(duties, s.Scope)); err != nil {
		return err
	}
	return e.within(tx, s, duties)
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
// a subscription changed, or a subject is new. Sources are asked again.
func (e *Engine) Rejudge(tx *store.Tx, subjects ...evidence.Subject) error {
	for _, s := range subjects {
		v, err := e.look(tx, s)
		if err != nil {
			return err
		}
		if _, err := e.ask(v); err != nil {
			return err
		}
		if _, err := e.derive(v, nil); err != nil {
			return err
		}
		if err := e.judge(v, v.contract.byScope[s.Scope]); err != nil {
			return err
		}
		if err := e.forget(v); err != nil {
			return err
		}
	}
	return nil
}

// forget removes the verdicts of duties that the catalogue in force lacks;
// their history stays.
func (e *Engine) forget(v *view) error {
	stored, err := v.tx.Verdicts(store.VerdictFilter{Subject: &v.subject})
	if err != nil {
		return err
	}
	var gone []evidence.Judgement
	var ids []string
	for _, j := range stored {
		if v.contract.Duty(j.Duty) == nil {
			gone, ids = append(gone, j), append(ids, j.Duty)
		}
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

// RejudgeAll judges every duty of every subject, a page of subjects in each
// transaction, and reports progress through done. It can be repeated.
func (e *Engine) RejudgeAll(ctx context.Context, done func(subjects int)) error {
	count := 0
	write := func(subjects []evidence.Subject) error {
		if len(subjects) == 0 {
			return nil
		}
		err := e.cfg.Store.Write(ctx, func(tx *store.Tx) error { return e.Rejudge(tx, subjects...) })
		count += len(subjects)
		if err == nil && done != nil {
			done(count)
		}
		return err
	}
	if err := write([]evidence.Subject{evidence.Provider}); err != nil {
		return err
	}
	return e.eachSubject(ctx, write)
}
