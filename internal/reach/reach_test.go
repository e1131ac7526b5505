package reach

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestParseNetworks(t *testing.T) {
	got, err := ParseNetworks([]string{"10.0.0.0/8", " 192.0.2.7", "2001:db8::/32", "::ffff:192.0.2.8"})
	if err != nil || strings.Join(got.Strings(), " ") != "10.0.0.0/8 192.0.2.7/32 2001:db8::/32 192.0.2.8/32" {
		t.Errorf("%v, %v", got.Strings(), err)
	}
	for _, bad := range []string{"", "10.0.0.1/8", "ten", "10.0.0.0/33", "fe80::1%eth0"} {
		if _, err := ParseNetworks([]string{bad}); err == nil {
			t.Errorf("%q was taken for a network", bad)
		}
	}
}

func TestAllow(t *testing.T) {
	list, _ := ParseNetworks([]string{"192.0.2.0/24", "2001:db8::/32"})
	for a, want := range map[string]bool{
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.3.1": false, "2001:db8::1": true, "2001:db9::1": false, "127.0.0.1": true, "::1": true,
	} {
		if list.Allow(netip.MustParseAddr(a)) != want {
			t.Errorf("%s: %t", a, !want)
		}
	}
	if all, _ := ParseNetworks([]string{"10.0.0.0/8", "::/0"}); list.All() || !all.All() || !(Networks)(nil).All() {
		t.Error("All is wrong about lists that keep nobody out")
	}
}

// from is a connection that claims to come from an address.
type from struct {
	net.Conn
	addr string
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addr)) }

type queue struct {
	net.Listener
	conns chan net.Conn
}

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func TestGuardClosesOthersUnread(t *testing.T) {
	list, _ := ParseNetworks([]string{"192.0.2.0/24"})
	q := queue{conns: make(chan net.Conn, 4)}
	refused := 0
	l := list.Guard(q, func(netip.Addr, int) { refused++ })
	stranger, ours := net.Pipe()
	q.conns <- from{ours, "198.51.100.1:1"}
	q.conns <- from{ours, "198.51.100.1:2"}
	_, friend := net.Pipe()
	q.conns <- from{friend, "192.0.2.9:3"}
	close(q.conns)
	c, err := l.Accept()
	if err != nil || c.RemoteAddr().String() != "192.0.2.9:3" {
		t.Fatalf("accepted %v, %v", c, err)
	}
	if _, err := stranger.Read(make([]byte, 1)); err == nil {
		t.Error("the stranger's connection is open")
	}
	if refused != 1 {
		t.Errorf("told %d times of two refusals within a minute", refused)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the end of the listener is hidden")
	}
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var fine = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("fine")) })

func TestNamed(t *testing.T) {
	h := Named(fine, []string{"demarc.example"})
	for host, want := range map[string]int{
		"demarc.example": 200, "DEMARC.example.:443": 200, "localhost:7480": 200, "127.0.0.1:7480": 200, "[::1]:7480": 200,
		"evil.example": 421, "demarc.example.evil.example": 421, "192.0.2.1": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		if got := serve(h, r).Code; got != want {
			t.Errorf("Host %q: %d, want %d", host, got, want)
		}
	}
}

func TestCertified(t *testing.T) {
	h := Certified(fine, func(p string) bool { return p == "/v1/enrol" })
	with := httptest.NewRequest("GET", "/", nil)
	with.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
	offered := httptest.NewRequest("GET", "/", nil)
	offered.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	for what, c := range map[string]struct {
		r    *http.Request
		want int
	}{
		"verified": {with, 200}, "unverified": {offered, 403}, "none": {httptest.NewRequest("GET", "/", nil), 403},
		"an agent": {httptest.NewRequest("POST", "/v1/enrol", nil), 200},
	} {
		if got := serve(h, c.r).Code; got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := serve(Headers(fine, true), httptest.NewRequest("GET", "/v1/whoami", nil))
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Strict-Transport-Security", "X-Frame-Options", "Cache-Control"} {
		if w.Header().Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
	if w := serve(Headers(fine, false), httptest.NewRequest("GET", "/", nil)); w.Header().Get("Strict-Transport-Security") != "" {
		t.Error("HSTS without TLS")
	}
}

func TestOnly(t *testing.T) {
	h := Only(fine, func(p string) bool { return p == "/v1/enrol" })
	if serve(h, httptest.NewRequest("POST", "/v1/enrol", nil)).Code != 200 || serve(h, httptest.NewRequest("GET", "/", nil)).Code != 404 {
		t.Error("more or less than agents' paths is served")
	}
}

func FuzzParseNetworks(f *testing.F) {
	f.Add("10.0.0.0/8")
	f.Add("::ffff:1.2.3.4/128")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNetworks([]string{s})
		if err != nil {
			return
		}
		again, err := ParseNetworks(n.Strings())
		if err != nil || len(again) != 1 || again[0] != n[0] {
			t.Errorf("%q became %v, which became %v, %v", s, n, again, err)
		}
	})
}
