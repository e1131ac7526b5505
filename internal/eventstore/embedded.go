package eventstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
)

// streamFields is how many of the first fields of a row name its stream: the
// log of one kind of one agent, which is kept together and compresses well.
const streamFields = 3

// embedded is VictoriaLogs inside the process.
type embedded struct {
	storage   *logstorage.Storage
	dir       string
	retention time.Duration
	reserve   int64

	// life is held shared by every use of storage and alone by Close; it
	// guards closed. A long query must not keep Sync, and thereby Append, from
	// going on: so there are two locks, life before mu.
	life   sync.RWMutex
	closed bool
	// mu is held shared by Append and alone by Sync, during which no rows may come.
	mu     sync.RWMutex
	daysMu sync.Mutex
	days   map[string]struct{} // partitions with rows that may not be on disk
}

func openEmbedded(dir string, cfg Config) (*embedded, error) {
	if err := prepareProcess(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fmt.Errorf("event store: %w", err)
	}
	if err := lockable(dir); err != nil {
		return nil, err
	}
	if cfg.ReserveBytes == 0 {
		cfg.ReserveBytes = 256 << 20
	}
	e := &embedded{
		dir: dir, retention: cfg.Retention, reserve: cfg.ReserveBytes,
		days: map[string]struct{}{},
	}
	if err := clearHalfMade(dir); err != nil {
		return nil, err
	}
	e.storage = logstorage.MustOpenStorage(dir, &logstorage.StorageConfig{
		Retention:              cfg.Retention,
		FlushInterval:          time.Second,
		DefaultParallelReaders: 2,
	})
	for _, path := range e.storage.PartitionSnapshotList() { // left by a killed Sync
		if err := e.storage.PartitionSnapshotDelete(path); err != nil {
			e.storage.MustClose()
			return nil, fmt.Errorf("event store: remove a stale snapshot: %w", err)
		}
	}
	return e, nil
}

// removalMark is the file with which the library begins to remove a partition.
const removalMark = ".delete-this-dir"

// clearHalfMade removes partitions of which a killed process had made, or left
// over, nothing but the directory: the library forgets to skip them after it
// removed them, and then dereferences nil.
func clearHalfMade(dir string) error {
	days, err := filepath.Glob(filepath.Join(dir, "partitions", "*"))
	if err != nil {
		return fmt.Errorf("event store: %w", err)
	}
	for _, day := range days {
		inside, err := os.ReadDir(day)
		if err != nil {
			return fmt.Errorf("event store: %w", err)
		}
		marked := slices.ContainsFunc(inside, func(f os.DirEntry) bool { return f.Name() == removalMark })
		if len(inside) > 0 && !marked {
			continue
		}
		if err := os.RemoveAll(day); err != nil {
			return fmt.Errorf("event store: remove the rest of a partition: %w", err)
		}
	}
	return nil
}

// lockable tries the lock that the library takes on its directory, because the
// library ends the process when it cannot have it.
func lockable(dir string) error {
	f, err := os.Open(filepath.Join(dir, "flock.lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("event store: %w", err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("event store: %s is in use by another process: %w", dir, err)
	}
	return nil
}

// Append implements Store.
func (e *embedded) Append(ctx context.Context, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.life.RUnlock()
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.room(); err != nil {
		return err
	}
	rows := logstorage.GetLogRows(nil, nil, nil, nil, "")
	defer logstorage.PutLogRows(rows)
	days := map[int64]struct{}{}
	fields := make([]logstorage.Field, 7)
	var seq []byte
	for i := range events {
		ev := &events[i]
		seq = strconv.AppendUint(seq[:0], ev.Seq, 10)
		fields[0] = logstorage.Field{Name: "agent", Value: ev.Agent}
		fields[1] = logstorage.Field{Name: "vm", Value: ev.VM}
		fields[2] = logstorage.Field{Name: "kind", Value: ev.Kind}
		fields[3] = logstorage.Field{Name: "class", Value: ev.Class}
		fields[4] = logstorage.Field{Name: "epoch", Value: ev.Epoch}
		fields[5] = logstorage.Field{Name: "seq", Value: string(seq)}
		fields[6] = logstorage.Field{Name: "_msg", Value: string(ev.Data)}
		rows.MustAdd(logstorage.TenantID{AccountID: ev.Tenant}, ev.Time.UnixNano(), fields, streamFields)
		days[ev.Time.Unix()/86400] = struct{}{}
		if rows.NeedFlush() {
			e.storage.MustAddRows(rows)
			rows.ResetKeepSettings()
		}
	}
	e.storage.MustAddRows(rows)
	e.daysMu.Lock()
	for d := range days {
		e.days[time.Unix(d*86400, 0).UTC().Format("20060102")] = struct{}{}
	}
	e.daysMu.Unlock()
	return nil
}

// enter keeps the store open until life is released.
func (e *embedded) enter() error {
	e.life.RLock()
	if e.closed {
		e.life.RUnlock()
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	return nil
}

// room reports that the disk is too full to take more. The reserve leaves
// space to write down what is in memory: the library ends the process when
// that fails.
func (e *embedded) room() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(e.dir, &st); err != nil {
		return fmt.Errorf("%w: look at the free space: %w", ErrUnavailable, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < e.reserve {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s and %d MiB must remain: make room or move it", ErrUnavailable, free>>20, e.dir, e.reserve>>20)
	}
	return nil
}

// Oldest implements Store. An hour is left for rows to travel.
func (e *embedded) Oldest(now time.Time) time.Time { return now.Add(time.Hour - e.retention) }

// Sync implements Store. The library has no log ahead of its parts and writes
// rows down only after a while; making a snapshot of a partition is its one
// public call that writes them now. Merges that run meanwhile hide rows from
// it, so Sync asks again until the library counts no row in memory.
func (e *embedded) Sync(ctx context.Context) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.life.RUnlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.daysMu.Lock()
	days := e.days
	e.days = map[string]struct{}{}
	e.daysMu.Unlock()
	if err := e.flush(ctx, days); err != nil {
		e.daysMu.Lock()
		for d := range days {
			e.days[d] = struct{}{}
		}
		e.daysMu.Unlock()
		return err
	}
	return nil
}

func (e *embedded) flush(ctx context.Context, days map[string]struct{}) error {
	if len(days) == 0 {
		return nil
	}
	wait := time.NewTicker(2 * time.Millisecond)
	defer wait.Stop()
	for {
		e.storage.DebugFlush()
		merging := e.inMemory().IndexdbActiveInmemoryMerges > 0
		for d := range days {
			for _, path := range e.storage.PartitionSnapshotMustCreate(d) {
				if err := e.storage.PartitionSnapshotDelete(path); err != nil {
					return fmt.Errorf("event store: remove a snapshot: %w", err)
				}
			}
		}
		if s := e.inMemory(); !merging && s.PendingRows == 0 && s.InmemoryRowsCount == 0 && s.IndexdbPendingItems == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
	}
}

func (e *embedded) inMemory() logstorage.StorageStats {
	var s logstorage.StorageStats
	e.storage.UpdateStats(&s)
	return s
}

// Close implements Store.
func (e *embedded) Close() error {
	e.life.Lock()
	defer e.life.Unlock()
	if !e.closed {
		e.closed = true
		e.storage.MustClose()
	}
	return nil
}
