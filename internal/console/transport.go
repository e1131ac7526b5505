package console

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/demarc/demarc/api"
)

// SessionCookie carries the id of a session. The API knows it by this name.
const SessionCookie = "demarc_session"

// answerLimit bounds what one answer of the API may take, in bytes.
const answerLimit = 64 << 20

// inProcess calls the API without a network, as the browser of a visit would:
// with its cookies, its address and its kind. Cookies of the answer are handed
// on to the browser.
type inProcess struct {
	api     http.Handler
	visitor *http.Request
	mu      *sync.Mutex
	header  http.Header       // guarded by mu; of the answer to the visitor
	fresh   map[string]string // guarded by mu; cookies that replace the visitor's
}

// client returns a client of the API that acts as the visitor.
func (c *Console) client(w http.ResponseWriter, r *http.Request) *api.Client {
	return &api.Client{
		Base:    "http://localhost",
		HTTP:    &http.Client{Transport: inProcess{api: c.cfg.API, visitor: r, mu: &sync.Mutex{}, header: w.Header(), fresh: map[string]string{}}},
		Timeout: 20 * time.Second,
		Agent:   r.UserAgent(),
	}
}

const (
	// cookiePrefix begins the names of all cookies that are ours.
	cookiePrefix = "demarc_"
	// journeyCookie goes with a sign-in at an OpenID provider, from where the
	// browser comes back to the API itself.
	journeyCookie = "demarc_journey"
)

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI = in.URL.RequestURI()
	in.RemoteAddr, in.TLS, in.Host = t.visitor.RemoteAddr, t.visitor.TLS, t.visitor.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	for name, value := range t.cookies() {
		in.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	// The console has checked where a form comes from before it calls.
	in.Header.Set("Sec-Fetch-Site", "same-origin")
	answer := &answer{header: http.Header{}}
	t.api.ServeHTTP(answer, in)
	if answer.full {
		return nil, fmt.Errorf("the answer is larger than %d MiB", answerLimit>>20)
	}
	res := answer.response(req)
	t.handOn(res.Cookies())
	return res, nil
}

// cookies are the browser's, as it has them after the answers so far.
func (t inProcess) cookies() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]string{}
	for _, c := range t.visitor.Cookies() {
		if strings.HasPrefix(c.Name, cookiePrefix) && len(c.Value) <= tokenLimit {
			out[c.Name] = c.Value
		}
	}
	maps.Copy(out, t.fresh)
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	return out
}

// handOn gives the browser the cookies of an answer. Those for the API alone
// are for the console as well, which calls the API with them.
func (t inProcess) handOn(cookies []*http.Cookie) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, cookiePrefix) {
			continue
		}
		if c.Name != journeyCookie {
			c.Path = "/"
		}
		t.fresh[c.Name] = c.Value
		t.header.Add("Set-Cookie", c.String())
	}
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	full   bool
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > answerLimit {
		a.full = true
		return 0, io.ErrShortWrite
	}
	return a.body.Write(p)
}

func (a *answer) response(req *http.Request) *http.Response {
	a.WriteHeader(http.StatusOK)
	// Somebody waits for the page: the client's own short pauses must do.
	a.header.Del("Retry-After")
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: req,
	}
}
