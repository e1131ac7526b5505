package ingest

import (
	"encoding/json"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
)

// metricPaths is where in a fact of one kind the numbers are that are also
// kept as time series: the series' name by member, and the objects that hold
// more of them.
type metricPaths struct {
	names map[string]string
	inner map[string]metricPaths
}

// metricsOf collects the paths of all kinds that have any.
func metricsOf(env *assessment.Environment) map[string]metricPaths {
	all := map[string]metricPaths{}
	for _, name := range env.Kinds() {
		if k, ok := env.Kind(name); ok {
			if p := pathsOf(k.Type); !p.empty() {
				all[name] = p
			}
		}
	}
	return all
}

func pathsOf(t *evidence.Type) metricPaths {
	p := metricPaths{names: map[string]string{}, inner: map[string]metricPaths{}}
	for _, f := range t.Fields {
		switch {
		case f.Metric != "" && (f.Type.Basic == evidence.Int || f.Type.Basic == evidence.Double):
			p.names[f.Name] = f.Metric
		case f.Type.Basic == evidence.Object:
			if inner := pathsOf(f.Type); !inner.empty() {
				p.inner[f.Name] = inner
			}
		}
	}
	return p
}

func (p metricPaths) empty() bool { return len(p.names)+len(p.inner) == 0 }

// read returns the numbers in data, which has the form of its kind.
func (p metricPaths) read(data []byte) []number {
	if p.empty() {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return nil // checked before; a fact without numbers is still a fact
	}
	var list []number
	for member, name := range p.names {
		var n number
		if raw, ok := members[member]; ok && json.Unmarshal(raw, &n.value) == nil {
			n.name = name
			list = append(list, n)
		}
	}
	for member, inner := range p.inner {
		if raw, ok := members[member]; ok {
			list = append(list, inner.read(raw)...)
		}
	}
	return list
}
