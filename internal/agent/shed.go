package agent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/durable"
)

const shedFile = "shed.json"

// shedding tells how many records were dropped lately. The spool counts them
// since it began; a loss of last year says nothing about today.
type shedding struct {
	path string

	mu   sync.Mutex // guards kept
	kept shedKept
}

type shedKept struct {
	// Total is the spool's count when it was last looked at.
	Total uint64     `json:"total"`
	Hours []shedHour `json:"hours"`
}

type shedHour struct {
	// Hour is its beginning.
	Hour  time.Time `json:"hour"`
	Count uint64    `json:"count"`
}

// openShedding reads what the former run left. Without it, or where it cannot
// be read, everything that the spool counts is taken for recent.
func openShedding(dir string) *shedding {
	s := &shedding{path: filepath.Join(dir, shedFile)}
	if b, err := os.ReadFile(s.path); err == nil && json.Unmarshal(b, &s.kept) != nil {
		s.kept = shedKept{}
	}
	return s
}

// lastDay takes in the spool's count and returns what was dropped in the last
// 24 hours and the rest of the hour before. The error is of keeping it; the
// count is right all the same.
func (s *shedding) lastDay(now time.Time, total uint64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := total - s.kept.Total
	if total < s.kept.Total { // a new spool
		more = total
	}
	was := len(s.kept.Hours)
	s.kept.Hours = slices.DeleteFunc(s.kept.Hours, func(h shedHour) bool { return now.Sub(h.Hour) >= 25*time.Hour })
	dirty := more > 0 || total != s.kept.Total || len(s.kept.Hours) != was
	s.kept.Total = total
	hour := now.UTC().Truncate(time.Hour)
	if n := len(s.kept.Hours); more > 0 && n > 0 && s.kept.Hours[n-1].Hour.Equal(hour) {
		s.kept.Hours[n-1].Count += more
	} else if more > 0 {
		s.kept.Hours = append(s.kept.Hours, shedHour{hour, more})
	}
	var sum uint64
	for _, h := range s.kept.Hours {
		sum += h.Count
	}
	if !dirty {
		return int(sum), nil
	}
	b, err := json.Marshal(s.kept)
	if err == nil {
		err = durable.WriteFile(s.path, b, 0o600)
	}
	return int(sum), err
}
