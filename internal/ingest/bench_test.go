package ingest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/wire"
)

// plainJudge stores facts and judges nothing, so that the benchmark measures ingest.
type plainJudge struct{}

func (plainJudge) Apply(tx *store.Tx, obs Observation) error {
	puts := map[string]evidence.Fact{}
	type same struct{ kind, digest string }
	confirmed := map[same]time.Time{}
	for _, f := range obs.Facts {
		if f.Data == nil {
			confirmed[same{f.Kind, f.Digest}] = f.ObservedAt
			continue
		}
		puts[f.Kind] = evidence.Fact{Subject: obs.Subject, Kind: f.Kind, Data: f.Data, Digest: f.Digest, ObservedAt: f.ObservedAt, ChangedAt: f.ObservedAt, Source: "agent/" + obs.Agent}
	}
	var list []evidence.Fact
	for _, f := range puts {
		list = append(list, f)
	}
	if err := tx.PutFacts(list); err != nil {
		return err
	}
	for f, at := range confirmed {
		if err := tx.ConfirmFacts(obs.Subject, []string{f.kind}, at); err != nil {
			return err
		}
	}
	return nil
}

// hostFact resembles a fact of a host: a list, some text, numbers.
type hostFact struct {
	Units []string `json:"units"`
	Busy  float64  `json:"busy" metric:"test_busy"`
	Count int      `json:"count" metric:"test_count"`
	Name  string   `json:"name"`
}

// BenchmarkIngest takes in batches of 500 records of 100 agents: 80 % activities
// of about 300 bytes, 15 % confirmed facts, 5 % changed facts; and counts a
// record when its batch is acknowledged, with everything on disk.
func BenchmarkIngest(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) { benchmarkIngest(b, storetest.Open(b, dsn(b))) })
	}
}

func benchmarkIngest(b *testing.B, s *store.Store) {
	const agents, records = 100, 500
	r := openBench(b, s, agents)
	r.start()
	batch := benchBatch(b, records)
	size := 0
	acks := make(answers, agents)
	n, began := 0, time.Now()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		batch.First = uint64(1 + n*records)
		data, err := wire.EncodeBatch(batch)
		if err != nil {
			b.Fatal(err)
		}
		size = len(data)
		for i := range agents {
			d := &message{acks, "t", fmt.Sprint("agent", i), data, time.Now()}
			if err := r.in.Handle(b.Context(), d); err != nil {
				b.Fatal(err)
			}
		}
		n++
		for range agents {
			if a := <-acks; a != "ack" {
				b.Fatal(a)
			}
		}
	}
	runtime.ReadMemStats(&after)
	total := float64(n * agents * records)
	b.ReportMetric(total/time.Since(began).Seconds(), "records/s")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/total, "B/record")
	b.ReportMetric(float64(size)/records, "wire-B/record")
}

func openBench(b *testing.B, s *store.Store, agents int) *rig {
	r := openRig(b, s, b.TempDir(), func(c *Config) {
		c.Judge, c.SyncEvery, c.Kinds, c.Decode = plainJudge{}, 250*time.Millisecond, benchKinds(b), wire.DecodeBatch
	})
	enrol(b, s, agents)
	return r
}

func benchKinds(b *testing.B) *assessment.Environment {
	b.Helper()
	var kinds []evidence.Kind
	for i := range 25 {
		kinds = append(kinds, evidence.KindOf[hostFact](fmt.Sprint("host.f", i), evidence.ScopeVM, time.Minute, "Resembles a fact."))
	}
	env, err := assessment.NewEnvironment(kinds)
	if err != nil {
		b.Fatal(err)
	}
	return env
}

func enrol(b *testing.B, s *store.Store, n int) {
	now := time.Now()
	err := s.Write(b.Context(), func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: "t", Name: "t", CreatedAt: now}); err != nil {
			return err
		}
		if err := tx.InsertVDC(&estate.VDC{ID: "v", Tenant: "t", Name: "v", CreatedAt: now}); err != nil {
			return err
		}
		for i := range n {
			id := fmt.Sprint("agent", i)
			if err := tx.InsertVM(&estate.VM{ID: "vm" + id, Tenant: "t", VDC: "v", Name: id, State: lifecycle.Initial[0], CreatedAt: now}); err != nil {
				return err
			}
			if err := tx.InsertAgent(store.Agent{ID: id, Tenant: "t", VM: "vm" + id, PublicKey: id, EnrolledAt: now}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func benchBatch(b *testing.B, records int) wire.Batch {
	now := time.Now().UTC()
	random := rand.New(rand.NewPCG(1, 2))
	batch := wire.Batch{Epoch: "e", First: 1, SentAt: now}
	for i := range records {
		at := now.Add(time.Duration(i) * time.Microsecond)
		data, err := json.Marshal(hostFact{Units: strings.Fields(strings.Repeat("nginx.service ssh.service ", 8)), Busy: float64(i) / 7, Count: i, Name: "unit"})
		if err != nil {
			b.Fatal(err)
		}
		if data, err = canonical.Bytes(data); err != nil {
			b.Fatal(err)
		}
		rec := evidence.Record{Class: evidence.ClassFact, Kind: fmt.Sprint("host.f", i/20), Time: at, Digest: canonical.Digest(data)}
		switch {
		case i%20 == 0:
			rec.Data = data
		case i%20 < 4:
			rec.Digest = canonical.Digest([]byte("the one before"))
		default:
			rec = evidence.Record{Class: evidence.ClassActivity, Kind: "process.start", Time: at, Data: json.RawMessage(fmt.Sprintf(
				`{"activity_id":1,"class_uid":1007,"process":{"pid":%d,"name":"worker","cmd_line":"/usr/lib/app/worker --queue=%d --verbose","uid":%d,"parent":{"pid":%d,"name":"systemd"}},"actor":{"user":"app%d"},"device":"host%d","message":"started by the scheduler","uid":"%016x%016x"}`,
				random.IntN(1<<22), random.IntN(1000), random.IntN(60000), random.IntN(1<<22), i%5, random.IntN(90), random.Uint64(), random.Uint64()))}
		}
		batch.Records = append(batch.Records, rec)
	}
	return batch
}
