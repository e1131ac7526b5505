package main

import (
	"fmt"
	"slices"
)

// report prints the middle rate of each and their ratio.
func report(what string, rates map[string][]float64) {
	middle := func(name string) float64 {
		r := slices.Sorted(slices.Values(rates[name]))
		return r[len(r)/2]
	}
	ours, theirs := middle("demarc"), middle("tessera")
	fmt.Printf("%-16s demarc %9.0f entries/s   tessera posix %9.0f entries/s   ratio %.2f\n", what, ours, theirs, ours/theirs)
}
