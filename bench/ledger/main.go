// Command ledger compares the product's ledger with Tessera's POSIX storage on
// the same entries and the same disk, by turns in one run.
//
// Both are durable before an entry counts. The ledger commits a SQLite
// transaction (WAL, synchronous=FULL: one fsync of the log a commit), and in it
// the acts of the product would commit as well. Tessera writes each tile and
// entry bundle with O_SYNC, links it and fsyncs its directory, and then does the
// same for its tree state. Neither has deduplication or witnesses on.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

func main() {
	entries := flag.Int("entries", 100_000, "entries that each appends in a round of batches")
	batch := flag.Int("batch", 1000, "entries in a batch")
	single := flag.Int("single", 300, "entries that each appends in a round one by one")
	rounds := flag.Int("rounds", 3, "rounds, of which the middle one counts")
	dir := flag.String("dir", "", "directory on the disk to measure, instead of a temporary one")
	flag.Parse()
	klog.LogToStderr(false) // Tessera's
	klog.SetOutput(io.Discard)
	if err := run(*dir, *entries, *batch, *single, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func run(parent string, entries, batch, single, rounds int) error {
	dir, err := os.MkdirTemp(parent, "bench-ledger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	ours, closeOurs, err := openOurs(ctx, filepath.Join(dir, "demarc.db"))
	if err != nil {
		return err
	}
	defer closeOurs()

	batched, one := map[string][]float64{}, map[string][]float64{}
	for round := range rounds {
		// Tessera fixes its batches when it is opened, so each kind has a log of its own.
		for _, c := range []struct {
			rates map[string][]float64
			n     int
			batch int
		}{{batched, entries, batch}, {one, single, 1}} {
			rate, err := timed(c.n, func() error { return ours(ctx, c.n, c.batch) })
			if err != nil {
				return fmt.Errorf("demarc: %w", err)
			}
			c.rates["demarc"] = append(c.rates["demarc"], rate)

			log := filepath.Join(dir, fmt.Sprintf("tessera-%d-%d", round, c.batch))
			theirs, closeTheirs, err := openTheirs(ctx, log, c.batch)
			if err != nil {
				return fmt.Errorf("tessera: %w", err)
			}
			rate, err = timed(c.n, func() error { return theirs(ctx, c.n) })
			if err != nil {
				return fmt.Errorf("tessera: %w", err)
			}
			c.rates["tessera"] = append(c.rates["tessera"], rate)
			if err := closeTheirs(ctx); err != nil {
				return fmt.Errorf("tessera: %w", err)
			}
		}
	}
	report(fmt.Sprintf("batches of %d", batch), batched)
	report("one by one", one)
	return nil
}

func timed(n int, f func() error) (perSecond float64, err error) {
	begin := time.Now()
	err = f()
	return float64(n) / time.Since(begin).Seconds(), err
}

// openOurs returns what appends n entries in durable batches.
func openOurs(ctx context.Context, path string) (add func(ctx context.Context, n, batch int) error, end func() error, err error) {
	s, err := store.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, nil, err
	}
	l := ledger.Open(s)
	add = func(ctx context.Context, n, batch int) error {
		for at := 0; at < n; at += batch {
			err := s.Write(ctx, func(tx *store.Tx) error {
				_, err := l.Append(tx, some(at, min(batch, n-at))...)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	return add, s.Close, nil
}

// openTheirs returns what adds n entries, of which as many as make two batches
// are under way at a time, and waits until all are integrated on disk.
func openTheirs(ctx context.Context, path string, batch int) (add func(ctx context.Context, n int) error, end func(context.Context) error, err error) {
	skey, _, err := note.GenerateKey(rand.Reader, "bench.test/log")
	if err != nil {
		return nil, nil, err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: path})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // shutting down leaves its own tasks running
	a, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(time.Second).
		WithBatching(uint(batch), 10*time.Millisecond).
		WithPushback(uint(4*batch)))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	add = func(ctx context.Context, n int) error {
		outstanding := make([]tessera.IndexFuture, 0, 2*batch)
		wait := func(left int) error {
			for len(outstanding) > left {
				if _, err := outstanding[0](); err != nil {
					return err
				}
				outstanding = outstanding[1:]
			}
			return nil
		}
		keep := 2*batch - 1
		if batch == 1 {
			keep = 0
		}
		for i := range n {
			data := some(i, 1)[0].AppendCanonical(nil)
			outstanding = append(outstanding, a.Add(ctx, tessera.NewEntry(data)))
			if err := wait(keep); err != nil {
				return err
			}
		}
		return wait(0)
	}
	end = func(ctx context.Context) error {
		defer cancel()
		return shutdown(ctx)
	}
	return add, end, nil
}

// some returns n entries as acts have them.
func some(from, n int) []ledger.Entry {
	entries := make([]ledger.Entry, n)
	for i := range entries {
		entries[i] = ledger.Entry{
			Time: time.Now(), Tenant: fmt.Sprintf("t-%d", (from+i)%4), Actor: "provider-administrator/p-7", Action: "subscription.create",
			Subject: fmt.Sprintf("vm/v-%d", from+i),
			Digests: map[string]string{"document": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		}
	}
	return entries
}
