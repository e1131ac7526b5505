package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/demarc/demarc/internal/ledger/bundle"
	"github.com/demarc/demarc/internal/ledger/merkle"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// databases that are measured, with their files on the disk of the test's
// temporary directory. SQLite: WAL, synchronous=FULL. PostgreSQL: fsync and
// synchronous_commit on, its own defaults otherwise.
var databases = []struct {
	name string
	dsn  func(testing.TB) string
}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}}

// present returns n entries as acts of the present have them.
func present(n int) []Entry {
	entries := some(n)
	for i := range entries {
		entries[i].Time = time.Time{}
	}
	return entries
}

// BenchmarkAppendBatch appends durable batches of 1000.
func BenchmarkAppendBatch(b *testing.B) {
	for _, db := range databases {
		b.Run(db.name, func(b *testing.B) {
			l := open(b, storetest.Open(b, db.dsn(b)))
			entries := present(1000)
			for b.Loop() {
				add(b, l, entries...)
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkActWithEntry compares a durable act that has an entry with the same act
// without one, by turns in one run. The ratio is of the means, as throughput has
// it; that of the medians is of the moments when the disk has nothing else to do.
func BenchmarkActWithEntry(b *testing.B) {
	for _, db := range databases {
		b.Run(db.name, func(b *testing.B) {
			s := storetest.Open(b, db.dsn(b))
			l := open(b, s)
			add(b, l, present(1000)...)
			n := 0
			timed := func(entry bool) time.Duration {
				n++
				name := fmt.Sprintf("act-%d", n)
				begin := time.Now()
				err := s.Write(context.Background(), func(tx *store.Tx) error {
					if err := tx.AddSetting(name, []byte("set")); err != nil || !entry {
						return err
					}
					_, err := l.Append(tx, Entry{Actor: "provider-administrator/p-7", Action: "setting.change", Subject: "setting/" + name})
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				return time.Since(begin)
			}
			var bare, with []time.Duration
			for b.Loop() {
				bare = append(bare, timed(false))
				with = append(with, timed(true))
			}
			mean := func(d []time.Duration) float64 {
				var sum time.Duration
				for _, x := range d {
					sum += x
				}
				return float64(sum.Microseconds()) / float64(len(d))
			}
			median := func(d []time.Duration) float64 {
				slices.Sort(d)
				return float64(d[len(d)/2].Nanoseconds()) / 1000
			}
			b.ReportMetric(mean(bare), "µs/bare")
			b.ReportMetric(mean(with), "µs/with-entry")
			b.ReportMetric(mean(with)/mean(bare), "ratio")
			b.ReportMetric(median(with)/median(bare), "ratio-of-medians")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// planted fills a store with the tree of size random leaves, as appending would
// have left it, but for entries: the few of the right edge are there.
func planted(b *testing.B, s *store.Store, size int64) {
	b.Helper()
	var f merkle.Frontier
	tiles := map[int][]byte{}
	type tile struct {
		tileID
		hashes []byte
	}
	var full []tile
	write := func(rows []store.LedgerEntry) {
		err := s.Write(b.Context(), func(tx *store.Tx) error {
			for _, t := range full {
				if err := tx.SetLedgerTile(t.level, t.index, t.hashes); err != nil {
					return err
				}
			}
			if rows == nil {
				return nil
			}
			if err := tx.InsertLedgerEntries(rows); err != nil {
				return err
			}
			return tx.SetLedgerHead(store.LedgerHead{Size: f.Size(), Frontier: f.Bytes()})
		})
		if err != nil {
			b.Fatal(err)
		}
		full = full[:0]
	}
	var rows []store.LedgerEntry
	for i := range size {
		leaf := tlog.Hash(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i))))
		grow := func(level int, index int64, h tlog.Hash) {
			tiles[level] = append(tiles[level], h[:]...)
			if len(tiles[level]) == merkle.TileWidth*tlog.HashSize {
				full = append(full, tile{tileID{level, index / merkle.TileWidth}, tiles[level]})
				tiles[level] = nil
			}
		}
		grow(0, i, leaf)
		f.Append(leaf, grow)
		if i >= size/merkle.TileWidth*merkle.TileWidth {
			rows = append(rows, store.LedgerEntry{Index: i, Time: time.UnixMicro(i), Sequence: i + 1, Digests: "{}", Salt: leaf[:], Leaf: leaf[:]})
		}
		if len(full) > 1000 {
			write(nil)
		}
	}
	for level, hashes := range tiles {
		if level > 0 && len(hashes) > 0 {
			full = append(full, tile{tileID{level, size >> (merkle.TileHeight * (level + 1))}, hashes})
		}
	}
	write(rows)
}

// BenchmarkProof proves in a tree of ten million entries whose right edge is as
// wide as can be. Of each kind of proof, the longest hundredth is reported too.
func BenchmarkProof(b *testing.B) {
	const size = 10_000_127 // 255 entries in the last tile
	for _, db := range databases {
		b.Run(db.name, func(b *testing.B) {
			s := storetest.Open(b, db.dsn(b))
			l := open(b, s)
			planted(b, s, size)
			root := mustRoot(b, l, size)
			for name, prove := range map[string]func(x int64) error{
				"inclusion": func(x int64) error { _, err := l.Inclusion(b.Context(), x, size); return err },
				"consistency": func(x int64) error {
					p, err := l.Consistency(b.Context(), x+1, size)
					if err == nil && x%1000 == 0 {
						err = tlog.CheckTree(p, size, root, x+1, mustRoot(b, l, x+1))
					}
					return err
				},
			} {
				b.Run(name, func(b *testing.B) {
					var took []time.Duration
					for b.Loop() {
						begin := time.Now()
						if err := prove(rand.Int64N(size)); err != nil {
							b.Fatal(err)
						}
						took = append(took, time.Since(begin))
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
				})
			}
		})
	}
}

// BenchmarkBundleVerify verifies a bundle of 10,000 entries of one tenant, spread
// over a ledger of 40,000.
func BenchmarkBundleVerify(b *testing.B) {
	l := open(b, storetest.Open(b, storetest.SQLite(b)))
	for range 40 {
		add(b, l, present(1000)...)
	}
	if _, err := l.Checkpoint(b.Context()); err != nil {
		b.Fatal(err)
	}
	data := bundled(b, l, BundleOptions{Tenant: "t-2"})
	b.ReportMetric(float64(len(data))/1e6, "MB")
	for b.Loop() {
		r, err := bundle.Verify(bytes.NewReader(data), bundle.Options{})
		if err != nil || len(r.Entries) != 10_001 {
			b.Fatal(len(r.Entries), err)
		}
	}
	b.ReportMetric(float64(len(data))/1e6, "MB")
}

// BenchmarkVerify verifies a stored ledger.
func BenchmarkVerify(b *testing.B) {
	l := open(b, storetest.Open(b, storetest.SQLite(b)))
	for range 100 {
		add(b, l, present(1000)...)
	}
	for b.Loop() {
		if err := mustVerify(b, l).Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "entries/s")
}
