package api

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const secret = "tok-7f3a"

// serve makes a client of a handler.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return &Client{Base: web.URL, Token: secret}
}

// trip answers requests without a network, for tests with a synthetic clock.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string, header ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i+1 < len(header); i += 2 {
		res.Header.Set(header[i], header[i+1])
	}
	return res
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
		fmt.Fprint(w, `{"id":"t1","name":"acme","version":4}`)
	})
	ctx := t.Context()
	for _, tt := range []struct {
		name               string
		do                 func() error
		method, path, sent string
		header, value      string
	}{
		{"read", func() error { _, err := c.Tenant(ctx, "a b/c"); return err }, "GET", "/v1/tenants/a%20b%2Fc", "", "Accept", "application/json, application/problem+json"},
		{"make", func() error { _, err := c.CreateTenant(ctx, NewTenant{Name: "acme"}); return err }, "POST", "/v1/tenants", `{"name":"acme"}`, "Content-Type", "application/json"},
		{"change", func() error { _, err := c.ChangeTenant(ctx, "acme", 4, NewTenant{Name: "b"}); return err }, "PATCH", "/v1/tenants/acme", `{"name":"b"}`, "If-Match", `"4"`},
		{"delete", func() error { return c.DeleteContact(ctx, "acme", "c1") }, "DELETE", "/v1/tenants/acme/contacts/c1", "", "User-Agent", "demarc"},
		{"explain", func() error { _, err := c.Explain(ctx, "X/C-1", "", "", "web 1"); return err }, "GET", "/v1/explain?duty=X%2FC-1&vm=web+1", "", "Content-Type", ""},
		{"act", func() error { _, err := c.RevokeAgent(ctx, "acme", "a1"); return err }, "POST", "/v1/tenants/acme/agents/a1/revoke", "", "Content-Type", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			if got.Method != tt.method || got.URL.String() != tt.path || body != tt.sent {
				t.Errorf("sent %s %s %s", got.Method, got.URL, body)
			}
			if v := got.Header.Get(tt.header); v != tt.value {
				t.Errorf("%s is %q, want %q", tt.header, v, tt.value)
			}
			if a := got.Header.Get("Authorization"); a != "Bearer "+secret {
				t.Errorf("Authorization is %q", a)
			}
			if key := got.Header.Get("Idempotency-Key"); (key != "") != (tt.method == "POST") {
				t.Errorf("idempotency key of %s is %q", tt.method, key)
			}
		})
	}
}

func TestAddressIsRefused(t *testing.T) {
	never := &http.Client{Transport: trip(func(*http.Request) (*http.Response, error) {
		t.Error("something was sent")
		return nil, errors.New("sent")
	})}
	for _, tt := range []struct{ base, tenant, want string }{
		{"", "acme", "not of the form"},
		{"demarc.example:8443", "acme", "not of the form"},
		{"ftp://demarc.example", "acme", "not of the form"},
		{"http://demarc.example", "acme", "in the clear"},
		{"https://u:p4ss@demarc.example", "acme", "carries a name or password"},
		{"https://demarc.example", "", `"" cannot be`},
		{"https://demarc.example", "..", `".." cannot be`},
	} {
		c := &Client{Base: tt.base, Token: secret, HTTP: never}
		_, err := c.Tenant(t.Context(), tt.tenant)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: %v, want %q", tt.base, tt.tenant, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "p4ss")) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestTokenIsNotShown(t *testing.T) {
	c := &Client{Base: "https://demarc.example", Token: secret}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("asking", "client", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("asking", "client", c)
	fmt.Fprintf(&log, "%v %+v %#v %s", c, c, c, c)
	if strings.Contains(log.String(), secret) {
		t.Error(log.String())
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer other.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	var p *Problem
	if _, err := c.Whoami(t.Context()); !errors.As(err, &p) || p.Status != 307 {
		t.Errorf("got %v", err)
	}
}

func TestProblem(t *testing.T) {
	for _, tt := range []struct {
		body, want string
		faults     int
	}{
		{`{"title":"Not Found","status":404,"detail":"there is no tenant x"}`, "there is no tenant x", 0},
		{`{"title":"bad","status":200,"detail":"d","errors":[{"message":"m","location":"f.yaml:1:2"}]}`, "d\n  f.yaml:1:2: m", 1},
		{`<html>bad gateway</html>`, "the server answered 404 without saying why", 0},
		{`{"items":[]}`, "the server answered 404 without saying why", 0},
		{``, "the server answered 404 without saying why", 0},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, tt.body)
		})
		_, err := c.Tenant(t.Context(), "x")
		var p *Problem
		if !errors.As(err, &p) {
			t.Fatalf("%q: %v is no problem", tt.body, err)
		}
		if p.Error() != tt.want || p.Status != 404 || p.Title == "" || len(p.Errors) != tt.faults {
			t.Errorf("%q: %+v", tt.body, p)
		}
	}
}

func TestAnswerOfAnotherProgram(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	if _, err := c.Whoami(t.Context()); err == nil || !strings.Contains(err.Error(), "not demarc's API") {
		t.Errorf("got %v", err)
	}
}

func TestRetry(t *testing.T) {
	busy := func() (*http.Response, error) {
		return reply(503, `{"title":"busy","status":503}`, "Retry-After", "2"), nil
	}
	refused := func() (*http.Response, error) { return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED) }
	reset := func() (*http.Response, error) { return nil, syscall.ECONNRESET }
	for _, tt := range []struct {
		name  string
		fail  func() (*http.Response, error)
		fails int
		patch bool
		sent  int
		ok    bool
	}{
		{"busy for a while", busy, 2, false, 3, true},
		{"busy for ever", busy, 99, false, 4, false},
		{"starting", refused, 3, false, 4, true},
		{"down", refused, 99, false, 4, false},
		{"reset is not repeated", reset, 1, false, 1, false},
		{"a change is not repeated", busy, 1, true, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				keys := map[string]bool{}
				c := &Client{Base: "https://demarc.example", HTTP: &http.Client{Transport: trip(func(r *http.Request) (*http.Response, error) {
					sent++
					keys[r.Header.Get("Idempotency-Key")] = true
					if body, _ := io.ReadAll(r.Body); string(body) != `{"name":"acme"}` {
						t.Errorf("attempt %d sent %q", sent, body)
					}
					if sent <= tt.fails {
						return tt.fail()
					}
					return reply(200, `{"id":"t1"}`), nil
				})}}
				begun := time.Now()
				var err error
				if tt.patch {
					_, err = c.ChangeTenant(t.Context(), "acme", 1, NewTenant{Name: "acme"})
				} else {
					_, err = c.CreateTenant(t.Context(), NewTenant{Name: "acme"})
				}
				if (err == nil) != tt.ok || sent != tt.sent || len(keys) != 1 {
					t.Errorf("sent %d times with %d keys, error %v", sent, len(keys), err)
				}
				if d := time.Since(begun); d > 20*time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Base: "https://demarc.example", Timeout: 7 * time.Second, HTTP: &http.Client{Transport: trip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}}
		begun := time.Now()
		_, err := c.Whoami(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestPages(t *testing.T) {
	var asked atomic.Int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Query().Get("cursor") {
		case "":
			fmt.Fprint(w, `{"items":[{"name":"a"},{"name":"b"}],"next":"2"}`)
		case "2":
			fmt.Fprint(w, `{"items":[],"next":"3"}`)
		default:
			fmt.Fprint(w, `{"items":[{"name":"c"}]}`)
		}
	})
	all, err := Collect(c.Tenants(t.Context()))
	if err != nil || len(all) != 3 || all[2].Name != "c" {
		t.Errorf("%v %v", all, err)
	}
	asked.Store(0)
	for range c.Tenants(t.Context()) {
		break
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked for %d pages to read one item", n)
	}
}

func TestPagesStop(t *testing.T) {
	circle := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items":[{}],"next":"1"}`) })
	if all, err := Collect(circle.Tenants(t.Context())); err == nil || len(all) != 2 {
		t.Errorf("a circle of pages: %v, %v", all, err)
	}
	broken := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			w.WriteHeader(500)
			return
		}
		fmt.Fprint(w, `{"items":[{}],"next":"1"}`)
	})
	var p *Problem
	if all, err := Collect(broken.Tenants(t.Context())); !errors.As(err, &p) || len(all) != 1 {
		t.Errorf("a broken second page: %v, %v", all, err)
	}
}

func TestTrust(t *testing.T) {
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"name":"ana"}`) }))
	defer web.Close()
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	pinned, err := NewHTTP(ca)
	if err != nil {
		t.Fatal(err)
	}
	who, err := (&Client{Base: web.URL, Token: secret, HTTP: pinned}).Whoami(t.Context())
	if err != nil || who.Name != "ana" {
		t.Errorf("with the authority: %v", err)
	}
	if _, err := (&Client{Base: web.URL, Token: secret}).Whoami(t.Context()); err == nil {
		t.Error("trusted without the authority")
	}
	if _, err := NewHTTP([]byte("no PEM")); err == nil {
		t.Error("took text for a certificate")
	}
}

func TestDownload(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("tenant") != "acme" {
			w.WriteHeader(403)
			return
		}
		_, _ = w.Write([]byte("bundle"))
	})
	var b strings.Builder
	if err := c.LedgerBundle(t.Context(), &b, "acme"); err != nil || b.String() != "bundle" {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	if err := c.LedgerBundle(t.Context(), &b, ""); err == nil || b.Len() != 0 {
		t.Errorf("wrote %q although refused: %v", b.String(), err)
	}
}

func TestEvents(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream, application/problem+json" || r.URL.Query().Get("tenant") != "acme" {
			t.Errorf("asked for %v", r.URL)
		}
		fmt.Fprint(w, ": hello\n\nevent: verdict\r\nid: 7\r\ndata: {\"duty\":\"X/C-1\",\r\ndata: \"verdict\":\"met\"}\r\n\r\nevent: ping\n\ndata:half")
	})
	var got []Event
	var last error
	for e, err := range c.Events(t.Context(), "acme") {
		if last = err; err == nil {
			got = append(got, e)
		}
	}
	if !errors.Is(last, io.EOF) || len(got) != 1 || got[0].Name != "verdict" || got[0].ID != "7" {
		t.Fatalf("%+v, %v", got, last)
	}
	var v Verdict
	if err := json.Unmarshal(got[0].Data, &v); err != nil || v.Verdict != "met" {
		t.Errorf("%s: %v", got[0].Data, err)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: verdict\ndata: {}\n\n"))
	f.Add([]byte(":\r\ndata\ndata\n\n\n"))
	f.Add([]byte("data: " + strings.Repeat("x", 100) + "\n\nid"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		total := 0
		err := readEvents(strings.NewReader(string(raw)), func(e Event) bool {
			total += len(e.Data) + len(e.Name) + len(e.ID)
			return true
		})
		if err == nil {
			t.Error("a stream ended without an error")
		}
		if total > len(raw) {
			t.Errorf("%d bytes of events from %d", total, len(raw))
		}
	})
}
