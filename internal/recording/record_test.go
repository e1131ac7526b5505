package recording_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/api/cast"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

// TestManyAtOnce records many sessions at once; every byte is there.
func TestManyAtOnce(t *testing.T) {
	r := session(t)
	const sessions, lines = 40, 200
	var all sync.WaitGroup
	ids := make([]string, sessions)
	for i := range sessions {
		rec := r.start()
		ids[i] = rec.ID
		all.Go(func() {
			for n := range lines {
				must(t, rec.Output([]byte("session "+strconv.Itoa(i)+" line "+strconv.Itoa(n)+"\r\n")))
			}
			rec.Close("done")
		})
	}
	all.Wait()
	for i, id := range ids {
		if v := r.verify(id); v.Fault != "" || r.stored(id).State != "complete" {
			t.Fatalf("%+v %+v", v, r.stored(id))
		}
		got := shown(t, r.text(id))
		if strings.Count(got, "\n") != lines || !strings.Contains(got, "session "+strconv.Itoa(i)+" line 199\r\n") {
			t.Errorf("session %d has %d lines", i, strings.Count(got, "\n"))
		}
	}
}

// shown is all output of a recording.
func shown(t testing.TB, text string) string {
	t.Helper()
	c, err := cast.NewReader(strings.NewReader(text))
	must(t, err)
	var out strings.Builder
	for {
		e, err := c.Next()
		if err != nil {
			return out.String()
		}
		if e.Code == cast.Output {
			out.WriteString(e.Data)
		}
	}
}

// TestSplitCharacters finds characters whole whose bytes came one by one.
func TestSplitCharacters(t *testing.T) {
	r := session(t)
	rec := r.start()
	const text = "naïve 日本 🙂 \xff end"
	for i := range len(text) {
		must(t, rec.Output([]byte{text[i]}))
	}
	rec.Close("done")
	if got := shown(t, r.text(rec.ID)); got != "naïve 日本 🙂 \ufffd end" {
		t.Errorf("%q", got)
	}
}

// TestDiskFull records on a file system without room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("mounting needs root: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	r := newRig(t, storetest.Open(t, storetest.SQLite(t)), dir)
	r.prepare()
	r.run()
	rec := r.start()
	line := bytes.Repeat([]byte("0123456789"), 100)
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		err = rec.Output(line)
		<-time.After(time.Millisecond)
	}
	if !errors.Is(err, recording.ErrRecording) {
		t.Fatalf("it went on: %v", err)
	}
	select {
	case <-rec.Failed():
	case <-time.After(5 * time.Second):
		t.Fatal("the session was not told")
	}
	rec.Close("whatever")
	if got := r.stored(rec.ID); got.State != "cut" || !strings.Contains(got.Reason, "cannot be recorded") {
		t.Errorf("%+v", got)
	}
	if v := r.verify(rec.ID); v.Fault != "" {
		t.Errorf("%+v", v)
	}
	if _, err := r.recorder.Start(context.Background(), recording.Meta{Tenant: tenant, Target: r.target, Permit: func(*store.Tx) error { return nil }}); err == nil {
		t.Error("a session began that cannot be recorded")
	}
}

// child is what TestKilled kills: it records a line every 10 ms and tells the
// number of each once it was taken.
func child(dsn, dir string) {
	s, err := store.Open(context.Background(), dsn)
	if err != nil {
		os.Exit(3)
	}
	r := newRig(&testing.T{}, s, dir)
	go r.recorder.Run(context.Background())
	rec := r.start()
	os.Stdout.WriteString(rec.ID + "\n")
	for {
		at := time.Now()
		if rec.Output([]byte(strconv.FormatInt(at.UnixMilli(), 10)+"\r\n")) != nil {
			os.Exit(4)
		}
		os.Stdout.WriteString(strconv.FormatInt(at.UnixMilli(), 10) + "\n")
		<-time.After(10 * time.Millisecond)
	}
}

func TestMain(m *testing.M) {
	if dsn := os.Getenv("DEMARC_TEST_CHILD"); dsn != "" {
		child(dsn, os.Getenv("DEMARC_TEST_DIR"))
	}
	os.Exit(m.Run())
}

// TestKilled kills a process that records, and finds all but the last second in
// the recording, which says that it was cut.
func TestKilled(t *testing.T) {
	dsn, dir := storetest.SQLite(t), filepath.Join(t.TempDir(), "recordings")
	s := storetest.Open(t, dsn)
	r := newRig(t, s, dir)
	r.prepare()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DEMARC_TEST_CHILD="+dsn, "DEMARC_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Scan()
	id := lines.Text()
	var last int64
	for began := time.Now(); time.Since(began) < 1700*time.Millisecond && lines.Scan(); {
		last, _ = strconv.ParseInt(lines.Text(), 10, 64)
	}
	must(t, cmd.Process.Kill())
	for lines.Scan() { // what it had said already
		last, _ = strconv.ParseInt(lines.Text(), 10, 64)
	}
	cmd.Wait()
	if got := r.stored(id); got.State != "open" {
		t.Fatalf("%+v", got)
	}
	again := newRig(t, s, dir)
	must(t, again.recorder.Recover(t.Context()))
	got := again.stored(id)
	if got.State != "cut" || !mentions(got.Reason, "the server ended", "sealed until", "is lost") {
		t.Errorf("%+v", got)
	}
	if v := again.verify(id); v.Fault != "" || v.Segments < 3 {
		t.Errorf("%+v", v)
	}
	kept := strings.Fields(shown(t, again.text(id)))
	end, err := strconv.ParseInt(kept[len(kept)-1], 10, 64)
	must(t, err)
	lost := time.Duration(last-end) * time.Millisecond
	t.Logf("of %d lines %d are kept; lost is the last %v", last, len(kept), lost)
	if lost > time.Second {
		t.Errorf("lost %v", lost)
	}
	must(t, again.recorder.Recover(t.Context())) // nothing is left to do
	if n := len(again.segments(id)); n < 3 {
		t.Errorf("%d segments", n)
	}
}

// TestStopped finds that a recording is closed when the server is stopped.
func TestStopped(t *testing.T) {
	r := newRig(t, storetest.Open(t, storetest.SQLite(t)), filepath.Join(t.TempDir(), "recordings"))
	r.prepare()
	stop := r.run()
	rec := r.start()
	must(t, rec.Output([]byte("x")))
	stop()
	if got := r.stored(rec.ID); got.State != "complete" || got.Reason != "the server was stopped" {
		t.Errorf("%+v", got)
	}
	if err := rec.Output([]byte("y")); err == nil {
		t.Error("it is still recorded to")
	}
}
