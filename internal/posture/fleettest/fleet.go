// Package fleettest simulates VMs for benchmarks: the facts that agents would
// send of well-kept Debian servers with SSH, a web server and a database, some
// of which have a fault. The same number always gives the same VM.
package fleettest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
)

//go:embed host.json
var hostJSON []byte

//go:embed provider.json
var providerJSON []byte

// VMsPerTenant is how many VMs a tenant of the fleet has.
const VMsPerTenant = 1000

// Variants is after how many VMs the faults repeat.
const Variants = 60

// Fleet makes facts. It is safe for concurrent use.
type Fleet struct {
	variants [Variants]map[string]encoded // by kind
	around   map[evidence.Scope]map[string]encoded
	os, load map[string]any
}

type encoded struct {
	data   []byte
	digest string
}

// New prepares a fleet whose facts have the forms of env's kinds.
func New(env *assessment.Environment) (*Fleet, error) {
	f := &Fleet{around: map[evidence.Scope]map[string]encoded{}}
	host, err := read(env, hostJSON)
	if err != nil {
		return nil, err
	}
	f.os, f.load = host["host.os"].(map[string]any), host["host.resources"].(map[string]any)
	for i := range f.variants {
		f.variants[i] = map[string]encoded{}
		for kind, data := range Vary(host, i) {
			if k, ok := env.Kind(kind); !ok || k.Scope != evidence.ScopeVM {
				continue
			}
			if f.variants[i][kind], err = encode(data); err != nil {
				return nil, err
			}
		}
	}
	provider, err := read(env, providerJSON)
	if err != nil {
		return nil, err
	}
	for _, facts := range []map[string]any{host, provider} {
		for kind, data := range facts {
			k, ok := env.Kind(kind)
			if !ok || k.Scope == evidence.ScopeVM {
				continue
			}
			if f.around[k.Scope] == nil {
				f.around[k.Scope] = map[string]encoded{}
			}
			if f.around[k.Scope][kind], err = encode(data); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// Tenant and VM name the i-th VM.
func Tenant(i int) string { return fmt.Sprintf("t-%04d", i/VMsPerTenant) }

// VM returns the subject of the i-th VM.
func VM(i int) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeVM, Tenant: Tenant(i), ID: fmt.Sprintf("vm-%06d", i)}
}

// Facts returns what is known of the i-th VM, sorted by kind, as observed at.
func (f *Fleet) Facts(i int, at time.Time) ([]evidence.Fact, error) {
	facts := facts(VM(i), f.variants[i%Variants], at)
	for j := range facts {
		own := map[string]any{}
		switch facts[j].Kind {
		case "host.os":
			maps.Copy(own, f.os)
			own["hostname"] = facts[j].Subject.ID
		case "host.resources":
			maps.Copy(own, f.load)
			own["processes"] = 100 + i%900
			own["uptime_seconds"] = 1000 * i
		default:
			continue
		}
		e, err := encode(own)
		if err != nil {
			return nil, err
		}
		facts[j].Data, facts[j].Digest = e.data, e.digest
	}
	return facts, nil
}

// Around returns facts about a tenant, VDC or provider.
func (f *Fleet) Around(s evidence.Subject, at time.Time) []evidence.Fact {
	return facts(s, f.around[s.Scope], at)
}

func facts(s evidence.Subject, of map[string]encoded, at time.Time) []evidence.Fact {
	out := make([]evidence.Fact, 0, len(of))
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		out = append(out, evidence.Fact{
			Subject: s, Kind: kind, Data: of[kind].data, Digest: of[kind].digest, ObservedAt: at, ChangedAt: at, Source: "agent/" + s.ID,
		})
	}
	return out
}

func encode(data any) (encoded, error) {
	raw, err := canonical.JSON(data)
	return encoded{raw, canonical.Digest(raw)}, err
}

// Mix is how often kinds change in a fleet at work, of twenty changes: logins,
// listeners and jobs come and go all day, accounts and firewall rules seldom.
// Changes of host.sshd and host.updates turn verdicts; those of host.users and
// host.firewall change what the hardening service says.
var Mix = []string{
	"host.logins", "host.listeners", "host.services", "host.updates", "host.logins", "host.listeners", "host.services", "host.logins", "host.listeners", "host.updates",
	"host.sshd", "host.logins", "host.listeners", "host.services", "host.updates", "host.users", "host.logins", "host.listeners", "host.services", "host.firewall",
}

// Changed returns a fact of the i-th VM, of the kind that Mix says, in a state
// that differs from one turn to the next.
func (f *Fleet) Changed(i, turn int, at time.Time) (evidence.Fact, error) {
	kind := Mix[i%len(Mix)]
	var data map[string]any
	if err := json.Unmarshal(f.variants[0][kind].data, &data); err != nil {
		return evidence.Fact{}, err
	}
	odd := turn%2 == 1
	switch kind {
	case "host.listeners":
		last := maps.Clone(data["listeners"].([]any)[0].(map[string]any))
		last["port"], last["address"], last["loopback"], last["process"] = 20000+turn%1000, "127.0.0.1", true, "app"
		data["listeners"] = append(data["listeners"].([]any), last)
	case "host.logins":
		data["failed"] = turn
	case "host.services":
		unit := maps.Clone(data["units"].([]any)[0].(map[string]any))
		unit["name"], unit["active"] = fmt.Sprintf("batch-%d.service", turn%1000), "inactive"
		data["units"] = append(data["units"].([]any), unit)
	case "host.sshd":
		data["permit_root_login"] = map[bool]string{true: "yes", false: "no"}[odd]
	case "host.updates":
		if odd {
			data["pending_security"], data["oldest_days"] = 4, 40
		}
	case "host.users":
		user := maps.Clone(data["users"].([]any)[0].(map[string]any))
		user["name"], user["uid"], user["admin"], user["can_login"] = fmt.Sprintf("svc%d", turn%1000), 300+turn%1000, false, false
		data["users"] = append(data["users"].([]any), user)
	case "host.firewall":
		data["rules"] = turn
	}
	e, err := encode(data)
	s := VM(i)
	return evidence.Fact{Subject: s, Kind: kind, Data: e.data, Digest: e.digest, ObservedAt: at, ChangedAt: at, Source: "agent/" + s.ID}, err
}
