package store

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Recording is the recording of one session.
type Recording struct {
	ID, Tenant, Grant, Holder, Target string
	// Kind is what the session was opened for: shell, exec, sftp, forward, web.
	Kind string
	// Server is the one that has the file.
	Server string
	// State is open, complete, or cut where the server ended without closing it.
	State  string
	Reason string
	// Started and Ended are by the server's clock.
	Started time.Time
	Ended   *time.Time
	// OpenedEntry and EndedEntry are indexes of ledger entries.
	OpenedEntry int64
	EndedEntry  *int64
}

// Segment is a sealed part of a recording.
type Segment struct {
	Recording string
	Number    int64         // from 1
	End       int64         // offset in the file at which it ends
	EndTime   time.Duration // since the session began
	SealedAt  time.Time
	Chain     string // digest over this and all former segments
	Entry     int64  // index of the ledger entry that has the digest
}

type recordingRow struct {
	bun.BaseModel `bun:"table:session_recording"`
	ID            string `bun:",pk"`
	TenantID      string
	GrantID       string
	HolderID      string
	TargetID      string
	Kind          string
	Server        string
	State         string
	Reason        string
	StartedAt     int64
	EndedAt       *int64
	OpenedIdx     int64
	EndedIdx      *int64
}

func (r recordingRow) recording() (Recording, error) {
	return Recording{
		ID: r.ID, Tenant: r.TenantID, Grant: r.GrantID, Holder: r.HolderID, Target: r.TargetID, Kind: r.Kind, Server: r.Server,
		State: r.State, Reason: r.Reason, Started: fromMicros(r.StartedAt), Ended: fromMicrosPtr(r.EndedAt), OpenedEntry: r.OpenedIdx, EndedEntry: r.EndedIdx,
	}, nil
}

// InsertRecording adds an open recording.
func (tx *Tx) InsertRecording(r Recording) error {
	return insert(tx, &recordingRow{
		ID: r.ID, TenantID: r.Tenant, GrantID: r.Grant, HolderID: r.Holder, TargetID: r.Target, Kind: r.Kind, Server: r.Server,
		State: r.State, Reason: r.Reason, StartedAt: micros(r.Started), OpenedIdx: r.OpenedEntry,
	}, "recording")
}

// EndRecording ends an open recording; entry is the ledger entry that tells of it.
func (tx *Tx) EndRecording(id, state, reason string, ended time.Time, entry int64) error {
	res, err := tx.db.NewUpdate().Table("session_recording").Set("state = ?", state).Set("reason = ?", reason).
		Set("ended_at = ?", micros(ended)).Set("ended_idx = ?", entry).Where("id = ? AND state = 'open'", id).Exec(tx.ctx)
	return changed(res, err, "recording", id)
}

// Recording returns a recording of the tenant.
func (tx *Tx) Recording(tenant, id string) (Recording, error) {
	var row recordingRow
	return one(tx, tx.db.NewSelect().Where("tenant_id = ? AND id = ?", tenant, id), &row, "session", id, recordingRow.recording)
}

// RecordingFilter selects recordings; empty members admit all.
type RecordingFilter struct{ Tenant, Grant, State, Server string }

// Recordings lists recordings, the oldest first.
func (tx *Tx) Recordings(f RecordingFilter, p Page) ([]Recording, error) {
	q := p.apply(tx.db.NewSelect(), "id")
	for _, c := range []struct{ column, value string }{{"tenant_id", f.Tenant}, {"grant_id", f.Grant}, {"state", f.State}, {"server", f.Server}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	return many(tx, q, "sessions", recordingRow.recording)
}

// InsertSegments adds segments, each following the last one of its recording.
func (tx *Tx) InsertSegments(segments []Segment) error {
	const query = "INSERT INTO session_segment (recording_id, number, end_offset, end_us, sealed_at, chain, ledger_idx) VALUES (?,?,?,?,?,?,?)"
	stmt, err := tx.db.Tx.PrepareContext(tx.ctx, tx.numbered(query))
	if err != nil {
		return fmt.Errorf("add segments: %w", err)
	}
	defer stmt.Close()
	for _, s := range segments {
		if _, err := stmt.ExecContext(tx.ctx, s.Recording, s.Number, s.End, s.EndTime.Microseconds(), micros(s.SealedAt), s.Chain, s.Entry); err != nil {
			return fmt.Errorf("add segment %d of recording %s: %w", s.Number, s.Recording, err)
		}
	}
	return nil
}

const segmentColumns = "recording_id, number, end_offset, end_us, sealed_at, chain, ledger_idx"

// Segments returns up to limit segments of a recording after the one of that
// number, in order.
func (tx *Tx) Segments(recording string, after int64, limit int) ([]Segment, error) {
	return list(tx, "segments", "SELECT "+segmentColumns+" FROM session_segment WHERE recording_id = ? AND number > ? ORDER BY number LIMIT ?",
		[]any{recording, after, limit}, scanSegment)
}

// LastSegments returns the last segment of each of the recordings that has one.
func (tx *Tx) LastSegments(recordings []string) (map[string]Segment, error) {
	out := map[string]Segment{}
	if len(recordings) == 0 {
		return out, nil
	}
	condition, args := in("recording_id", recordings)
	last, err := list(tx, "segments", "SELECT "+segmentColumns+" FROM session_segment s WHERE "+condition+
		" AND number = (SELECT max(number) FROM session_segment WHERE recording_id = s.recording_id)", args, scanSegment)
	for _, s := range last {
		out[s.Recording] = s
	}
	return out, err
}

func scanSegment(rows *sql.Rows) (Segment, error) {
	var s Segment
	var us, at int64
	err := rows.Scan(&s.Recording, &s.Number, &s.End, &us, &at, &s.Chain, &s.Entry)
	s.EndTime, s.SealedAt = time.Duration(us)*time.Microsecond, fromMicros(at)
	return s, err
}
