package ledger

import (
	"testing"
	"time"

	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// BenchmarkAppendBatch appends durable batches of 1000 (SQLite: WAL,
// synchronous=FULL).
func BenchmarkAppendBatch(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			l := open(b, storetest.Open(b, dsn(b)))
			entries := some(1000)
			for i := range entries {
				entries[i].Time = time.Time{} // now, as acts have it
			}
			for b.Loop() {
				err := l.store.Write(b.Context(), func(tx *store.Tx) error {
					_, err := l.Append(tx, entries...)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
