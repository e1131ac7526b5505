package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/store"
)

// wayTo is how requests get to a web console: by TLS, to the certificate that
// was registered, and to no customer's VM.
func (g *Gateway) wayTo(t store.Target) (way http.RoundTripper, close func(), err error) {
	u, err := url.Parse(t.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("address of target %s: %w", t.Name, err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	if t.Trust.Pin != "" {
		// The pinned key vouches for itself; its certificate may be self-signed.
		conf.InsecureSkipVerify = true
		conf.VerifyConnection = func(cs tls.ConnectionState) error {
			sum := sha256.Sum256(cs.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if "sha256:"+hex.EncodeToString(sum[:]) != t.Trust.Pin {
				return errForeignKey
			}
			return nil
		}
	} else {
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM([]byte(t.Trust.CA))
	}
	tr := &http.Transport{
		DialContext:     func(ctx context.Context, _, address string) (net.Conn, error) { return g.dialTCP(ctx, address) },
		TLSClientConfig: conf, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: 2 * time.Minute, IdleConnTimeout: time.Minute,
		MaxConnsPerHost: 64, DisableCompression: true,
		// WebSockets need HTTP/1.1.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return tr, tr.CloseIdleConnections, nil
}

var errForeignKey = errors.New("it shows another key than the registered one")

// startOf is the path that a console begins at.
func startOf(t store.Target) string {
	u, err := url.Parse(t.Address)
	if err != nil || u.Path == "" {
		return "/"
	}
	return u.EscapedPath()
}

// proxy passes a request on to the console that the browser has open.
func (g *Gateway) proxy(w http.ResponseWriter, r *http.Request) {
	s := g.consoles.of(r)
	if s == nil {
		say(w, http.StatusUnauthorized, "no console is open here, or your access has ended: open one with `demarc access console`, or from demarc's pages")
		return
	}
	if r.Header.Get("Service-Worker") != "" {
		// It would outlive the session, and see the next target's pages.
		say(w, http.StatusForbidden, "service workers are not passed on")
		return
	}
	s.mu.Lock()
	s.used = time.Now()
	s.mu.Unlock()
	line := logged(r)
	if s.rec.Input([]byte(line+"\r\n")) != nil {
		s.end("the session cannot be recorded")
		say(w, http.StatusServiceUnavailable, "the session cannot be recorded, so it has ended")
		return
	}
	// The request ends with the session, also once it has become a WebSocket.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	began := time.Now()
	cw := &counting{ResponseWriter: w}
	defer func() {
		end := recover()
		s.rec.Output([]byte(fmt.Sprintf("%d %s, %d bytes, %d ms\r\n", cw.status, line, cw.bytes, time.Since(began).Milliseconds())))
		if end != nil {
			panic(end) // the connection is cut in the middle of an answer
		}
	}()
	s.reverse(r).ServeHTTP(cw, r.WithContext(ctx))
}

// logged is a request as it is recorded: without query, which may hold secrets.
func logged(r *http.Request) string {
	path := r.URL.EscapedPath()
	if len(path) > 500 {
		path = path[:497] + "..."
	}
	what := clip(r.Method) + " " + path
	if up := r.Header.Get("Upgrade"); up != "" {
		what += " (" + clip(up) + ")"
	}
	return what
}

// reverse is the proxy for one request.
func (s *webSession) reverse(in *http.Request) *httputil.ReverseProxy {
	t := s.admission().target
	to, _ := url.Parse(t.Address) // checked when it was registered
	from := in.Host
	return &httputil.ReverseProxy{
		Transport: s.way,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = to.Scheme, to.Host, to.Host
			p.SetXForwarded()
			ownOrigin(p.Out.Header, from, to)
			keepCookies(p.Out, p.In)
		},
		ModifyResponse: func(res *http.Response) error {
			theirOrigin(res.Header, to)
			return nil
		},
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(s.g.Log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			words := "target " + t.Name + " does not answer"
			switch r, ok := errors.AsType[*refusal](err); {
			case ok:
				words = r.words
			case s.ctx.Err() != nil:
				words = "your access has ended"
			case errors.Is(err, errForeignKey) || isCertificate(err):
				words = "target " + t.Name + " shows another certificate than the registered one; nothing was sent to it"
			}
			s.g.Log.Warn("web console", "target", t.Name, "error", err)
			say(w, http.StatusBadGateway, words)
		},
	}
}

func isCertificate(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// ownOrigin puts the target's origin where the browser named the proxy's.
func ownOrigin(h http.Header, host string, to *url.URL) {
	for _, name := range []string{"Origin", "Referer"} {
		if u, err := url.Parse(h.Get(name)); err == nil && u.Host == host {
			u.Scheme, u.Host = to.Scheme, to.Host
			h.Set(name, u.String())
		}
	}
}

// keepCookies passes on the cookies that are not demarc's.
func keepCookies(out, in *http.Request) {
	out.Header.Del("Cookie")
	for _, c := range in.Cookies() {
		if !strings.HasPrefix(c.Name, "demarc_") && !strings.HasPrefix(c.Name, "__Host-demarc") {
			out.AddCookie(c)
		}
	}
}

// theirOrigin takes out of an answer what would bind the proxy's origin to the
// target, or the target's cookies to more than the proxy.
func theirOrigin(h http.Header, to *url.URL) {
	for _, name := range []string{"Strict-Transport-Security", "Public-Key-Pins", "Alt-Svc", "Service-Worker-Allowed", "Clear-Site-Data"} {
		h.Del(name)
	}
	if u, err := url.Parse(h.Get("Location")); err == nil && u.Host == to.Host {
		u.Scheme, u.Host, u.User = "", "", nil
		h.Set("Location", u.String())
	}
	res := http.Response{Header: h}
	cookies := res.Cookies()
	h.Del("Set-Cookie")
	for _, c := range cookies {
		if strings.HasPrefix(c.Name, "demarc_") {
			continue
		}
		c.Domain = ""
		h.Add("Set-Cookie", c.String())
	}
}

// counting counts what is answered.
type counting struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (c *counting) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counting) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush and hijack.
func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }
