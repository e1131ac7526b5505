package recording

import (
	"context"
	"fmt"
	"io"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
)

// Damaged is an error: the recording is not what was sealed.
type Damaged struct{ Verification }

// Error implements error.
func (d *Damaged) Error() string {
	if d.Segment == 0 {
		return d.Fault
	}
	return fmt.Sprintf("segment %d, from %v to %v: %s", d.Segment, d.From, d.To, d.Fault)
}

// View returns what is sealed of a recording for somebody to watch: once it is
// found to be what was sealed, and the viewing is in the ledger. The caller
// closes it. The error is a *Damaged where it is not.
func (r *Recorder) View(ctx context.Context, by access.Principal, rec store.Recording) (io.ReadCloser, error) {
	v, err := r.Verify(ctx, rec)
	if err != nil {
		return nil, err
	}
	if v.Fault != "" {
		return nil, &Damaged{v}
	}
	file, err := r.Open(rec, v)
	if err != nil {
		return nil, err
	}
	err = r.cfg.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := r.cfg.Ledger.Append(tx, ledger.Entry{Time: r.cfg.Now(), Tenant: rec.Tenant, Actor: by.Actor(), Action: "session.view", Subject: "session/" + rec.ID})
		return err
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Failing returns the sessions of this server that are open and cannot be
// recorded any more. They are about to be closed.
func (r *Recorder) Failing() []string {
	var out []string
	for _, rec := range r.all() {
		if rec.Err() != nil {
			out = append(out, rec.ID)
		}
	}
	return out
}
