package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/wire"
)

// busDelivery is a delivery of the real bus.
type busDelivery struct{ d bus.Delivery }

func (d busDelivery) Tenant() string                  { return d.d.Tenant }
func (d busDelivery) Agent() string                   { return d.d.Agent }
func (d busDelivery) Data() []byte                    { return d.d.Data }
func (d busDelivery) Received() time.Time             { return d.d.Stored }
func (d busDelivery) Ack() error                      { return d.d.Ack() }
func (d busDelivery) Retry(after time.Duration) error { return d.d.Retry(after) }
func (d busDelivery) Reject(reason string) error      { return d.d.Reject(reason) }

// publisher connects to the bus as an agent does.
func publisher(t testing.TB, b *bus.Bus, ca *bustest.Authority, tenant, agent string) *nats.Conn {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	jwt, _, err := b.IssueAgent(t.Context(), tenant, agent, pub, 0)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(b.URLs()[0], nats.UserJWT(func() (string, error) { return jwt, nil }, key.Sign),
		nats.Secure(ca.ClientTLS()), nats.CustomInboxPrefix("_INBOX."+agent), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func publish(t testing.TB, nc *nats.Conn, agent string, b wire.Batch) {
	t.Helper()
	data, err := wire.EncodeBatch(b)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := nc.Request(wire.RecordsSubject(agent), data, 20*time.Second); err != nil {
		t.Errorf("agent %s publishes: %v", agent, err)
	}
}

func drained(t testing.TB, b *bus.Bus) bool {
	t.Helper()
	st, err := b.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Waiting == 0
}

// The server's part of the way, with the real bus: agents publish while the
// consumer is ended and begun again in between.
func TestThroughTheBus(t *testing.T) {
	ca := bustest.NewAuthority(t)
	b := bustest.Open(t, bustest.Config(t, ca))
	for _, tenant := range []string{"t1", "t2"} {
		if err := b.EnsureTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	s := sqlite(t)
	dir := t.TempDir()
	r := openRig(t, s, dir, func(c *Config) { c.Decode = wire.DecodeBatch })
	populate(t, s)
	const batches = 300
	var agents sync.WaitGroup
	for agent, tenant := range map[string]string{"a1": "t1", "a2": "t1", "b1": "t2"} {
		nc := publisher(t, b, ca, tenant, agent)
		agents.Go(func() {
			for i := range batches {
				now := time.Now()
				publish(t, nc, agent, batch("e", uint64(3*i+1), activity(i, now), fact(i+1, now), activity(i, now)))
			}
		})
	}
	published := make(chan struct{})
	go func() { agents.Wait(); close(published) }()
	done := false
	for round := 0; !done; round++ {
		ctx, cancel := context.WithCancel(t.Context())
		r.in = New(r.in.cfg)
		var server sync.WaitGroup
		server.Go(func() { r.in.Run(ctx) })
		server.Go(func() {
			if err := b.Consume(ctx, func(ctx context.Context, d bus.Delivery) { r.in.Handle(ctx, busDelivery{d}) }); err != nil {
				t.Error(err)
			}
		})
		end := time.After(time.Duration(100+50*round) * time.Millisecond)
		for over := false; !over; {
			select {
			case <-end:
				over = round < 5
			case <-time.After(5 * time.Millisecond):
			}
			select {
			case <-published:
				done = drained(t, b)
				over = over || done
			default:
			}
		}
		cancel()
		server.Wait()
	}
	for agent, tenant := range map[string]uint32{"a1": 1, "a2": 1, "b1": 2} {
		if f, _ := r.fact("vm-" + agent); f.N != batches {
			t.Errorf("agent %s: fact %d, want %d", agent, f.N, batches)
		}
		r.wantOrder(agent)
		if a := r.agent(agent); a.Lost != 0 || a.Rejected != 0 || a.Sequence != 3*batches {
			t.Errorf("agent %+v", a)
		}
		n := 0
		for _, ev := range r.found(tenant) {
			if ev.Agent == agent {
				n++
			}
		}
		if n != 2*batches {
			t.Errorf("agent %s: %d events, want %d", agent, n, 2*batches)
		}
	}
}

// BenchmarkBusToStores is BenchmarkIngest with the real bus before it, which
// syncs every message: from publishing until the bus has nothing left.
func BenchmarkBusToStores(b *testing.B) {
	const agents, records = 20, 500
	ca := bustest.NewAuthority(b)
	bu := bustest.Open(b, bustest.Config(b, ca))
	if err := bu.EnsureTenant(b.Context(), "t"); err != nil {
		b.Fatal(err)
	}
	r := openBench(b, sqlite(b), agents)
	r.start()
	ctx, cancel := context.WithCancel(b.Context())
	var consumer sync.WaitGroup
	consumer.Go(func() {
		bu.Consume(ctx, func(ctx context.Context, d bus.Delivery) { r.in.Handle(ctx, busDelivery{d}) })
	})
	b.Cleanup(func() { cancel(); consumer.Wait() })
	var conns []*nats.Conn
	for i := range agents {
		conns = append(conns, publisher(b, bu, ca, "t", fmt.Sprint("agent", i)))
	}
	template := benchBatch(b, records)
	n := 0
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for b.Loop() {
		var publishers sync.WaitGroup
		for i, nc := range conns {
			publishers.Go(func() {
				own := template
				for k := range 10 {
					own.First = uint64(1 + (10*n+k)*records)
					publish(b, nc, fmt.Sprint("agent", i), own)
				}
			})
		}
		publishers.Wait()
		for !drained(b, bu) {
			<-look.C
		}
		n++
	}
	b.ReportMetric(float64(n*10*agents*records)/b.Elapsed().Seconds(), "records/s")
}
