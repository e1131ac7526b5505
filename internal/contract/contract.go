// Package contract keeps which catalogues are in force, now and at any moment
// of the past: the built-in one, what the services bring along, and what was
// loaded. Loading a catalogue never changes the past.
package contract

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/store"
)

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Contract is the use-case. It is safe for concurrent use.
type Contract struct {
	store    *store.Store
	ledger   Recorder
	now      func() time.Time
	builtin  *responsibility.Catalogue
	rest     []*responsibility.Catalogue // brought by services
	services []service.Service
	kinds    []evidence.Kind

	// loading is held while a catalogue is loaded: two that each fit, but not
	// together, must not both be stored.
	loading sync.Mutex

	mu     sync.Mutex
	loaded []loaded // guarded by mu; by name and time
	merged map[int]*responsibility.Catalogue
}

// loaded is a catalogue that somebody loaded.
type loaded struct {
	store.StoredCatalogue
	catalogue *responsibility.Catalogue
}

// Rules is the optional ability of a service to say which of its rules exist.
type Rules interface {
	Rule(id string) bool
}

// Open reads what was loaded, on top of the built-in catalogue and what the
// services bring along. kinds are fact kinds provided beside the services'.
func Open(ctx context.Context, s *store.Store, l Recorder, now func() time.Time, builtin *responsibility.Catalogue, services []service.Service, kinds []evidence.Kind) (*Contract, error) {
	c := &Contract{store: s, ledger: l, now: now, builtin: builtin, services: services, kinds: slices.Clone(kinds)}
	for _, svc := range services {
		m := svc.Manifest()
		c.kinds = append(c.kinds, m.Kinds...)
		if m.Catalogue == nil {
			continue
		}
		f, err := responsibility.Parse("service/"+m.Name, m.Catalogue)
		if err != nil {
			return nil, fmt.Errorf("catalogue of service %s: %w", m.Name, err)
		}
		c.rest = append(c.rest, f)
	}
	return c, c.reload(ctx)
}

func (c *Contract) reload(ctx context.Context) error {
	var stored []store.StoredCatalogue
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		stored, err = tx.Catalogues()
		return err
	})
	if err != nil {
		return err
	}
	var all []loaded
	for _, s := range stored {
		cat, err := responsibility.Parse(s.Name+"@"+s.Version, []byte(s.Source))
		if err != nil {
			return fmt.Errorf("stored catalogue %s %s: %w", s.Name, s.Version, err)
		}
		all = append(all, loaded{s, cat})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded, c.merged = all, map[int]*responsibility.Catalogue{}
	return nil
}

// Refresh reads again what was loaded, and returns the compiled whole if
// another server has loaded a catalogue meanwhile; nil if nothing is new.
func (c *Contract) Refresh(ctx context.Context) (*judgement.Compiled, error) {
	c.mu.Lock()
	before := len(c.loaded)
	c.mu.Unlock()
	if err := c.reload(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	after := len(c.loaded) // catalogues are only ever added
	c.mu.Unlock()
	if after == before {
		return nil, nil
	}
	return c.Compile()
}

// At returns the catalogue that was in force at t. The result is shared and
// must not be changed.
func (c *Contract) At(t time.Time) *responsibility.Catalogue {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, l := range c.loaded {
		if !l.From.After(t) {
			n++
		}
	}
	if m, ok := c.merged[n]; ok {
		return m
	}
	var upTo []loaded
	for _, l := range c.loaded {
		if !l.From.After(t) {
			upTo = append(upTo, l)
		}
	}
	m, err := c.merge(upTo)
	if err != nil {
		// Load merged and compiled the same before it stored it.
		panic("contract: a stored catalogue no longer merges: " + err.Error())
	}
	c.merged[n] = m
	return m
}

// merge joins the newest version of each catalogue.
func (c *Contract) merge(all []loaded) (*responsibility.Catalogue, error) {
	newest := map[string]loaded{}
	for _, l := range all {
		if old, ok := newest[l.Name]; !ok || !l.From.Before(old.From) {
			newest[l.Name] = l
		}
	}
	base := c.builtin
	if l, ok := newest[base.Name]; ok {
		base = l.catalogue
		delete(newest, l.Name)
	}
	parts := slices.Clone(c.rest)
	for _, l := range all { // in a stable order
		if n, ok := newest[l.Name]; ok && n.Version == l.Version {
			parts = append(parts, l.catalogue)
		}
	}
	return responsibility.Merge(base, parts...)
}

// Compile compiles the catalogue in force now.
func (c *Contract) Compile() (*judgement.Compiled, error) {
	return judgement.Compile(c.At(c.now()), c.kinds)
}

// Validate checks a catalogue file as Load would, and changes nothing. The
// error is a *responsibility.Refusal with every fault at its place.
func (c *Contract) Validate(file string, source []byte) (*responsibility.Catalogue, *judgement.Compiled, error) {
	cat, err := responsibility.Parse(file, source)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	// A file that is loaded already is checked in its own place.
	all := slices.DeleteFunc(slices.Clone(c.loaded), func(l loaded) bool { return l.Name == cat.Name && l.Version == cat.Version })
	c.mu.Unlock()
	all = append(all, loaded{store.StoredCatalogue{Name: cat.Name, Version: cat.Version, From: c.now()}, cat})
	m, err := c.merge(all)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := judgement.Compile(m, c.kinds)
	return cat, compiled, err
}

// Load puts a catalogue in force from now on: beside the others, or in place
// of the former version of its name. It returns the compiled whole.
func (c *Contract) Load(ctx context.Context, by access.Principal, file string, source []byte) (store.StoredCatalogue, *judgement.Compiled, error) {
	c.loading.Lock()
	defer c.loading.Unlock()
	if err := c.reload(ctx); err != nil { // another server may have loaded one
		return store.StoredCatalogue{}, nil, err
	}
	cat, compiled, err := c.Validate(file, source)
	if err != nil {
		return store.StoredCatalogue{}, nil, err
	}
	sc := store.StoredCatalogue{
		Name: cat.Name, Version: cat.Version, Source: string(source), Digest: canonical.Digest(source), From: c.now().Truncate(time.Microsecond),
	}
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.InsertCatalogue(sc); err != nil {
			return fmt.Errorf("catalogue %s %s is loaded already; raise its version: %w", sc.Name, sc.Version, err)
		}
		_, err := c.ledger.Append(tx, ledger.Entry{
			Time: sc.From, Actor: by.Actor(), Action: "catalogue.load", Subject: "catalogue/" + sc.Name,
			Digests: map[string]string{"source": sc.Digest},
		})
		return err
	})
	if err != nil {
		return sc, nil, err
	}
	return sc, compiled, c.reload(ctx)
}

// List returns all versions of all catalogues; the built-in one first, unless
// a loaded version took its place.
func (c *Contract) List() []store.StoredCatalogue {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []store.StoredCatalogue{{Name: c.builtin.Name, Version: c.builtin.Version}}
	for _, l := range c.loaded {
		out = append(out, l.StoredCatalogue)
	}
	return out
}

// Find implements tenancy.Duties.
func (c *Contract) Find(id string) (responsibility.Duty, bool) { return c.At(c.now()).Duty(id) }

// ServiceRule reports whether SERVICE/RULE names a rule of a service.
func (c *Contract) ServiceRule(id string) bool {
	name, rule, ok := strings.Cut(id, "/")
	if !ok {
		return false
	}
	for _, s := range c.services {
		if r, can := s.(Rules); can && s.Manifest().Name == name {
			return r.Rule(rule)
		}
	}
	return false
}

// Kinds returns the fact kinds that are provided.
func (c *Contract) Kinds() []evidence.Kind { return c.kinds }

// Get returns one version of a catalogue.
func (c *Contract) Get(name, version string) (*responsibility.Catalogue, bool) {
	if name == c.builtin.Name && version == c.builtin.Version {
		return c.builtin, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.loaded {
		if l.Name == name && l.Version == version {
			return l.catalogue, true
		}
	}
	return nil, false
}
