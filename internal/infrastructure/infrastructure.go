// Package infrastructure says how the provider's own hosts stand: they are VMs
// of the provider's own tenants, watched by the same agents as a customer's, and
// what these tell together is what the duties about the platform are judged by.
package infrastructure

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

const (
	// again is how soon the facts are looked at again.
	again = 5 * time.Second
	// fresh is how old what a host has told may be; older, it counts as unread.
	fresh = 24 * time.Hour
)

type hardening struct {
	Baseline   string   `json:"baseline" doc:"those of the hosts, with a comma between"`
	Hosts      int      `json:"hosts"`
	Unread     []string `json:"unread" doc:"hosts that have told nothing for a day"`
	FailedMust []string `json:"failed_must" doc:"HOST: RULE"`
	Score      float64  `json:"score" doc:"that of the worst host"`
}

type builds struct {
	Hosts  []build  `json:"hosts"`
	Unread []string `json:"unread" doc:"hosts that have told nothing for a day"`
}

type build struct {
	Name       string `json:"name"`
	Build      string `json:"build" doc:"system and kernel that run"`
	Latest     string `json:"latest" doc:"the same where no security update waits, else how many wait"`
	BehindDays int    `json:"behind_days" doc:"for how long the oldest security update has waited"`
}

// Kinds are the facts that this package provides.
var Kinds = []evidence.Kind{
	evidence.KindOf[hardening]("platform.hardening", evidence.ScopeProvider, again, "The provider's own hosts against the hardening baseline."),
	evidence.KindOf[builds]("platform.builds", evidence.ScopeProvider, again, "What the provider's own hosts run, and for how long updates have waited."),
}

// Source is the source of these facts.
type Source struct{}

// Scope implements posture.Source.
func (Source) Scope() evidence.Scope { return evidence.ScopeProvider }

// Facts implements posture.Source.
func (Source) Facts(tx *store.Tx, _ evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	hosts, err := tx.OwnVMs()
	if err != nil {
		return nil, err
	}
	told, err := facts(tx, hosts)
	if err != nil {
		return nil, err
	}
	h := hardening{Hosts: len(hosts), Unread: []string{}, FailedMust: []string{}, Score: 100}
	b := builds{Hosts: []build{}, Unread: []string{}}
	for _, vm := range hosts {
		of := told[vm.ID]
		var r struct {
			Baseline   string   `json:"baseline"`
			FailedMust []string `json:"failed_must"`
			Score      float64  `json:"score"`
		}
		switch ok, err := read(of, "hardening.result", now, &r); {
		case err != nil:
			return nil, err
		case !ok:
			h.Unread = append(h.Unread, vm.Name)
		default:
			h.add(vm.Name, r.Baseline, r.FailedMust, r.Score)
		}
		line, ok, err := buildOf(vm.Name, of, now)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			b.Unread = append(b.Unread, vm.Name)
		default:
			b.Hosts = append(b.Hosts, line)
		}
	}
	if len(hosts) == len(h.Unread) {
		h.Score = 0
	}
	var out []evidence.Fact
	for kind, data := range map[string]any{"platform.hardening": h, "platform.builds": b} {
		raw, err := json.Marshal(data)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", kind, err)
		}
		out = append(out, evidence.Fact{Kind: kind, Data: raw, Again: now.Add(again)})
	}
	return out, nil
}

func (h *hardening) add(host, baseline string, failed []string, score float64) {
	switch {
	case h.Baseline == "":
		h.Baseline = baseline
	case !slices.Contains(strings.Split(h.Baseline, ", "), baseline):
		h.Baseline += ", " + baseline
	}
	for _, rule := range failed {
		h.FailedMust = append(h.FailedMust, host+": "+rule)
	}
	h.Score = math.Min(h.Score, score)
}

// buildOf is what a host runs; ok is false where it has not told lately.
func buildOf(host string, of map[string]evidence.Fact, now time.Time) (b build, ok bool, err error) {
	var system struct{ Name, Kernel string }
	var updates struct {
		PendingSecurity int `json:"pending_security"`
		OldestDays      int `json:"oldest_days"`
	}
	if ok, err = read(of, "host.os", now, &system); !ok || err != nil {
		return b, false, err
	}
	if ok, err = read(of, "host.updates", now, &updates); !ok || err != nil {
		return b, false, err
	}
	b = build{Name: host, Build: system.Name + ", kernel " + system.Kernel, BehindDays: updates.OldestDays}
	b.Latest = b.Build
	if updates.PendingSecurity > 0 {
		b.Latest = fmt.Sprintf("%d security updates wait", updates.PendingSecurity)
	}
	return b, true, nil
}

// read decodes a host's fact; ok is false where there is none that is fresh.
func read(of map[string]evidence.Fact, kind string, now time.Time, into any) (ok bool, err error) {
	f, found := of[kind]
	if !found || now.Sub(f.ObservedAt) > fresh {
		return false, nil
	}
	if err := json.Unmarshal(f.Data, into); err != nil {
		return false, fmt.Errorf("read %s: %w", kind, err)
	}
	return true, nil
}

// facts are those of the hosts, by host and kind.
func facts(tx *store.Tx, hosts []estate.VM) (map[string]map[string]evidence.Fact, error) {
	out := map[string]map[string]evidence.Fact{}
	for part := range slices.Chunk(hosts, 200) {
		subjects := make([]evidence.Subject, len(part))
		for i, vm := range part {
			subjects[i] = evidence.Subject{Scope: evidence.ScopeVM, Tenant: vm.Tenant, ID: vm.ID}
		}
		all, err := tx.Facts(subjects, "hardening.result", "host.os", "host.updates")
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			if out[f.Subject.ID] == nil {
				out[f.Subject.ID] = map[string]evidence.Fact{}
			}
			out[f.Subject.ID][f.Kind] = f
		}
	}
	return out, nil
}
