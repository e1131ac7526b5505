package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/spool"
	"github.com/demarc/demarc/internal/wire"
)

// BenchmarkSpoolToConsumer measures records from Append to a decoded batch in a
// consumer's hand: durable spool, TLS, every message synced to disk by the bus.
func BenchmarkSpoolToConsumer(b *testing.B) {
	for _, agents := range []int{1, 4} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			ca := bustest.NewAuthority(b)
			cfg := bustest.Config(b, ca)
			cfg.MaxBytes = 4 << 30
			hub := bustest.Open(b, cfg)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			const batch = 1000
			perAgent := (b.N/agents/batch + 1) * batch
			took := make(chan int, 1000)
			done := make(chan struct{}, 2*agents+1)
			go func() {
				_ = hub.Consume(ctx, func(_ context.Context, d bus.Delivery) {
					got, err := wire.DecodeBatch(d.Data)
					if err != nil {
						b.Error(err)
					}
					_ = d.Ack()
					took <- len(got.Records)
				})
				done <- struct{}{}
			}()
			records := make([]evidence.Record, batch)
			for i := range records {
				records[i] = evidence.Record{Class: evidence.ClassActivity, Kind: "host.login", Time: time.Now().UTC(), Data: json.RawMessage(fmt.Sprintf(
					`{"message":"Accepted publickey for operator from 192.0.2.%d port %d ssh2","program":"sshd","pid":%d,"user":"operator","unit":"ssh.service","session":"c%d","outcome":"success","key":"SHA256:%020d"}`,
					i%250, 1024+i, 300+i, i, i*7919))}
			}
			var spools []*spool.Spool
			for i := range agents {
				sp, p := benchAgent(b, ctx, hub, ca, fmt.Sprint("agent-", i), done)
				spools = append(spools, sp)
				go func() { _ = p.run(ctx); done <- struct{}{} }()
			}
			b.ResetTimer()
			for _, sp := range spools {
				go func() {
					for n := 0; n < perAgent; n += batch {
						if _, err := sp.AppendAll(ctx, records); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			for got := 0; got < perAgent*agents; {
				got += <-took
			}
			b.StopTimer()
			b.ReportMetric(float64(perAgent*agents)/b.Elapsed().Seconds(), "records/s")
			cancel()
			for range 2*agents + 1 {
				<-done
			}
			for _, sp := range spools {
				sp.Close()
			}
		})
	}
}

// benchAgent is an agent's spool, publisher and connection.
func benchAgent(b *testing.B, ctx context.Context, hub *bus.Bus, ca *bustest.Authority, name string, done chan<- struct{}) (*spool.Spool, *publisher) {
	b.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		b.Fatal(err)
	}
	pub, _ := key.PublicKey()
	seed, _ := key.Seed()
	jwt, expires, err := hub.IssueAgent(ctx, "tenant-1", name, pub, 0)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	id := Identity{Identity: wire.Identity{Agent: name, JWT: jwt, ExpiresAt: expires, BusURLs: hub.URLs(), CA: string(ca.PEM)}, Seed: string(seed)}
	sp, err := spool.Open(spool.Config{Dir: b.TempDir(), MaxBytes: 8 << 30})
	if err != nil {
		b.Fatal(err)
	}
	l := &link{creds: newCredentials(b.TempDir(), id, log, func() {}), log: log, onNote: func(wire.Note) {}}
	p := &publisher{spool: sp, send: l.request, log: log, changed: func() {}, retry: make(chan struct{}, 1)}
	l.onConnect = p.again
	go func() { _ = l.run(ctx); done <- struct{}{} }()
	return sp, p
}
