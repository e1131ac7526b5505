package observer

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/demarc/demarc/internal/durable"
)

// maxHistory bounds the file of first-seen times that is read back.
const maxHistory = 4 << 20

func (p *probe) historyFile(name string) string {
	return filepath.Join(p.dir, name+"-updates.json")
}

// recall returns when the updates of a package manager were first seen, as the
// former run of the agent kept it: the wait must not begin anew with every
// restart. What cannot be read counts as not there.
func (p *probe) recall(name string) *map[string]time.Time {
	seen := map[string]time.Time{}
	if p.dir == "" {
		return &seen
	}
	f, err := os.Open(p.historyFile(name))
	if err != nil {
		return &seen
	}
	defer f.Close()
	if json.NewDecoder(io.LimitReader(f, maxHistory)).Decode(&seen) != nil || seen == nil {
		return &map[string]time.Time{}
	}
	now := p.now()
	maps.DeleteFunc(seen, func(_ string, t time.Time) bool { return t.After(now) }) // the clock was set back
	return &seen
}

func (p *probe) keep(name string, seen map[string]time.Time) {
	if p.dir == "" {
		return
	}
	b, err := json.Marshal(seen)
	if err == nil {
		err = os.MkdirAll(p.dir, 0o700)
	}
	if err == nil {
		err = durable.WriteFile(p.historyFile(name), b, 0o600)
	}
	if err != nil {
		p.gap("for how long security updates wait is forgotten at the agent's next start: %v", err)
	}
}
