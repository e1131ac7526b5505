package recording

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// ErrElsewhere: the recording's file is on another server.
var ErrElsewhere = errors.New("the recording is kept by another server")

// Verification says whether a recording is what was sealed.
type Verification struct {
	// Segments and Bytes were found right, until End.
	Segments int64
	Bytes    int64
	End      time.Duration
	// Fault is what is wrong, empty if nothing is; Segment is where, from 1, and
	// From and To its time since the session began.
	Fault    string
	Segment  int64
	From, To time.Duration
}

// verifier goes through a recording's segments.
type verifier struct {
	*Recorder
	rec store.Recording
	Verification
	chain string
}

// Verify reads the whole recording and compares it with the ledger: every
// segment's bytes with its digest, and the last digest with what the ledger has
// of the session's end.
func (r *Recorder) Verify(ctx context.Context, rec store.Recording) (Verification, error) {
	if rec.Server != r.server {
		return Verification{}, ErrElsewhere
	}
	v := &verifier{Recorder: r, rec: rec}
	f, err := os.Open(r.path(rec.ID))
	if errors.Is(err, fs.ErrNotExist) {
		v.Fault = "the file is missing"
		return v.Verification, nil
	}
	if err != nil {
		return Verification{}, fmt.Errorf("recording %s: %w", rec.ID, err)
	}
	defer f.Close()
	opened, err := v.Ledger().Line(ctx, rec.OpenedEntry)
	if err != nil {
		return Verification{}, err
	}
	if !v.says(opened, "session.open") || opened.Digests["terms"] != Terms(rec.Grant, rec.Target, rec.Kind) {
		v.Fault = "the ledger does not have its beginning, or has another grant or target"
		return v.Verification, nil
	}
	if err := v.segments(ctx, f); err != nil || v.Fault != "" {
		return v.Verification, err
	}
	return v.Verification, v.ending(ctx, f)
}

// Ledger is what the recordings are sealed into.
func (r *Recorder) Ledger() Ledger { return r.cfg.Ledger }

func (v *verifier) says(l ledger.Line, action string) bool {
	return l.Action == action && l.Subject == "session/"+v.rec.ID && l.Tenant == v.rec.Tenant
}

// segments compares each segment.
func (v *verifier) segments(ctx context.Context, f *os.File) error {
	for {
		var page []store.Segment
		err := v.cfg.Store.Read(ctx, func(tx *store.Tx) (err error) {
			page, err = tx.Segments(v.rec.ID, v.Segments, 500)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := v.segment(ctx, f, s); err != nil || v.Fault != "" {
				return err
			}
		}
	}
}

func (v *verifier) segment(ctx context.Context, f *os.File, s store.Segment) error {
	wrong := func(words string) error {
		v.Fault, v.Segment, v.From, v.To = words, v.Segments+1, v.End, s.EndTime
		return nil
	}
	if s.Number != v.Segments+1 || s.End <= v.Bytes {
		return wrong("the segments do not follow each other")
	}
	h := sha256.New()
	if n, err := io.CopyN(h, f, s.End-v.Bytes); errors.Is(err, io.EOF) {
		return wrong(fmt.Sprintf("the file ends %d bytes too early", s.End-v.Bytes-n))
	} else if err != nil {
		return fmt.Errorf("recording %s: %w", v.rec.ID, err)
	}
	sum := chain(v.rec.ID, s.Number, v.chain, s.End, [sha256.Size]byte(h.Sum(nil)))
	line, err := v.cfg.Ledger.Line(ctx, s.Entry)
	if err != nil && !errors.Is(err, ledger.ErrRange) {
		return err
	}
	switch {
	case err != nil || !v.says(line, "session.record"):
		return wrong("the ledger has no entry of this segment")
	case line.Digests["chain"] != sum:
		return wrong("the bytes are not those that were sealed in ledger entry " + fmt.Sprint(s.Entry))
	}
	v.Segments, v.Bytes, v.End, v.chain = s.Number, s.End, s.EndTime, sum
	return nil
}

// ending compares what the ledger has of the session's end.
func (v *verifier) ending(ctx context.Context, f *os.File) error {
	if v.rec.State == "open" {
		return nil
	}
	if v.rec.EndedEntry == nil {
		v.Fault = "the ledger does not have its end"
		return nil
	}
	line, err := v.cfg.Ledger.Line(ctx, *v.rec.EndedEntry)
	if err != nil && !errors.Is(err, ledger.ErrRange) {
		return err
	}
	if err != nil || (!v.says(line, "session.end") && !v.says(line, "session.cut")) {
		v.Fault = "the ledger does not have its end"
		return nil
	}
	if line.Digests["chain"] != v.chain {
		v.Fault, v.Segment, v.From, v.To = "segments are missing at the end", v.Segments+1, v.End, v.End
		return nil
	}
	if info, err := f.Stat(); err != nil {
		return fmt.Errorf("recording %s: %w", v.rec.ID, err)
	} else if info.Size() != v.Bytes {
		v.Fault, v.Segment, v.From, v.To = "the file has bytes after its end", v.Segments+1, v.End, v.End
	}
	return nil
}

// Open returns what is sealed of the recording, after Verify. The caller closes it.
func (r *Recorder) Open(rec store.Recording, v Verification) (io.ReadCloser, error) {
	if rec.Server != r.server {
		return nil, ErrElsewhere
	}
	f, err := os.Open(r.path(rec.ID))
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", rec.ID, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, v.Bytes), f}, nil
}
