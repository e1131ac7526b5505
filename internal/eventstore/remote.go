package eventstore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// remoteDelay is how long a VictoriaLogs server may hold rows in memory before
// they are on its disk: its flush interval of 5 s, twice.
const remoteDelay = 10 * time.Second

// remote is a VictoriaLogs server or cluster. Its tenants are AccountIDs, which
// travel as headers: https://docs.victoriametrics.com/victorialogs/#multitenancy.
type remote struct {
	base      *url.URL
	client    *http.Client
	retention time.Duration
	delay     time.Duration // remoteDelay; tests shorten it

	mu       sync.Mutex
	appended time.Time // when the last Append returned; guarded by mu
}

func openRemote(u *url.URL, cfg Config) (*remote, error) {
	return &remote{
		base: u, retention: cfg.Retention, delay: remoteDelay,
		client: &http.Client{Timeout: time.Minute},
	}, nil
}

// line is an event as VictoriaLogs takes and gives it.
type line struct {
	Time  string `json:"_time,omitempty"`
	Agent string `json:"agent,omitempty"`
	VM    string `json:"vm,omitempty"`
	Kind  string `json:"kind,omitempty"`
	Class string `json:"class,omitempty"`
	Epoch string `json:"epoch,omitempty"`
	Seq   string `json:"seq,omitempty"`
	Msg   string `json:"_msg,omitempty"`
}

// Append implements Store: one request per tenant.
func (r *remote) Append(ctx context.Context, events []Event) error {
	bodies := map[uint32]*bytes.Buffer{}
	for _, ev := range events {
		b := bodies[ev.Tenant]
		if b == nil {
			b = &bytes.Buffer{}
			bodies[ev.Tenant] = b
		}
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(line{
			Time: ev.Time.UTC().Format(time.RFC3339Nano), Agent: ev.Agent, VM: ev.VM, Kind: ev.Kind,
			Class: ev.Class, Epoch: ev.Epoch, Seq: strconv.FormatUint(ev.Seq, 10), Msg: string(ev.Data),
		}); err != nil {
			return fmt.Errorf("event store: encode an event: %w", err)
		}
	}
	query := url.Values{"_stream_fields": {"agent,vm,kind"}, "_time_field": {"_time"}, "_msg_field": {"_msg"}}
	for tenant, body := range bodies {
		resp, err := r.post(ctx, tenant, "/insert/jsonline", query, "application/stream+json", body)
		if err != nil {
			return err
		}
		resp.Close()
	}
	r.mu.Lock()
	r.appended = time.Now()
	r.mu.Unlock()
	return nil
}

// Sync implements Store: the server cannot be asked, so it is given the time
// that it needs at most.
func (r *remote) Sync(ctx context.Context) error {
	r.mu.Lock()
	wait := time.Until(r.appended.Add(r.delay))
	r.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Query implements Store.
func (r *remote) Query(ctx context.Context, tenant uint32, text string, from, to time.Time, limit int) ([]Event, error) {
	if err := checkQuery(text, from, to, limit); err != nil {
		return nil, err
	}
	if err := prepareProcess(); err != nil {
		return nil, err
	}
	filter, err := parseFilter(text)
	if err != nil {
		return nil, err
	}
	return r.run(ctx, tenant, filter+newestFirst(limit), from, to)
}

// Existing implements Store.
func (r *remote) Existing(ctx context.Context, tenant uint32, agent, epoch string, first, last uint64) (map[uint64]struct{}, error) {
	events, err := r.run(ctx, tenant, existingQuery(agent, epoch, first, last), time.Unix(0, 0), time.Now().Add(7*24*time.Hour))
	if err != nil {
		return nil, err
	}
	return sequences(events), nil
}

func (r *remote) run(ctx context.Context, tenant uint32, text string, from, to time.Time) ([]Event, error) {
	// The server's end is exclusive.
	form := url.Values{"query": {text}, "start": {from.UTC().Format(time.RFC3339Nano)}, "end": {to.Add(1).UTC().Format(time.RFC3339Nano)}}
	body, err := r.post(ctx, tenant, "/select/logsql/query", nil, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var found []Event
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 64<<10), 8<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%w: read an answer: %w", ErrUnavailable, err)
		}
		ev := Event{Tenant: tenant, Agent: l.Agent, VM: l.VM, Kind: l.Kind, Class: l.Class, Epoch: l.Epoch, Data: json.RawMessage(l.Msg)}
		for field, value := range map[string]string{"_time": l.Time, "seq": l.Seq} {
			if value == "" {
				continue
			}
			if err := ev.set(field, value); err != nil {
				return nil, err
			}
		}
		found = append(found, ev)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: read an answer: %w", ErrUnavailable, err)
	}
	return found, nil
}

func (r *remote) post(ctx context.Context, tenant uint32, path string, query url.Values, kind string, body io.Reader) (io.ReadCloser, error) {
	u := r.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("event store: %w", err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("AccountID", strconv.FormatUint(uint64(tenant), 10))
	req.Header.Set("ProjectID", "0")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	if resp.StatusCode == http.StatusBadRequest {
		return nil, fmt.Errorf("%w: the server answers %s: %s", ErrQuery, resp.Status, why)
	}
	return nil, fmt.Errorf("%w: the server answers %s: %s", ErrUnavailable, resp.Status, why)
}

// Oldest implements Store.
func (r *remote) Oldest(now time.Time) time.Time { return now.Add(time.Hour - r.retention) }

// Close implements Store.
func (r *remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
