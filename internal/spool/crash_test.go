package spool

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/demarc/demarc/internal/evidence"
)

const childDir = "SPOOL_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := appendForever(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// appendForever is the child: it appends from several goroutines, cuts now and
// then, and says on its output what was done, after it was done.
func appendForever(dir string) error {
	s, err := Open(Config{Dir: dir, segmentBytes: 20_000})
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format, args...)
	}
	say("epoch %s\n", s.Epoch())
	errs := make(chan error)
	for range 4 {
		go func() {
			for {
				n := rand.IntN(1 << 40)
				seq, err := s.Append(context.Background(), record(evidence.ClassFact, n, rand.IntN(400)))
				if err != nil {
					errs <- err
					return
				}
				say("stored %d %d\n", seq, n)
				if rand.IntN(50) == 0 && seq > 20 {
					if err := s.Cut(seq - 20); err != nil {
						errs <- err
						return
					}
				}
			}
		}()
	}
	return <-errs
}

// TestNothingAcceptedIsLostWhenKilled kills the process that appends, again
// and again, in the middle of what it does.
func TestNothingAcceptedIsLostWhenKilled(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	stored := map[uint64]int{}
	epoch := ""
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(pipe)
		for left := 1 + rand.IntN(400); lines.Scan(); {
			var seq uint64
			var n int
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "stored "):
				if _, err := fmt.Sscanf(line, "stored %d %d", &seq, &n); err != nil {
					continue // torn by the kill
				}
				if _, twice := stored[seq]; twice {
					t.Fatalf("sequence %d was given twice", seq)
				}
				stored[seq] = n
			case strings.HasPrefix(line, "epoch "):
				if epoch != "" && line != epoch {
					t.Fatalf("the epoch changed: %s, %s", epoch, line)
				}
				epoch = line
			default:
				t.Fatalf("child: %s", line)
			}
			if left--; left == 0 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
	}
	s := open(t, Config{Dir: dir, segmentBytes: 20_000})
	seqs, numbers := readAll(t, s, 0)
	present := map[uint64]int{}
	for i, seq := range seqs {
		if i > 0 && seq != seqs[i-1]+1 {
			t.Errorf("sequence %d follows %d", seq, seqs[i-1])
		}
		present[seq] = numbers[i]
	}
	st, checked := s.Stats(), 0
	for seq, n := range stored {
		if seq <= st.Cut {
			continue
		}
		checked++
		if present[seq] != n {
			t.Errorf("sequence %d should hold %d, holds %d", seq, n, present[seq])
		}
	}
	if st.Lost != 0 || len(stored) < kills || checked == 0 {
		t.Errorf("stored %d, checked %d, %+v", len(stored), checked, st)
	}
	t.Logf("%d kills, %d records stored, %d of them not cut", kills, len(stored), checked)
}
