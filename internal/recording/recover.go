package recording

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Recover closes as cut the recordings that this server left open when it was
// killed, each to the length that is sealed, and says so in the ledger. Call it
// before any session starts.
func (r *Recorder) Recover(ctx context.Context) error {
	for {
		var open []store.Recording
		var last map[string]store.Segment
		err := r.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
			if open, err = tx.Recordings(store.RecordingFilter{State: "open", Server: r.server}, store.Page{Limit: 500}); err != nil {
				return err
			}
			last, err = tx.LastSegments(ids(open))
			return err
		})
		if err != nil {
			return fmt.Errorf("recordings that were left open: %w", err)
		}
		if len(open) == 0 {
			return nil
		}
		reasons := make([]string, len(open))
		for i, rec := range open {
			if reasons[i], err = r.cut(rec, last[rec.ID]); err != nil {
				return err
			}
			r.cfg.Log.Warn("a recording was left open", "session", rec.ID, "reason", reasons[i])
		}
		if err := r.closeCut(ctx, open, last, reasons); err != nil {
			return fmt.Errorf("close recordings that were left open: %w", err)
		}
	}
}

func ids(rs []store.Recording) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = r.ID
	}
	return out
}

// cut shortens the file to what is sealed, and says what became of it.
func (r *Recorder) cut(rec store.Recording, last store.Segment) (reason string, err error) {
	const began = "the server ended without closing it"
	info, err := os.Stat(r.path(rec.ID))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return began + "; its file is missing", nil
	case err != nil:
		return "", fmt.Errorf("recording %s: %w", rec.ID, err)
	case info.Size() < last.End:
		return fmt.Sprintf("%s; its file is %d bytes shorter than what was sealed", began, last.End-info.Size()), nil
	}
	rest := info.Size() - last.End
	if rest > 0 {
		f, err := os.OpenFile(r.path(rec.ID), os.O_WRONLY, 0)
		if err == nil {
			err = errors.Join(f.Truncate(last.End), f.Sync(), f.Close())
		}
		if err != nil {
			return "", fmt.Errorf("recording %s: %w", rec.ID, err)
		}
	}
	if last.Number == 0 {
		return began + "; nothing of it was sealed", nil
	}
	return fmt.Sprintf("%s; sealed until %s, what came within the second after that is lost (%d bytes were dropped)",
		began, last.SealedAt.Format("2006-01-02 15:04:05.0 UTC"), rest), nil
}

func (r *Recorder) closeCut(ctx context.Context, open []store.Recording, last map[string]store.Segment, reasons []string) error {
	now := r.cfg.Now()
	return r.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		entries := make([]ledger.Entry, len(open))
		for i, rec := range open {
			entries[i] = ledger.Entry{Time: now, Tenant: rec.Tenant, Actor: "system/gateway", Action: "session.cut", Subject: "session/" + rec.ID}
			if c := last[rec.ID].Chain; c != "" {
				entries[i].Digests = map[string]string{"chain": c}
			}
		}
		first, err := r.cfg.Ledger.Append(tx, entries...)
		if err != nil {
			return err
		}
		for i, rec := range open {
			ended := rec.Started
			if s, ok := last[rec.ID]; ok {
				ended = s.SealedAt
			}
			if err := tx.EndRecording(rec.ID, "cut", reasons[i], ended, first+int64(i)); err != nil {
				return err
			}
		}
		return nil
	})
}
