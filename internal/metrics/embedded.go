package metrics

import (
	"context"
	"errors"
	"fmt"
	"github.com/prometheus/common/model"
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

// embedded is the engine inside the process.
type embedded struct {
	db      *tsdb.DB
	engine  *promql.Engine
	dir     string
	reserve int64
	skipped atomic.Uint64
}

func openEmbedded(dir string, cfg Config) (*embedded, error) {
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
	db, err := tsdb.Open(dir, cfg.Log, nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics: open %s: %w", dir, err)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: cfg.Log, MaxSamples: maxSamples, Timeout: queryTimeout, LookbackDelta: lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: language,
	})
	return &embedded{db: db, engine: engine, dir: dir, reserve: cfg.ReserveBytes}, nil
}

// Append implements Store.
func (s *embedded) Append(ctx context.Context, samples []Sample) error {
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
		b.Add(model.MetricNameLabel, m.Name)
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

func (s *embedded) room() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("%w: look at the free space: %w", ErrUnavailable, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < s.reserve {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s and %d MiB must remain: make room or move it", ErrUnavailable, free>>20, s.dir, s.reserve>>20)
	}
	return nil
}

// Sync implements Store. The engine writes its logs with each commit and leaves the flushing to the
// kernel, except when it begins a new segment: so the last two segments of
// each log are flushed here.
func (s *embedded) Sync(ctx context.Context) error {
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

// Close implements Store.
func (s *embedded) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("metrics: close: %w", err)
	}
	return nil
}
