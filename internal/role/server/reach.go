package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/demarc/demarc/internal/reach"
	"github.com/demarc/demarc/internal/selfcheck"
)

// networks are who may reach which interfaces, as the configuration says.
type networks struct {
	// management may reach console, API, SSH gateway and web proxy; provider is
	// where the provider's people may come from; agents is where agents may.
	management, provider, agents reach.Networks
}

func (c *Config) networks() (n networks, err error) {
	for _, l := range []struct {
		flag string
		list []string
		to   *reach.Networks
	}{{"--allow", c.Allow, &n.management}, {"--allow-provider", c.AllowProvider, &n.provider}, {"--allow-agents", c.AllowAgents, &n.agents}} {
		if *l.to, err = reach.ParseNetworks(l.list); err != nil {
			return n, fmt.Errorf("%s: %w", l.flag, err)
		}
	}
	return n, nil
}

// management puts a listening socket of a management interface behind the list
// of networks, and into the fact about the product's exposure.
func (s *server) management(l net.Listener, tls bool) net.Listener {
	address := l.Addr().String()
	s.self.Listeners = append(s.self.Listeners, selfcheck.Listener{
		Address: address, TLS: tls, Loopback: loopback(address),
		AllowList: !s.networks.management.All() || !s.networks.provider.All(),
	})
	return s.guard(l, s.networks.management)
}

func (s *server) guard(l net.Listener, n reach.Networks) net.Listener {
	return n.Guard(l, func(from netip.Addr, since int) {
		s.cfg.Log.Warn("closed connections from networks that are not allowed", "address", l.Addr().String(), "last_from", from.String(), "connections", since)
	})
}

// agentPath reports what agents call; they have credentials of their own.
func agentPath(path string) bool {
	return path == "/v1/enrol" || path == "/v1/renew" || strings.HasPrefix(path, "/v1/agent/") || path == "/healthz"
}

// faced puts before a handler what every interface of console and API has.
func (s *server) faced(h http.Handler, secure bool) http.Handler {
	if secure && s.clientCA != nil {
		h = reach.Certified(h, agentPath)
	}
	return reach.Headers(reach.Named(h, s.cfg.names()), secure)
}

// agentServer is the address that agents enrol at.
func (s *server) agentServer() string {
	if s.agents != nil {
		return s.cfg.withPort("https", s.agents.Addr())
	}
	return s.cfg.withPort("https", s.https.Addr())
}

// serveAgents serves agents at an address of their own, where there is one.
func (s *server) serveAgents(ctx context.Context) error {
	if s.agents == nil {
		<-ctx.Done()
		return nil
	}
	h := reach.Headers(reach.Only(s.secureHandler, agentPath), true)
	return s.serve(s.agents, h, s.authority.ServerTLS(s.cfg.hosts()))(ctx)
}

// names are those that browsers and clients may call the server by.
func (c *Config) names() []string {
	var out []string
	for _, h := range c.Advertise {
		out = append(out, strings.ToLower(h))
	}
	if u, err := url.Parse(c.ConsoleURL); err == nil && u.Hostname() != "" {
		out = append(out, strings.ToLower(u.Hostname()))
	}
	return out
}

// secureTLS is the configuration of --https, with the authority of client
// certificates where there is one. Which paths ask for one is decided later:
// agents bring none.
func (s *server) secureTLS() *tls.Config {
	conf := s.authority.ServerTLS(s.cfg.hosts())
	if s.clientCA != nil {
		conf.ClientCAs, conf.ClientAuth = s.clientCA, tls.VerifyClientCertIfGiven
	}
	return conf
}

func (s *server) readClientCA() error {
	if s.cfg.ClientCA == "" {
		return nil
	}
	raw, err := os.ReadFile(s.cfg.ClientCA)
	if err != nil {
		return fmt.Errorf("--client-ca: %w", err)
	}
	s.clientCA = x509.NewCertPool()
	if !s.clientCA.AppendCertsFromPEM(raw) {
		return fmt.Errorf("--client-ca %s holds no PEM certificate", s.cfg.ClientCA)
	}
	return nil
}
