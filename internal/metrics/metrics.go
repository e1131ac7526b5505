// Package metrics keeps the numbers inside facts as time series, in the
// storage engine of Prometheus inside the process or in a Prometheus server,
// and answers PromQL about them,
// https://prometheus.io/docs/prometheus/latest/querying/basics/.
//
// Every series carries the label "tenant". It is set by the caller of Append
// and enforced when a question is asked: in the parsed expression and, inside
// the process, once more where series are selected.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrUnavailable: the store cannot be reached or has no room; the call may
	// be repeated, since samples that are there already are skipped.
	ErrUnavailable = errors.New("metrics store unavailable")
	// ErrQuery: the text is no PromQL, names the tenant, or asks for too much.
	ErrQuery = errors.New("bad query")
)

// Bounds.
const (
	MaxQueryBytes = 16 << 10
	MaxPoints     = 11_000 // per series of a range query, as in Prometheus
	maxSamples    = 5_000_000
	queryTimeout  = 30 * time.Second
	// lateness is how far behind the newest sample one may come: an agent that
	// was cut off for a day brings its numbers.
	lateness = 24 * time.Hour
	// lookback is how long the last sample stands for the present: facts that
	// do not change are confirmed without their numbers.
	lookback = 15 * time.Minute
)

// Sample is one number of one VM at one moment.
type Sample struct {
	Tenant string
	VM     string
	// Name is the series' name, as the kind of fact declares it.
	Name  string
	Time  time.Time
	Value float64
}

// Series is one line of an answer. Labels leave the tenant out.
type Series struct {
	Labels map[string]string `json:"labels"`
	Points []Point           `json:"points"`
}

// Point is a value at a time.
type Point struct {
	Time  time.Time `json:"time"`
	Value float64   `json:"value"`
}

// Store is what both kinds of metrics store do. All methods are safe for
// concurrent use.
type Store interface {
	// Append takes samples in. A sample that is there already, or too old for
	// its series, is skipped, so that samples may come twice.
	Append(ctx context.Context, samples []Sample) error
	// Sync returns nil when everything that was appended before is on disk.
	// A server answers for its own disk.
	Sync(ctx context.Context) error
	// Query answers text for one moment, about one tenant.
	Query(ctx context.Context, tenant, text string, at time.Time) ([]Series, error)
	// QueryRange answers text for every step from from to to.
	QueryRange(ctx context.Context, tenant, text string, from, to time.Time, step time.Duration) ([]Series, error)
	// Close writes down what is in memory and releases the store.
	Close() error
}

// Config says how to open a store.
type Config struct {
	// Address is "file:///directory", a plain directory, or the http(s) address
	// of a Prometheus server that accepts remote writes (required).
	Address string
	// Retention is how long samples are kept; 90 days if zero. A server has its own.
	Retention time.Duration
	// ReserveBytes is the free disk space below which nothing more is taken
	// into the process's own store; 256 MiB if zero.
	ReserveBytes int64
	// Log is required.
	Log *slog.Logger
}

// Open opens the store that cfg names, or makes it. The caller closes it.
func Open(cfg Config) (Store, error) {
	u, err := url.Parse(cfg.Address)
	if err != nil || cfg.Address == "" {
		return nil, errors.New("metrics: the address must be a directory or an http address")
	}
	switch u.Scheme {
	case "http", "https":
		return &remote{base: u, client: &http.Client{Timeout: time.Minute}}, nil
	case "", "file":
		return openEmbedded(strings.TrimPrefix(cfg.Address, "file://"), cfg)
	}
	return nil, fmt.Errorf("metrics: address has scheme %q; a directory, http and https are known", u.Scheme)
}
