package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

const crashDSN = "DEMARC_LEDGER_CRASH_DSN"

// act writes a row of the state and the entry that tells of it.
func act(ctx context.Context, l *Log, id string) error {
	return l.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.AddSetting(id, []byte("set")); err != nil {
			return err
		}
		_, err := l.Append(tx, Entry{Actor: "provider-administrator/p-7", Action: "setting.change", Subject: "setting/" + id})
		return err
	})
}

// TestCrashChild is the process that TestCrashLeavesActAndEntryOrNeither kills.
func TestCrashChild(t *testing.T) {
	dsn := os.Getenv(crashDSN)
	if dsn == "" {
		t.Skip("it is run by TestCrashLeavesActAndEntryOrNeither")
	}
	s, err := store.Open(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, s)
	for i := 0; ; i++ {
		id := fmt.Sprintf("act-%d-%d", os.Getpid(), i)
		if err := act(context.Background(), l, id); err != nil {
			t.Fatal(err)
		}
		fmt.Println("done", id)
		if i%7 == 0 {
			if _, err := l.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A process that acts is killed at any moment, time and again. Each act that it
// was told to be durable is there, with its entry; every act there is has its
// entry and every entry its act; and the tree verifies.
func TestCrashLeavesActAndEntryOrNeither(t *testing.T) {
	kills := 40
	if testing.Short() {
		kills = 6
	}
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			address := dsn(t)
			storetest.Open(t, address) // makes the schema
			var done []string
			for range kills {
				done = append(done, killedChild(t, address)...)
			}
			if len(done) < kills {
				t.Fatalf("only %d acts were done in %d lives", len(done), kills)
			}

			s := storetest.Open(t, address)
			l := open(t, s)
			if err := mustVerify(t, l).Err(); err != nil {
				t.Error(err)
			}
			acts, entries := map[string]bool{}, map[string]bool{}
			for _, row := range rowsOf(t, raw(t, address), "SELECT name FROM setting WHERE name LIKE 'act-%'") {
				acts[fmt.Sprint(row["name"])] = true
			}
			f := Filter{Action: "setting.change", Limit: 1000}
			for {
				page, err := l.Search(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range page.Lines {
					entries[strings.TrimPrefix(line.Subject, "setting/")] = true
				}
				if f.Cursor = page.Next; page.Next == "" {
					break
				}
			}
			for _, id := range done {
				if !acts[id] || !entries[id] {
					t.Errorf("act %s was durable: act %v, entry %v", id, acts[id], entries[id])
				}
			}
			for id := range acts {
				if !entries[id] {
					t.Errorf("act %s has no entry", id)
				}
			}
			for id := range entries {
				if !acts[id] {
					t.Errorf("entry %s has no act", id)
				}
			}
			t.Logf("%d acts in %d lives", len(acts), kills)
		})
	}
}

// killedChild runs a child until a random moment after its first act and returns
// the acts that it said were durable.
func killedChild(t *testing.T, dsn string) (done []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
	cmd.Env = append(os.Environ(), crashDSN+"="+dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var seen []string
	var killed *time.Timer
	for lines.Scan() {
		id, ok := strings.CutPrefix(lines.Text(), "done ")
		if !ok {
			seen = append(seen, lines.Text())
			continue
		}
		done = append(done, id)
		if killed == nil {
			killed = time.AfterFunc(rand.N(25*time.Millisecond), func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait()
	if len(done) == 0 {
		t.Fatalf("the child did nothing: %q", seen)
	}
	return done
}

// Many append at once, some of them undone; nothing is lost or comes twice.
func TestConcurrentAppends(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := open(t, s)
		undone := errors.New("undone")
		var appending sync.WaitGroup
		for g := range 8 {
			appending.Go(func() {
				for i := range 25 {
					err := s.Write(t.Context(), func(tx *store.Tx) error {
						if _, err := l.Append(tx, some(1+(g+i)%9)...); err != nil {
							return err
						}
						if i%5 == 4 {
							return undone
						}
						return nil
					})
					if err != nil && !errors.Is(err, undone) {
						t.Error(err)
					}
					if i%8 == 0 {
						if _, err := l.Checkpoint(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		appending.Wait()
		want := int64(1) // the first key
		for g := range 8 {
			for i := range 25 {
				if i%5 != 4 {
					want += int64(1 + (g+i)%9)
				}
			}
		}
		v := mustVerify(t, l)
		if err := v.Err(); err != nil || v.Entries != want {
			t.Errorf("%d entries, want %d; %v", v.Entries, want, err)
		}
	})
}

// A full disk fails the act as a whole, with an error that says to try again, and
// once there is room the ledger goes on.
func TestFullDisk(t *testing.T) {
	dsn := storetest.SQLite(t)
	s, err := store.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	add(t, open(t, s), some(300)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(fmt.Sprint(rowsOf(t, raw(t, dsn), "PRAGMA page_count")[0]["page_count"]))
	if err != nil {
		t.Fatal(err)
	}
	// The disk that ends is one that SQLite believes in: the address carries a
	// pragma, and what the store adds to it goes to the last parameter.
	full, err := store.Open(t.Context(), fmt.Sprintf("%s?_pragma=journal_mode(WAL)&_pragma=max_page_count(%d)&x=", dsn, pages+40))
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, full)
	size := int64(300)
	for {
		err := full.Write(t.Context(), func(tx *store.Tx) error {
			_, err := l.Append(tx, some(100)...)
			return err
		})
		if err == nil {
			size += 100
			continue
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("error is %v, want ErrUnavailable", err)
		}
		break
	}
	if v := mustVerify(t, l); v.Err() != nil || v.Entries != size {
		t.Errorf("%d entries, want %d; %v", v.Entries, size, v.Err())
	}
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, storetest.Open(t, dsn))
	if first := add(t, l, some(100)...); first != size {
		t.Errorf("the ledger goes on at %d, want %d", first, size)
	}
	if err := mustVerify(t, l).Err(); err != nil {
		t.Error(err)
	}
}
