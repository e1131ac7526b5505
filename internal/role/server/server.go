package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/consent"
	"github.com/demarc/demarc/internal/console"
	"github.com/demarc/demarc/internal/contract"
	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/events"
	"github.com/demarc/demarc/internal/eventstore"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/httpapi"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/infrastructure"
	"github.com/demarc/demarc/internal/ingest"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/metrics"
	"github.com/demarc/demarc/internal/pki"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/responsibility/builtin"
	"github.com/demarc/demarc/internal/review"
	"github.com/demarc/demarc/internal/rights"
	"github.com/demarc/demarc/internal/rungroup"
	"github.com/demarc/demarc/internal/selfcheck"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/service/all"
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

func (s *server) openBus(ctx context.Context) (err error) {
	clientTLS, err := s.busTrust()
	if err != nil {
		return err
	}
	s.bus, err = bus.Open(ctx, bus.Config{
		Secrets: s.secrets, Log: s.cfg.Log.With("part", "bus"), Dir: filepath.Join(s.cfg.DataDir, "bus"), Listen: s.cfg.BusListen,
		TLS: s.authority.ServerTLS(s.cfg.hosts()), URLs: s.cfg.Bus, ClientTLS: clientTLS,
		Advertise: s.advertisedBus(), AgentNetworks: s.networks.agents.Strings(),
	})
	if err != nil {
		return err
	}
	s.onClose(s.bus.Close)
	s.broker = events.NewBroker()
	return nil
}

// busTrust reads who vouches for external bus servers; agents are told too.
func (s *server) busTrust() (*tls.Config, error) {
	if s.cfg.BusCA == "" {
		return nil, nil
	}
	var err error
	if s.busCA, err = os.ReadFile(s.cfg.BusCA); err != nil {
		return nil, fmt.Errorf("--bus-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.busCA) {
		return nil, fmt.Errorf("--bus-ca %s holds no PEM certificate", s.cfg.BusCA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

// advertisedBus tells agents the bus by the name that they reach the server by.
func (s *server) advertisedBus() []string {
	if len(s.cfg.Bus) > 0 {
		return nil
	}
	_, port, err := net.SplitHostPort(s.cfg.BusListen)
	if err != nil || port == "0" {
		return nil
	}
	var urls []string
	for _, h := range s.cfg.Advertise {
		urls = append(urls, "tls://"+net.JoinHostPort(h, port))
	}
	return urls
}

// ownKinds are the fact kinds that the server itself provides.
func ownKinds() []evidence.Kind {
	return slices.Concat(
		[]evidence.Kind{wire.AgentKind, fleet.CoverageKind, rights.Kind},
		selfcheck.Kinds,
		grant.Kinds,
		infrastructure.Kinds,
		[]evidence.Kind{selfcheck.VaultKind},
		overseerKinds(),
	)
}

// Kinds are all fact kinds that this program provides: the server's own and
// those of its services.
func Kinds() []evidence.Kind {
	kinds := ownKinds()
	for _, svc := range all.Services() {
		kinds = append(kinds, svc.Manifest().Kinds...)
	}
	return kinds
}

func (s *server) openContract(ctx context.Context) error {
	s.services = all.Services()
	kinds, everything := ownKinds(), Kinds()
	for _, svc := range s.services {
		if p, ok := svc.(service.Preparer); ok {
			if err := p.Prepare(everything); err != nil {
				return fmt.Errorf("service %s: %w", svc.Manifest().Name, err)
			}
		}
	}
	base, err := builtin.Catalogue()
	if err != nil {
		return err
	}
	if s.contract, err = contract.Open(ctx, s.store, s.ledger, s.cfg.Now, base, s.services, kinds); err != nil {
		return err
	}
	compiled, err := s.contract.Compile()
	if err != nil {
		return err
	}
	s.estate = &tenancy.Estate{
		Store: s.store, Ledger: s.ledger, Accounts: s.bus, Keys: s.keys, Services: buyable(s.services, compiled), Now: s.cfg.Now,
	}
	published := changes{s.bus, s.broker, s.cfg.Log.With("part", "posture")}
	if err := s.openOverseers(); err != nil {
		return err
	}
	s.posture, err = posture.New(posture.Config{
		Catalogue: compiled, Services: s.services, Sources: []posture.Source{
			fleet.Coverage{},
			selfcheck.Tenants{Contacts: s.estate, Form: tenancy.ContactForm},
			s.self,
			s.openRights(),
			infrastructure.Source{},
			s.openVault(),
			review.Source{}, s.over.incidents, s.over.privileges, s.over.auditor,
			grant.Privileged{Sessions: sessions{s}},
			grant.Environments{Sessions: sessions{s}, Proofs: &grant.Proofs{}},
		},
		Observers: s.overseerObservers(),
		Store:     s.store, Ledger: s.ledger, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "posture"), Changed: published.publish,
		Heavy: (&memory{}).spend,
	})
	if err != nil {
		return err
	}
	s.estate.Judge = s.posture
	s.judgeOverseers()
	s.fleet = &fleet.Fleet{
		Store: s.store, Ledger: s.ledger, Bus: s.bus, VMs: s.estate, Judge: s.posture, CA: string(s.authority.PEM()) + string(s.busCA), Pin: s.authority.Pin(),
		BusURLs: s.bus.URLs(), Now: s.cfg.Now, Log: s.cfg.Log.With("part", "fleet"),
	}
	return nil
}

// buyable lists what a subscription can name: services that move a duty of the
// contract, and services of this program that do not run everywhere anyway.
func buyable(services []service.Service, c *judgement.Compiled) []string {
	var out []string
	add := func(name string) {
		for _, have := range out {
			if have == name {
				return
			}
		}
		out = append(out, name)
	}
	for _, svc := range services {
		if m := svc.Manifest(); !m.Standard {
			add(m.Name)
		}
	}
	for _, d := range c.Duties {
		for _, name := range d.Services {
			add(name)
		}
	}
	return out
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

func (s *server) openFaces(ctx context.Context) error {
	if err := s.place(ctx); err != nil {
		return err
	}
	s.api = httpapi.New(httpapi.Config{
		Store: s.store, Identities: s.identities, Policy: s.policy, Estate: s.estate, Fleet: s.fleet, Contract: s.contract, Consent: s.consent, Posture: s.posture,
		Ledger: s.ledger, Verifier: s.verifier, Witnesses: s.witnesses, Ingest: s.ingest, Events: s.broker, Services: s.services, Keys: s.keys,
		AgentServer: s.agentServer(), ProviderNetworks: s.networks.provider, Version: s.cfg.Version, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "api"),
		Grants: s.grants, Granted: s.grants.Granted,
		Gateway: s.gateway, Recorder: s.recorder, SSH: s.sshAuthority, GatewayAddress: s.gatewayAddress(), ProxyURL: s.proxyURL(),
		Reviews: s.over.reviews, Incidents: s.over.incidents, Privileges: s.over.privileges, Activity: s.over.activity, Feed: s.over.feed, Auditor: s.over.auditor,
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/", s.api.Handler())
	mux.Handle("/openapi.json", s.api.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.store.Ping(r.Context()); err != nil {
			http.Error(w, "state store unavailable", http.StatusServiceUnavailable)
			return
		}
		if n := len(s.ingest.Status().Faults); n > 0 {
			http.Error(w, "records wait for a store; 'demarc status' names it", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	// The session cookie is kept to TLS where there is TLS.
	for _, face := range []struct {
		secure bool
		to     *http.Handler
	}{{false, &s.handler}, {true, &s.secureHandler}} {
		pages, err := console.New(console.Config{
			API: s.api.Handler(), SignIn: s.signIn, SignOut: s.identities.SignOut, Secure: face.secure, Now: s.cfg.Now, Log: s.cfg.Log.With("part", "console"),
		})
		if err != nil {
			return err
		}
		all := http.NewServeMux()
		all.Handle("/v1/", mux)
		all.Handle("/openapi.json", mux)
		all.Handle("/healthz", mux)
		all.Handle("/", pages)
		*face.to = s.api.RotateSessions(all)
	}
	return nil
}

// signIn opens a console session, and tells a wrong token from a server that
// cannot say.
func (s *server) signIn(ctx context.Context, token string) (string, error) {
	id, err := s.identities.SignIn(ctx, token)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return "", console.ErrRefused
	}
	return id, err
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

// followCatalogues puts in force what other servers of the installation load.
func (s *server) followCatalogues(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		compiled, err := s.contract.Refresh(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("read the catalogues again", "error", err)
		}
		if compiled != nil {
			s.posture.SetCatalogue(compiled) // whoever loaded it judges by it
		}
	}
}

// runPosture brings verdicts up to the catalogue of this program, then keeps
// them by the timer.
func (s *server) runPosture(ctx context.Context) error {
	if err := s.posture.CatchUp(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("judge by the catalogue in force", "error", err)
	}
	return s.posture.Run(ctx)
}
