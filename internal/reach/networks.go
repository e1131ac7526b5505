// Package reach says who can reach the product's own interfaces at all: from
// which networks, under which name, and with which client certificate. It comes
// before sign-in and does not replace it.
package reach

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Networks are those that may connect; none means any.
type Networks []netip.Prefix

// ParseNetworks reads addresses and prefixes: 10.0.0.0/8, 2001:db8::/32, 192.0.2.7.
func ParseNetworks(list []string) (Networks, error) {
	var out Networks
	for _, s := range list {
		s = strings.TrimSpace(s)
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32", s)
		}
		if p.Masked() != p {
			return nil, fmt.Errorf("network %s has bits set beyond its length; write %s, or /%d for the one address", p, p.Masked(), p.Addr().BitLen())
		}
		out = append(out, p)
	}
	return out, nil
}

// Allow reports whether a may connect. Loopback always may: what runs on the
// server's own machine is not kept out by a list of networks.
func (n Networks) Allow(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if len(n) == 0 || a.IsLoopback() {
		return true
	}
	for _, p := range n {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Strings are the networks as text.
func (n Networks) Strings() []string {
	out := make([]string, len(n))
	for i, p := range n {
		out[i] = p.String()
	}
	return out
}

// All reports whether any address may connect: there is no list, or it names
// the whole of IPv4 or IPv6.
func (n Networks) All() bool {
	for _, p := range n {
		if p.Bits() == 0 {
			return true
		}
	}
	return len(n) == 0
}

// Address is the remote address of a connection or request, "host:port".
func Address(remote string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote)
	return ap.Addr().Unmap(), err == nil
}

// Guard returns l, where connections from other networks are closed before a
// byte is read, so that neither TLS nor HTTP is offered to them. refused is
// told of them, at most once a minute with how many there were.
func (n Networks) Guard(l net.Listener, refused func(from netip.Addr, since int)) net.Listener {
	if n.All() {
		return l
	}
	return &guarded{Listener: l, networks: n, refused: refused}
}

type guarded struct {
	net.Listener
	networks Networks
	refused  func(netip.Addr, int)

	mu    sync.Mutex // guards what follows
	told  time.Time
	count int
}

// Accept returns the next connection from a network that may connect.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, ok := Address(c.RemoteAddr().String())
		if ok && g.networks.Allow(from) {
			return c, nil
		}
		c.Close()
		g.note(from)
	}
}

func (g *guarded) note(from netip.Addr) {
	g.mu.Lock()
	g.count++
	n, tell := g.count, time.Since(g.told) > time.Minute
	if tell {
		g.told, g.count = time.Now(), 0
	}
	g.mu.Unlock()
	if tell && g.refused != nil {
		g.refused(from, n)
	}
}
