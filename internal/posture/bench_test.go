package posture_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/posture/fleettest"
	"github.com/demarc/demarc/internal/store"
)

// BenchmarkAssessments judges all duties of scope vm by the decoded facts of
// simulated VMs, on all cores.
func BenchmarkAssessments(b *testing.B) {
	compiled, services := catalogue(b)
	sim, err := fleettest.New(compiled.Environment)
	if err != nil {
		b.Fatal(err)
	}
	var duties []*judgement.Duty
	for _, d := range compiled.Duties {
		if d.Scope == evidence.ScopeVM && d.Met != nil {
			duties = append(duties, d)
		}
	}
	now := time.Now()
	var vms []*assessment.Facts
	for i := range fleettest.Variants {
		facts, err := sim.Facts(i, now)
		if err != nil {
			b.Fatal(err)
		}
		set := compiled.Environment.NewFacts()
		facts = append(facts, derived(b, services, facts, now))
		for _, f := range append(facts, append(sim.Around(posture.TenantSubject("t"), now), sim.Around(evidence.Provider, now)...)...) {
			v, err := compiled.Environment.Decode(f.Kind, f.Data)
			if err != nil {
				b.Fatal(err)
			}
			set.Set(f.Kind, v)
		}
		vms = append(vms, set)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			for _, d := range duties {
				if _, err := d.Judge(vms[i%len(vms)]); err != nil {
					b.Error(err)
				}
			}
		}
	})
	b.ReportMetric(float64(len(duties)*b.N)/b.Elapsed().Seconds(), "assessments/s")
}

// BenchmarkFleet judges every duty of a stored fleet, of which one VM in a
// hundred has a fact that its verdicts do not know yet. DEMARC_FLEET is the
// number of VMs, DEMARC_FLEET_DERIVE=1 lets hardening judge again too.
func BenchmarkFleet(b *testing.B) {
	n := number(b, "DEMARC_FLEET", 500)
	derive := os.Getenv("DEMARC_FLEET_DERIVE") == "1"
	w := simulate(b, n)
	start := time.Now()
	if err := w.engine.RejudgeAll(b.Context(), false, nil); err != nil {
		b.Fatal(err)
	}
	b.Logf("first judgement of %d VMs, every verdict written: %v", n, time.Since(start).Round(time.Millisecond))
	runtime.GC()
	var used time.Duration
	for turn := 1; b.Loop(); turn++ {
		b.StopTimer()
		w.write(b, func(tx *store.Tx) error {
			for i := 0; i < n; i += 100 {
				f, err := w.fleet.Changed(i+i/100%len(fleettest.Mix), turn, w.now)
				if err != nil {
					return err
				}
				if err := tx.PutFacts([]evidence.Fact{f}); err != nil {
					return err
				}
			}
			return nil
		})
		resetPeak(b)
		before := cpu(b)
		b.StartTimer()
		if err := w.engine.RejudgeAll(b.Context(), derive, nil); err != nil {
			b.Fatal(err)
		}
		used += cpu(b) - before
	}
	b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/fleet")
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "VMs/s")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/fleet")
	b.ReportMetric(float64(peak(b))/(1<<20), "MiB-peak")
}

// BenchmarkChange sends changed facts at a fixed rate, whatever becomes of
// those before, and takes the time until the verdicts that follow are durable
// and to be read. As ingest does, it commits together what is waiting.
// DEMARC_RATE is changes a second, DEMARC_SECONDS how long.
func BenchmarkChange(b *testing.B) {
	const vms = 2000
	rate, seconds := number(b, "DEMARC_RATE", 1000), number(b, "DEMARC_SECONDS", 1)
	w := simulate(b, vms)
	if err := w.engine.RejudgeAll(b.Context(), false, nil); err != nil {
		b.Fatal(err)
	}
	type change struct {
		at     time.Time
		update posture.Update
	}
	b.ResetTimer()
	turn := 0
	var took []time.Duration
	for b.Loop() {
		turn++
		var updates []posture.Update
		for i := range rate * seconds {
			f, err := w.fleet.Changed(i*7%vms, turn+i/vms, w.now.Add(time.Duration(turn*rate*seconds+i)*time.Microsecond))
			if err != nil {
				b.Fatal(err)
			}
			updates = append(updates, posture.Update{Subject: f.Subject, Source: f.Source, Facts: []posture.FactUpdate{
				{Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: f.ObservedAt}}})
		}
		waiting := make(chan change, len(updates))
		go func() {
			defer close(waiting)
			start := time.Now()
			for i, u := range updates {
				due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
				if pause := time.Until(due); pause > 0 {
					<-time.After(pause)
				}
				waiting <- change{due, u} // late or not, it counts from when it was due
			}
		}()
		for c := range waiting {
			group := []change{c}
			for len(waiting) > 0 && len(group) < 32 {
				group = append(group, <-waiting)
			}
			w.write(b, func(tx *store.Tx) error {
				for _, c := range group {
					if err := w.engine.Apply(tx, c.update); err != nil {
						return err
					}
				}
				return nil
			})
			done := time.Now()
			for _, c := range group {
				took = append(took, done.Sub(c.at))
			}
		}
	}
	slices.Sort(took)
	ms := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
	b.ReportMetric(ms(1), "max-ms")
}

// BenchmarkApply takes in changed facts, thirty-two in a transaction.
func BenchmarkApply(b *testing.B) {
	const vms = 500
	w := simulate(b, vms)
	if err := w.engine.RejudgeAll(b.Context(), false, nil); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"host.listeners", "host.logins", "host.services", "host.sshd", "host.updates", "host.users", "host.firewall"} {
		b.Run(kind, func(b *testing.B) {
			count := 0
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				var updates []posture.Update
				for len(updates) < 32 {
					count++
					f, err := w.fleet.Changed(count%vms, count, w.now.Add(time.Duration(count)*time.Microsecond))
					if err != nil {
						b.Fatal(err)
					}
					if f.Kind == kind {
						updates = append(updates, posture.Update{Subject: f.Subject, Source: f.Source, Facts: []posture.FactUpdate{
							{Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: f.ObservedAt}}})
					}
				}
				before := cpu(b)
				b.StartTimer()
				w.write(b, func(tx *store.Tx) error {
					for _, u := range updates {
						if err := w.engine.Apply(tx, u); err != nil {
							return err
						}
					}
					return nil
				})
				used += cpu(b) - before
			}
			b.ReportMetric(float64(used.Microseconds())/float64(32*b.N), "cpu-µs/change")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(32*b.N), "µs/change")
		})
	}
}

func number(t testing.TB, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s must be a whole number above 0, not %q", name, text)
	}
	return n
}

// resetPeak and peak tell the most memory that was resident in between, where
// the system counts it.
func resetPeak(t testing.TB) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Log("the peak counts from the start of the process: ", err)
	}
}

// cpu is what the process has used of all cores: it does not depend on what
// else the machine does.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func peak(testing.TB) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	kib, _, _ := bytes.Cut(bytes.TrimSpace(after), []byte(" "))
	n, _ := strconv.Atoi(string(kib))
	return n << 10
}
