// Package eventstore keeps findings and activities for search: in VictoriaLogs,
// inside the process or on a server reached by HTTP. Both speak LogsQL,
// https://docs.victoriametrics.com/victorialogs/logsql/.
//
// Tenants are separated by the store's own tenant number, which comes from the
// caller and never from the text of a query.
package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrUnavailable: the store cannot be reached or has no room. Nothing of
	// the call can be relied on; it may be repeated after Existing.
	ErrUnavailable = errors.New("event store unavailable")
	// ErrQuery: the text of a query is not a filter that the store understands.
	ErrQuery = errors.New("bad query")
)

// Bounds of an answer.
const (
	MaxQueryBytes = 16 << 10
	MaxLimit      = 10_000
)

// Event is one finding or activity.
type Event struct {
	// Tenant is the ordinal of the tenant (estate.Tenant).
	Tenant uint32 `json:"-"`
	// Time is when it happened, by the server's clock.
	Time  time.Time `json:"time"`
	Agent string    `json:"agent"`
	VM    string    `json:"vm"`
	Class string    `json:"class"`
	Kind  string    `json:"kind"`
	// Epoch and Seq name the record in its agent's spool; together with Agent
	// they are unique.
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
	// Data is one JSON object, given back byte for byte.
	Data json.RawMessage `json:"data"`
}

// Store is what both kinds of event store do. All methods are safe for
// concurrent use.
type Store interface {
	// Append takes events in. They are found by queries within seconds and are
	// durable after the next Sync that begins when Append has returned. The
	// events may be changed after it returned. An event whose time is outside
	// the retention is dropped: see Oldest.
	Append(ctx context.Context, events []Event) error
	// Sync returns nil when everything that was appended before it was called
	// is on disk. It may take seconds.
	Sync(ctx context.Context) error
	// Existing returns which of the sequences first to last of one agent's
	// epoch are in the store. It sees everything that was durable when the
	// process began and what was appended before the last Sync.
	Existing(ctx context.Context, tenant uint32, agent, epoch string, first, last uint64) (map[uint64]struct{}, error)
	// Query returns the newest events of the tenant first, at most limit of
	// those in [from, to]. text is a LogsQL filter without pipes; empty means
	// all. The words of an event's data are searched by default; tenant apart,
	// the fields agent, vm, class, kind, epoch and seq can be named.
	Query(ctx context.Context, tenant uint32, text string, from, to time.Time, limit int) ([]Event, error)
	// Oldest returns the earliest time that the store takes at now.
	Oldest(now time.Time) time.Time
	// Close makes what was appended durable and releases the store.
	Close() error
}

// Config says how to open a store.
type Config struct {
	// Address is "file:///directory", a plain directory, or the http(s) address
	// of a VictoriaLogs server (required).
	Address string
	// Retention is how long events are kept, at least a day; 90 days if zero.
	// A remote store has its own, which must not be shorter.
	Retention time.Duration
	// ReserveBytes is the free disk space below which the embedded store takes
	// nothing more; 256 MiB if zero.
	ReserveBytes int64
}

// Open opens the store that cfg names. The caller closes it.
func Open(cfg Config) (Store, error) {
	if cfg.Retention == 0 {
		cfg.Retention = 90 * 24 * time.Hour
	}
	if cfg.Retention < 24*time.Hour {
		return nil, fmt.Errorf("event store: retention %s is shorter than a day", cfg.Retention)
	}
	u, err := url.Parse(cfg.Address)
	if err != nil || cfg.Address == "" {
		return nil, errors.New("event store: the address must be a directory or an http address")
	}
	switch u.Scheme {
	case "http", "https":
		return openRemote(u, cfg)
	case "", "file":
		return openEmbedded(strings.TrimPrefix(cfg.Address, "file://"), cfg)
	}
	return nil, fmt.Errorf("event store: address has scheme %q; a directory, http and https are known", u.Scheme)
}

// checkQuery refuses what is not a bounded question.
func checkQuery(text string, from, to time.Time, limit int) error {
	switch {
	case len(text) > MaxQueryBytes:
		return fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrQuery, len(text), MaxQueryBytes)
	case limit < 1 || limit > MaxLimit:
		return fmt.Errorf("%w: limit %d is outside 1 to %d", ErrQuery, limit, MaxLimit)
	case to.Before(from):
		return fmt.Errorf("%w: it ends (%s) before it begins (%s)", ErrQuery, to.Format(time.RFC3339), from.Format(time.RFC3339))
	}
	return nil
}
