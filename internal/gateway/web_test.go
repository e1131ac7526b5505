package gateway_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/gateway"
	"github.com/demarc/demarc/internal/store"
)

// console is a web console that tells what it is sent.
func console(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "vsid", Value: "1", Domain: r.Host, Secure: true})
		w.Header().Set("Strict-Transport-Security", "max-age=1000000")
		fmt.Fprintf(w, "%s %s host=%s cookies=%s for=%s host2=%s proto=%s origin=%s auth=%s\n", r.Method, r.URL, r.Host, r.Header.Get("Cookie"),
			r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Origin"), r.Header.Get("Authorization"))
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+"/there?x=1", http.StatusFound)
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(buf, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		buf.Flush()
		io.Copy(c, buf) // what comes goes back
	})
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

func pinOf(s *httptest.Server) string {
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// browser is a client of the proxy with cookies of its own.
type browser struct {
	t *testing.T
	*http.Client
	base string
}

func (r *rig) proxied(t *testing.T) *browser {
	t.Helper()
	s := httptest.NewServer(r.gateway.Proxy(false))
	t.Cleanup(s.Close)
	r.gateway.ProxyURL = s.URL
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, s.URL}
}

func (b *browser) get(path string, header ...string) (int, string, http.Header) {
	b.t.Helper()
	req, err := http.NewRequest("GET", b.base+path, nil)
	must(b.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.Do(req)
	must(b.t, err)
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body), res.Header
}

// open uses a ticket as the page does.
func (b *browser) open(ticket string, header ...string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequest("POST", b.base+"/.demarc/open", strings.NewReader(url.Values{"ticket": {ticket}}.Encode()))
	must(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.Do(req)
	must(b.t, err)
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

var ana = access.Principal{ID: holder, Role: access.ProviderOperator, Kind: access.Person, MFA: true}

func (r *rig) webTarget(name string, s *httptest.Server, trust store.Trust) store.Target {
	r.t.Helper()
	t, err := r.gateway.AddTarget(r.t.Context(), admin, store.Target{Name: name, Kind: "web", Address: s.URL + "/ui", Trust: trust})
	must(r.t, err)
	return t
}

func (r *rig) ticket(g gateway.Grant, target string) string {
	r.t.Helper()
	x, err := r.gateway.Ticket(r.t.Context(), ana, g.ID, target)
	must(r.t, err)
	u, err := url.Parse(x.URL)
	must(r.t, err)
	if u.RawQuery != "" || !strings.HasPrefix(x.URL, r.gateway.ProxyURL+"/.demarc/open#") {
		r.t.Errorf("the ticket is at %s", x.URL)
	}
	return u.Fragment
}

func TestConsole(t *testing.T) {
	r := newRig(t)
	s := console(t)
	target := r.webTarget("vcenter", s, store.Trust{Pin: pinOf(s)})
	g := r.grant(target, gateway.Console)
	b := r.proxied(t)
	if status, body, _ := b.get("/ui"); status != http.StatusUnauthorized || !strings.Contains(body, "no console is open") {
		t.Errorf("without a ticket: %d %s", status, body)
	}
	ticket := r.ticket(g, "vcenter")
	if status, body := b.open(ticket, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("from another site: %d %s", status, body)
	}
	if status, body := b.open(ticket); status != http.StatusOK || body != "/ui" {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := b.open(ticket); status != http.StatusForbidden || !strings.Contains(body, "used up") {
		t.Errorf("a second time: %d %s", status, body)
	}
	to, _ := url.Parse(s.URL)
	status, body, header := b.get("/ui/vms?secret=1", "Origin", b.base, "X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil")
	for _, want := range []string{"GET /ui/vms?secret=1", "host=" + to.Host, "cookies= ", "for=127.0.0.1 ", "host2=" + strings.TrimPrefix(b.base, "http://"), "origin=" + s.URL} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d %s: no %q", status, body, want)
		}
	}
	if c := header.Get("Set-Cookie"); header.Get("Strict-Transport-Security") != "" || !strings.Contains(c, "vsid=1") || strings.Contains(c, "Domain") {
		t.Errorf("answered with %v", header)
	}
	if _, _, header := b.get("/away"); header.Get("Location") != "/there?x=1" {
		t.Errorf("sent to %q", header.Get("Location"))
	}
	if status, _, _ := b.get("/sw.js", "Service-Worker", "script"); status != http.StatusForbidden {
		t.Errorf("a service worker was passed on: %d", status)
	}
	r.grants.end(g.ID, true)
	await(t, "the console is closed", func() bool { status, _, _ := b.get("/ui"); return status == http.StatusUnauthorized })
	rec := r.recordings(g, 1)[0]
	events := r.replay(rec)
	if !strings.Contains(events["i"], "GET /ui/vms\r\n") || !strings.Contains(events["o"], "200 GET /ui/vms, ") || strings.Contains(events["i"]+events["o"], "secret") || rec.Kind != "web" {
		t.Errorf("recorded: %+v %q", rec, events)
	}
	if acts := r.acts("session/" + rec.ID); !slices.Contains(acts, "session.open") || !slices.Contains(acts, "session.end") {
		t.Errorf("%v", acts)
	}
}

// TestWebSocketIsCut finds that a WebSocket passes, and ends with the grant.
func TestWebSocketIsCut(t *testing.T) {
	r := newRig(t)
	s := console(t)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	target := r.webTarget("vcenter", s, store.Trust{CA: ca})
	g := r.grant(target, gateway.Console)
	b := r.proxied(t)
	if status, body := b.open(r.ticket(g, target.ID)); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	base, _ := url.Parse(b.base)
	c, err := net.Dial("tcp", base.Host)
	must(t, err)
	defer c.Close()
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: demarc_console=%s; other=1\r\n\r\n", base.Host, b.Jar.Cookies(base)[0].Value)
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil || !strings.Contains(line, "101") {
		t.Fatalf("%q %v", line, err)
	}
	for line != "\r\n" {
		line, err = in.ReadString('\n')
		must(t, err)
	}
	fmt.Fprint(c, "ping\n")
	if line, err = in.ReadString('\n'); line != "ping\n" {
		t.Fatalf("%q %v", line, err)
	}
	began := time.Now()
	r.grants.end(g.ID, false) // as another server does
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := in.ReadByte(); err == nil || time.Since(began) > time.Second {
		t.Errorf("cut after %v: %v", time.Since(began), err)
	}
	r.replay(r.recordings(g, 1)[0])
}

// TestConsoleRefused tries what must not open a console.
func TestConsoleRefused(t *testing.T) {
	r := newRig(t)
	s, other := console(t), console(t)
	target := r.webTarget("vcenter", s, store.Trust{Pin: pinOf(s)})
	b := r.proxied(t)
	noConsole := r.grant(target, gateway.Shell)
	theirs := r.grants.put(gateway.Grant{Tenant: r.tenant.ID, Holder: "p-bob", Until: time.Now().Add(time.Hour), Scope: []gateway.Ability{{Do: gateway.Console, Target: target.ID}}})
	for name, g := range map[string]gateway.Grant{"no console in the grant": noConsole, "another's grant": theirs, "no grant": {ID: "g-none"}} {
		if x, err := r.gateway.Ticket(t.Context(), ana, g.ID, "vcenter"); err == nil {
			t.Errorf("%s: %+v", name, x)
		}
	}
	g := r.grant(target, gateway.Console)
	late := r.ticket(g, "vcenter")
	r.grants.end(g.ID, false)
	if status, body := b.open(late); status != http.StatusForbidden || !strings.Contains(body, "not in force") {
		t.Errorf("after the grant: %d %s", status, body)
	}
	if status, _ := b.open("made-up"); status != http.StatusForbidden {
		t.Errorf("a ticket that was made up: %d", status)
	}
	t.Run("a foreign certificate", func(t *testing.T) {
		wrong := r.webTarget("wrong", s, store.Trust{Pin: "sha256:" + strings.Repeat("0", 64)})
		g := r.grant(wrong, gateway.Console)
		if status, body := b.open(r.ticket(g, "wrong")); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		if status, body, _ := b.get("/ui"); status != http.StatusBadGateway || !strings.Contains(body, "another certificate") {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("a customer's VM", func(t *testing.T) {
		x := r.webTarget("guest", other, store.Trust{Pin: pinOf(other)})
		g := r.grant(x, gateway.Console)
		if status, body := b.open(r.ticket(g, "guest")); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		r.guests.set("127.0.0.1", "vm-1")
		defer r.guests.set("127.0.0.1", "")
		if status, body, _ := b.get("/ui"); status != http.StatusBadGateway || !strings.Contains(body, "customer's VM") {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("odd requests", func(t *testing.T) {
		base, _ := url.Parse(b.base)
		for _, line := range []string{"GET http://evil/ HTTP/1.1", "CONNECT evil:443 HTTP/1.1", "TRACE / HTTP/1.1", "GET /\\evil HTTP/1.1", "GET evil HTTP/1.1"} {
			c, err := net.Dial("tcp", base.Host)
			must(t, err)
			fmt.Fprintf(c, "%s\r\nHost: %s\r\n\r\n", line, base.Host)
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			answer, _ := bufio.NewReader(c).ReadString('\n')
			if !strings.Contains(answer, " 400") {
				t.Errorf("%s: %q", line, answer)
			}
			c.Close()
		}
		c, err := net.Dial("tcp", base.Host)
		must(t, err)
		defer c.Close()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", base.Host)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if answer, _ := bufio.NewReader(c).ReadString('\n'); !strings.Contains(answer, " 400") && !strings.Contains(answer, " 501") {
			t.Errorf("smuggled: %q", answer)
		}
	})
}
