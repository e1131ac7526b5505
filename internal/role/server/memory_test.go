package server

import (
	"runtime/debug"
	"testing"
)

func TestMemoryIsGivenBackAfterTheLastHeavyWork(t *testing.T) {
	before := debug.SetGCPercent(restingGrowth)
	defer debug.SetGCPercent(before)
	growth := func() int {
		now := debug.SetGCPercent(restingGrowth)
		debug.SetGCPercent(now)
		return now
	}
	var m memory
	first, second := m.spend(), m.spend()
	first()
	if got := growth(); got != heavyGrowth {
		t.Errorf("growth is %d while heavy work goes on", got)
	}
	second()
	if got := growth(); got != restingGrowth {
		t.Errorf("growth is %d afterwards", got)
	}
}
