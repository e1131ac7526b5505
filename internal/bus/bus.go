// Package bus carries what agents and servers say to each other on NATS
// JetStream. Every tenant has an account of its own; an agent is a user of it
// that may publish and read its own subjects only. All records land in one
// stream of the hub account, from which the servers consume.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/wire"
)

// Config says where the bus runs: inside this process (Dir, Listen, TLS), or
// on external servers (URLs).
type Config struct {
	// Secrets keeps the keys. Required.
	Secrets Secrets
	// Log is required.
	Log *slog.Logger

	// Dir holds the streams of the embedded server.
	Dir string
	// Listen is where the embedded server takes agents, host:port; port 0
	// means any free one.
	Listen string
	// TLS is the embedded server's certificate. Without it agents would speak
	// in the clear, and Open refuses.
	TLS *tls.Config
	// Unsynced leaves out the fsync of every message. For benchmarks.
	Unsynced bool

	// URLs of external servers that run with ServerConfig's text. If set,
	// nothing is embedded.
	URLs []string
	// ClientTLS is used to connect to external servers: the roots to trust.
	ClientTLS *tls.Config
	// Replicas of the streams on external servers, 1, 3 or 5; 0 means 1.
	Replicas int

	// AgentNetworks are those that agents may connect from; empty means any.
	AgentNetworks []string
	// Advertise are the URLs that agents are told; empty means URLs, or the
	// embedded server's own address.
	Advertise []string
	// MaxBytes bounds the records that wait to be consumed; 0 means 8 GiB.
	// Agents keep theirs in their spools while it is reached.
	MaxBytes int64
	// MaxWaitingPerAgent bounds the batches of one agent that wait to be
	// consumed, so that none can use up the room of all; 0 means 1024.
	MaxWaitingPerAgent int64
	// MaxAckPending bounds the deliveries that are handed out and not yet
	// decided; 0 means 8192.
	MaxAckPending int
	// Workers bounds the handlers that run at once; 0 means 4.
	Workers int
}

func (c *Config) setDefaults() error {
	switch {
	case c.Secrets == nil || c.Log == nil:
		return errors.New("open bus: Secrets and Log are required")
	case len(c.URLs) == 0 && (c.Dir == "" || c.Listen == ""):
		return errors.New("open bus: an embedded bus needs a directory and an address, an external one its URLs")
	case len(c.URLs) == 0 && c.TLS == nil:
		return errors.New("open bus: an embedded bus needs a TLS certificate")
	}
	c.TLS, c.ClientTLS = tlsOrNil(c.TLS), tlsOrNil(c.ClientTLS)
	setDefault(&c.Replicas, 1)
	setDefault(&c.MaxBytes, 8<<30)
	setDefault(&c.MaxWaitingPerAgent, 1024)
	setDefault(&c.MaxAckPending, 8192)
	setDefault(&c.Workers, 4)
	return nil
}

func setDefault[T int | int64](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// Names on the hub account's JetStream.
const (
	streamRecords  = "RECORDS"
	consumerName   = "ingest"
	bucketRevoked  = "revoked"
	bucketLease    = "lease"
	connectTimeout = 10 * time.Second
)

// Bus is an open bus. All methods are safe for concurrent use.
type Bus struct {
	cfg      Config
	keys     keys
	embedded *embedded // nil with external servers
	sys, hub *nats.Conn
	js       jetstream.JetStream
	revoked  jetstream.KeyValue
	rejected atomic.Uint64

	mu      sync.Mutex
	tenants map[string]*tenant // by id
	byKey   map[string]string  // tenant id by account
}

// Open starts or reaches the bus and makes sure of its accounts and streams.
func Open(ctx context.Context, cfg Config) (_ *Bus, err error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, tenants: map[string]*tenant{}, byKey: map[string]string{}}
	if b.keys, err = loadKeys(ctx, cfg.Secrets); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if len(cfg.URLs) == 0 {
		if b.embedded, err = startEmbedded(b.keys, cfg); err != nil {
			return nil, err
		}
	}
	if b.sys, err = b.connect("system", b.keys.system, b.keys.system); err != nil {
		return nil, err
	}
	hub, err := b.keys.hubJWT()
	if err != nil {
		return nil, err
	}
	if err = b.push(ctx, hub); err != nil {
		return nil, fmt.Errorf("open bus: hub account: %w", err)
	}
	if b.hub, err = b.connect("hub", b.keys.hub, b.keys.hubSigner); err != nil {
		return nil, err
	}
	if err = b.ensureStreams(ctx); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	return b, nil
}

// connect opens a connection of the server itself to one of its accounts.
func (b *Bus) connect(name string, account, signer nkeys.KeyPair) (*nats.Conn, error) {
	acc, err := public(account)
	if err != nil {
		return nil, err
	}
	token, user, err := serverUser("server-"+name, acc, signer)
	if err != nil {
		return nil, fmt.Errorf("bus user: %w", err)
	}
	opts := []nats.Option{
		nats.Name("demarc-server-" + name),
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign),
		nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond), nats.Timeout(connectTimeout),
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.cfg.Log.Warn("bus connection", slog.String("connection", name), slog.Any("error", err))
		}),
	}
	url := nats.DefaultURL
	if b.embedded != nil {
		opts = append(opts, nats.InProcessServer(b.embedded.Server))
	} else {
		url = strings.Join(b.cfg.URLs, ",")
		opts = append(opts, nats.Secure(b.cfg.ClientTLS))
	}
	nc, err := nats.Connect(url, opts...)
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("the bus at %s does not know this server's operator: run it with the configuration that this server gives", url)
	case err != nil:
		return nil, fmt.Errorf("reach the bus at %s: %w", url, err)
	}
	return nc, nil
}

func (b *Bus) ensureStreams(ctx context.Context) (err error) {
	if b.js, err = jetstream.New(b.hub, jetstream.WithDefaultTimeout(15*time.Second)); err != nil {
		return err
	}
	_, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        streamRecords,
		Description: "Batches of records that no server has consumed yet.",
		Subjects:    []string{ingestPrefix + ".*.*"},
		// What is acknowledged is gone, so that the stream is exactly what
		// waits. A full one refuses, and spools hold back: nothing is lost.
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
		MaxBytes: b.cfg.MaxBytes, MaxMsgsPerSubject: b.cfg.MaxWaitingPerAgent, MaxMsgSize: wire.MaxMessageBytes,
		Storage: jetstream.FileStorage, Replicas: b.cfg.Replicas,
		// Sequences of the spool tell duplicates; an agent must not be able to
		// have another's message taken for one.
		Duplicates: 100 * time.Millisecond,
	})
	if err != nil {
		return fmt.Errorf("stream of records: %w", err)
	}
	b.revoked, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucketRevoked, Description: "Agents whose identity was taken back.",
		TTL: 2 * maxAgentTTL, MaxBytes: 16 << 20, Storage: jetstream.FileStorage, Replicas: b.cfg.Replicas,
	})
	if err != nil {
		return fmt.Errorf("revocations: %w", err)
	}
	return nil
}

// URLs returns what agents are told to connect to.
func (b *Bus) URLs() []string {
	switch {
	case len(b.cfg.Advertise) > 0:
		return b.cfg.Advertise
	case b.embedded == nil:
		return b.cfg.URLs
	}
	return []string{"tls://" + b.embedded.Addr().(*net.TCPAddr).String()}
}

// Stats tells how the bus stands.
type Stats struct {
	Connected bool
	// Waiting counts the messages that no server has consumed, Bytes their size.
	Waiting, Bytes uint64
	// Rejected counts the messages that this process refused as malformed.
	Rejected uint64
}

// Stats asks the bus how it stands.
func (b *Bus) Stats(ctx context.Context) (Stats, error) {
	st := Stats{Connected: b.hub.IsConnected(), Rejected: b.rejected.Load()}
	s, err := b.js.Stream(ctx, streamRecords)
	if err != nil {
		return st, fmt.Errorf("bus stats: %w", err)
	}
	state := s.CachedInfo().State
	st.Waiting, st.Bytes = state.Msgs, state.Bytes
	return st, nil
}

// Close leaves the bus and stops the embedded server. Further calls do nothing.
func (b *Bus) Close() error {
	for _, nc := range []*nats.Conn{b.hub, b.sys} {
		if nc != nil {
			// What was published last, acknowledgements above all, gets out first.
			nc.FlushTimeout(2 * time.Second)
			nc.Close()
		}
	}
	if b.embedded != nil {
		b.embedded.close()
	}
	return nil
}

var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkID refuses what cannot be one token of a subject.
func checkID(what, id string) error {
	if !token.MatchString(id) {
		return fmt.Errorf("bus: %s %.80q must have 1 to 64 letters, digits, underscores or hyphens", what, id)
	}
	return nil
}
