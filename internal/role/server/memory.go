package server

import (
	"runtime/debug"
	"sync"
)

// By how many percent the heap may grow before memory is collected.
const (
	restingGrowth = 60
	heavyGrowth   = 400
)

// LimitMemory keeps the heap small while idle at the cost of some processor
// time under load.
func LimitMemory() { debug.SetGCPercent(restingGrowth) }

// memory is spent on speed while something heavy runs: judging a whole fleet
// takes a third less time.
type memory struct {
	mu    sync.Mutex
	heavy int // guarded by mu
	was   int // guarded by mu
}

// spend lets the heap grow until end is called; calls may overlap.
func (m *memory) spend() (end func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heavy++; m.heavy == 1 {
		m.was = debug.SetGCPercent(heavyGrowth)
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.heavy--; m.heavy == 0 {
			debug.SetGCPercent(m.was)
		}
	}
}
