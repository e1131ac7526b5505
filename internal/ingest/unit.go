package ingest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// unit is one batch on its way. It belongs to one stage at a time.
type unit struct {
	deliveries []Delivery // all that are answered with it; guarded by Ingest.mu
	tenant     string
	agent      string
	received   time.Time
	data       []byte // until it is decoded
	size       int

	// Set by a decoder before ready is closed.
	ready   chan struct{}
	refusal string // why the whole batch cannot be taken, without quoting it
	detail  string // the same for the agent's own record, which may quote it
	gone    bool   // never decoded, because the process stops
	epoch   string
	first   uint64
	count   uint64
	sent    time.Time
	records []record

	// Set by the committer.
	patience time.Time // when a gap before it counts as lost; zero until one is seen
	expired  bool      // it has waited long enough
	poison   string    // why its facts cannot be stored
	skip     uint64    // so many of its records were accepted before
	over     bool      // its epoch has ended: the others are refused
	row      store.AgentIngest
}

type unitKey struct {
	agent, epoch string
	first, count uint64
}

func (u *unit) key() unitKey { return unitKey{u.agent, u.epoch, u.first, u.count} }

func (u *unit) abandon() { u.gone = true; close(u.ready) }

// record is one record of a batch, checked.
type record struct {
	evidence.Record
	reason  string   // why it is refused; empty if it is good
	numbers []number // of a fact, for the metrics store
}

type number struct {
	name  string
	value float64
}

const (
	maxEpoch   = 64
	unreadable = "the batch cannot be read"
)

var (
	epochForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	kindForm  = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)
)

// read decodes and checks a batch. A fault of a record is the record's, a
// fault of the envelope the whole batch's.
func (in *Ingest) read(u *unit) {
	defer func() {
		if p := recover(); p != nil { // a batch that breaks a decoder must not stop the others
			u.refusal, u.detail = unreadable, clip(fmt.Sprintf("%s: %v", unreadable, p))
		}
	}()
	b, err := in.cfg.Decode(u.data)
	u.data = nil
	switch {
	case err != nil:
		u.refusal, u.detail = unreadable, clip(unreadable+": "+err.Error())
		return
	case !epochForm.MatchString(b.Epoch):
		u.refusal = fmt.Sprintf("the epoch must have 1 to %d letters, digits, '-' or '_'", maxEpoch)
		return
	case b.First == 0 || b.First > 1<<62:
		u.refusal = "sequences begin at 1"
		return
	case b.SentAt.IsZero():
		u.refusal = "the batch does not say when it was sent"
		return
	}
	u.epoch, u.first, u.count, u.sent = b.Epoch, b.First, uint64(len(b.Records)), b.SentAt
	u.records = make([]record, len(b.Records))
	for i := range b.Records {
		u.records[i] = in.check(b.Records[i])
	}
}

func (in *Ingest) check(r evidence.Record) record {
	rec := record{Record: r}
	if err := in.fault(&rec); err != nil {
		rec.reason = clip(err.Error())
		rec.Data = nil // it may be large, and is not looked at again
	}
	return rec
}

func (in *Ingest) fault(r *record) error {
	if err := r.Check(); err != nil {
		return err
	}
	if !kindForm.MatchString(r.Kind) {
		return errors.New("the kind must be dotted lower case, as in host.sshd")
	}
	if len(r.Data) > 0 && r.Data[0] != '{' {
		return errors.New("the data must be one JSON object")
	}
	if r.Class != evidence.ClassFact {
		return nil
	}
	kind, ok := in.cfg.Kinds.Kind(r.Kind)
	switch {
	case !ok:
		return fmt.Errorf("no service provides facts of kind %q", r.Kind)
	case kind.Scope != evidence.ScopeVM:
		return fmt.Errorf("facts of kind %s are about a %s; an agent speaks for its VM only", r.Kind, kind.Scope)
	case len(r.Data) == 0:
		return nil
	}
	if _, err := in.cfg.Kinds.Decode(r.Kind, r.Data); err != nil {
		return err
	}
	c, err := canonical.Bytes(r.Data)
	if err != nil {
		return err
	}
	digest := canonical.Digest(c)
	if r.Digest != "" && r.Digest != digest {
		return errors.New("the digest is not that of the data")
	}
	r.Data, r.Digest = c, digest
	r.numbers = in.kinds[r.Kind].read(c)
	return nil
}

// clip shortens a reason, which may quote foreign text.
func clip(s string) string {
	if len(s) > 240 {
		s = s[:237] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
