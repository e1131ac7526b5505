package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

func record(class evidence.Class, n, size int) evidence.Record {
	data := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, bytes.Repeat([]byte{'x'}, size))
	return evidence.Record{Class: class, Kind: "test.kind", Time: noon, Data: json.RawMessage(data)}
}

// number reads back what record wrote.
func number(t testing.TB, raw []byte) int {
	t.Helper()
	var r struct {
		Data struct{ N int }
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("stored record %.80q: %v", raw, err)
	}
	return r.Data.N
}

func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// readAll returns every record above after with its sequence.
func readAll(t testing.TB, s *Spool, after uint64) (seqs []uint64, numbers []int) {
	t.Helper()
	for {
		first, records, err := s.Read(after, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return seqs, numbers
		}
		for i, raw := range records {
			seqs = append(seqs, first+uint64(i))
			numbers = append(numbers, number(t, raw))
		}
		after = seqs[len(seqs)-1]
	}
}

func TestRecordsComeBackInOrderAcrossSegmentsAndRestarts(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), segmentBytes: 2000}
	s := open(t, cfg)
	epoch := s.Epoch()
	for i := 1; i <= 100; i++ {
		if seq, err := s.Append(t.Context(), record(evidence.ClassFact, i, 50)); err != nil || seq != uint64(i) {
			t.Fatalf("append %d: sequence %d, %v", i, seq, err)
		}
	}
	if err := s.Cut(40); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if s.Epoch() != epoch {
		t.Error("the epoch changed with the restart")
	}
	seqs, numbers := readAll(t, s, 0)
	if len(seqs) != 60 || seqs[0] != 41 || seqs[59] != 100 {
		t.Fatalf("read %d records, %v", len(seqs), seqs)
	}
	for i, n := range numbers {
		if uint64(n) != seqs[i] {
			t.Errorf("sequence %d holds record %d", seqs[i], n)
		}
	}
	if err := s.Cut(100); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Waiting != 0 || st.Bytes != 0 {
		t.Errorf("after the cut: %+v", st)
	}
	if err := s.Cut(101); err == nil {
		t.Error("cut above the last record was taken")
	}
	s.Close()
	s = open(t, cfg)
	if seq, err := s.Append(t.Context(), record(evidence.ClassFact, 1, 1)); err != nil || seq != 101 {
		t.Errorf("after all was cut the next sequence is %d, %v", seq, err)
	}
}

func TestSecondProcessIsKeptOff(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	open(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, ErrLocked) {
		t.Fatalf("got %v", err)
	}
}

func TestShedsByClassAndCountsDurably(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 100_000, segmentBytes: 5000}
	s := open(t, cfg)
	fill := func(class evidence.Class) (taken int) {
		for {
			_, err := s.Append(t.Context(), record(class, 1, 400))
			if errors.Is(err, service.ErrShed) {
				return taken
			}
			if err != nil {
				t.Fatal(err)
			}
			taken++
		}
	}
	fill(evidence.ClassActivity)
	if used := s.disk; used < 69_000 || used > 70_000 {
		t.Errorf("activities were taken up to %d bytes", used)
	}
	fill(evidence.ClassFinding)
	if used := s.disk; used < 89_000 || used > 90_000 {
		t.Errorf("findings were taken up to %d bytes", used)
	}
	fill(evidence.ClassFact)
	if used := s.disk; used < 99_000 || used > 100_000 {
		t.Errorf("facts were taken up to %d bytes", used)
	}
	if _, err := s.Append(t.Context(), evidence.Record{}); !errors.Is(err, evidence.ErrRecord) {
		t.Errorf("malformed record: %v", err)
	}
	check := func() {
		t.Helper()
		if st := s.Stats(); st.ShedActivities != 1 || st.ShedFindings != 1 || st.ShedFacts != 1 || st.Refused != 1 {
			t.Errorf("counts: %+v", st)
		}
	}
	check()
	s.Close()
	s = open(t, cfg)
	check()
	if err := s.Cut(s.Stats().Last); err != nil {
		t.Fatal(err)
	}
	if fill(evidence.ClassActivity) < 100 {
		t.Error("the room did not return with the cut")
	}
}

// fullDisk fails writes once it has given away its bytes.
type fullDisk struct {
	*os.File
	left *atomic.Int64
}

func (f fullDisk) WriteAt(b []byte, off int64) (int, error) {
	if n := f.left.Add(-int64(len(b))); n < 0 {
		half, _ := f.File.WriteAt(b[:len(b)/2], off)
		return half, syscall.ENOSPC
	}
	return f.File.WriteAt(b, off)
}

func TestFullDiskIsSaidAndOutlived(t *testing.T) {
	var left atomic.Int64
	left.Store(20_000)
	cfg := Config{Dir: t.TempDir(), segmentBytes: 3000, wrap: func(f *os.File) writeFile { return fullDisk{f, &left} }}
	s := open(t, cfg)
	accepted := 0
	for {
		_, err := s.Append(t.Context(), record(evidence.ClassFact, accepted+1, 100))
		if err != nil {
			if !errors.Is(err, service.ErrShed) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("got %v", err)
			}
			break
		}
		accepted++
	}
	if st := s.Stats(); st.Fault == "" || st.ShedFacts != 1 {
		t.Errorf("the fault is not shown: %+v", st)
	}
	left.Store(1 << 30)
	if _, err := s.Append(t.Context(), record(evidence.ClassFact, accepted+1, 100)); err != nil {
		t.Fatalf("room returned, but: %v", err)
	}
	if st := s.Stats(); st.Fault != "" {
		t.Errorf("the fault stays: %q", st.Fault)
	}
	s.Close()
	cfg.wrap = nil
	_, numbers := readAll(t, open(t, cfg), 0)
	if len(numbers) != accepted+1 {
		t.Fatalf("accepted %d records, %d are there", accepted+1, len(numbers))
	}
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("record %d is number %d", i, n)
		}
	}
}

func TestTornTailIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	for i := 11; i <= 20; i++ {
		if _, err := s.Append(t.Context(), record(evidence.ClassFact, i, 100)); err != nil {
			t.Fatal(err)
		}
	}
	path := s.segments[0].path
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for torn := 1; torn < 200; torn += 7 {
		if err := os.WriteFile(path, whole[:len(whole)-torn], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Config{Dir: dir})
		want := (len(whole) - torn - headerBytes) / ((len(whole) - headerBytes) / 10)
		if _, numbers := readAll(t, s, 0); len(numbers) != want {
			t.Errorf("torn by %d bytes: %d records, want %d", torn, len(numbers), want)
		}
		if st := s.Stats(); st.Lost != 0 {
			t.Errorf("torn by %d bytes: counted as loss: %+v", torn, st)
		}
		next := s.Stats().Last + 1
		if seq, err := s.Append(t.Context(), record(evidence.ClassFact, 99, 1)); err != nil || seq != next {
			t.Errorf("append after the torn tail: %d, %v", seq, err)
		}
		s.Close()
	}
}

// Any one flipped byte costs at most the record it lies in, except in the tail,
// where it cannot be told from a torn write, and in a header.
func TestFlippedBytesAreFoundAndCounted(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, segmentBytes: 1500}
	s := open(t, cfg)
	const n = 60
	for i := 1; i <= n; i++ {
		if _, err := s.Append(t.Context(), record(evidence.ClassFact, i, 100)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		copyDir := filepath.Join(t.TempDir(), "spool")
		if err := os.CopyFS(copyDir, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		segs, err := listSegments(copyDir)
		if err != nil {
			t.Fatal(err)
		}
		g := segs[rng.IntN(len(segs)-1)] // not the last, whose tail is special
		b, err := os.ReadFile(g.path)
		if err != nil {
			t.Fatal(err)
		}
		at := rng.IntN(len(b))
		b[at] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(g.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Config{Dir: copyDir, segmentBytes: 1500})
		seqs, numbers := readAll(t, s, 0)
		for i, seq := range seqs {
			if uint64(numbers[i]) != seq {
				t.Fatalf("byte %d of %s: sequence %d holds record %d", at, g.path, seq, numbers[i])
			}
		}
		lost := s.Stats().Lost
		if len(seqs)+int(lost) != n || lost > 1 || (at >= headerBytes && lost != 1) {
			t.Errorf("byte %d of %s flipped: %d records read, %d counted as lost", at, filepath.Base(g.path), len(seqs), lost)
		}
		s.Close()
	}
}

func TestManyCallersShareAnFsync(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	const callers, each = 32, 50
	var seen sync.Map
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				seq, err := s.Append(context.Background(), record(evidence.ClassActivity, c*each+i, 20))
				if err != nil {
					t.Error(err)
					return
				}
				if _, twice := seen.LoadOrStore(seq, c*each+i); twice {
					t.Errorf("sequence %d given twice", seq)
				}
			}
		})
	}
	wg.Wait()
	seqs, numbers := readAll(t, s, 0)
	if len(seqs) != callers*each {
		t.Fatalf("%d records of %d", len(seqs), callers*each)
	}
	for i, seq := range seqs {
		if want, _ := seen.Load(seq); want != numbers[i] {
			t.Errorf("sequence %d holds %d, its caller wrote %v", seq, numbers[i], want)
		}
	}
}

func TestWaitWakesOnAppendAndClose(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	got := make(chan error)
	go func() { got <- s.Wait(t.Context(), 0) }()
	if _, err := s.Append(t.Context(), record(evidence.ClassFact, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("after an append: %v", err)
	}
	go func() { got <- s.Wait(t.Context(), 1) }()
	s.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
	if _, err := s.Append(t.Context(), record(evidence.ClassFact, 1, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("append after closing: %v", err)
	}
}

func FuzzReadSegment(f *testing.F) {
	good := appendFrame(appendFrame(nil, 1, 0, []byte(`{"a":1}`)), 2, 0, []byte(`{"a":2}`))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, body []byte) {
		dir := t.TempDir()
		seg := append(encodeHeader(epochID{1}, 1), body...)
		if err := os.WriteFile(segmentPath(dir, 1), seg, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var after uint64
		for {
			first, records, err := s.Read(after, 10, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(records) == 0 {
				break
			}
			if first <= after {
				t.Fatalf("sequence %d comes after %d", first, after)
			}
			after = first + uint64(len(records)) - 1
		}
		seq, err := s.Append(t.Context(), record(evidence.ClassFact, 7, 1))
		if err != nil || seq <= after {
			t.Fatalf("append: %d after %d, %v", seq, after, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := open(b, Config{Dir: b.TempDir(), MaxBytes: 64 << 30})
			r := record(evidence.ClassActivity, 1, 180)
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Append(b.Context(), r); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
	b.Run("batch=500", func(b *testing.B) {
		s := open(b, Config{Dir: b.TempDir(), MaxBytes: 64 << 30})
		batch := make([]evidence.Record, 500)
		for i := range batch {
			batch[i] = record(evidence.ClassActivity, i, 180)
		}
		for b.Loop() {
			if _, err := s.AppendAll(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
	})
}

// Damage at the very end of the log, while it is open, must not make the reader
// turn on the spot.
func TestReaderGetsPastDamageAtTheEnd(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for i := 1; i <= 5; i++ {
		if _, err := s.Append(t.Context(), record(evidence.ClassFact, i, 100)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(s.segments[0].path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(s.segments[0].size)-headerBytes-3), headerBytes+3); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	first, records, err := s.Read(0, 100, 1<<20)
	if err != nil || len(records) != 0 || first != 6 {
		t.Fatalf("first %d, %d records, %v", first, len(records), err)
	}
	if err := s.Cut(first - 1); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Lost != 5 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Append(t.Context(), record(evidence.ClassFact, 6, 100)); err != nil {
		t.Fatal(err)
	}
	if seqs, numbers := readAll(t, s, 5); len(seqs) != 1 || seqs[0] != 6 || numbers[0] != 6 {
		t.Errorf("read %v %v", seqs, numbers)
	}
}
