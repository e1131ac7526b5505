package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/demarc/demarc/internal/wire"
)

var errOffline = errors.New("no connection to the bus")

// link is the agent's one connection to the bus, outbound and over TLS only.
type link struct {
	creds *credentials
	log   *slog.Logger
	// onNote is called for every note that the server sends.
	onNote func(wire.Note)
	// onConnect is called whenever the connection stands anew.
	onConnect func()

	nc atomic.Pointer[nats.Conn]

	mu   sync.Mutex         // guards lost and drop
	lost context.Context    // ends when the present connection breaks
	drop context.CancelFunc // ends lost
}

// run holds the connection until ctx ends, and moves it where a renewed
// identity says.
func (l *link) run(ctx context.Context) error {
	for ctx.Err() == nil {
		id, moved := l.creds.get()
		nc, err := l.dial(ctx, id)
		if err != nil {
			l.log.Warn("connect to the bus", slog.Any("error", err))
			if !sleep(ctx, jitter(10*time.Second)) {
				return nil
			}
			continue
		}
		l.nc.Store(nc)
		select {
		case <-ctx.Done():
		case <-moved:
		}
		l.nc.Store(nil)
		nc.Close()
	}
	return nil
}

func (l *link) dial(ctx context.Context, id Identity) (*nats.Conn, error) {
	key, err := id.key()
	if err != nil {
		return nil, err
	}
	roots, err := id.roots()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(strings.Join(id.BusURLs, ","),
		nats.Name("demarc-agent"),
		nats.UserJWT(func() (string, error) {
			now, _ := l.creds.get() // the newest one at every reconnect
			return now.JWT, nil
		}, key.Sign),
		nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		nats.CustomInboxPrefix("_INBOX."+id.Agent),
		nats.IgnoreDiscoveredServers(),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			// Half to all of it, so that a fleet does not come back as one.
			d := min(200*time.Millisecond<<min(attempts, 10), 30*time.Second)
			return d/2 + rand.N(d/2)
		}),
		// The spool is the buffer.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(time.Minute),
		nats.ConnectHandler(func(*nats.Conn) { l.connect(ctx) }),
		nats.ReconnectHandler(func(*nats.Conn) { l.connect(ctx) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			l.disconnect()
			l.trouble("bus connection lost", err)
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { l.trouble("bus connection", err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.trouble("bus", err) }),
	)
	if err != nil {
		return nil, err
	}
	if _, err := nc.Subscribe(wire.NotesSubject(id.Agent), l.note); err != nil {
		nc.Close()
		return nil, fmt.Errorf("listen for notes: %w", err)
	}
	return nc, nil
}

// trouble logs, and asks for a renewal where the JWT is what is wrong.
func (l *link) trouble(what string, err error) {
	if err == nil {
		return
	}
	l.log.Info(what, slog.Any("error", err))
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired) {
		l.creds.refused()
	}
}

func (l *link) note(m *nats.Msg) {
	var n wire.Note
	if err := json.Unmarshal(m.Data, &n); err != nil || !slices.Contains([]string{wire.NoteRefresh, wire.NoteResync, wire.NotePolicy}, n.Type) {
		l.log.Warn("a note is not understood and ignored", slog.Int("bytes", len(m.Data)))
		return
	}
	l.onNote(n)
}

func (l *link) connect(ctx context.Context) {
	l.disconnect()
	l.mu.Lock()
	l.lost, l.drop = context.WithCancel(ctx)
	l.mu.Unlock()
	l.onConnect()
}

func (l *link) disconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drop != nil {
		l.drop()
	}
}

// request publishes records and returns the bus's answer. It does not wait for
// the answer longer than the connection lasts.
func (l *link) request(ctx context.Context, message []byte) ([]byte, error) {
	nc := l.nc.Load()
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if nc == nil || lost == nil || !nc.IsConnected() {
		return nil, errOffline
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(lost, func() { cancel(errOffline) })()
	id, _ := l.creds.get()
	m, err := nc.RequestWithContext(ctx, wire.RecordsSubject(id.Agent), message)
	if err != nil {
		if errors.Is(context.Cause(ctx), errOffline) {
			return nil, errOffline
		}
		return nil, fmt.Errorf("publish: %w", err)
	}
	return m.Data, nil
}

func (l *link) connected() bool {
	nc := l.nc.Load()
	return nc != nil && nc.IsConnected()
}
