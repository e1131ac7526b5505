package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/contract"
	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/events"
	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/ingest"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/metrics"
	"github.com/demarc/demarc/internal/pki"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/rungroup"
	"github.com/demarc/demarc/internal/selfcheck"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/tenancy"
	"github.com/demarc/demarc/internal/wire"
)

// Run runs the server until ctx ends. What it opens it closes, in reverse.
func Run(ctx context.Context, cfg Config) (err error) {
	s, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Run(ctx)
}

// Open opens the stores and constructs the parts; nothing runs or answers yet.
// The caller closes what it returns.
func Open(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	unlock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s := &server{cfg: cfg}
	s.onClose(func() error { unlock(); return nil })
	for _, open := range []func(context.Context) error{
		s.openState, s.openLedger, s.listen, s.openBus, s.openContract,
		s.openConsent,
		s.openGrants,
		s.listenGateway, s.openGateway,
		s.openStores, s.openFaces, s.administrator,
		s.lookAtSetUp,
	} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return &Server{s}, nil
}

// server is the server while it is put together.
type server struct {
	cfg    Config
	closes []func() error

	store                  *store.Store
	keys                   *keyring.Keyring
	secrets                secrets
	authority              *pki.Authority
	ledger                 *ledger.Log
	witnesses              *ledger.Witnesses
	self                   *selfcheck.Provider
	verifier               *ledger.Verifier
	identities             *identity.Identities
	policy                 *authz.Policy
	firstToken, joinLink   string
	judgedSettled          bool // the provider was last judged with the set-up finished
	networks               networks
	clientCA               *x509.CertPool
	http                   net.Listener
	https                  net.Listener
	agents                 net.Listener // nil where agents are served at https
	bus                    *bus.Bus
	busCA                  []byte
	services               []service.Service
	contract               *contract.Contract
	posture                *posture.Engine
	estate                 *tenancy.Estate
	consent                *consent.Book
	sshAuthority           *sshca.Authority
	recorder               *recording.Recorder
	gateway                *gateway.Gateway
	ssh, proxy             net.Listener // nil where no sessions are taken
	fleet                  *fleet.Fleet
	grants                 *grant.Grants
	broker                 *events.Broker
	events                 eventstore.Store
	metrics                metrics.Store
	ingest                 *ingest.Ingest
	over                   overseers
	api                    *httpapi.API
	handler, secureHandler http.Handler
}

// onClose registers f to run when the server ends.
func (s *server) onClose(f func() error) { s.closes = append(s.closes, f) }

func (s *server) close() error {
	var errs []error
	for i := len(s.closes) - 1; i >= 0; i-- {
		errs = append(errs, s.closes[i]())
	}
	return errors.Join(errs...)
}

// lockDir makes the data directory and keeps other servers out of it.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another server runs on the data directory %s: stop it (make down), or give this one its own with --data", dir)
		}
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

func (s *server) openState(ctx context.Context) (err error) {
	if s.keys, err = keyring.Open(filepath.Join(s.cfg.DataDir, "master.key")); err != nil {
		return err
	}
	if s.store, err = store.Open(ctx, s.cfg.Store); err != nil {
		return err
	}
	s.onClose(s.store.Close)
	s.secrets = secrets{s.store, s.keys}
	if s.authority, err = pki.Open(ctx, s.secrets, s.cfg.Now); err != nil {
		return err
	}
	// For demarc login --ca, and whatever else should trust this server.
	return durable.WriteFile(filepath.Join(s.cfg.DataDir, "ca.pem"), s.authority.PEM(), 0o644)
}

func (s *server) openLedger(ctx context.Context) error {
	id, err := s.secrets.instance(ctx)
	if err != nil {
		return err
	}
	s.ledger, err = ledger.New(ledger.Config{
		Store: s.store, Origin: "demarc/" + id, Keyring: s.keys, Logger: s.cfg.Log.With("part", "ledger"), Now: s.cfg.Now,
	})
	if err != nil {
		return err
	}
	var addresses []ledger.WitnessAddress
	for _, w := range s.cfg.Witnesses {
		u, vkey, ok := strings.Cut(strings.TrimSpace(w), " ")
		if !ok {
			return fmt.Errorf("witness %q must be a URL and a verifier key, with a space between", w)
		}
		addresses = append(addresses, ledger.WitnessAddress{URL: u, VKey: strings.TrimSpace(vkey)})
	}
	if s.witnesses, err = ledger.NewWitnesses(s.ledger, &http.Client{Timeout: 10 * time.Second}, addresses); err != nil {
		return err
	}
	s.verifier = ledger.NewVerifier(s.ledger, 24*time.Hour)
	if s.policy, err = authz.New(); err != nil {
		return err
	}
	s.openIdentities()
	return nil
}

// administrator makes the first administrator, last of all: a start that fails
// must not use up the token that is shown once. The token is in its file before
// it counts.
func (s *server) administrator(ctx context.Context) (err error) {
	s.firstToken, err = s.identities.FirstStart(ctx, func(token string) error {
		return durable.WriteFile(filepath.Join(s.cfg.DataDir, TokenFile), []byte(token+"\n"), 0o600)
	})
	if err != nil || s.firstToken == "" {
		return err
	}
	return s.inviteFirst(ctx)
}

// listen takes the addresses early: a port that is taken ends the start before
// anything else has begun.
func (s *server) listen(context.Context) (err error) {
	take := func(flag, addr string) net.Listener {
		if err != nil {
			return nil
		}
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("address %s is taken by another program: stop it, or choose another with %s", addr, flag)
			}
			return nil
		}
		s.onClose(func() error { l.Close(); return nil })
		return l
	}
	s.http = take("--http", s.cfg.HTTP)
	s.https = take("--https", s.cfg.HTTPS)
	if s.cfg.Agents != "" {
		s.agents = take("--agents", s.cfg.Agents)
	}
	if err != nil {
		return err
	}
	if s.networks, err = s.cfg.networks(); err != nil {
		return err
	}
	if err = s.readClientCA(); err != nil {
		return err
	}
	s.self = &selfcheck.Provider{Ledger: s.ledger, Verifier: s.verifier, Witnesses: s.witnesses, Form: tenancy.ContactForm}
	s.http, s.https = s.management(s.http, false), s.management(s.https, true)
	// Agents' interfaces manage nothing, but the embedded bus is the product's own.
	if len(s.cfg.Bus) == 0 {
		s.self.Listeners = append(s.self.Listeners, selfcheck.Listener{
			Address: s.cfg.BusListen, TLS: true, Loopback: loopback(s.cfg.BusListen), AllowList: !s.networks.agents.All(),
		})
	}
	if s.agents != nil {
		s.agents = s.guard(s.agents, s.networks.agents)
	}
	return nil
}

func (s *server) openStores(context.Context) (err error) {
	if s.events, err = eventstore.Open(eventstore.Config{Address: s.cfg.Events}); err != nil {
		return err
	}
	s.onClose(s.events.Close)
	if s.metrics, err = metrics.Open(metrics.Config{Address: s.cfg.Metrics, Log: s.cfg.Log.With("part", "metrics")}); err != nil {
		return err
	}
	s.onClose(s.metrics.Close)
	s.ingest = ingest.New(ingest.Config{
		State: s.store, Events: s.events, Metrics: s.metrics, Judge: judge{s.posture}, Kinds: s.posture.Catalogue().Environment,
		Decode: wire.DecodeBatch, Log: s.cfg.Log.With("part", "ingest"),
		Resync: func(ctx context.Context, tenant, agent string) {
			if err := s.bus.NotifyAgent(ctx, tenant, agent, wire.Note{Type: wire.NoteResync}); err != nil {
				s.cfg.Log.Warn("ask an agent for its facts in full", "agent", agent, "error", err)
			}
		},
	})
	return nil
}

// run runs the parts: those that others stand on first.
func (s *server) run(ctx context.Context) error {
	log := s.cfg.Log
	published := changes{s.bus, s.broker, log}
	ready := rungroup.Part{Name: "ready", Run: func(ctx context.Context) error {
		started := Started{URL: "http://" + s.http.Addr().String(), AgentServer: s.agentServer(), FirstToken: s.firstToken, JoinLink: s.joinLink}
		log.Info("ready", "console", started.URL, "agents", started.AgentServer)
		s.cfg.Ready(started)
		<-ctx.Done()
		return nil
	}}
	return rungroup.Run(ctx,
		rungroup.Part{Name: "ledger checkpoints", Run: s.ledger.Run},
		rungroup.Part{Name: "ledger witnesses", Run: s.witnesses.Run},
		rungroup.Part{Name: "ledger verification", Run: s.verifier.Run},
		rungroup.Part{Name: "posture", Run: s.runPosture},
		rungroup.Part{Name: "catalogues", Run: s.followCatalogues},
		rungroup.Part{Name: "set-up", Run: s.followSetUp},
		rungroup.Part{Name: "grants", Run: s.grants.Run},
		rungroup.Part{Name: "sign-in", Run: s.identities.Run},
		rungroup.Part{Name: "gateway", Run: s.runGateway},
		rungroup.Part{Name: "changes", Run: published.run},
		rungroup.Part{Name: "idempotency keys", Run: s.api.Run},
		rungroup.Part{Name: "overseers", Run: s.oversee},
		rungroup.Part{Name: "decisions", Run: s.consent.Run},
		rungroup.Part{Name: "ingest", Run: s.ingest.Run},
		rungroup.Part{Name: "consumer", Run: func(ctx context.Context) error {
			return s.bus.Consume(ctx, func(ctx context.Context, d bus.Delivery) {
				if err := s.ingest.Handle(ctx, delivery{d}); err != nil {
					d.Retry(0) // only the end of ctx gets here
				}
			})
		}},
		rungroup.Part{Name: "http", Run: s.serve(s.http, s.faced(s.handler, false), nil)},
		rungroup.Part{Name: "https", Run: s.serve(s.https, s.faced(s.secureHandler, true), s.secureTLS())},
		rungroup.Part{Name: "agents", Run: s.serveAgents},
		ready,
	)
}
