package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/demarc/demarc/api"
)

// connect makes the client of the server that flag, environment or profile
// name, in this order. It does not speak to it yet.
func (s *session) connect() (*api.Client, error) {
	p, err := s.profile()
	if err != nil {
		return nil, err
	}
	server := s.namedServer(p)
	if server == "" {
		return nil, usage("start one with `make up`, or name one with --server or `demarc login`", "no server is named")
	}
	token, ca := strings.TrimSpace(s.env("DEMARC_TOKEN")), ""
	if sameServer(server, p.Server) {
		ca = p.CA
		if token == "" {
			if token, err = p.token(); err != nil {
				return nil, err
			}
		}
	}
	return s.client(server, token, []byte(ca))
}

func (s *session) namedServer(p Profile) string {
	for _, server := range []string{s.flags.Server, s.env("DEMARC_SERVER"), p.Server} {
		if server != "" {
			return server
		}
	}
	return ""
}

func sameServer(a, b string) bool {
	return strings.TrimRight(a, "/") == strings.TrimRight(b, "/")
}

// client makes a client; without ca, the file that DEMARC_CA names is trusted.
func (s *session) client(server, token string, ca []byte) (*api.Client, error) {
	if path := s.env("DEMARC_CA"); len(ca) == 0 && path != "" {
		var err error
		if ca, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading the certificate authority named by DEMARC_CA: %w", err)
		}
	}
	certificates, err := s.clientCertificate()
	if err != nil {
		return nil, err
	}
	web, err := api.NewHTTP(ca, certificates...)
	if err != nil {
		return nil, fmt.Errorf("trusting %s: %w", server, err)
	}
	if _, tty := terminalOf(s.streams.Err); tty {
		web.Transport = &progress{next: web.Transport, out: s.streams.Err}
	}
	return &api.Client{Base: server, Token: token, HTTP: web, Agent: "demarc/" + s.version()}, nil
}

// clientCertificate is what DEMARC_CLIENT_CERT and DEMARC_CLIENT_KEY name, for
// servers that ask for one (--client-ca).
func (s *session) clientCertificate() ([]tls.Certificate, error) {
	cert, key := s.env("DEMARC_CLIENT_CERT"), s.env("DEMARC_CLIENT_KEY")
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usage("set DEMARC_CLIENT_CERT and DEMARC_CLIENT_KEY to PEM files", "only one of certificate and key of the client is named")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate that DEMARC_CLIENT_CERT and DEMARC_CLIENT_KEY name: %w", err)
	}
	return []tls.Certificate{pair}, nil
}

func (s *session) version() string {
	if s.programs.Version == "" {
		return "unversioned"
	}
	return s.programs.Version
}

// tenantOr says which tenant a command is about: the one named, else that of
// DEMARC_TENANT, the profile or the principal, else the only one there is.
func (s *session) tenantOr(ctx context.Context, c *api.Client, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if t, err := s.usualTenant(c); t != "" || err != nil {
		return t, err
	}
	who, err := c.Whoami(ctx)
	if err != nil {
		return "", fmt.Errorf("finding out the tenant: %w", err)
	}
	if who.Tenant != "" {
		return who.Tenant, nil
	}
	tenants, err := api.Collect(c.Tenants(ctx))
	if err != nil {
		return "", fmt.Errorf("finding out the tenant: %w", err)
	}
	switch len(tenants) {
	case 0:
		return "", usage("make one with `demarc tenant create NAME`", "there is no tenant yet")
	case 1:
		return tenants[0].Name, nil
	}
	var names []string
	for _, t := range tenants[:min(len(tenants), 8)] {
		names = append(names, t.Name)
	}
	return "", usage("add --tenant NAME, one of: "+clean(strings.Join(names, ", ")), "which tenant? You may see %d", len(tenants))
}

// usualTenant is the tenant of DEMARC_TENANT or the profile; empty if neither
// names one.
func (s *session) usualTenant(c *api.Client) (string, error) {
	if t := s.env("DEMARC_TENANT"); t != "" {
		return t, nil
	}
	p, err := s.profile()
	if err != nil || !sameServer(c.Base, p.Server) {
		return "", err
	}
	return p.Tenant, nil
}

// names reads what the VDCs and VMs of a tenant are called, by id, where a
// table of so many items is going to show them.
func (s *session) names(ctx context.Context, c *api.Client, tenant string, items int) (map[string]string, error) {
	names := map[string]string{}
	if items == 0 || s.flags.Output != "table" {
		return names, nil
	}
	for v, err := range c.VDCs(ctx, tenant) {
		if err != nil {
			return nil, fmt.Errorf("listing VDCs of tenant %s: %w", tenant, err)
		}
		names[v.ID] = v.Name
	}
	for v, err := range c.VMs(ctx, tenant) {
		if err != nil {
			return nil, fmt.Errorf("listing VMs of tenant %s: %w", tenant, err)
		}
		names[v.ID] = v.Name
	}
	return names, nil
}

// forbidden reports whether the server refused because of the caller's role.
func forbidden(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status == http.StatusForbidden
}
