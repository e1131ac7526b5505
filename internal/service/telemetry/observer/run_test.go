package observer

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/telemetry"
)

// collected gathers what an observer hands over.
type collected struct {
	mu       sync.Mutex
	records  []evidence.Record
	coverage map[string]service.Coverage
	heard    chan struct{}
	refuse   error
}

func newCollected() *collected {
	return &collected{coverage: map[string]service.Coverage{}, heard: make(chan struct{}, 10000)}
}

func (c *collected) host(root string) service.Host {
	return service.Host{
		Root: root, Log: slog.New(slog.DiscardHandler), Refresh: make(chan struct{}),
		Emit: func(_ context.Context, r evidence.Record) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.refuse != nil {
				return c.refuse
			}
			c.records = append(c.records, r)
			c.heard <- struct{}{}
			return r.Check()
		},
		Coverage: func(cov service.Coverage) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.coverage[cov.Aspect] = cov
			c.heard <- struct{}{}
		},
	}
}

// settled reports whether every kind has told its coverage.
func (c *collected) settled(kinds int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.coverage) == kinds
}

// validate checks data against the form of a kind, strictly: no member missing,
// none unknown, nothing null.
func validate(t *evidence.Type, v any, at string) error {
	switch t.Basic {
	case evidence.Bool:
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s is %T, not a bool", at, v)
		}
	case evidence.Int:
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			return fmt.Errorf("%s is %v, not an integer", at, v)
		}
	case evidence.Double:
		if _, ok := v.(float64); !ok {
			return fmt.Errorf("%s is %T, not a number", at, v)
		}
	case evidence.String:
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s is %T, not a string", at, v)
		}
		for _, e := range t.Enum {
			if s == e {
				return nil
			}
		}
		if t.Enum != nil {
			return fmt.Errorf("%s is %q, none of %v", at, s, t.Enum)
		}
	case evidence.Timestamp:
		s, _ := v.(string)
		if ts, err := time.Parse(time.RFC3339, s); err != nil || ts.Location() != time.UTC {
			return fmt.Errorf("%s is %v, not a time in UTC", at, v)
		}
	case evidence.List:
		l, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s is %T, not a list", at, v)
		}
		for i, e := range l {
			if err := validate(t.Elem, e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case evidence.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %T, not a map", at, v)
		}
		for k, e := range m {
			if err := validate(t.Elem, e, at+"."+k); err != nil {
				return err
			}
		}
	case evidence.Object:
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %T, not an object", at, v)
		}
		for k := range m {
			if _, ok := t.Field(k); !ok {
				return fmt.Errorf("%s.%s is unknown", at, k)
			}
		}
		for _, f := range t.Fields {
			e, ok := m[f.Name]
			if !ok {
				if !f.Optional {
					return fmt.Errorf("%s.%s is missing", at, f.Name)
				}
				continue
			}
			if err := validate(f.Type, e, at+"."+f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func validateRecord(r evidence.Record) error {
	if d := canonical.Digest(r.Data); d != r.Digest {
		return fmt.Errorf("%s: digest %s, data has %s", r.Kind, r.Digest, d)
	}
	return validateData(r.Kind, r.Data)
}

func validateData(kind string, data []byte) error {
	for _, k := range telemetry.Kinds {
		if k.Name != kind {
			continue
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return validate(k.Type, v, k.Name)
	}
	return fmt.Errorf("kind %s is not in the manifest", kind)
}

// TestEveryKindHasACollector keeps the table and the manifest the same.
func TestEveryKindHasACollector(t *testing.T) {
	have := map[string]bool{}
	for _, task := range collectors() {
		if have[task.kind] {
			t.Errorf("%s is collected twice", task.kind)
		}
		if task.every <= 0 || task.limit <= 0 {
			t.Errorf("%s: every %s, limit %s", task.kind, task.every, task.limit)
		}
		have[task.kind] = true
	}
	for _, k := range telemetry.Kinds {
		if !have[k.Name] {
			t.Errorf("%s has no collector", k.Name)
		}
	}
	if len(have) != len(telemetry.Kinds) {
		t.Errorf("%d collectors for %d kinds", len(have), len(telemetry.Kinds))
	}
}

// TestThisMachine runs the observer as the agent does, on the machine of the
// test: every kind gives a fact of its form or says why not.
func TestThisMachine(t *testing.T) {
	c := newCollected()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- New().Run(ctx, c.host("/")) }()
	for !c.settled(len(telemetry.Kinds)) {
		select {
		case <-c.heard:
		case err := <-done:
			t.Fatalf("Run ended early: %v", err)
		}
	}
	t.Logf("every kind read in %s", time.Since(start).Round(time.Millisecond))
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("Run = %v after the context ended", err)
	}
	facts := map[string]evidence.Record{}
	for _, r := range c.records {
		if len(r.Data) == 0 {
			continue
		}
		if err := validateRecord(r); err != nil {
			t.Error(err)
		}
		facts[r.Kind] = r
	}
	for _, k := range telemetry.Kinds {
		cov := c.coverage[k.Name]
		if !cov.Watched && cov.Reason == "" {
			t.Errorf("%s is not covered and no reason is given", k.Name)
		}
		if _, ok := facts[k.Name]; !ok && cov.Watched {
			t.Errorf("%s has no fact and claims to be covered", k.Name)
		}
		t.Logf("%-22s %7d bytes  %s", k.Name, len(facts[k.Name].Data), cov.Reason)
		if testing.Verbose() && len(facts[k.Name].Data) < 6000 {
			t.Logf("%s", facts[k.Name].Data)
		}
	}
}
