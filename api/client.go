package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// DefaultTimeout bounds one request with its retries, unless Client.Timeout
// says otherwise. Downloads and event streams are bounded by their context
// only.
const DefaultTimeout = 30 * time.Second

// Client calls the API of one server as one principal. It is safe for
// concurrent use once its fields are set. An error that the server gave is a
// *Problem; an error of the connection wraps the transport's error and names
// the server.
//
// The token goes into the Authorization header and nowhere else: printing or
// logging a Client shows its address only, and the token is never sent in the
// clear to another machine nor along a redirect.
type Client struct {
	// Base is the server's address, such as https://demarc.example:8443.
	// Required.
	Base string
	// Token signs the caller in. Optional: without it every route that asks
	// for a principal answers 401.
	Token string
	// HTTP makes the requests; nil means NewHTTP(nil). It should have no
	// Timeout of its own, which would cut downloads and event streams.
	HTTP *http.Client
	// Timeout bounds one request with its retries; zero means DefaultTimeout.
	Timeout time.Duration
	// Agent is the User-Agent; empty means "demarc".
	Agent string
}

// String names the server and hides the token.
func (c *Client) String() string { return "api client of " + c.Base }

// GoString is String, so that %#v hides the token too.
func (c *Client) GoString() string { return c.String() }

// LogValue implements slog.LogValuer without the token.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return plainHTTP
}

func (c *Client) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

// address joins Base, segments and query. An empty segment or a dot segment is
// an error, because it would name another route than the one meant.
func (c *Client) address(segments []string, query url.Values) (*url.URL, error) {
	base, err := url.Parse(c.Base)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, fmt.Errorf("server address %q is not of the form https://host:port", c.Base)
	}
	if base.User != nil {
		return nil, fmt.Errorf("server address of %s carries a name or password; the token is given apart from it", base.Host)
	}
	if c.Token != "" && base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("refusing to send the token to %s in the clear; use https", base.Host)
	}
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return nil, fmt.Errorf("%q cannot be a name or an id", s)
		}
	}
	u := base.JoinPath(escape(segments)...)
	u.RawQuery = query.Encode()
	return u, nil
}

func escape(segments []string) []string {
	out := make([]string, len(segments))
	for i, s := range segments {
		out[i] = url.PathEscape(s)
	}
	return out
}
