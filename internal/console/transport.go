package console

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/demarc/demarc/api"
)

// SessionCookie carries the id of a session. The API knows it by this name.
const SessionCookie = "demarc_session"

// answerLimit bounds what one answer of the API may take, in bytes.
const answerLimit = 64 << 20

// inProcess calls the API without a network, with a visitor's session.
type inProcess struct {
	api     http.Handler
	session string
	// from is the visitor's address, host:port.
	from string
}

// client returns a client of the API that acts as the owner of a session.
func (c *Console) client(session, from string) *api.Client {
	return &api.Client{
		Base:    "http://localhost",
		HTTP:    &http.Client{Transport: inProcess{api: c.cfg.API, session: session, from: from}},
		Timeout: 20 * time.Second,
		Agent:   "demarc-console",
	}
}

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.RequestURI = in.URL.RequestURI()
	in.RemoteAddr = t.from
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	in.AddCookie(&http.Cookie{Name: SessionCookie, Value: t.session})
	// The console has checked where a form comes from before it calls.
	in.Header.Set("Sec-Fetch-Site", "same-origin")
	answer := &answer{header: http.Header{}}
	t.api.ServeHTTP(answer, in)
	if answer.full {
		return nil, fmt.Errorf("the answer is larger than %d MiB", answerLimit>>20)
	}
	return answer.response(req), nil
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
