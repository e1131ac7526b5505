package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// ackWait is how long the bus waits for a decision before it asks again. It is
// long because a restart does not wait for it: consuming always begins with
// everything undecided, in order.
const ackWait = 10 * time.Minute

// Consume hands every message to handler until ctx ends, and returns nil then
// when all handlers have returned. Messages of one agent are handed out in
// order, the next one after the handler has returned from the one before.
// Several servers may call it on one bus: one of them consumes at a time, and
// another takes over when it stops.
func (b *Bus) Consume(ctx context.Context, handler func(context.Context, Delivery)) error {
	for ctx.Err() == nil {
		lease, err := b.awaitLease(ctx)
		if err != nil {
			return nil // only the context ends the waiting
		}
		err = b.consumeOnce(lease.ctx, handler)
		lease.release()
		if err != nil && ctx.Err() == nil {
			b.cfg.Log.Warn("consuming is interrupted", slog.Any("error", err))
			pause(ctx, time.Second)
		}
	}
	return nil
}

// consumeOnce consumes with a consumer of its own until ctx ends or the
// consumer is gone.
func (b *Bus) consumeOnce(ctx context.Context, handler func(context.Context, Delivery)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := b.js.Stream(ctx, streamRecords)
	if err != nil {
		return fmt.Errorf("stream of records: %w", err)
	}
	before := stream.CachedInfo().State.LastSeq
	// A new consumer on a work queue starts at the first message that nobody
	// has acknowledged. The old one would first hand out new messages, and
	// unacknowledged ones only when their time is up: out of order. Deleting
	// it also cuts off a former holder of the lease. The new one has a name of
	// its own: a server that was killed while it deleted may have left what its
	// consumer had handed out, and one of the same name would take that for its own.
	old := stream.ConsumerNames(ctx)
	for name := range old.Name() {
		if err := stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("delete the old consumer: %w", err)
		}
	}
	if err := old.Err(); err != nil {
		return fmt.Errorf("list the old consumers: %w", err)
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: consumerName + "-" + nuid.Next(), AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: ackWait, MaxAckPending: b.cfg.MaxAckPending, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("create consumer: %w", err)
	}
	d := newDispatcher(ctx, b, before, handler)
	defer d.wait()
	cc, err := consumer.Consume(d.take, jetstream.PullMaxBytes(16<<20), jetstream.PullExpiry(30*time.Second),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) {
				cancel(fmt.Errorf("another server has taken over: %w", err))
				return
			}
			b.cfg.Log.Debug("consuming", slog.Any("error", err))
		}))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-cc.Closed():
		cancel(errors.New("the consumer is gone"))
	}
	cc.Stop()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		cancel(cause)
		return cause
	}
	return nil
}
