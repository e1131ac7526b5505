package recording_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

const (
	tenant = "t-acme"
	grant  = "g-1"
)

// rig is a recorder on a store.
type rig struct {
	t        testing.TB
	store    *store.Store
	ledger   *ledger.Log
	recorder *recording.Recorder
	dir      string
	target   store.Target
}

func newRig(t testing.TB, s *store.Store, dir string) *rig {
	t.Helper()
	r := &rig{t: t, store: s, dir: dir, target: store.Target{ID: "tg-1", Name: "hv-1", Kind: "host", Address: "a:22", Login: "root", CreatedAt: time.Now()}}
	var err error
	if r.ledger, err = ledger.New(ledger.Config{Store: s, Origin: "demarc/test"}); err != nil {
		t.Fatal(err)
	}
	r.recorder, err = recording.Open(recording.Config{Store: s, Ledger: r.ledger, Dir: dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	return r
}

// prepare makes tenant and target.
func (r *rig) prepare() {
	r.t.Helper()
	must(r.t, r.store.Write(context.Background(), func(tx *store.Tx) error {
		if err := tx.InsertTenant(&estate.Tenant{ID: tenant, Name: "acme", CreatedAt: time.Now()}); err != nil {
			return err
		}
		return tx.InsertTarget(r.target)
	}))
}

// run seals until the test, or the returned function, ends it.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.recorder.Run(ctx) }()
	stop = func() { cancel(); <-done }
	r.t.Cleanup(stop)
	return stop
}

// session is a rig that runs on SQLite.
func session(t testing.TB) *rig {
	t.Helper()
	r := newRig(t, storetest.Open(t, storetest.SQLite(t)), filepath.Join(t.TempDir(), "recordings"))
	r.prepare()
	r.run()
	return r
}

func (r *rig) start() *recording.Recording {
	r.t.Helper()
	rec, err := r.recorder.Start(context.Background(), recording.Meta{
		Tenant: tenant, Grant: grant, Holder: access.Principal{ID: "p-1", Role: access.ProviderOperator}, Target: r.target, Kind: "shell",
		Terminal: true, Width: 80, Height: 24, Permit: func(*store.Tx) error { return nil },
	})
	must(r.t, err)
	return rec
}

func (r *rig) stored(id string) store.Recording {
	r.t.Helper()
	var rec store.Recording
	must(r.t, r.store.Read(context.Background(), func(tx *store.Tx) (err error) {
		rec, err = tx.Recording(tenant, id)
		return err
	}))
	return rec
}

func (r *rig) segments(id string) (all []store.Segment) {
	r.t.Helper()
	must(r.t, r.store.Read(context.Background(), func(tx *store.Tx) (err error) {
		all, err = tx.Segments(id, 0, 1000)
		return err
	}))
	return all
}

func (r *rig) verify(id string) recording.Verification {
	r.t.Helper()
	v, err := r.recorder.Verify(context.Background(), r.stored(id))
	must(r.t, err)
	return v
}

func (r *rig) path(id string) string { return filepath.Join(r.dir, id+".cast") }

func (r *rig) text(id string) string {
	r.t.Helper()
	b, err := os.ReadFile(r.path(id))
	must(r.t, err)
	return string(b)
}

// sealedAs waits until n segments of the recording are sealed.
func (r *rig) sealedAs(id string, n int) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(r.segments(id)) < n; {
		if time.Now().After(deadline) {
			r.t.Fatalf("%d segments, want %d", len(r.segments(id)), n)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mentions(s string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}
