package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/spool"
	"github.com/demarc/demarc/internal/wire"
)

const (
	stateEvery  = time.Minute
	stateSettle = time.Second // changes come in bursts
	statusFile  = "status.json"
)

// Status is what `demarc-agent status` shows. A running agent writes it beside
// its identity.
type Status struct {
	WrittenAt time.Time `json:"written_at"`
	Connected bool      `json:"connected"`
	// LastSent is when the bus last took records.
	LastSent time.Time `json:"last_sent,omitzero"`
	// BusFault says why records cannot be sent, IdentityFault why the identity
	// cannot be renewed.
	BusFault      string          `json:"bus_fault,omitempty"`
	IdentityFault string          `json:"identity_fault,omitempty"`
	Waiting       uint64          `json:"waiting"`
	State         wire.AgentState `json:"state"`
}

// LoadStatus reads what the agent on dir wrote last; the zero Status if it
// never ran.
func LoadStatus(dir string) (Status, error) {
	var st Status
	b, err := os.ReadFile(filepath.Join(dir, statusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	if err != nil {
		return st, fmt.Errorf("read status: %w", err)
	}
	return st, nil
}

// reporter tells the server, and the status file, how the agent is.
type reporter struct {
	software  string
	startedAt time.Time
	dir       string
	log       *slog.Logger
	spool     *spool.Spool
	emit      *emitter
	shed      *shedding
	observers []*supervised
	publisher *publisher
	creds     *credentials
	link      *link
	policies  *policies
	changes   chan struct{}
}

// changed asks for a report soon. It never blocks.
func (r *reporter) changed() {
	select {
	case r.changes <- struct{}{}:
	default:
	}
}

func (r *reporter) run(ctx context.Context) {
	every := time.NewTicker(stateEvery)
	defer every.Stop()
	for {
		r.report(ctx)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-r.changes:
			if !sleep(ctx, stateSettle) {
				return
			}
			select {
			case <-r.changes:
			default:
			}
		}
	}
}

func (r *reporter) report(ctx context.Context) {
	st := r.state()
	data, err := json.Marshal(st)
	if err == nil {
		err = r.emit.emit(ctx, evidence.Record{Class: evidence.ClassFact, Kind: wire.KindAgent, Time: time.Now().UTC(), Data: data})
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("report the agent's state", slog.Any("error", err))
	}
	if err := r.writeStatus(st); err != nil {
		r.log.Warn("write status", slog.Any("error", err))
	}
}

func (r *reporter) state() wire.AgentState {
	s := r.spool.Stats()
	st := wire.AgentState{
		Software: r.software, StartedAt: r.startedAt, Services: []wire.AgentService{},
		ShedFacts: int(s.ShedFacts), ShedFindings: int(s.ShedFindings), ShedActivities: int(s.ShedActivities),
		Refused: int(s.Refused), Lost: int(s.Lost), SpoolBytes: s.Bytes &^ (1<<20 - 1), SpoolFault: s.Fault,
	}
	var err error
	if st.ShedLastDay, err = r.shed.lastDay(time.Now(), s.ShedFacts+s.ShedFindings+s.ShedActivities); err != nil {
		r.log.Warn("remember what was dropped", slog.Any("error", err))
	}
	for _, o := range r.observers {
		st.Services = append(st.Services, o.state())
	}
	r.policies.report(&st)
	slices.SortFunc(st.Services, func(a, b wire.AgentService) int { return strings.Compare(a.Name, b.Name) })
	return st
}

func (r *reporter) writeStatus(st wire.AgentState) error {
	out := Status{WrittenAt: time.Now().UTC(), Connected: r.link.connected(), IdentityFault: r.creds.faultNow(), Waiting: r.spool.Stats().Waiting, State: st}
	out.BusFault, out.LastSent = r.publisher.state()
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	// Whole for every reader, but not worth a wait for the disk each minute.
	path := filepath.Join(r.dir, statusFile)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
