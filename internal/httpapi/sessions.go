package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/api/cast"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
)

// SessionPath is embedded in the input of operations about one session.
type SessionPath struct {
	TenantPath
	Session string `path:"session" doc:"id of the session" maxLength:"100"`
}

func (a *API) addSessions() {
	const one = "/v1/tenants/{tenant}/sessions/{session}"
	add(a, tenant(access.Look), get("list-sessions", "/v1/tenants/{tenant}/sessions", "Recorded sessions in the tenant's environment, the oldest first"), func(c call, in *struct {
		TenantPath
		PageParams
		Grant string `query:"grant" doc:"id of a grant" maxLength:"100"`
		State string `query:"state" doc:"those in this state only" enum:"open,complete,cut"`
	}) (*list[api.Session], error) {
		p, err := in.page()
		if err != nil {
			return nil, err
		}
		return a.sessions(c, store.RecordingFilter{Tenant: c.tenant.ID, Grant: in.Grant, State: in.State}, p)
	})
	add(a, tenant(access.Look), get("get-session", one, "A recorded session"), func(c call, in *struct{ SessionPath }) (*body[api.Session], error) {
		rec, err := a.session(c, in.Session)
		if err != nil {
			return nil, err
		}
		out, err := a.sessionsOut(c, []store.Recording{rec})
		if err != nil {
			return nil, err
		}
		return plain(out[0], nil)
	})
	add(a, tenant(access.Look), get("verify-session", one+"/verification", "Compare a recording with the ledger; nothing of it is shown"), func(c call, in *struct{ SessionPath }) (*body[api.SessionVerification], error) {
		rec, err := a.session(c, in.Session)
		if err != nil {
			return nil, err
		}
		v, err := a.verifySession(c, rec)
		return plain(verificationOut(v), err)
	})
	add(a, tenant(access.WatchRecording), get("watch-session", one+"/cast", "A recording as asciicast v2, compared with the ledger first; the viewing is recorded"), a.watchSession)
}

func (a *API) session(c call, id string) (rec store.Recording, err error) {
	err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		rec, err = tx.Recording(c.tenant.ID, id)
		return err
	})
	return rec, err
}

func (a *API) verifySession(c call, rec store.Recording) (recording.Verification, error) {
	v, err := a.cfg.Recorder.Verify(c, rec)
	return v, elsewhere(rec, err)
}

func elsewhere(rec store.Recording, err error) error {
	if errors.Is(err, recording.ErrElsewhere) {
		return huma.Error409Conflict("the recording is kept by another server of this installation (" + rec.Server + "): ask that one")
	}
	return err
}

// SessionCast is the input of watch-session.
type SessionCast struct {
	SessionPath
	Safe bool `query:"safe" doc:"leave out what could harm a terminal, such as changes of title and clipboard"`
}

// watchSession streams a recording, once it is found to be what was sealed and
// the viewing is in the ledger.
func (a *API) watchSession(c call, in *SessionCast) (*huma.StreamResponse, error) {
	rec, err := a.session(c, in.Session)
	if err != nil {
		return nil, err
	}
	file, err := a.cfg.Recorder.View(c, c.by, rec)
	if damaged, ok := errors.AsType[*recording.Damaged](err); ok {
		return nil, huma.Error409Conflict("the recording is not what was sealed, so it is not shown: " + damaged.Error())
	}
	if err != nil {
		return nil, elsewhere(rec, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer file.Close()
		_, w := humago.Unwrap(hc)
		http.NewResponseController(w).SetWriteDeadline(time.Time{})
		w.Header().Set("Content-Type", "application/x-asciicast")
		w.Header().Set("Content-Disposition", `attachment; filename="`+rec.ID+`.cast"`)
		w.Header().Set("Cache-Control", "no-store")
		if err := copyCast(w, file, in.Safe); err != nil {
			a.cfg.Log.WarnContext(hc.Context(), "a recording was not sent to its end", "session", rec.ID, "error", err)
		}
	}}, nil
}

func copyCast(w io.Writer, r io.Reader, safe bool) error {
	if !safe {
		_, err := io.Copy(w, r)
		return err
	}
	return cast.CopySafe(w, r)
}

func (a *API) sessions(c call, f store.RecordingFilter, p store.Page) (*list[api.Session], error) {
	var recs []store.Recording
	err := a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		recs, err = tx.Recordings(f, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	out, err := a.sessionsOut(c, recs)
	if err != nil {
		return nil, err
	}
	page := paged(out, p.Limit, func(s api.Session) string { return s.ID }, func(s api.Session) api.Session { return s })
	return page, nil
}

// sessionsOut adds names and what is sealed.
func (a *API) sessionsOut(c call, recs []store.Recording) ([]api.Session, error) {
	out := make([]api.Session, len(recs))
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		ids := make([]string, len(recs))
		for i, r := range recs {
			ids[i] = r.ID
		}
		last, err := tx.LastSegments(ids)
		if err != nil {
			return err
		}
		n := a.grantNames(tx)
		targets := map[string]string{}
		for i, r := range recs {
			if _, ok := targets[r.Target]; !ok {
				t, err := tx.Target(r.Target)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				targets[r.Target] = t.Name
			}
			s := last[r.ID]
			out[i] = api.Session{
				ID: r.ID, Grant: r.Grant, Holder: r.Holder, HolderName: n.person(r.Holder), Target: r.Target, TargetName: targets[r.Target], Kind: r.Kind,
				State: r.State, Reason: r.Reason, Started: r.Started, Ended: r.Ended, Segments: s.Number, Bytes: s.End, Seconds: s.EndTime.Seconds(), Chain: s.Chain,
			}
		}
		return nil
	})
	return out, err
}

func verificationOut(v recording.Verification) api.SessionVerification {
	return api.SessionVerification{
		Whole: v.Fault == "", Segments: v.Segments, Bytes: v.Bytes, Seconds: v.End.Seconds(),
		Fault: v.Fault, Segment: v.Segment, From: v.From.Seconds(), To: v.To.Seconds(),
	}
}
