package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/internal/store"
)

// dialTime bounds the time until a target answers.
const dialTime = 10 * time.Second

// target is the connection to a target that the sessions of a user's
// connection share. The zero value makes it when it is needed.
type target struct {
	mu     sync.Mutex
	client *ssh.Client // guarded by mu
	closed bool        // guarded by mu
}

// session opens a session channel on the target.
func (t *target) session(ctx context.Context, c *conn, recording string) (ssh.Channel, <-chan *ssh.Request, error) {
	client, err := t.dial(ctx, c, recording)
	if err != nil {
		return nil, nil, err
	}
	ch, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		return nil, nil, refuse("the target opens no session: %s", clip(err.Error()))
	}
	return ch, requests, nil
}

func (t *target) dial(ctx context.Context, c *conn, recording string) (*ssh.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, refuse("the session is over")
	}
	if t.client != nil {
		return t.client, nil
	}
	a := c.admission()
	// The target's own log names grant and recording by this.
	id := "demarc/" + a.grant.ID + "/" + recording
	client, err := c.g.dialHost(ctx, a.target, id, a.grant.allows(Forward, a.target))
	if err != nil {
		return nil, err
	}
	t.client = client
	return client, nil
}

func (t *target) close() {
	// A dial that is under way ends by its context; its connection is closed then.
	go func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.closed = true
		if t.client != nil {
			t.client.Close()
		}
	}()
}

// dialHost signs in on a host.
func (g *Gateway) dialHost(ctx context.Context, t store.Target, id string, forward bool) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	raw, err := g.dialTCP(ctx, t.Address)
	if err != nil {
		return nil, err
	}
	signer, err := g.Authority.SignerFor(t.Login, id, forward)
	if err != nil {
		raw.Close()
		return nil, err
	}
	check, algorithms, err := hostCheck(t)
	if err != nil {
		raw.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	sc, channels, requests, err := ssh.NewClientConn(raw, t.Address, &ssh.ClientConfig{
		Config: ssh.Config{Ciphers: ciphers}, User: t.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: check, HostKeyAlgorithms: algorithms, ClientVersion: "SSH-2.0-demarc",
	})
	if !stop() && err == nil {
		err = ctx.Err()
	}
	switch {
	case errors.Is(err, errHostKey):
		raw.Close()
		return nil, refuse("target %s shows another host key than the registered one; nothing was sent to it", t.Name)
	case err != nil:
		raw.Close()
		g.Log.Warn("sign in on a target", "target", t.Name, "error", err)
		return nil, refuse("target %s does not let demarc in as %s; does its sshd have demarc's key as TrustedUserCAKeys?", t.Name, clip(t.Login))
	}
	return ssh.NewClient(sc, channels, requests), nil
}

// dialTCP connects to an address that is no customer's VM.
func (g *Gateway) dialTCP(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address of a target: %w", err)
	}
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil, refuse("the target's name %s is not known", clip(host))
	}
	if err := g.noGuest(ctx, addrs); err != nil {
		return nil, err
	}
	var d net.Dialer
	for _, addr := range addrs {
		var raw net.Conn
		if raw, err = d.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), port)); err == nil {
			return raw, nil
		}
	}
	g.Log.Warn("reach a target", "address", address, "error", err)
	return nil, refuse("the target does not answer")
}

// resolve returns the addresses of a host.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	return addrs, err
}

// noGuest refuses addresses of customers' VMs.
func (g *Gateway) noGuest(ctx context.Context, addrs []netip.Addr) error {
	return g.Store.Read(ctx, func(tx *store.Tx) error {
		for _, addr := range addrs {
			vm, err := g.Guests.GuestAt(tx, addr)
			if err != nil {
				return err
			}
			if vm != "" {
				return refuse("%s is the address of a customer's VM: nobody of the provider can be given access to a guest", addr)
			}
		}
		return nil
	})
}

// errHostKey: the host showed a key that is not registered.
var errHostKey = errors.New("unknown host key")

// hostCheck accepts the registered keys of a target only, and asks for them.
func hostCheck(t store.Target) (ssh.HostKeyCallback, []string, error) {
	var keys, authorities [][]byte
	var algorithms []string
	for _, line := range t.Trust.HostKeys {
		k, err := ParseKey(line)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, k.Marshal())
		algorithms = append(algorithms, signatures(k.Type())...)
	}
	for _, line := range t.Trust.HostCA {
		k, err := ParseKey(line)
		if err != nil {
			return nil, nil, err
		}
		authorities = append(authorities, k.Marshal())
	}
	if len(authorities) > 0 {
		algorithms = append([]string{
			ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
		}, algorithms...)
	}
	checker := ssh.CertChecker{
		IsHostAuthority: func(k ssh.PublicKey, _ string) bool { return has(authorities, k) },
		HostKeyFallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			if has(keys, k) {
				return nil
			}
			return errHostKey
		},
	}
	return func(address string, remote net.Addr, k ssh.PublicKey) error {
		if err := checker.CheckHostKey(address, remote, k); err != nil {
			return fmt.Errorf("%w: %w", errHostKey, err)
		}
		return nil
	}, algorithms, nil
}

func has(keys [][]byte, k ssh.PublicKey) bool {
	m := k.Marshal()
	for _, have := range keys {
		if bytes.Equal(have, m) {
			return true
		}
	}
	return false
}

// signatures are the algorithms that a host proves a key of a type by.
func signatures(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// ParseKey reads a public key in a line as of authorized_keys, without options.
func ParseKey(line string) (ssh.PublicKey, error) {
	if len(line) > 16<<10 {
		return nil, errors.New("a public key is no longer than 16 KiB")
	}
	k, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it must be one line such as 'ssh-ed25519 AAAA...'")
	}
	if _, cert := k.(*ssh.Certificate); cert {
		return nil, errors.New("it is a certificate; the plain public key is wanted")
	}
	return k, nil
}
