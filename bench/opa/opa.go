package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/demarc/demarc/internal/evidence"
)

// mode is a way to evaluate rules with OPA.
type mode struct {
	name string
	// evaluate asks for the verdicts of all VMs; read makes them ours, and is
	// not timed.
	evaluate func() ([]rego.ResultSet, error)
	read     func([]rego.ResultSet) (verdicts, error)
}

func (m mode) judge() (verdicts, error) {
	results, err := m.evaluate()
	if err != nil {
		return nil, err
	}
	return m.read(results)
}

// openTheirs prepares OPA: all VMs in one query and a query for each, with and
// without partial evaluation. Input is parsed before.
func openTheirs(ctx context.Context, facts [][]evidence.Fact) ([]mode, error) {
	vms, names := map[string]any{}, make([]string, len(facts))
	each := make([]ast.Value, len(facts))
	for i, of := range facts {
		byKind := map[string]any{}
		for _, f := range of {
			var data any
			if err := json.Unmarshal(f.Data, &data); err != nil {
				return nil, err
			}
			byKind[f.Kind] = data
		}
		names[i] = of[0].Subject.ID
		vms[names[i]] = byKind
		v, err := ast.InterfaceToValue(map[string]any{"vm": byKind})
		if err != nil {
			return nil, err
		}
		each[i] = v
	}
	together, err := ast.InterfaceToValue(map[string]any{"vms": vms})
	if err != nil {
		return nil, err
	}
	var modes []mode
	for _, partial := range []bool{false, true} {
		how := "prepared"
		var opts []rego.PrepareOption
		if partial {
			how, opts = "partially evaluated", append(opts, rego.WithPartialEval())
		}
		all, err := rego.New(rego.Query("data.demarc.verdicts"), rego.Module("duties.rego", rules)).PrepareForEval(ctx, opts...)
		if err != nil {
			return nil, err
		}
		modes = append(modes, mode{"opa, " + how + ", all VMs in one query", func() ([]rego.ResultSet, error) {
			rs, err := all.Eval(ctx, rego.EvalParsedInput(together))
			return []rego.ResultSet{rs}, err
		}, func(rs []rego.ResultSet) (verdicts, error) {
			var out verdicts
			return out, decode(rs[0], &out)
		}})
		one, err := rego.New(rego.Query("data.demarc.one"), rego.Module("duties.rego", rules)).PrepareForEval(ctx, opts...)
		if err != nil {
			return nil, err
		}
		modes = append(modes, mode{"opa, " + how + ", a query for each VM", func() ([]rego.ResultSet, error) {
			out := make([]rego.ResultSet, len(each))
			for i, input := range each {
				var err error
				if out[i], err = one.Eval(ctx, rego.EvalParsedInput(input)); err != nil {
					return nil, err
				}
			}
			return out, nil
		}, func(rs []rego.ResultSet) (verdicts, error) {
			out := verdicts{}
			for i := range rs {
				var of map[string]string
				if err := decode(rs[i], &of); err != nil {
					return nil, err
				}
				out[names[i]] = of
			}
			return out, nil
		}})
	}
	return modes, nil
}

func decode(rs rego.ResultSet, into any) error {
	if len(rs) != 1 || len(rs[0].Expressions) != 1 {
		return fmt.Errorf("%d results", len(rs))
	}
	raw, err := json.Marshal(rs[0].Expressions[0].Value)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
