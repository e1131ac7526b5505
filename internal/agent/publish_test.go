package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/spool"
	"github.com/demarc/demarc/internal/wire"
)

func TestOnlyAStoredMessageIsAcknowledged(t *testing.T) {
	for answer, want := range map[string]string{
		`{"stream":"RECORDS","seq":7}`: "",
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`: "maximum bytes exceeded (503)",
		`{"error":{},"stream":"RECORDS","seq":7}`:                                        "does not take records",
		`{"stream":"RECORDS"}`: "without saying that it stored",
		`{"seq":7}`:            "without saying that it stored",
		`{}`:                   "without saying that it stored",
		``:                     "something else",
		`+OK`:                  "something else",
		`{"type":"refresh"}`:   "without saying that it stored",
	} {
		err := checkAck([]byte(answer))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// fakeSpool is a source in memory.
type fakeSpool struct {
	mu      sync.Mutex
	records [][]byte
	cut     uint64
	refused int
}

func (f *fakeSpool) Epoch() string { return "e" }

func (f *fakeSpool) Wait(ctx context.Context, after uint64) error {
	f.mu.Lock()
	n := uint64(len(f.records))
	f.mu.Unlock()
	if n > after {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fakeSpool) Read(after uint64, maxRecords, maxBytes int) (uint64, [][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out [][]byte
	for total := 0; len(out) < maxRecords && after+uint64(len(out)) < uint64(len(f.records)); {
		r := f.records[after+uint64(len(out))]
		if total += len(r); total > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, r)
	}
	return after + 1, out, nil
}

func (f *fakeSpool) Cut(seq uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = seq
	return nil
}

func (f *fakeSpool) Refuse() { f.refused++ }

// A bus that fails in every way it can, also after it has stored the message,
// gets every record at least once and in order.
func TestPublisherKeepsOrderUnderEveryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		sp := &fakeSpool{}
		for i := range n {
			raw, err := wire.AppendRecord(nil, evidence.Record{Class: evidence.ClassActivity, Kind: "k", Time: time.Now(), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i+1))})
			if err != nil {
				t.Fatal(err)
			}
			sp.records = append(sp.records, raw)
		}
		ctx, cancel := context.WithCancel(t.Context())
		rng := rand.New(rand.NewPCG(7, 7))
		next, attempts := uint64(1), 0
		store := func(message []byte) {
			b, err := wire.DecodeBatch(message)
			if err != nil {
				t.Fatal(err)
			}
			if b.First > next {
				t.Fatalf("sequence %d where %d is next", b.First, next)
			}
			next = max(next, b.First+uint64(len(b.Records)))
			if next == n+1 {
				defer cancel()
			}
		}
		p := &publisher{spool: sp, log: slog.New(slog.DiscardHandler), changed: func() {}, retry: make(chan struct{}, 1)}
		p.send = func(ctx context.Context, message []byte) ([]byte, error) {
			attempts++
			switch rng.IntN(5) {
			case 0:
				return nil, errors.New("no connection")
			case 1: // stored, but the answer is lost
				store(message)
				<-ctx.Done()
				return nil, ctx.Err()
			case 2:
				return []byte(`{"error":{"code":503,"description":"full"}}`), nil
			case 3:
				store(message)
				return []byte(`garbage`), nil
			}
			store(message)
			return []byte(`{"stream":"RECORDS","seq":1}`), nil
		}
		if err := p.run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if next != n+1 || attempts < 4 || sp.refused != 0 {
			t.Errorf("next %d after %d attempts, %d refused", next, attempts, sp.refused)
		}
	})
}

// While nobody consumes and the bus is full, records wait in the spool; when
// there is room again they come, all of them and in order.
func TestFullBusHoldsRecordsInTheSpool(t *testing.T) {
	in := newInstallation(t)
	in.bus.Close()
	cfg := bustest.Config(t, in.ca)
	cfg.MaxWaitingPerAgent = 1
	in.bus = bustest.Open(t, cfg)
	dir := in.enrolled("agent-1")
	const n = 20
	emitted := make(chan struct{})
	start(t, dir, testObserver{name: "bursts", run: func(ctx context.Context, h service.Host) error {
		defer func() { close(emitted); <-ctx.Done() }()
		for i := range n {
			r := evidence.Record{Class: evidence.ClassActivity, Kind: "burst", Time: time.Now().UTC(), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}
			if err := h.Emit(ctx, r); err != nil {
				return err
			}
			if i == n/2 {
				select { // let what is there so far go alone
				case <-time.After(300 * time.Millisecond):
				case <-ctx.Done():
					return nil
				}
			}
		}
		return nil
	}})
	<-emitted
	for deadline := time.After(30 * time.Second); ; {
		st, err := LoadStatus(dir)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(st.BusFault, "does not take records now") {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("the status does not say that the bus is full: %+v", st)
		case <-time.After(50 * time.Millisecond):
		}
	}
	rc := in.consume()
	for i := range n {
		var got struct{ N int }
		if r := rc.kind("burst"); json.Unmarshal(r.Data, &got) != nil || got.N != i {
			t.Fatalf("%d where %d is next", got.N, i)
		}
	}
}

func TestUnsendableRecordIsDroppedAndCounted(t *testing.T) {
	sp, err := spool.Open(spool.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	p := &publisher{spool: sp, log: slog.New(slog.DiscardHandler), changed: func() {}, retry: make(chan struct{}, 1)}
	// Random text hardly compresses: this is above the bus's bound on a message.
	raw := make([]byte, wire.MaxMessageBytes*2)
	for i := range raw {
		raw[i] = byte(rand.IntN(256))
	}
	if n, err := p.deliver(t.Context(), 1, [][]byte{raw}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if sp.Stats().Refused != 1 {
		t.Error("the record was not counted")
	}
}
