package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/grant"
	"github.com/demarc/demarc/internal/reach"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/rungroup"
	"github.com/demarc/demarc/internal/service/telemetry"
	"github.com/demarc/demarc/internal/sshca"
	"github.com/demarc/demarc/internal/store"
)

// Off, as the address of a listener that can be missing, leaves it out.
const Off = "off"

// openGateway makes the gateway and what it records to, and takes its address.
func (s *server) openGateway(ctx context.Context) (err error) {
	if s.sshAuthority, err = sshca.Open(ctx, s.secrets, s.cfg.Now); err != nil {
		return err
	}
	log := s.cfg.Log.With("part", "gateway")
	s.recorder, err = recording.Open(recording.Config{
		Store: s.store, Ledger: s.ledger, Dir: filepath.Join(s.cfg.DataDir, "recordings"), Now: s.cfg.Now, Log: log,
	})
	if err != nil {
		return err
	}
	if err := s.recorder.Recover(ctx); err != nil {
		return err
	}
	s.gateway = gateway.New(gateway.Config{
		Store: s.store, Ledger: s.ledger, Authority: s.sshAuthority, Recorder: s.recorder, Noticed: s.over.incidents.Noticed,
		Grants: gatewayGrants{s.grants}, People: gatewayPeople{people{s}}, Guests: guests{}, ProxyURL: s.proxyURL(), Now: s.cfg.Now, Log: log,
	})
	return nil
}

// listenGateway takes the addresses of gateway and proxy.
func (s *server) listenGateway(context.Context) (err error) {
	if s.ssh, err = s.optional("--ssh", s.cfg.SSH, true); err != nil {
		return err
	}
	s.proxy, err = s.optional("--proxy", s.cfg.Proxy, !loopback(s.cfg.Proxy))
	return err
}

// proxyURL is the address that people open web consoles by; empty where there
// is no proxy. On a loopback address it is served without TLS, as --http is.
func (s *server) proxyURL() string {
	switch {
	case s.proxy == nil:
		return ""
	case s.cfg.ProxyURL != "":
		return s.cfg.ProxyURL
	case loopback(s.cfg.Proxy):
		return "http://" + s.proxy.Addr().String()
	}
	return s.cfg.withPort("https", s.proxy.Addr())
}

// serveProxy serves web consoles.
func (s *server) serveProxy(ctx context.Context) error {
	defer s.gateway.Stop()
	plain := loopback(s.cfg.Proxy)
	u, err := url.Parse(s.proxyURL())
	if err != nil {
		return fmt.Errorf("--proxy-url: %w", err)
	}
	h := reach.Named(s.gateway.Proxy(u.Scheme == "https"), append(s.cfg.names(), strings.ToLower(u.Hostname())))
	l := s.proxy
	if !plain {
		// HTTP/1.1 only: WebSockets pass by its upgrade.
		conf := s.authority.ServerTLS(s.cfg.hosts())
		conf.NextProtos = []string{"http/1.1"}
		l = tls.NewListener(l, conf)
	}
	return Serve(ctx, &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}, l)
}

// optional listens at an address that can be missing.
func (s *server) optional(flag, address string, secure bool) (net.Listener, error) {
	if address == "" || address == Off {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is taken by another program: stop it, or choose another with %s", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	s.onClose(func() error { l.Close(); return nil })
	return s.management(l, secure), nil
}

// gatewayAddress is where people reach the gateway; empty where it does not listen.
func (s *server) gatewayAddress() string {
	if s.ssh == nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(s.ssh.Addr().String())
	return net.JoinHostPort(s.cfg.Advertise[0], port)
}

// runGateway runs recorder and gateway. The recorder ends last, so that what
// ends with the gateway is still recorded.
func (s *server) runGateway(ctx context.Context) error {
	parts := []rungroup.Part{{Name: "recordings", Run: s.recorder.Run}, {Name: "grants of sessions", Run: s.gateway.Watch}}
	if s.ssh != nil {
		parts = append(parts, rungroup.Part{Name: "SSH gateway", Run: func(ctx context.Context) error { return s.gateway.Serve(ctx, s.ssh) }})
	}
	if s.proxy != nil {
		parts = append(parts, rungroup.Part{Name: "web consoles", Run: s.serveProxy})
	}
	return rungroup.Run(ctx, parts...)
}

// gatewayGrants tells the gateway what is granted.
type gatewayGrants struct{ *grant.Grants }

// Active implements gateway.Grants.
func (g gatewayGrants) Active(tx *store.Tx, id string, now time.Time) (gateway.Grant, error) {
	x, err := g.Grants.Active(tx, id, now)
	if err != nil {
		return gateway.Grant{}, err
	}
	out := gateway.Grant{ID: x.ID, Tenant: x.Tenant, Holder: x.Holder, Until: x.Until}
	for _, a := range x.Granted {
		out.Scope = append(out.Scope, gateway.Ability{Do: string(a.Do), Target: a.Target})
	}
	return out, nil
}

// gatewayPeople tells the gateway who may act for the provider.
type gatewayPeople struct{ people }

// Standing implements gateway.People.
func (p gatewayPeople) Standing(tx *store.Tx, id string) (access.Principal, error) {
	who, err := p.people.Standing(tx, id)
	if err == nil && (!who.OfProvider() || who.Kind != access.Person) {
		err = fmt.Errorf("person %q of the provider: %w", id, store.ErrNotFound)
	}
	return who, err
}

// liveSessions are the sessions that are open now, as far as it is known: a
// server that was killed closes its own when it starts again.
func (s *server) liveSessions(tx *store.Tx, tenant string) ([]grant.Session, error) {
	var failing []string
	if s.recorder != nil {
		failing = s.recorder.Failing()
	}
	var out []grant.Session
	for page := (store.Page{Limit: store.MaxPage}); ; {
		open, err := tx.Recordings(store.RecordingFilter{Tenant: tenant, State: "open"}, page)
		if err != nil {
			return nil, err
		}
		ids := make([]string, len(open))
		for i, r := range open {
			ids[i] = r.ID
		}
		sealed, err := tx.LastSegments(ids)
		if err != nil {
			return nil, err
		}
		for _, r := range open {
			_, kept := sealed[r.ID]
			out = append(out, grant.Session{
				ID: r.ID, Tenant: r.Tenant, Grant: r.Grant, Recorded: kept && !slices.Contains(failing, r.ID), Began: r.Started,
			})
		}
		if len(open) < page.Limit {
			return out, nil
		}
		page.After = open[len(open)-1].ID
	}
}

// guests knows the addresses of customers' VMs by what their agents report.
type guests struct{}

// GuestAt implements gateway.Guests. Addresses that many machines have at once
// tell nothing.
func (guests) GuestAt(tx *store.Tx, addr netip.Addr) (string, error) {
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
		return "", nil
	}
	facts, err := tx.NetworkFacts(addr.String())
	if err != nil {
		return "", err
	}
	for _, f := range facts {
		var n telemetry.Network
		if json.Unmarshal(f.Data, &n) != nil {
			continue
		}
		for _, i := range n.Interfaces {
			for _, have := range i.Addresses {
				if sameAddress(have, addr) {
					return f.Subject.ID, nil
				}
			}
		}
	}
	return "", nil
}

// sameAddress compares with an address that may carry the length of its network.
func sameAddress(have string, addr netip.Addr) bool {
	if p, err := netip.ParsePrefix(have); err == nil {
		return p.Addr().Unmap() == addr
	}
	a, err := netip.ParseAddr(have)
	return err == nil && a.Unmap() == addr
}
