package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrDecided is returned by the second decision on one delivery.
var ErrDecided = errors.New("delivery is decided already")

// Delivery is one message of an agent. It must be decided once, by Ack, Retry
// or Reject, from inside the handler or later; until then it counts against
// MaxAckPending, and if the process dies it is delivered again.
type Delivery struct {
	// Tenant and Agent are who sent it; the bus has verified them.
	Tenant, Agent string
	Data          []byte
	// Stream is the place in the stream, growing.
	Stream uint64
	// Stored is when the bus had it on disk, by the bus's clock.
	Stored time.Time
	// Redelivered says that the message may have been handed out before.
	Redelivered bool

	m *message
}

// Ack says that the records are where they belong. The bus forgets them.
func (d Delivery) Ack() error { return d.m.decide(decision{verb: acked}) }

// Retry asks to be handed the message again after a pause. Called before the
// handler returns it also holds back what the agent sent later, which keeps
// the order; later it does not.
func (d Delivery) Retry(after time.Duration) error {
	return d.m.decide(decision{verb: retried, after: max(after, 0)})
}

// Reject says that the message can never be taken. It is dropped, counted and
// logged with the reason, which must not quote its content.
func (d Delivery) Reject(reason string) error {
	return d.m.decide(decision{verb: rejected, reason: reason})
}

type verb int

const (
	undecided verb = iota
	acked
	retried
	rejected
)

type decision struct {
	verb   verb
	after  time.Duration
	reason string
}

// message is a delivery in the hands of the dispatcher.
type message struct {
	d        *dispatcher
	seq      uint64
	subject  string
	stored   time.Time
	size     int
	inMemory bool // counts against the dispatcher's budget; its mutex guards it

	mu       sync.Mutex // guards what follows
	msg      jetstream.Msg
	decision decision
	again    bool // handed out before
	handling bool // the handler has not returned yet
}

func (m *message) decide(to decision) error {
	m.mu.Lock()
	if m.decision.verb != undecided {
		m.mu.Unlock()
		return ErrDecided
	}
	m.decision = to
	msg, handling := m.msg, m.handling
	m.mu.Unlock()
	switch to.verb {
	case acked:
		m.d.forget(m)
		return wrapDecision(msg.Ack())
	case rejected:
		m.d.forget(m)
		m.d.bus.rejected.Add(1)
		m.d.bus.cfg.Log.Warn("message of an agent is rejected",
			slog.String("subject", m.subject), slog.Uint64("stream", m.seq), slog.String("reason", to.reason))
		return wrapDecision(msg.TermWithReason(to.reason))
	default:
		if !handling {
			m.d.later(m, to.after)
		}
		return nil
	}
}

func wrapDecision(err error) error {
	if err != nil {
		return fmt.Errorf("tell the bus: %w", err)
	}
	return nil
}

// senderOf splits "ingest.<account>.<agent>".
func senderOf(subject string) (account, agent string, ok bool) {
	rest, ok := strings.CutPrefix(subject, ingestPrefix+".")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}
