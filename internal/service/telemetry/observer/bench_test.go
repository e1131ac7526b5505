package observer

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// BenchmarkFullRun reads every fact of this machine as the agent does at its
// start, with nothing remembered.
func BenchmarkFullRun(b *testing.B) {
	for b.Loop() {
		c := newCollected()
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- New().Run(ctx, c.host("/")) }()
		for !c.settled(len(telemetry.Kinds)) {
			<-c.heard
		}
		b.StopTimer()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
}

// BenchmarkKinds tells what each kind costs with nothing remembered (cold) and
// when nothing changed (warm).
func BenchmarkKinds(b *testing.B) {
	for _, task := range collectors() {
		b.Run(task.kind+"/cold", func(b *testing.B) {
			for b.Loop() {
				collectSafely(b.Context(), task.collect, newProbe("/", time.Now))
			}
		})
		b.Run(task.kind+"/warm", func(b *testing.B) {
			p := newProbe("/", time.Now)
			for b.Loop() {
				collectSafely(b.Context(), task.collect, p.forRun())
			}
		})
	}
}

// BenchmarkIdle measures the processor time of the observer and its commands
// over a minute, after the first facts. Run it with -benchtime=1x.
func BenchmarkIdle(b *testing.B) {
	if testing.Short() {
		b.Skip("takes a minute")
	}
	c := newCollected()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- New().Run(ctx, c.host("/")) }()
	for !c.settled(len(telemetry.Kinds)) {
		<-c.heard
	}
	const window = time.Minute
	before := processorTime(b)
	for over := time.After(window); ; {
		select {
		case <-c.heard:
			continue
		case <-over:
		}
		break
	}
	used := processorTime(b) - before
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(100*float64(used)/float64(window), "%core")
	b.ReportMetric(float64(used.Milliseconds()), "cpu-ms/min")
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(u.Maxrss)/1024, "MiB-peak")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return total
}
