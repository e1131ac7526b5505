package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyWithin bounds how long the embedded server may take to recover its streams.
const readyWithin = 60 * time.Second

// startEmbedded runs a NATS server inside this process.
func startEmbedded(k keys, cfg Config) (*embedded, error) {
	host, portText, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("bus address %q: want host:port", cfg.Listen)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return nil, fmt.Errorf("bus address %q: the port is none of 0 to 65535", cfg.Listen)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	} else if err := portFree(cfg.Listen); err != nil {
		return nil, err
	}
	text, err := k.serverConfig(ServerOptions{
		Listen: net.JoinHostPort(host, strconv.Itoa(port)), StoreDir: cfg.Dir, SyncAlways: !cfg.Unsynced,
		// Room for the stream of revocations beside that of records.
		MaxBytes: cfg.MaxBytes + 64<<20,
	})
	if err != nil {
		return nil, err
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(text); err != nil {
		return nil, fmt.Errorf("bus server configuration: %w", err)
	}
	opts.NoSigs = true
	opts.TLSConfig = cfg.TLS
	opts.TLSTimeout, opts.AuthTimeout = 5, 5
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("make bus server: %w", err)
	}
	h := newHealer(cfg.Log)
	ns.SetLoggerV2(natsLog{cfg.Log, h.heard}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(readyWithin) {
		ns.Shutdown()
		ns.WaitForShutdown()
		return nil, fmt.Errorf("bus server on %s is not ready after %s: the log says why", cfg.Listen, readyWithin)
	}
	go h.run(ns)
	return &embedded{Server: ns, healer: h}, nil
}

// embedded is the server in this process.
type embedded struct {
	*server.Server
	healer *healer
	ending sync.Once
}

func (e *embedded) close() {
	e.ending.Do(e.healer.stop)
	e.Shutdown()
	e.WaitForShutdown()
}

// portFree says in plain words what the server would only log.
func portFree(addr string) error {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("bus address %s is taken by another program: stop it, or choose another port", addr)
	}
	if err != nil {
		return fmt.Errorf("bus address %s: %w", addr, err)
	}
	return l.Close()
}

func tlsOrNil(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}

// natsLog passes what the NATS server says on to slog. Debug and trace output
// could hold payloads and is never asked for.
type natsLog struct {
	log     *slog.Logger
	onError func(line string)
}

func (l natsLog) Noticef(f string, v ...any) { l.log.Debug(fmt.Sprintf(f, v...)) }
func (l natsLog) Warnf(f string, v ...any)   { l.log.Warn(fmt.Sprintf(f, v...)) }
func (l natsLog) Errorf(f string, v ...any) {
	line := fmt.Sprintf(f, v...)
	l.log.Error(line)
	l.onError(line)
}
func (l natsLog) Fatalf(f string, v ...any) { l.log.Error(fmt.Sprintf(f, v...)) }
func (l natsLog) Debugf(string, ...any)     {}
func (l natsLog) Tracef(string, ...any)     {}
