package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/wire"
)

const (
	httpTimeout = 30 * time.Second
	maxAnswer   = 1 << 20
)

// RefusedError is the server's refusal of a request, as its problem details
// (RFC 9457) give it.
type RefusedError struct {
	Status int
	Detail string
}

func (e *RefusedError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("the server refused with status %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("the server refused with status %d: %s", e.Status, e.Detail)
}

// final reports whether trying again soon is of no use.
func (e *RefusedError) final() bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout
}

// pinned trusts exactly the server whose chain holds the authority of that
// digest and whose own certificate is valid under it for the host's name.
func pinned(digest [sha256.Size]byte, host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The system's roots are of no interest; VerifyConnection does all of it.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			roots, rest := x509.NewCertPool(), x509.NewCertPool()
			found := false
			for _, c := range cs.PeerCertificates {
				if sha256.Sum256(c.Raw) == digest {
					roots.AddCert(c)
					found = true
				} else {
					rest.AddCert(c)
				}
			}
			if !found {
				return errors.New("the server does not show the certificate authority that the token names: wrong address, a token of another installation, or somebody in between")
			}
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: rest, DNSName: host})
			return err
		},
	}
}

// roots are the authorities that the server named at enrolment.
func (id Identity) roots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(id.CA)) {
		return nil, errors.New("identity: the server's certificate authority is missing or damaged")
	}
	return pool, nil
}

// post sends a JSON request to the server and reads an identity.
func post(ctx context.Context, c *tls.Config, server, path, bearer string, body any) (id wire.Identity, err error) {
	err = exchange(ctx, c, server, path, bearer, body, maxAnswer, &id)
	return id, err
}

// exchange sends a JSON request to the server and decodes an answer of at most
// limit bytes.
func exchange(ctx context.Context, c *tls.Config, server, path, bearer string, body any, limit int64, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	transport := &http.Transport{TLSClientConfig: c, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the server redirects, which the agent does not follow: give the address it redirects to")
	}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &RefusedError{Status: resp.StatusCode, Detail: problemDetail(answer)}
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the server's answer is not what an agent expects: %w", err)
	}
	return nil
}

// problemDetail takes the human part of problem details, bounded and on one line.
func problemDetail(body []byte) string {
	var p struct{ Title, Detail string }
	if json.Unmarshal(body, &p) != nil {
		return ""
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	return clip(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, p.Detail), 300)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// checkServer returns the origin of the server's address.
func checkServer(server string) (origin, host string, err error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", "", fmt.Errorf("server %q: want https://HOST[:PORT]", clip(server, 100))
	}
	return "https://" + u.Host, u.Hostname(), nil
}
