package observer

import (
	"context"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
)

// fullEvery is how often a fact is sent in full even if nothing changed, so
// that a server that lost it has it again within the hour.
const fullEvery = 55 * time.Minute

// emitter sends the facts of one kind, and only a digest while they do not
// change. It is owned by the job's worker.
type emitter struct {
	kind   string
	emit   func(context.Context, evidence.Record) error
	digest string
	full   time.Time
}

func (e *emitter) send(ctx context.Context, now time.Time, fact any) error {
	data, err := encode(fact)
	if err != nil {
		return fmt.Errorf("encoding the fact: %w", err)
	}
	if len(data) > evidence.MaxRecordBytes {
		return fmt.Errorf("the fact has %d bytes and the limit is %d; the machine has more of it than can be reported", len(data), evidence.MaxRecordBytes)
	}
	r := evidence.Record{Class: evidence.ClassFact, Kind: e.kind, Time: now.UTC(), Digest: canonical.Digest(data)}
	whole := r.Digest != e.digest || now.Sub(e.full) >= fullEvery
	if whole {
		r.Data = data
	}
	if err := e.emit(ctx, r); err != nil {
		// Whether the record persisted is unknown; the next one is sent in full.
		e.digest = ""
		return fmt.Errorf("handing the fact over: %w", err)
	}
	if whole {
		e.digest, e.full = r.Digest, now
	}
	return nil
}
