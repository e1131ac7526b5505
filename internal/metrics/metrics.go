// Package metrics keeps the numbers inside facts as time series, in the
// storage engine of Prometheus, and answers PromQL about them,
// https://prometheus.io/docs/prometheus/latest/querying/basics/.
//
// Every series carries the label "tenant". It is set by the caller of Append
// and enforced twice when a question is asked: in the parsed expression, and
// where series are selected.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
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

// Config says how to open a store.
type Config struct {
	// Dir is the directory (required).
	Dir string
	// Retention is how long samples are kept; 90 days if zero.
	Retention time.Duration
	// ReserveBytes is the free disk space below which nothing more is taken;
	// 256 MiB if zero.
	ReserveBytes int64
	// Log is required.
	Log *slog.Logger
}

// Store is the metrics store inside the process. It is safe for concurrent use.
type Store struct {
	db      *tsdb.DB
	engine  *promql.Engine
	dir     string
	reserve int64
	skipped atomic.Uint64
}

// Open opens the store, or makes it. The caller closes it.
func Open(cfg Config) (*Store, error) {
	if cfg.Retention == 0 {
		cfg.Retention = 90 * 24 * time.Hour
	}
	if cfg.ReserveBytes == 0 {
		cfg.ReserveBytes = 256 << 20
	}
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = cfg.Retention.Milliseconds()
	opts.OutOfOrderTimeWindow = lateness.Milliseconds()
	// The defaults are made for millions of series and keep tens of megabytes.
	opts.StripeSize = 1 << 10
	opts.WALSegmentSize = 16 << 20
	opts.HeadChunksWriteBufferSize = chunks.MinWriteBufferSize
	opts.HeadChunksWriteQueueSize = 0
	db, err := tsdb.Open(cfg.Dir, cfg.Log, nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics: open %s: %w", cfg.Dir, err)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: cfg.Log, MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: language,
	})
	return &Store{db: db, engine: engine, dir: cfg.Dir, reserve: cfg.ReserveBytes}, nil
}

// Append takes samples in. A sample that is there already, or too old for its
// series, is skipped and counted, so that samples may come twice.
func (s *Store) Append(ctx context.Context, samples []Sample) error {
	if len(samples) == 0 {
		return nil
	}
	if err := s.room(); err != nil {
		return err
	}
	app := s.db.Appender(ctx)
	b := labels.NewScratchBuilder(3)
	for i := range samples {
		m := &samples[i]
		if math.IsNaN(m.Value) || m.Name == "" {
			s.skipped.Add(1)
			continue
		}
		b.Reset()
		b.Add(labels.MetricName, m.Name)
		b.Add(tenantLabel, m.Tenant)
		b.Add("vm", m.VM)
		b.Sort()
		_, err := app.Append(0, b.Labels(), m.Time.UnixMilli(), m.Value)
		switch {
		case err == nil:
		case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrOutOfBounds),
			errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
			s.skipped.Add(1)
		default:
			return errors.Join(fmt.Errorf("%w: append to series %s: %w", ErrUnavailable, m.Name, err), app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("%w: commit samples: %w", ErrUnavailable, err)
	}
	return nil
}

// Skipped counts the samples that Append skipped since Open.
func (s *Store) Skipped() uint64 { return s.skipped.Load() }

func (s *Store) room() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("%w: look at the free space: %w", ErrUnavailable, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < s.reserve {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s and %d MiB must remain: make room or move it", ErrUnavailable, free>>20, s.dir, s.reserve>>20)
	}
	return nil
}

// Sync returns nil when everything that was appended before is on disk. The
// engine writes its logs with each commit and leaves the flushing to the
// kernel, except when it begins a new segment: so the last two segments of
// each log are flushed here.
func (s *Store) Sync(ctx context.Context) error {
	for _, log := range []string{"wal", "wbl"} {
		segments, err := filepath.Glob(filepath.Join(s.dir, log, "[0-9]*"))
		if err != nil {
			return fmt.Errorf("metrics: list the log: %w", err)
		}
		segments = slices.DeleteFunc(segments, func(p string) bool { return len(filepath.Base(p)) != 8 })
		slices.Sort(segments)
		for _, path := range segments[max(0, len(segments)-2):] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := flush(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%w: flush the log: %w", ErrUnavailable, err)
			}
		}
	}
	return nil
}

func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close writes down what is in memory and releases the store.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("metrics: close: %w", err)
	}
	return nil
}
