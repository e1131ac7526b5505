package gateway

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Kinds of targets. A guest is none.
const (
	KindHost = "host"
	KindWeb  = "web"
)

var (
	targetName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
	loginName  = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,31}$`)
	pinForm    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxTrust bounds how many keys a target is known by.
const maxTrust = 16

// AddTarget registers a target. Its host is known by keys or authorities given
// here: what it shows at the first connection is never just believed.
func (g *Gateway) AddTarget(ctx context.Context, by access.Principal, t store.Target) (store.Target, error) {
	t.ID, t.CreatedAt = ident.New("tg"), g.Now()
	if err := checkTarget(&t); err != nil {
		return t, fmt.Errorf("%w: %w", estate.ErrInvalid, err)
	}
	if err := g.checkGuest(ctx, t); err != nil {
		return t, err
	}
	err := g.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.InsertTarget(t); err != nil {
			return err
		}
		return g.note(tx, by, "target.add", "target/"+t.ID)
	})
	return t, err
}

// checkGuest refuses an address of a customer's VM, as far as it is known now;
// each connection asks again.
func (g *Gateway) checkGuest(ctx context.Context, t store.Target) error {
	host, _, err := net.SplitHostPort(hostOf(t))
	if err != nil {
		return fmt.Errorf("%w: address %q: %w", estate.ErrInvalid, clip(t.Address), err)
	}
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil // it is resolved again when it is used
	}
	err = g.noGuest(ctx, addrs)
	if r, ok := errors.AsType[*refusal](err); ok {
		return fmt.Errorf("%w: %s", estate.ErrInvalid, r.words)
	}
	return err
}

// hostOf is HOST:PORT of a target of either kind.
func hostOf(t store.Target) string {
	if t.Kind == KindHost {
		return t.Address
	}
	u, err := url.Parse(t.Address)
	if err != nil {
		return ""
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return u.Host
}

// RemoveTarget takes a target out of reach; what is open to it is closed.
func (g *Gateway) RemoveTarget(ctx context.Context, by access.Principal, ref string) (t store.Target, err error) {
	err = g.Store.Write(ctx, func(tx *store.Tx) error {
		if t, err = tx.Target(ref); err != nil {
			return err
		}
		now := g.Now()
		if err := tx.RemoveTarget(t.ID, now); err != nil {
			return err
		}
		t.RemovedAt = &now
		return g.note(tx, by, "target.remove", "target/"+t.ID)
	})
	if err == nil {
		g.endAll(func(m member) bool { return m.reaches() == t.ID }, "the target was taken out of reach")
	}
	return t, err
}

func (g *Gateway) note(tx *store.Tx, by access.Principal, action, subject string) error {
	_, err := g.Ledger.Append(tx, ledger.Entry{Time: g.Now(), Actor: by.Actor(), Action: action, Subject: subject})
	return err
}

// checkTarget says what is wrong with a target, and puts it in order.
func checkTarget(t *store.Target) error {
	if !targetName.MatchString(t.Name) {
		return errors.New("name must be 1 to 63 of a-z, 0-9, '.' and '-', such as hv-1: people sign in by it")
	}
	switch t.Kind {
	case KindHost:
		return checkHost(t)
	case KindWeb:
		return checkWeb(t)
	}
	return fmt.Errorf("kind must be host or web, not %q: a customer's guest can be no target", clip(t.Kind))
}

func checkHost(t *store.Target) error {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil { // no port
		host, port = strings.Trim(t.Address, "[]"), "22"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || len(host) > 253 || strings.ContainsAny(host, "/@ \t") {
		return fmt.Errorf("address must be HOST or HOST:PORT, not %q", clip(t.Address))
	}
	t.Address = net.JoinHostPort(host, port)
	if !loginName.MatchString(t.Login) {
		return fmt.Errorf("user must be the name of an account on the host, such as root; not %q", clip(t.Login))
	}
	if t.Trust.CA != "" || t.Trust.Pin != "" {
		return errors.New("ca and pin are for web consoles; a host is known by host_keys or host_ca")
	}
	n := len(t.Trust.HostKeys) + len(t.Trust.HostCA)
	if n == 0 || n > maxTrust {
		return fmt.Errorf("host_keys or host_ca must name 1 to %d keys: `ssh-keyscan %s` shows them, and the host's console says whether they are right", maxTrust, host)
	}
	for member, lines := range map[string][]string{"host_keys": t.Trust.HostKeys, "host_ca": t.Trust.HostCA} {
		for i, line := range lines {
			k, err := ParseKey(line)
			if err != nil {
				return fmt.Errorf("%s[%d]: %w", member, i, err)
			}
			lines[i] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
		}
	}
	return nil
}

func checkWeb(t *store.Target) error {
	u, err := url.Parse(t.Address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(t.Address) > 500 {
		return fmt.Errorf("url must be https://HOST[:PORT][/PATH], not %q", clip(t.Address))
	}
	if t.Login != "" || len(t.Trust.HostKeys)+len(t.Trust.HostCA) > 0 {
		return errors.New("user, host_keys and host_ca are for hosts; a web console is known by ca or pin")
	}
	switch {
	case t.Trust.CA == "" && t.Trust.Pin == "":
		return errors.New("ca (PEM of who vouches for the console) or pin (sha256:HEX of its public key) is required")
	case t.Trust.CA != "" && (len(t.Trust.CA) > 64<<10 || !x509.NewCertPool().AppendCertsFromPEM([]byte(t.Trust.CA))):
		return errors.New("ca must be certificates in PEM, at most 64 KiB")
	case t.Trust.Pin != "" && !pinForm.MatchString(t.Trust.Pin):
		return errors.New("pin must be sha256: and 64 hex digits in lower case")
	}
	return nil
}
