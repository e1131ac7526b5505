package recording_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store/storetest"
)

// BenchmarkSeal seals 200 sessions that each have something new: one tick of a
// busy gateway. Figures: how long it takes, and how much of that is work.
//
//	go test ./internal/recording -run '^$' -bench Seal -benchtime 50x
func BenchmarkSeal(b *testing.B) {
	r := newRig(b, storetest.Open(b, storetest.SQLite(b)), filepath.Join(b.TempDir(), "recordings"))
	r.prepare()
	all := make([]*recording.Recording, 200)
	for i := range all {
		all[i] = r.start()
	}
	var cpu time.Duration
	for b.Loop() {
		for _, rec := range all {
			must(b, rec.Output([]byte("a line that a command has shown\r\n")))
		}
		before := work()
		r.recorder.Seal(b.Context())
		cpu += work() - before
	}
	b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// work is the processor time that the process has used.
func work() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
