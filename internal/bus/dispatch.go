package bus

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maxInMemory bounds the bytes of messages that wait for a handler.
const maxInMemory = 64 << 20

// dispatcher hands messages to the handler: those of one agent one after the
// other, those of different agents at once.
type dispatcher struct {
	bus     *Bus
	ctx     context.Context
	handler func(context.Context, Delivery)
	// before is the stream's last sequence when consuming began: what lies
	// below may have been handed out by an earlier consumer.
	before  uint64
	workers chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	lanes   map[string]*lane
	pending map[uint64]*message // not decided yet
	bytes   int
	freed   chan struct{} // closed and replaced when bytes shrinks
}

// lane is what one agent sent and nobody has handled yet, in order. It exists
// while a goroutine works on it.
type lane struct {
	queue []*message
}

func newDispatcher(ctx context.Context, b *Bus, before uint64, handler func(context.Context, Delivery)) *dispatcher {
	return &dispatcher{bus: b, ctx: ctx, handler: handler, before: before, workers: make(chan struct{}, b.cfg.Workers),
		lanes: map[string]*lane{}, pending: map[uint64]*message{}, freed: make(chan struct{})}
}

// take queues a message from the bus. It blocks while too many wait.
func (d *dispatcher) take(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		d.bus.cfg.Log.Error("bus delivered a message without metadata", slog.Any("error", err))
		return
	}
	m := &message{d: d, seq: meta.Sequence.Stream, subject: msg.Subject(), stored: meta.Timestamp, msg: msg,
		size: len(msg.Data()), inMemory: true, again: meta.NumDelivered > 1 || meta.Sequence.Stream <= d.before}
	for {
		d.mu.Lock()
		if old := d.pending[m.seq]; old != nil {
			d.mu.Unlock()
			// The bus asks again about a message that is in hand. The newer
			// copy carries the acknowledgement that it waits for.
			old.mu.Lock()
			old.msg = msg
			old.mu.Unlock()
			return
		}
		if d.ctx.Err() != nil {
			d.mu.Unlock()
			return
		}
		if d.bytes < maxInMemory {
			break
		}
		freed := d.freed
		d.mu.Unlock()
		select {
		case <-freed:
		case <-d.ctx.Done():
			return
		}
	}
	defer d.mu.Unlock()
	d.pending[m.seq] = m
	d.bytes += m.size
	d.queueLocked(m, false)
}

func (d *dispatcher) queueLocked(m *message, front bool) {
	l := d.lanes[m.subject]
	if l == nil {
		l = &lane{}
		d.lanes[m.subject] = l
		d.running.Go(func() { d.work(m.subject, l) })
	}
	if front {
		l.queue = append([]*message{m}, l.queue...)
	} else {
		l.queue = append(l.queue, m)
	}
}

// work handles one lane until it is empty or the context ends.
func (d *dispatcher) work(subject string, l *lane) {
	for {
		d.mu.Lock()
		if len(l.queue) == 0 || d.ctx.Err() != nil {
			delete(d.lanes, subject)
			d.mu.Unlock()
			return
		}
		m := l.queue[0]
		l.queue = l.queue[1:]
		d.mu.Unlock()
		for {
			after, again := d.handle(m)
			if !again {
				break
			}
			if !pause(d.ctx, after) {
				return
			}
		}
	}
}

// handle calls the handler once and says whether it wants the message again.
func (d *dispatcher) handle(m *message) (after time.Duration, again bool) {
	select {
	case d.workers <- struct{}{}:
	case <-d.ctx.Done():
		return 0, false
	}
	defer func() { <-d.workers }()
	delivery, err := d.delivery(m)
	if err != nil {
		d.bus.cfg.Log.Error("look up the sender of a message", slog.Any("error", err))
		return time.Second, true
	}
	m.mu.Lock()
	m.decision, m.handling = decision{}, true
	m.mu.Unlock()
	if delivery.Tenant == "" {
		_ = delivery.Reject("no tenant has this account")
	} else {
		d.call(delivery)
	}
	m.mu.Lock()
	m.handling, m.again = false, true
	decision := m.decision
	m.mu.Unlock()
	if decision.verb == retried {
		return decision.after, true
	}
	d.release(m)
	return 0, false
}

// call guards against a handler that panics on some message: it would do so
// again after every restart.
func (d *dispatcher) call(delivery Delivery) {
	defer func() {
		if p := recover(); p != nil {
			d.bus.cfg.Log.Error("handler of records panicked", slog.String("agent", delivery.Agent),
				slog.String("panic", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
			_ = delivery.Reject("the handler panicked")
		}
	}()
	d.handler(d.ctx, delivery)
}

func (d *dispatcher) delivery(m *message) (Delivery, error) {
	account, agent, _ := senderOf(m.subject)
	tenantID, err := d.bus.tenantOf(d.ctx, account)
	m.mu.Lock()
	defer m.mu.Unlock()
	return Delivery{Tenant: tenantID, Agent: agent, Data: m.msg.Data(), Stream: m.seq, Stored: m.stored, Redelivered: m.again, m: m}, err
}

// release gives back the room of a message that was handled.
func (d *dispatcher) release(m *message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.inMemory {
		m.inMemory = false
		d.bytes -= m.size
		close(d.freed)
		d.freed = make(chan struct{})
	}
}

func (d *dispatcher) forget(m *message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pending, m.seq)
}

// later queues m again after a pause, when its handler is long gone.
func (d *dispatcher) later(m *message, after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return
	}
	d.running.Go(func() {
		if !pause(d.ctx, after) {
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.queueLocked(m, true)
	})
}

// wait returns when no handler runs any more; the context must have ended.
func (d *dispatcher) wait() {
	// Whoever holds the lock may have seen the context live and is adding to
	// running; whoever takes it later sees that the context has ended.
	d.mu.Lock()
	d.lanes = map[string]*lane{}
	d.mu.Unlock()
	d.running.Wait()
}

// pause reports whether the time passed before the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
