package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// The crash tests run ingest in a process of its own, which is killed at random
// moments, on real stores and a bus that is a file of messages and a file of
// acknowledgements.

const (
	crashDir   = "DEMARC_INGEST_CRASH_DIR"
	crashState = "DEMARC_INGEST_CRASH_STATE"
	crashKills = "DEMARC_INGEST_CRASH_KILLS" // how many kills; the long run sets 100
)

// fileMessage is one message of the file bus.
type fileMessage struct {
	Tenant   string          `json:"tenant"`
	Agent    string          `json:"agent"`
	Received time.Time       `json:"received"`
	Data     json.RawMessage `json:"data"`
}

// fileDelivery acknowledges by appending its number to a file: what a killed
// process wrote with one call is kept by the kernel.
type fileDelivery struct {
	line   string // the message, read when it is delivered
	number int
	bus    *fileBus
}

// deliver hands the message over.
func (d *fileDelivery) deliver(ctx context.Context, in *Ingest) error {
	var m fileMessage
	if err := json.Unmarshal([]byte(d.line), &m); err != nil {
		return err
	}
	return in.Handle(ctx, fileMessageOf{d, &message{nil, m.Tenant, m.Agent, m.Data, m.Received}})
}

// fileMessageOf is a message of the file bus, answered there.
type fileMessageOf struct {
	*fileDelivery
	content *message
}

func (m fileMessageOf) Tenant() string      { return m.content.tenant }
func (m fileMessageOf) Agent() string       { return m.content.agent }
func (m fileMessageOf) Data() []byte        { return m.content.data }
func (m fileMessageOf) Received() time.Time { return m.content.received }

func (d *fileDelivery) Ack() error { return d.bus.ack(d.number) }
func (d *fileDelivery) Retry(time.Duration) error {
	return d.bus.note(fmt.Sprintf("%d is to be retried", d.number))
}
func (d *fileDelivery) Reject(why string) error {
	return d.bus.note(fmt.Sprintf("rejected %d: %s", d.number, why))
}

type fileBus struct {
	dir  string
	acks *os.File
	mu   sync.Mutex
	left map[int]bool // guarded by mu
	none chan struct{}
}

func (b *fileBus) ack(n int) error {
	if _, err := fmt.Fprintln(b.acks, n); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left[n] {
		if delete(b.left, n); len(b.left) == 0 {
			close(b.none)
		}
	}
	return nil
}

func (b *fileBus) note(line string) error {
	f, err := os.OpenFile(filepath.Join(b.dir, "notes"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, line)
	return err
}

func readLines(t testing.TB, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 8<<20)
	for sc.Scan() {
		lines = append(lines, sc.Text())
	}
	return lines
}

// TestCrashChild is the process that is killed. It delivers what is not
// acknowledged, some of it late and some of it twice, and ends when nothing is
// left.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("is run by the crash tests")
	}
	acks, err := os.OpenFile(filepath.Join(dir, "acks"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	bus := &fileBus{dir: dir, acks: acks, left: map[int]bool{}, none: make(chan struct{})}
	acked := map[string]bool{}
	for _, line := range readLines(t, filepath.Join(dir, "acks")) {
		acked[line] = true
	}
	var order []*fileDelivery
	for i, line := range readLines(t, filepath.Join(dir, "messages")) {
		if acked[strconv.Itoa(i)] {
			continue
		}
		d := &fileDelivery{number: i, bus: bus, line: line}
		bus.left[i] = true
		order = append(order, d)
	}
	if len(order) > 40 && rand.N(2) == 0 { // what was on its way comes after newer messages
		k, n := rand.N(20)+1, rand.N(20)
		order = slices.Concat(order[k:k+n], order[:k], order[k+n:])
	}
	s := storetest.Open(t, os.Getenv(crashState))
	r := openRig(t, s, dir, func(c *Config) { c.SyncEvery = 20 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.in.Run(ctx) }()
	pace := time.NewTicker(time.Millisecond) // so that kills find it at work
	defer pace.Stop()
	for i, d := range order {
		<-pace.C
		if err := d.deliver(ctx, r.in); err != nil {
			t.Fatal(err)
		}
		if rand.N(20) == 0 {
			if err := order[rand.N(i+1)].deliver(ctx, r.in); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(order) > 0 {
		<-bus.none
	}
	cancel()
	<-ended
}

// writeMessages fills the bus: per agent, batches of activities, findings,
// facts that count and confirmations of them. It returns per agent which
// sequences are events and how many facts there are.
func writeMessages(t testing.TB, dir string, batches, records int) (events map[string][]uint64, facts map[string]int) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "messages"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	events, facts = map[string][]uint64{}, map[string]int{}
	seq := map[string]uint64{}
	start := time.Now().Add(-2 * time.Hour)
	agents := map[string]string{"a1": "t1", "a2": "t1", "b1": "t2"}
	for i := range batches {
		for _, agent := range slices.Sorted(maps.Keys(agents)) {
			at := start.Add(time.Duration(i) * time.Second)
			first := seq[agent] + 1
			var list []evidence.Record
			for j := range records {
				seq[agent]++
				at := at.Add(time.Duration(j) * time.Millisecond) // a series has one value at a time
				switch n := seq[agent] % 10; {
				case n < 7:
					list = append(list, activity(int(seq[agent]), at))
					events[agent] = append(events[agent], seq[agent])
				case n == 7:
					rec := activity(int(seq[agent]), at)
					rec.Class = evidence.ClassFinding
					list = append(list, rec)
					events[agent] = append(events[agent], seq[agent])
				case n == 8:
					facts[agent]++
					list = append(list, fact(facts[agent], at))
				default:
					list = append(list, confirmation(facts[agent], at))
				}
			}
			b := batch("epoch-"+agent, first, list...)
			b.SentAt = at
			data, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := enc.Encode(fileMessage{Tenant: agents[agent], Agent: agent, Received: at.Add(30 * time.Millisecond), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return events, facts
}

// What was accepted is in the stores or still on the bus, whatever is killed
// when (invariant 4 of the design).
func TestKilledAtRandom(t *testing.T) {
	kills := 20
	if n, err := strconv.Atoi(os.Getenv(crashKills)); err == nil {
		kills = n
	}
	if testing.Short() {
		kills = 3
	}
	t.Run("sqlite", func(t *testing.T) { killAtRandom(t, storetest.SQLite(t), kills) })
	t.Run("postgres", func(t *testing.T) { killAtRandom(t, storetest.Postgres(t), kills/2) })
}

func killAtRandom(t *testing.T, dsn string, kills int) {
	dir := t.TempDir()
	// Few enough to end soon, enough that the last kill still finds work.
	events, facts := writeMessages(t, dir, 40*kills, 20)
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	populate(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	killed, useful := 0, 0
	for round := 0; ; round++ {
		if round > 3*kills+10 {
			t.Fatal("the work does not come to an end")
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$", "-test.timeout=5m")
		child.Env = append(os.Environ(), crashDir+"="+dir, crashState+"="+dsn)
		var out strings.Builder
		child.Stdout, child.Stderr = &out, &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		deadline := make(<-chan time.Time)
		if killed < kills {
			deadline = time.After(time.Duration(50+rand.N(400)) * time.Millisecond)
		}
		before := len(readLines(t, filepath.Join(dir, "acks")))
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the process failed by itself: %v\n%s", err, out.String())
			}
			t.Logf("%d kills, %d of them after messages had been acknowledged", killed, useful)
			check(t, dir, dsn, events, facts)
			return
		case <-deadline:
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			killed++
			if len(readLines(t, filepath.Join(dir, "acks"))) > before {
				useful++
			}
		}
	}
}

// check opens the stores and looks for every record.
func check(t *testing.T, dir, dsn string, events map[string][]uint64, facts map[string]int) {
	if notes := readLines(t, filepath.Join(dir, "notes")); len(notes) > 0 {
		t.Errorf("the bus was told: %v", notes)
	}
	r := openRig(t, storetest.Open(t, dsn), dir, nil)
	for agent, want := range events {
		tenant := map[string]uint32{"a1": 1, "a2": 1, "b1": 2}[agent]
		a := r.agent(agent)
		if a.Lost != 0 || a.Rejected != 0 {
			t.Errorf("agent %s lost %d and had %d rejected: %+v", agent, a.Lost, a.Rejected, a.Rejections)
		}
		if f, _ := r.fact("vm-" + agent); f.N != facts[agent] {
			t.Errorf("agent %s: fact %d, want %d", agent, f.N, facts[agent])
		}
		r.wantOrder(agent)
		got := r.sequencesOf(tenant, agent)
		if !slices.Equal(got, want) {
			missing, twice := 0, 0
			for _, seq := range want {
				if _, ok := slices.BinarySearch(got, seq); !ok {
					missing++
				}
			}
			for i := 1; i < len(got); i++ {
				if got[i] == got[i-1] {
					twice++
				}
			}
			t.Errorf("agent %s: %d events, want %d: %d missing, %d twice", agent, len(got), len(want), missing, twice)
		}
		for _, question := range []string{"max_over_time", "count_over_time"} {
			line, err := r.metrics.Query(t.Context(), fmt.Sprintf("t%d", tenant), fmt.Sprintf(`%s(test_counter{vm="vm-%s"}[3h])`, question, agent), time.Now())
			if err != nil || len(line) != 1 || line[0].Points[0].Value != float64(facts[agent]) {
				t.Errorf("agent %s: %s %v, %v; want %d", agent, question, line, err, facts[agent])
			}
		}
	}
}

// sequencesOf returns the sequences of an agent's events, sorted, asking
// piecewise because an answer is bounded.
func (r *rig) sequencesOf(tenant uint32, agent string) []uint64 {
	r.t.Helper()
	var got []uint64
	step := 4 * time.Minute
	for from := time.Now().Add(-3 * time.Hour); from.Before(time.Now()); from = from.Add(step) {
		list, err := r.events.Query(r.t.Context(), tenant, fmt.Sprintf("{agent=%q}", agent), from, from.Add(step-time.Nanosecond), 10_000)
		if err != nil || len(list) == 10_000 {
			r.t.Fatalf("%d events of %s: %v", len(list), agent, err)
		}
		for _, ev := range list {
			got = append(got, ev.Seq)
		}
	}
	slices.Sort(got)
	return got
}
