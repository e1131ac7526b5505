package observer

import (
	"sync"
	"sync/atomic"
	"time"
)

// memory keeps what was parsed, by name, until what it was made of changes.
// It is safe for concurrent use; one value is made at a time per name.
type memory struct {
	mu    sync.Mutex
	cells map[string]*cell
	// epoch is raised when somebody asks for fresh facts; what lately made
	// before is then made anew.
	epoch atomic.Int64
}

type cell struct {
	mu    sync.Mutex
	stamp string
	at    time.Time
	epoch int64
	value any
	err   error
	made  bool
}

func (m *memory) cell(name string) *cell {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[string]*cell{}
	}
	c := m.cells[name]
	if c == nil {
		c = &cell{}
		m.cells[name] = c
	}
	return c
}

// remember returns the value made for the same stamp, or makes it anew; a
// failure is not remembered. The value is shared: nobody may change it.
func remember[T any](p *probe, name, stamp string, build func() (T, error)) (T, error) {
	c := p.memory.cell(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.made || c.stamp != stamp {
		fillCell(c, p.now(), stamp, build)
		c.made = c.err == nil
	}
	return cellValue[T](c)
}

// lately returns the value or failure made less than age ago, or makes it anew.
func lately[T any](p *probe, name string, age time.Duration, build func() (T, error)) (T, error) {
	c := p.memory.cell(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch := p.memory.epoch.Load()
	if now := p.now(); !c.made || c.epoch != epoch || now.Sub(c.at) >= age || now.Before(c.at) {
		fillCell(c, now, "", build)
		c.epoch = epoch
	}
	return cellValue[T](c)
}

func fillCell[T any](c *cell, now time.Time, stamp string, build func() (T, error)) {
	c.made = false // stays so if build panics
	v, err := build()
	c.value, c.err, c.stamp, c.at, c.made = v, err, stamp, now, true
}

func cellValue[T any](c *cell) (T, error) {
	v, _ := c.value.(T)
	return v, c.err
}
