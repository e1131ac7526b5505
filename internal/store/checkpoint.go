package store

import (
	"context"
	"database/sql"
	"time"
)

// SQLite brings its write-ahead log into the database file now and then. By
// itself it does so in the middle of somebody's commit, who then waits for
// hundreds of pages to be synced. A checkpointer does it beside the writer.
const (
	checkpointEvery = 200 * time.Millisecond
	// walPages is how long the log may grow (4 KiB pages) before the writer is
	// held up to begin it anew; by then nearly all of it is in the file.
	walPages = 16_000
)

type checkpointer struct {
	db, writer *sql.DB
	stop       context.CancelFunc
	done       chan struct{}
}

func startCheckpointer(ctx context.Context, db, writer *sql.DB) *checkpointer {
	// It ends with the store, not with the call that opened it.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &checkpointer{db: db, writer: writer, stop: stop, done: make(chan struct{})}
	go c.run(ctx)
	return c
}

// run checkpoints until close. A failure needs no report: the log grows, and
// the writer meets whatever is wrong with the file itself.
func (c *checkpointer) run(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	done := -1 // pages brought home when there was last something to do
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var busy, log, home int
		if err := c.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &home); err != nil || log == done {
			continue
		}
		done = log
		if log > walPages {
			c.writer.QueryRowContext(ctx, "PRAGMA wal_checkpoint(RESTART)").Scan(&busy, &log, &home)
		}
	}
}

func (c *checkpointer) close() error {
	c.stop()
	<-c.done
	return c.db.Close()
}
