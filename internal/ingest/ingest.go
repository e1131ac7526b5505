// Package ingest takes in what agents publish: facts go to the state store and
// to judgement in one transaction with the agent's position, findings and
// activities to the event store, numbers to the metrics store. A message is
// acknowledged to the bus only when all of it is on disk, so that whatever is
// killed when, a record is in its store or still on the bus; and the position
// and the event store together tell, when it comes again, what is missing.
package ingest

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/demarc/demarc/internal/assessment"
	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/metrics"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// Delivery is one message of the bus. One of Ack, Retry and Reject is called,
// once, from any goroutine, often long after Handle has returned. An error of
// theirs means that the bus may deliver the message again, which does no harm.
type Delivery interface {
	// Tenant and Agent are who the bus let publish it.
	Tenant() string
	Agent() string
	// Data is a batch as wire encodes it. It is not changed.
	Data() []byte
	// Received is when the bus took it in, the same at every delivery.
	Received() time.Time
	// Ack says that all of it is on disk.
	Ack() error
	// Retry asks for it again after a pause.
	Retry(after time.Duration) error
	// Reject says that it will never be taken. The reason quotes nothing of it.
	Reject(reason string) error
}

// ErrResync is what Judge.Apply returns, wrapped or not, when a fact was
// confirmed that is not the stored one. Everything else was applied and the
// transaction is good to commit.
var ErrResync = errors.New("a confirmed fact is not the stored one")

// Judge takes in facts and what follows from them.
type Judge interface {
	// Apply works within tx and may be called again for the same observation
	// when a transaction has to be repeated.
	Apply(tx *store.Tx, obs Observation) error
}

// Observation is what one batch says about one subject, in the agent's order.
type Observation struct {
	Subject evidence.Subject
	Agent   string
	Facts   []FactUpdate
}

// FactUpdate is one observed fact. The data has the form of its kind.
type FactUpdate struct {
	Kind string
	// Data is nil when the state is still the one with the digest.
	Data   []byte
	Digest string
	// ObservedAt is by the server's clock.
	ObservedAt time.Time
}

// State is the part of the state store that ingest needs.
type State interface {
	Write(ctx context.Context, fn func(tx *store.Tx) error) error
}

// Events is the part of the event store that ingest needs.
type Events interface {
	Append(ctx context.Context, events []eventstore.Event) error
	Sync(ctx context.Context) error
	Existing(ctx context.Context, tenant uint32, agent, epoch string, first, last uint64) (map[uint64]struct{}, error)
	Oldest(now time.Time) time.Time
}

// Metrics is the part of the metrics store that ingest needs.
type Metrics interface {
	Append(ctx context.Context, samples []metrics.Sample) error
	Sync(ctx context.Context) error
}

// Config is what ingest is made of. All members without a default are required.
type Config struct {
	State   State
	Events  Events
	Metrics Metrics
	Judge   Judge
	// Kinds knows the forms of facts.
	Kinds *assessment.Environment
	// Decode reads a batch.
	Decode func([]byte) (wire.Batch, error)
	// Resync asks an agent for its facts in full.
	Resync func(ctx context.Context, tenant, agent string)
	Log    *slog.Logger

	// Patience is how long a batch waits for those before it, once there is a
	// gap in an agent's sequences, before these count as lost; a minute by
	// default. It should exceed the time after which the bus delivers again.
	Patience time.Duration
	// SyncEvery is the shortest time between two flushes of the event and
	// metrics stores; a second by default. Shorter makes more small files.
	SyncEvery time.Duration
}

// Bounds of what is held at once.
const (
	groupBatches = 32
	queueBatches = 32
	maxHeld      = 512      // batches that wait for those before them
	maxHeldBytes = 64 << 20 // and their size as sent
	unackedMax   = 20_000   // batches stored and not yet flushed
)

// Ingest is the consumer of what agents publish.
type Ingest struct {
	cfg    Config
	kinds  map[string]metricPaths
	queue  chan *unit // in order of arrival, decoded or about to be
	decode chan *unit // the same units, for the decoders
	stored chan *unit // committed units, for the stores
	flush  chan *unit // stored units, to be acknowledged after the next flush

	mu       sync.Mutex
	inflight map[unitKey]*unit // guarded by mu
	status   Status            // guarded by mu
	resynced map[string]time.Time
}

// New prepares an Ingest. Run does its work.
func New(cfg Config) *Ingest {
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	if cfg.SyncEvery == 0 {
		cfg.SyncEvery = time.Second
	}
	return &Ingest{
		cfg: cfg, kinds: metricsOf(cfg.Kinds),
		queue: make(chan *unit, queueBatches), decode: make(chan *unit, queueBatches),
		stored: make(chan *unit, groupBatches), flush: make(chan *unit, unackedMax),
		inflight: map[unitKey]*unit{}, resynced: map[string]time.Time{},
	}
}

// Handle takes a delivery over. It blocks while ingest is busy and returns an
// error only when ctx ends; the delivery is then untouched. Deliveries of one
// agent must be handed over in order; different agents may come concurrently.
func (in *Ingest) Handle(ctx context.Context, d Delivery) error {
	u := &unit{
		deliveries: []Delivery{d}, agent: d.Agent(), tenant: d.Tenant(), received: d.Received(),
		data: d.Data(), size: len(d.Data()), ready: make(chan struct{}),
	}
	// The order is fixed by queue; a unit in it is always decoded eventually,
	// because decode has as much room.
	select {
	case in.queue <- u:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case in.decode <- u:
		return nil
	case <-ctx.Done():
		u.abandon()
		return ctx.Err()
	}
}

// Run works until ctx ends, then flushes and acknowledges what is stored, and
// returns nil. What is not acknowledged then comes again from the bus.
func (in *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { in.decodeLoop(ctx) })
	}
	wg.Go(func() { in.commitLoop(ctx); close(in.stored) })
	wg.Go(func() { in.storeLoop(ctx); close(in.flush) })
	wg.Go(func() { in.flushLoop(ctx) })
	wg.Wait()
	return nil
}
