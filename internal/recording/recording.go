// Package recording keeps what happens in sessions: as asciicast v2 in a file
// that only grows, sealed into the ledger segment by segment while it runs.
// What cannot be recorded ends.
//
// A segment is what came since the last one, at most every half second. Its
// digest is chained to the former segments' and appended to the ledger after
// the bytes are on disk, for all sessions in one transaction. So a server that
// is killed loses at most a second of a session, and a byte that is changed
// afterwards shows, with where and when.
package recording

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/demarc/demarc/api/cast"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/durable"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

const (
	// interval is how often segments are sealed. With the time that sealing
	// takes it stays below half a second.
	interval = 400 * time.Millisecond
	// patience is how long what a session does may wait to be sealed before the
	// session waits with it: nothing older than this is lost.
	patience = 900 * time.Millisecond
	// giveUp is how long sealing may fail before sessions end.
	giveUp = 3 * time.Second
	// MaxBytes bounds one recording. A session that would exceed it ends.
	MaxBytes = 4 << 30
)

// ErrRecording is wrapped where a session cannot be recorded, and so cannot go on.
var ErrRecording = errors.New("the session cannot be recorded")

// Ledger is the part of the ledger that recordings are sealed into.
type Ledger interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
	Line(ctx context.Context, index int64) (ledger.Line, error)
}

// Config is what a Recorder stands on. All members are required.
type Config struct {
	Store  *store.Store
	Ledger Ledger
	// Dir is where the files are; it is made if it is not there.
	Dir string
	Now func() time.Time
	Log *slog.Logger
}

// Recorder keeps recordings. It is safe for concurrent use.
type Recorder struct {
	cfg    Config
	server string
	kick   chan struct{}
	lag    atomic.Int64 // see Lag

	mu   sync.Mutex
	live map[string]*Recording // guarded by mu
}

// Open prepares the directory. Until Run runs, nothing is sealed.
func Open(cfg Config) (*Recorder, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of recordings: %w", err)
	}
	server, err := serverName(filepath.Join(cfg.Dir, "server"))
	if err != nil {
		return nil, err
	}
	return &Recorder{cfg: cfg, server: server, kick: make(chan struct{}, 1), live: map[string]*Recording{}}, nil
}

// serverName tells the servers of an installation apart, by whose files they have.
func serverName(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		id := make([]byte, 8)
		rand.Read(id)
		b = []byte("server-" + hex.EncodeToString(id))
		err = durable.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("name of the server that keeps recordings: %w", err)
	}
	return string(b), nil
}

func (r *Recorder) path(id string) string { return filepath.Join(r.cfg.Dir, id+".cast") }

// Meta says whose session is recorded.
type Meta struct {
	Tenant, Grant string
	Holder        access.Principal
	Target        store.Target
	// Kind is shell, exec, sftp, forward or web.
	Kind string
	// Terminal: there is one, so that what is typed without echo is hidden.
	Terminal      bool
	Width, Height int
	// Permit is asked within the transaction that opens the recording, so that
	// no session begins after its grant ended. Required.
	Permit func(tx *store.Tx) error
}

// Start begins a recording. The session may begin once it returns.
func (r *Recorder) Start(ctx context.Context, m Meta) (*Recording, error) {
	rec := &Recording{
		ID: ident.New("rec"), Meta: m, started: r.cfg.Now(), began: time.Now(), recorder: r,
		hash: sha256.New(), failed: make(chan struct{}), done: make(chan struct{}),
	}
	rec.sealed.L = &rec.mu
	f, err := os.OpenFile(r.path(rec.ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecording, err)
	}
	rec.file = f
	rec.buf = cast.AppendHeader(rec.buf, cast.Header{
		Width: m.Width, Height: m.Height, Timestamp: rec.started.Unix(), Title: m.Target.Name + " under " + m.Grant,
	})
	err = rec.flush()
	if err == nil {
		err = durable.SyncDir(r.cfg.Dir)
	}
	if err == nil {
		err = r.cfg.Store.Write(ctx, func(tx *store.Tx) error { return r.insert(tx, rec) })
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	r.mu.Lock()
	r.live[rec.ID] = rec
	r.mu.Unlock()
	return rec, nil
}

func (r *Recorder) insert(tx *store.Tx, rec *Recording) error {
	if err := rec.Permit(tx); err != nil {
		return err
	}
	entry, err := r.cfg.Ledger.Append(tx, ledger.Entry{
		Time: rec.started, Tenant: rec.Tenant, Actor: rec.Holder.Actor(), Action: "session.open", Subject: "session/" + rec.ID,
		Digests: map[string]string{"terms": rec.terms()},
	})
	if err != nil {
		return err
	}
	return tx.InsertRecording(store.Recording{
		ID: rec.ID, Tenant: rec.Tenant, Grant: rec.Grant, Holder: rec.Holder.ID, Target: rec.Target.ID, Kind: rec.Kind,
		Server: r.server, State: "open", Started: rec.started, OpenedEntry: entry,
	})
}

// terms is a digest of what the session was opened for, so that the ledger
// binds the recording to its grant and target.
func (rec *Recording) terms() string { return Terms(rec.Grant, rec.Target.ID, rec.Kind) }

// Terms is the digest that a session.open entry has of grant, target and kind.
func Terms(grant, target, kind string) string {
	sum := sha256.Sum256([]byte("demarc session\n" + grant + "\n" + target + "\n" + kind + "\n"))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// chain is the digest of a segment and all before it.
func chain(recording string, number int64, former string, end int64, segment [sha256.Size]byte) string {
	h := sha256.New()
	b := append([]byte("demarc recording segment\n"), recording...)
	b = strconv.AppendInt(append(b, '\n'), number, 10)
	b = append(append(b, '\n'), former...)
	b = strconv.AppendInt(append(b, '\n'), end, 10)
	h.Write(append(b, '\n'))
	h.Write(segment[:])
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
