package fleettest

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
)

// read decodes facts by kind, fills in what they leave out with the emptiest
// value and leaves out what their form lacks, so that the strict decoder takes
// them.
func read(env *assessment.Environment, raw []byte) (map[string]any, error) {
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("simulated facts: %w", err)
	}
	for name, data := range all {
		k, ok := env.Kind(name)
		if !ok {
			delete(all, name)
			continue
		}
		all[name] = complete(k.Type, data)
		full, err := json.Marshal(all[name])
		if err != nil {
			return nil, err
		}
		if _, err := env.Decode(name, full); err != nil {
			return nil, fmt.Errorf("simulated facts: %w", err)
		}
	}
	return all, nil
}

func complete(t *evidence.Type, given any) any {
	switch t.Basic {
	case evidence.Object:
		out := map[string]any{}
		m, _ := given.(map[string]any)
		for _, f := range t.Fields {
			if v, ok := m[f.Name]; ok || !f.Optional {
				out[f.Name] = complete(f.Type, v)
			}
		}
		return out
	case evidence.List:
		out := []any{}
		items, _ := given.([]any)
		for _, v := range items {
			out = append(out, complete(t.Elem, v))
		}
		return out
	}
	if given != nil {
		return given
	}
	switch t.Basic {
	case evidence.Bool:
		return false
	case evidence.Int, evidence.Double:
		return 0
	case evidence.Timestamp:
		return "2026-01-05T08:00:00Z"
	case evidence.Map:
		return map[string]any{}
	}
	if t.Enum != nil {
		return t.Enum[0]
	}
	return ""
}

// Vary gives the host the faults of a variant: security updates that wait for
// weeks, SSH open to root, a firewall that is off, restarts that are due, and
// more; or the want of a database or of SSH.
func Vary(host map[string]any, variant int) map[string]any {
	out := maps.Clone(host)
	with := func(kind string, members map[string]any) {
		data := maps.Clone(out[kind].(map[string]any))
		maps.Copy(data, members)
		out[kind] = data
	}
	if variant%4 == 1 {
		with("host.updates", map[string]any{"pending": 12, "pending_security": 7, "oldest_days": 35})
	}
	if variant%5 == 1 {
		with("host.sshd", map[string]any{"permit_root_login": "yes", "password_authentication": true})
	}
	if variant%6 == 1 {
		with("host.firewall", map[string]any{"active": false, "input_policy": "accept", "input_policy6": "accept"})
	}
	if variant%10 == 3 {
		with("host.reboot", map[string]any{"needed": true})
	}
	if variant%12 == 5 {
		with("host.password_policy", map[string]any{"min_length": 6, "quality": false})
	}
	if variant%15 == 7 {
		with("host.logging", map[string]any{"audit_running": false})
	}
	switch variant % 20 {
	case 9:
		with("host.software", map[string]any{"databases": []any{}, "antivirus": []any{}})
	case 13:
		with("host.users", map[string]any{"uid_zero": []any{"root", "toor"}})
	case 17:
		with("host.sshd", map[string]any{"running": false})
	}
	return out
}
