package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/identity"
)

// openIdentities makes what says who acts. Where people reach the console is
// known once the server listens.
func (s *server) openIdentities() {
	s.identities = &identity.Identities{
		Store: s.store, Ledger: s.ledger, Now: s.cfg.Now, Keys: s.keys, HTTP: &http.Client{Timeout: 10 * time.Second},
		Settled: func() { s.policy.Settle(true) },
	}
}

// site is where people reach the console: at --console-url, else at this
// machine's own name, for a passkey is bound to a name and not to an address.
func (c *Config) site(plain, secure net.Addr) identity.Site {
	port := func(a net.Addr) string {
		_, p, _ := net.SplitHostPort(a.String())
		return p
	}
	local := identity.Site{
		URL: "http://localhost:" + port(plain), RPID: "localhost",
		Origins: []string{"http://localhost:" + port(plain), "https://localhost:" + port(secure)},
	}
	u, err := url.Parse(c.ConsoleURL)
	if err != nil || u.Host == "" {
		return local
	}
	site := identity.Site{URL: strings.TrimRight(c.ConsoleURL, "/"), Origins: []string{u.Scheme + "://" + u.Host}}
	switch host := strings.ToLower(u.Hostname()); {
	case net.ParseIP(host) != nil:
		// No passkeys: an address is no relying party.
	case host == "localhost":
		site.RPID, site.Origins = host, append(local.Origins, site.Origins...)
	default:
		site.RPID = host
	}
	return site
}

// inviteFirst invites the first administrator at the very first start. Whoever
// has lost the link makes another with the first start's token.
func (s *server) inviteFirst(ctx context.Context) error {
	setup, err := s.identities.Authenticate(ctx, s.firstToken)
	if err != nil {
		return fmt.Errorf("the first start's credential: %w", err)
	}
	_, secret, err := s.identities.Invite(ctx, setup, identity.Invitation{Name: "First administrator", Role: access.ProviderAdministrator})
	if err == nil {
		s.joinLink = s.identities.Link(secret)
	}
	return err
}
