// Package servicetest is the suite that every managed service runs: it holds a
// service to the contract of package service.
package servicetest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/service"
)

var (
	serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,40}$`)
	kindName    = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
)

// Service checks what a service says of itself. others are the fact kinds of
// the services that it reads.
func Service(t *testing.T, svc service.Service, others ...evidence.Kind) {
	t.Helper()
	m := svc.Manifest()
	if !serviceName.MatchString(m.Name) || m.Title == "" || m.Doc == "" {
		t.Errorf("manifest needs a name in lower case, a title and a text: %q, %q, %q", m.Name, m.Title, m.Doc)
	}
	if !reflect.DeepEqual(m, svc.Manifest()) {
		t.Error("the manifest is not the same every time")
	}
	all := append([]evidence.Kind{}, others...)
	for _, k := range m.Kinds {
		if !kindName.MatchString(k.Name) || k.Doc == "" || k.Every < 0 {
			t.Errorf("fact kind %q needs a dotted name, and a text", k.Name)
		}
		if !json.Valid(k.JSONSchema()) {
			t.Errorf("the schema of %s is no JSON", k.Name)
		}
		all = append(all, k)
	}
	if _, err := assessment.NewEnvironment(all); err != nil {
		t.Errorf("fact kinds: %v", err)
	}
	if m.Catalogue != nil {
		if _, err := responsibility.Parse(m.Name, m.Catalogue); err != nil {
			t.Errorf("catalogue rows: %v", err)
		}
	}
	if p, ok := svc.(service.Preparer); ok {
		if err := p.Prepare(all); err != nil {
			t.Fatalf("prepare: %v", err)
		}
	}
	if d, ok := svc.(service.Deriver); ok {
		deriver(t, d, m, all)
	}
}

// deriver checks that a service which judges facts says what it reads, and
// makes nothing of nothing.
func deriver(t *testing.T, d service.Deriver, m service.Manifest, all []evidence.Kind) {
	t.Helper()
	known := map[string]bool{}
	for _, k := range all {
		known[k.Name] = true
	}
	reads := d.Reads()
	if len(reads) == 0 {
		t.Error("a Deriver that reads nothing is never asked")
	}
	for _, kind := range reads {
		if !known[kind] {
			t.Errorf("it reads %s, which nobody provides", kind)
		}
	}
	out, err := d.Derive(service.Input{
		Subject: evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t", ID: "vm"}, Now: time.Now(),
		Facts: func(string) (evidence.Fact, bool) { return evidence.Fact{}, false },
	})
	if err != nil {
		t.Errorf("without facts it fails instead of giving none: %v", err)
	}
	for _, f := range out {
		declared := false
		for _, k := range m.Kinds {
			declared = declared || k.Name == f.Kind
		}
		if !declared {
			t.Errorf("it derives %s, which its manifest does not declare", f.Kind)
		}
	}
}

// Observer runs an observer on root until each of its service's kinds has
// given a fact or a reason why not, checks every fact against its form, and
// then that Run ends when it is told to. It returns the facts.
func Observer(t *testing.T, o service.Observer, m service.Manifest, root string, within time.Duration) map[string]json.RawMessage {
	t.Helper()
	if o.Name() != m.Name {
		t.Fatalf("the observer is called %s, its service %s", o.Name(), m.Name)
	}
	for _, n := range o.Needs() {
		if n.What == "" || n.For == "" || n.Check == nil {
			t.Errorf("a need says what, what for, and how it is checked: %+v", n)
		}
	}
	env, err := assessment.NewEnvironment(m.Kinds)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{env: env, facts: map[string]json.RawMessage{}, blind: map[string]string{}, news: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ended := make(chan error, 1)
	// A policy that changes, and none that counts: what an observer is told when
	// the customer's policy ends. It goes on observing.
	anew := make(chan struct{}, 1)
	anew <- struct{}{}
	host := service.Host{Root: root, Log: slog.New(slog.DiscardHandler), Emit: c.emit, Coverage: c.coverage, Refresh: make(chan struct{}),
		Policy: func() (json.RawMessage, int64) { return nil, 0 }, PolicyChanged: anew}
	go func() { ended <- o.Run(ctx, host) }()
	for missing := c.missing(m.Kinds); missing != ""; missing = c.missing(m.Kinds) {
		select {
		case <-c.news:
		case err := <-ended:
			t.Fatalf("Run ended by itself: %v", err)
		case <-ctx.Done():
			t.Fatalf("after %s there is neither a fact nor a reason for %s", within, missing)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run returned %v when it was told to end", err)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("Run does not end")
	}
	for _, f := range c.faults {
		t.Error(f)
	}
	return c.facts
}

// collector is the host's side.
type collector struct {
	env  *assessment.Environment
	news chan struct{}

	mu     sync.Mutex
	facts  map[string]json.RawMessage // guarded by mu
	blind  map[string]string          // guarded by mu
	faults []string                   // guarded by mu
}

func (c *collector) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

func (c *collector) emit(_ context.Context, r evidence.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.tell()
	if err := r.Check(); err != nil {
		c.faults = append(c.faults, err.Error())
		return err
	}
	if r.Class != evidence.ClassFact || len(r.Data) == 0 {
		return nil
	}
	if _, err := c.env.Decode(r.Kind, r.Data); err != nil {
		c.faults = append(c.faults, err.Error())
	}
	c.facts[r.Kind] = r.Data
	return nil
}

func (c *collector) coverage(v service.Coverage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.tell()
	if !v.Watched && v.Reason == "" {
		c.faults = append(c.faults, fmt.Sprintf("%s is not watched, and nobody says why", v.Aspect))
	}
	if !v.Watched {
		c.blind[v.Aspect] = v.Reason
	}
}

// missing returns a kind without fact and reason, or "".
func (c *collector) missing(kinds []evidence.Kind) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range kinds {
		if c.facts[k.Name] == nil && c.blind[k.Name] == "" {
			return k.Name
		}
	}
	return ""
}
