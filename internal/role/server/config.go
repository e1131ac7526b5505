// Package server puts the server together: it opens the stores, constructs the
// use-cases and runs the parts until it is told to stop.
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Config says how the server runs. The zero value of a member with a default
// means the default; everything that is kept lies below DataDir.
type Config struct {
	// DataDir is required. It is made if it is not there.
	DataDir string
	// HTTP is where console, API and command line are served without TLS; a
	// loopback address. Default 127.0.0.1:7480.
	HTTP string
	// HTTPS is where the same is served with TLS, and agents enrol. Default
	// 127.0.0.1:7443.
	HTTPS string
	// BusListen is where the embedded bus takes agents. Default 127.0.0.1:7422.
	BusListen string
	// SSH is where the provider's people open sessions on hosts. Default none.
	SSH string
	// Proxy is where they open web consoles; ProxyURL the address that browsers
	// know it by, where that is another. Default none.
	Proxy, ProxyURL string
	// Agents is where only agents are served, with TLS, so that HTTPS can be kept
	// to fewer networks. Default none: agents are served at HTTPS.
	Agents string
	// Allow are the networks that may connect to console, API, SSH gateway and
	// web proxy; AllowProvider those that the provider's people may come from;
	// AllowAgents those of agents. Empty means any; loopback always may.
	Allow, AllowProvider, AllowAgents []string
	// ClientCA is a PEM file of authorities: console and API at HTTPS then ask
	// for a client certificate of one of them, before sign-in.
	ClientCA string
	// ConsoleURL is the address that people open the console by, where it is
	// not the one that the server listens at.
	ConsoleURL string
	// Advertise are the host names and addresses that agents reach the server
	// by; the first is the one that they are told. Default 127.0.0.1.
	Advertise []string
	// Store is sqlite://PATH or postgres://…; default a file below DataDir.
	Store string
	// Bus are the URLs of external NATS servers; default the embedded one.
	Bus []string
	// BusCA is a PEM file of the authorities that vouch for the external bus
	// servers; default the machine's own.
	BusCA string
	// Events is the address of a VictoriaLogs server; default a directory below DataDir.
	Events string
	// Metrics is the address of a Prometheus server that takes remote writes;
	// default a directory below DataDir.
	Metrics string
	// Witnesses cosign the ledger: "URL VKEY" each.
	Witnesses []string
	// ManagementNetworks are the addresses and prefixes that the provider's
	// people administer from; a login from one on a customer's VM is an incident.
	ManagementNetworks []string
	// LogLevel is debug, info, warn or error; default info.
	LogLevel string
	Version  string
	Now      func() time.Time
	Log      *slog.Logger
	// Ready, if set, is called once everything runs.
	Ready func(Started)
}

// TokenFile, in the data directory, has the first administrator's token, for
// the command line of whoever runs the server. It may be deleted.
const TokenFile = "admin.token"

// Started says where the server is reached.
type Started struct {
	// URL is the console's address, AgentServer the one that agents enrol at.
	URL, AgentServer string
	// FirstToken is the administrator's token at the very first start, else "".
	FirstToken string
	// JoinLink is where the first administrator joins, at the very first start,
	// else "".
	JoinLink string
}

func (c *Config) setDefaults() error {
	if c.DataDir == "" {
		return errors.New("a data directory is required (--data)")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	c.DataDir = dir
	setDefault(&c.HTTP, "127.0.0.1:7480")
	setDefault(&c.HTTPS, "127.0.0.1:7443")
	setDefault(&c.BusListen, "127.0.0.1:7422")
	setDefault(&c.Store, "sqlite://"+filepath.Join(dir, "state.db"))
	setDefault(&c.Events, filepath.Join(dir, "events"))
	setDefault(&c.Metrics, filepath.Join(dir, "metrics"))
	if len(c.Advertise) == 0 {
		c.Advertise = []string{"127.0.0.1"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func(Started) {}
	}
	host, _, err := net.SplitHostPort(c.HTTP)
	if err != nil {
		return fmt.Errorf("--http %q must be HOST:PORT: %w", c.HTTP, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--http %s is no loopback address, and everything there travels unencrypted: serve others with --https", c.HTTP)
	}
	return nil
}

func setDefault(v *string, to string) {
	if *v == "" {
		*v = to
	}
}

// loopback reports whether a listening address answers this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || (ip != nil && ip.IsLoopback()))
}

// hosts are the names for the server's certificate.
func (c *Config) hosts() []string {
	hosts := append([]string{}, c.Advertise...)
	return append(hosts, "localhost", "127.0.0.1", "::1")
}

// withPort joins the first advertised host with the port of a listening address.
func (c *Config) withPort(scheme string, addr net.Addr) string {
	_, port, _ := strings.Cut(addr.String(), "]:")
	if port == "" {
		_, port, _ = net.SplitHostPort(addr.String())
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(c.Advertise[0], port)}
	return u.String()
}
