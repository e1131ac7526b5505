// Command opa compares the judging of duties with Open Policy Agent: the same
// duties of the built-in catalogue, in CEL and translated into Rego by hand,
// over the same facts of simulated VMs, by turns in one run and on one core.
//
// Both have the facts in memory, parsed. OPA only gives verdicts; demarc also
// writes the message that says what is wrong. OPA is timed in each of its
// modes, and the fastest counts.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/posture/fleettest"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/service/telemetry"
)

//go:embed duties.rego
var rules string

// duties are those of rules.
var duties = []string{
	"CLD.12.1.5/C-5.2a", "CLD.12.1.5/C-5.2b", "CLD.12.1.5/C-5.3a", "CLD.12.1.5/C-5.4b", "CLD.12.4.5/C-6.4a", "CLD.6.3.1/C-1.2a",
	"CLD.6.3.1/C-1.2b", "CLD.6.3.1/C-1.4a", "CLD.6.3.1/C-1.4b", "CLD.9.5.1/C-3.2b", "CLD.9.5.2/C-4.2b", "CLD.9.5.2/C-4.4a",
}

func main() {
	vms := flag.Int("vms", 600, "simulated VMs")
	rounds := flag.Int("rounds", 5, "rounds, of which the middle one counts")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := run(context.Background(), *vms, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "opa:", err)
		os.Exit(1)
	}
}

// verdicts are by VM, then by duty.
type verdicts map[string]map[string]string

func run(ctx context.Context, n, rounds int) error {
	facts, compiled, err := simulate(n)
	if err != nil {
		return err
	}
	ours, err := openOurs(compiled, facts)
	if err != nil {
		return fmt.Errorf("demarc: %w", err)
	}
	theirs, err := openTheirs(ctx, facts)
	if err != nil {
		return fmt.Errorf("opa: %w", err)
	}
	want := ours()
	for _, mode := range theirs {
		got, err := mode.judge()
		if err != nil {
			return fmt.Errorf("opa, %s: %w", mode.name, err)
		}
		if err := same(want, got); err != nil {
			return fmt.Errorf("opa, %s: %w", mode.name, err)
		}
	}
	count := map[string]int{}
	for _, of := range want {
		for _, v := range of {
			count[v]++
		}
	}
	fmt.Printf("%d VMs x %d duties, all verdicts alike: %v\n", n, len(duties), count)

	rates := map[string][]float64{}
	for range rounds {
		rates["demarc"] = append(rates["demarc"], timed(n, func() error { ours(); return nil }))
		for _, mode := range theirs {
			rates[mode.name] = append(rates[mode.name], timed(n, func() error { _, err := mode.evaluate(); return err }))
		}
	}
	report(rates)
	return nil
}

// simulate returns the facts of n VMs, by VM and kind, and the catalogue.
func simulate(n int) ([][]evidence.Fact, *judgement.Compiled, error) {
	cat, err := builtin.Catalogue()
	if err != nil {
		return nil, nil, err
	}
	compiled, err := judgement.Compile(cat, telemetry.Kinds)
	if err != nil {
		return nil, nil, err
	}
	fleet, err := fleettest.New(compiled.Environment)
	if err != nil {
		return nil, nil, err
	}
	read := map[string]bool{}
	for _, id := range duties {
		for _, kind := range compiled.Duty(id).Reads {
			read[kind] = true
		}
	}
	facts := make([][]evidence.Fact, n)
	for i := range facts {
		all, err := fleet.Facts(i, time.Now())
		if err != nil {
			return nil, nil, err
		}
		facts[i] = slices.DeleteFunc(all, func(f evidence.Fact) bool { return !read[f.Kind] })
	}
	return facts, compiled, nil
}

// openOurs returns a function that judges all VMs.
func openOurs(compiled *judgement.Compiled, facts [][]evidence.Fact) (func() verdicts, error) {
	sets := make([]*assessment.Facts, len(facts))
	for i, of := range facts {
		sets[i] = compiled.Environment.NewFacts()
		for _, f := range of {
			v, err := compiled.Environment.Decode(f.Kind, f.Data)
			if err != nil {
				return nil, err
			}
			sets[i].Set(f.Kind, v)
		}
	}
	list := make([]*judgement.Duty, len(duties))
	for i, id := range duties {
		list[i] = compiled.Duty(id)
	}
	return func() verdicts {
		out := make(verdicts, len(sets))
		for i, set := range sets {
			of := make(map[string]string, len(list))
			for _, d := range list {
				finding, err := d.Judge(set)
				if err != nil {
					finding.Outcome = judgement.Unknown
				}
				of[d.ID] = string(finding.Outcome)
			}
			out[facts[i][0].Subject.ID] = of
		}
		return out
	}, nil
}

// same says where two judge differently.
func same(want, got verdicts) error {
	for vm, of := range want {
		if !maps.Equal(of, got[vm]) {
			for duty, v := range of {
				if got[vm][duty] != v {
					return fmt.Errorf("%s of %s is %q, demarc says %q", duty, vm, got[vm][duty], v)
				}
			}
		}
	}
	if len(want) != len(got) {
		return fmt.Errorf("%d VMs judged, not %d", len(got), len(want))
	}
	return nil
}

// timed returns assessments a second.
func timed(vms int, judge func() error) float64 {
	runtime.GC()
	start := time.Now()
	if err := judge(); err != nil {
		return 0
	}
	return float64(vms*len(duties)) / time.Since(start).Seconds()
}

// report prints the middle rate of each, and demarc's over the best of the others.
func report(rates map[string][]float64) {
	best, middle := 0.0, map[string]float64{}
	for name, of := range rates {
		middle[name] = slices.Sorted(slices.Values(of))[len(of)/2]
		if name != "demarc" {
			best = max(best, middle[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(middle)) {
		fmt.Printf("%-45s %10.0f assessments/s\n", name, middle[name])
	}
	fmt.Printf("demarc over OPA's fastest mode: %.1f\n", middle["demarc"]/best)
}
