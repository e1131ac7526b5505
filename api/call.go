package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

const (
	// answerLimit bounds the JSON that one request may bring, in bytes.
	answerLimit = 64 << 20
	// problemLimit bounds an error document, in bytes.
	problemLimit = 1 << 20
	// attempts is how often a request is sent at most.
	attempts = 4
	// firstPause is doubled after each attempt; a Retry-After of the server
	// replaces it up to longestPause.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// call is one request of the API.
type call struct {
	method   string
	segments []string
	query    url.Values
	body     any
	// version, if above 0, is sent as If-Match.
	version int64
	accept  string
	// patient calls are bounded by their context only.
	patient bool
}

// repeatable reports whether sending the call twice does the same as sending
// it once: POST counts, because it carries an idempotency key; PATCH does not,
// because its second sending meets a newer version.
func (k call) repeatable() bool { return k.method != http.MethodPatch }

// do sends a call, decodes the answer into out unless that is nil.
func (c *Client) do(ctx context.Context, k call, out any) error {
	if !k.patient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout())
		defer cancel()
	}
	res, err := c.send(ctx, k)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.Base, err)
	}
	if len(raw) > answerLimit {
		return fmt.Errorf("the answer of %s is larger than %d MiB", c.Base, answerLimit>>20)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s answered with something that is not demarc's API: %w", c.Base, err)
	}
	return nil
}

// send returns the answer with a status below 300, its body open.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	address, err := c.address(k.segments, k.query)
	if err != nil {
		return nil, err
	}
	var body []byte
	if k.body != nil {
		if body, err = json.Marshal(k.body); err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
	}
	key := rand.Text()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		req, err := c.request(ctx, k, address, body, key)
		if err != nil {
			return nil, err
		}
		res, err := c.http().Do(req)
		last := attempt == attempts || !k.repeatable()
		switch {
		case err == nil && res.StatusCode < 300:
			return res, nil
		case err == nil && (last || res.StatusCode != http.StatusServiceUnavailable):
			return nil, problem(res)
		case err == nil:
			pause = retryAfter(res, pause)
			res.Body.Close()
		case last || !errors.Is(err, syscall.ECONNREFUSED):
			return nil, connectionError(c.Base, err)
		}
		if !wait(ctx, pause/2+mathrand.N(pause/2+1)) {
			return nil, fmt.Errorf("asking %s: %w", c.Base, context.Cause(ctx))
		}
		pause *= 2
	}
}

func (c *Client) request(ctx context.Context, k call, address *url.URL, body []byte, key string) (*http.Request, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, address.String(), in)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	h := req.Header
	h.Set("User-Agent", "demarc")
	if c.Agent != "" {
		h.Set("User-Agent", c.Agent)
	}
	h.Set("Accept", "application/json, application/problem+json")
	if k.accept != "" {
		h.Set("Accept", k.accept+", application/problem+json")
	}
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		h.Set("Authorization", "Bearer "+c.Token)
	}
	if k.method == http.MethodPost {
		h.Set("Idempotency-Key", key)
	}
	if k.version > 0 {
		h.Set("If-Match", strconv.Quote(strconv.FormatInt(k.version, 10)))
	}
	return req, nil
}

// connectionError drops the URL that net/http puts into its errors: it repeats
// names that the caller gave, at length.
func connectionError(base string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("asking %s: %w", base, err)
}

// problem makes the error of an answer, also of one that some proxy gave, and
// closes its body.
func problem(res *http.Response) error {
	defer res.Body.Close()
	p := &Problem{}
	raw, _ := io.ReadAll(io.LimitReader(res.Body, problemLimit))
	if err := json.Unmarshal(raw, p); err != nil || (p.Title == "" && p.Detail == "") {
		p = &Problem{Detail: fmt.Sprintf("the server answered %d without saying why", res.StatusCode)}
	}
	p.Status = res.StatusCode
	if p.Title == "" {
		p.Title = http.StatusText(res.StatusCode)
	}
	return p
}

func retryAfter(res *http.Response, pause time.Duration) time.Duration {
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s >= 0 {
		return min(time.Duration(s)*time.Second, longestPause)
	}
	return pause
}

// wait pauses and reports whether the context is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
