package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/events"
)

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
