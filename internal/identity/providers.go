package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// NewProvider is an OpenID provider to be added.
type NewProvider struct {
	Tenant, Name, Issuer   string
	ClientID, ClientSecret string
	// MFA are the values of amr (RFC 8176) or acr that stand for a second factor.
	MFA []string
}

func (n NewProvider) check() error {
	u, err := url.Parse(n.Issuer)
	switch {
	case strings.TrimSpace(n.Name) == "" || len(n.Name) > 100:
		return fmt.Errorf("%w: an identity provider's name has 1 to 100 characters", estate.ErrInvalid)
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%w: the issuer must be a URL without query and fragment, as https://login.example.org", estate.ErrInvalid)
	case u.Scheme != "https" && !(u.Scheme == "http" && n.Tenant == "" && isLoopback(u.Hostname())):
		return fmt.Errorf("%w: the issuer must be reached by https", estate.ErrInvalid)
	case n.ClientID == "":
		return fmt.Errorf("%w: the client id is missing; the provider gives one when demarc is registered there", estate.ErrInvalid)
	case n.Tenant == "" && len(n.MFA) == 0:
		return fmt.Errorf("%w: the provider's roles need a second factor: name the values of amr or acr that stand for one, as mfa", estate.ErrInvalid)
	}
	for _, v := range n.MFA {
		if v == "" || len(v) > 200 || strings.ContainsAny(v, " \t\r\n") {
			return fmt.Errorf("%w: a value of amr or acr has 1 to 200 characters and no spaces", estate.ErrInvalid)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// AddIdentityProvider adds an OpenID provider, once its discovery document has
// been read.
func (i *Identities) AddIdentityProvider(ctx context.Context, by access.Principal, n NewProvider) (p store.IdentityProvider, err error) {
	if err := n.check(); err != nil {
		return p, err
	}
	p = store.IdentityProvider{ID: ident.New("op"), Tenant: n.Tenant, Name: n.Name, Issuer: n.Issuer, ClientID: n.ClientID, MFA: n.MFA, CreatedAt: i.Now()}
	if p.Sealed, err = i.seal("identity-provider/"+p.ID, n.ClientSecret); err != nil {
		return p, err
	}
	if _, err := i.discover(ctx, p); err != nil {
		return p, fmt.Errorf("%w: %s does not answer as an OpenID provider of exactly this issuer", estate.ErrInvalid, n.Issuer)
	}
	err = i.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.InsertIdentityProvider(p); err != nil {
			return err
		}
		return i.recordProvider(tx, by, p, "identity-provider.create")
	})
	return p, err
}

func (i *Identities) recordProvider(tx *store.Tx, by access.Principal, p store.IdentityProvider, action string) error {
	_, err := i.Ledger.Append(tx, ledger.Entry{Time: i.Now(), Tenant: p.Tenant, Actor: by.Actor(), Action: action, Subject: "identity-provider/" + p.ID})
	return err
}

// IdentityProvider returns one identity provider.
func (i *Identities) IdentityProvider(ctx context.Context, id string) (p store.IdentityProvider, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		p, err = tx.IdentityProvider(id)
		return err
	})
	return p, err
}

// IdentityProviders lists those of a tenant; the provider's if it is empty.
func (i *Identities) IdentityProviders(ctx context.Context, tenant string) (out []store.IdentityProvider, err error) {
	err = i.Store.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.IdentityProviders(tenant)
		return err
	})
	return out, err
}

// RemoveIdentityProvider removes an identity provider. Who signs in there can
// do so no more; sessions that began there go on until they end.
func (i *Identities) RemoveIdentityProvider(ctx context.Context, by access.Principal, id string) error {
	return i.Store.Write(ctx, func(tx *store.Tx) error {
		p, err := tx.IdentityProvider(id)
		if err != nil {
			return err
		}
		if err := tx.DeleteIdentityProvider(id); err != nil {
			return err
		}
		return i.recordProvider(tx, by, p, "identity-provider.remove")
	})
}

// discovered is an identity provider as its own document describes it.
type discovered struct {
	*oidc.Provider
	client *http.Client
}

func (i *Identities) discover(ctx context.Context, p store.IdentityProvider) (discovered, error) {
	d := discovered{client: i.client(p.Tenant)}
	var err error
	if d.Provider, err = oidc.NewProvider(oidc.ClientContext(ctx, d.client), p.Issuer); err != nil {
		return d, fmt.Errorf("identity provider %s: %w", p.ID, err)
	}
	return d, nil
}

// client reaches identity providers. Which of them a customer names is the
// customer's, so it must not lead into the provider's own networks.
func (i *Identities) client(tenant string) *http.Client {
	c := &http.Client{Timeout: 10 * time.Second}
	if i.HTTP != nil {
		*c = *i.HTTP
	}
	if tenant != "" && c.Transport == nil {
		dial := &net.Dialer{Timeout: 5 * time.Second, Control: public}
		c.Transport = &http.Transport{DialContext: dial.DialContext, TLSHandshakeTimeout: 5 * time.Second, DisableKeepAlives: true}
	}
	c.Transport = bounded{c.Transport}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// public refuses connections to addresses that are not of the public Internet.
func public(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := at.Addr().Unmap()
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	if !a.IsGlobalUnicast() || a.IsPrivate() || shared.Contains(a) {
		return errors.New("it is not in the public Internet")
	}
	return nil
}

// bounded cuts answers that are larger than any document of an identity
// provider.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, 1<<20), res.Body}
	}
	return res, err
}

// factors reports whether a token tells of one of the values that stand for a
// second factor.
func factors(wanted []string, acr string, amr []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return w == acr || slices.Contains(amr, w) })
}
