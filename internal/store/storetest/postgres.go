//go:build unix

package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql driver "pgx"
)

// Postgres starts a PostgreSQL of the test's own and returns the address of an
// empty database in it. The server listens on a Unix socket in a private
// directory and on no network, syncs to disk as in production, and is ended
// and removed when the test ends; it also ends when the test process is killed.
// Started by root, it runs as the user postgres, because PostgreSQL refuses to
// run as root. The test is skipped where the programs or that user are missing.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	bin := postgresPrograms(t)
	cred := postgresUser(t)

	// A socket's path may have 107 bytes, which the test's own directory can exceed.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}

	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"),
		"--pgdata", data, "--username", "demarc", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initdb.Dir, initdb.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	initdb.SysProcAttr = attributes(cred)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}

	var log bytes.Buffer
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on",
		"-c", "shared_buffers=32MB", "-c", "max_connections=64")
	server.Dir, server.Env = dir, initdb.Env
	server.Stdout, server.Stderr = &log, &log
	server.SysProcAttr = attributes(cred)
	ended := start(t, server)
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT) // immediate: the data go anyway
		<-ended
	})

	v := url.Values{"host": {dir}}
	dsn = "postgres://demarc@/postgres?" + v.Encode()
	if err := answers(t.Context(), dsn, ended); err != nil {
		server.Process.Signal(syscall.SIGQUIT)
		<-ended // so that log is no longer written to
		t.Fatalf("PostgreSQL did not start: %v\n%s", err, log.Bytes())
	}
	return dsn
}

// start runs cmd until it ends. The thread that starts it waits for it: the
// kernel ends the child when that thread dies, which must not be before.
func start(t testing.TB, cmd *exec.Cmd) (ended <-chan struct{}) {
	t.Helper()
	done := make(chan struct{})
	started := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return done
}

// answers waits until the server accepts a query.
func answers(ctx context.Context, dsn string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("the server ended: %w", err)
		case <-ctx.Done():
			return err
		}
	}
}

// postgresPrograms returns the directory of initdb and postgres: the newest of
// Debian's, or that on PATH.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	sort.Slice(found, func(i, j int) bool { // 9 sorts before 15
		return len(found[i]) < len(found[j]) || len(found[i]) == len(found[j]) && found[i] < found[j]
	})
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	p, err := exec.LookPath("initdb")
	if err != nil {
		t.Skip("PostgreSQL's programs are not installed (Debian package postgresql)")
	}
	if p, err = filepath.EvalSymlinks(p); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(p)
}
