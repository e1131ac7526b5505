package bus

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// leaseTTL is how long the others wait for a server that vanished.
const leaseTTL = 10 * time.Second

// lease is the right to consume. Its context ends when the right does.
type lease struct {
	ctx     context.Context
	release func()
}

// awaitLease waits for the right to consume; it fails only when ctx ends. An
// embedded bus has one server by construction, and no waiting.
func (b *Bus) awaitLease(ctx context.Context) (lease, error) {
	if b.embedded != nil {
		own, cancel := context.WithCancel(ctx)
		return lease{own, cancel}, ctx.Err()
	}
	holder := []byte(nuid.Next())
	for {
		kv, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: bucketLease, Description: "Which server consumes.", TTL: leaseTTL,
			Storage: jetstream.MemoryStorage, Replicas: b.cfg.Replicas, MaxBytes: 1 << 20,
		})
		if err == nil {
			var revision uint64
			if revision, err = kv.Create(ctx, consumerName, holder); err == nil {
				return b.hold(ctx, kv, revision, holder), nil
			}
		}
		b.cfg.Log.Debug("waiting for the right to consume", slog.Any("error", err))
		if !pause(ctx, leaseTTL/5) {
			return lease{}, ctx.Err()
		}
	}
}

// hold renews the lease until it is released or lost.
func (b *Bus) hold(ctx context.Context, kv jetstream.KeyValue, revision uint64, holder []byte) lease {
	own, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		renewed := time.Now()
		for pause(own, leaseTTL/4) {
			next, err := kv.Update(own, consumerName, holder, revision)
			if err == nil {
				revision, renewed = next, time.Now()
			} else if time.Since(renewed) > leaseTTL*3/4 {
				b.cfg.Log.Warn("the right to consume is lost", slog.Any("error", err))
				cancel()
			}
		}
	}()
	return lease{own, func() {
		cancel()
		<-done
		// The context of the caller may have ended, but the next server need not wait.
		bye, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		_ = kv.Delete(bye, consumerName, jetstream.LastRevision(revision))
	}}
}
