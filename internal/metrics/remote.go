package metrics

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/prometheus/common/model"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/prompb"
)

// remote is a Prometheus server, or one that speaks its protocols: remote write
// 1.0, https://prometheus.io/docs/specs/prw/remote_write_spec/, and the HTTP
// API, https://prometheus.io/docs/prometheus/latest/querying/api/.
type remote struct {
	base   *url.URL
	client *http.Client
}

const (
	maxWrite  = 5000     // samples per request
	maxAnswer = 64 << 20 // bytes
)

// errRefused: the server has read the request and does not want it.
var errRefused = errors.New("refused")

// Append implements Store. What the server refuses, it has or will never take,
// as the specification says; only other failures are worth another try.
func (r *remote) Append(ctx context.Context, samples []Sample) error {
	for part := range slices.Chunk(samples, maxWrite) {
		body, err := writeRequest(part).Marshal()
		if err != nil {
			return fmt.Errorf("metrics: encode samples: %w", err)
		}
		resp, err := r.post(ctx, "api/v1/write", bytes.NewReader(s2.EncodeSnappy(nil, body)), http.Header{
			"Content-Encoding": {"snappy"}, "Content-Type": {"application/x-protobuf"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
		})
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
		if err == nil {
			resp.Close()
		}
	}
	return nil
}

// writeRequest groups samples by series, each in the order of time.
func writeRequest(samples []Sample) *prompb.WriteRequest {
	type key struct{ tenant, vm, name string }
	place := map[key]int{}
	var req prompb.WriteRequest
	for _, m := range samples {
		if math.IsNaN(m.Value) || m.Name == "" {
			continue
		}
		k := key{m.Tenant, m.VM, m.Name}
		i, known := place[k]
		if !known {
			i = len(req.Timeseries)
			place[k] = i
			req.Timeseries = append(req.Timeseries, prompb.TimeSeries{Labels: []prompb.Label{ // sorted by name
				{Name: model.MetricNameLabel, Value: m.Name}, {Name: tenantLabel, Value: m.Tenant}, {Name: "vm", Value: m.VM},
			}})
		}
		ts := &req.Timeseries[i]
		ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: m.Time.UnixMilli(), Value: m.Value})
	}
	for i := range req.Timeseries {
		slices.SortStableFunc(req.Timeseries[i].Samples, func(a, b prompb.Sample) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	}
	return &req
}

// Sync implements Store: a write that was answered is the server's.
func (r *remote) Sync(context.Context) error { return nil }

// Query implements Store.
func (r *remote) Query(ctx context.Context, tenant, text string, at time.Time) ([]Series, error) {
	bound, err := Bind(tenant, text)
	if err != nil {
		return nil, err
	}
	return r.ask(ctx, "api/v1/query", url.Values{"query": {bound}, "time": {seconds(at)}})
}

// QueryRange implements Store.
func (r *remote) QueryRange(ctx context.Context, tenant, text string, from, to time.Time, step time.Duration) ([]Series, error) {
	bound, err := Bind(tenant, text)
	if err != nil {
		return nil, err
	}
	if err := checkRange(from, to, step); err != nil {
		return nil, err
	}
	return r.ask(ctx, "api/v1/query_range", url.Values{
		"query": {bound}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// answerJSON is the envelope of the HTTP API.
type answerJSON struct {
	Data struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	} `json:"data"`
}

// pair is [seconds, "value"].
type pair struct{ Point }

// UnmarshalJSON implements json.Unmarshaler.
func (p *pair) UnmarshalJSON(b []byte) error {
	var at float64
	var value string
	if err := json.Unmarshal(b, &[]any{&at, &value}); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(value, 64)
	p.Point = point(int64(math.Round(at*1000)), v)
	return err
}

func (r *remote) ask(ctx context.Context, path string, form url.Values) ([]Series, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	body, err := r.post(ctx, path, strings.NewReader(form.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	if errors.Is(err, errRefused) {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%w: read an answer: %w", ErrUnavailable, err)
	}
	if len(raw) > maxAnswer {
		return nil, fmt.Errorf("%w: the answer has more than %d MiB: ask for less", ErrQuery, maxAnswer>>20)
	}
	return parseAnswer(raw)
}

func parseAnswer(raw []byte) ([]Series, error) {
	bad := func(err error) error { return fmt.Errorf("%w: read an answer: %w", ErrUnavailable, err) }
	var a answerJSON
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, bad(err)
	}
	if a.Data.Type == "scalar" {
		var p pair
		if err := json.Unmarshal(a.Data.Result, &p); err != nil {
			return nil, bad(err)
		}
		return []Series{{Labels: map[string]string{}, Points: []Point{p.Point}}}, nil
	}
	if a.Data.Type != "vector" && a.Data.Type != "matrix" {
		return nil, fmt.Errorf("%w: the answer is a %.20q, not numbers", ErrQuery, a.Data.Type)
	}
	var lines []struct {
		Metric map[string]string `json:"metric"`
		Value  *pair             `json:"value"`
		Values []pair            `json:"values"`
	}
	if err := json.Unmarshal(a.Data.Result, &lines); err != nil {
		return nil, bad(err)
	}
	list := make([]Series, len(lines))
	for i, l := range lines {
		if l.Value != nil {
			l.Values = append(l.Values, *l.Value)
		}
		delete(l.Metric, tenantLabel)
		list[i] = Series{Labels: l.Metric, Points: make([]Point, len(l.Values))}
		for j, p := range l.Values {
			list[i].Points[j] = p.Point
		}
	}
	return list, nil
}

// post returns the body of a good answer; errRefused for one that says that the
// request itself is at fault.
func (r *remote) post(ctx context.Context, path string, body io.Reader, header http.Header) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base.JoinPath(path).String(), body)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	req.Header = header
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // the status says enough without it
	if resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusUnprocessableEntity {
		return nil, fmt.Errorf("%w: the server answers %s: %s", errRefused, resp.Status, why)
	}
	return nil, fmt.Errorf("%w: the server answers %s: %s", ErrUnavailable, resp.Status, why)
}

// Close implements Store.
func (r *remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
