package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/authz"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/identity"
	"github.com/demarc/demarc/internal/store"
)

const (
	// heartbeat keeps a quiet stream open through proxies.
	heartbeat = 15 * time.Second
	// recheck is how often a stream is decided about again while it runs.
	recheck = 500 * time.Millisecond
)

func (a *API) addEvents() {
	op := get("watch", "/v1/events", "What happens, as server-sent events: 'verdict' with a Verdict that changed, 'activity' with an Activity of the provider, 'incident' with one about an incident, 'lost' when some were missed")
	op.Responses = map[string]*huma.Response{"200": {Description: "a stream", Content: map[string]*huma.MediaType{"text/event-stream": {}}}}
	add(a, anybody, op, func(c call, in *struct {
		Tenant string `query:"tenant" doc:"id or name; all that you may see if missing" maxLength:"100"`
	}) (*huma.StreamResponse, error) {
		tenant, err := a.visible(c, in.Tenant)
		if err != nil {
			return nil, err
		}
		wants := func(s evidence.Subject) bool { return tenant == "" || s.Tenant == tenant }
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			a.stream(r, w, func() bool { return a.stillSees(r, tenant) }, tenant, wants)
		}}, nil
	})
}

// stream sends changes until the client goes, the server ends, or the caller may
// not watch any more.
func (a *API) stream(r *http.Request, w http.ResponseWriter, may func() bool, tenant string, wants func(evidence.Subject) bool) {
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	watcher, stop := a.cfg.Events.Watch(wants)
	defer stop()
	acts, unwatch := a.cfg.Feed.Watch(tenant)
	defer unwatch()
	fmt.Fprint(w, ": watching\n\n")
	rc.Flush()
	beat, again := time.NewTicker(heartbeat), time.NewTicker(recheck)
	defer beat.Stop()
	defer again.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-again.C:
			if !may() {
				return
			}
			continue
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return
			}
		case js := <-watcher.C:
			if !may() {
				return
			}
			if err := a.send(r.Context(), w, js); err != nil {
				return
			}
		case found := <-acts.C:
			if !may() || sendActs(w, found) != nil {
				return
			}
		}
		rc.Flush()
	}
}

// stillSees decides anew about a stream that runs: by the credentials that it
// was asked for with, and by what their holder may do now.
func (a *API) stillSees(r *http.Request, tenant string) bool {
	p, err := a.callerBy(r, a.cfg.Identities.Peek)
	if errors.Is(err, identity.ErrUnauthenticated) {
		return false
	}
	var of authz.Resource
	if err == nil {
		of, err = a.resource(r.Context(), cmp.Or(tenant, p.Tenant))
	}
	if err != nil {
		if r.Context().Err() == nil {
			a.cfg.Log.WarnContext(r.Context(), "a watcher is sent away: whether it may watch cannot be read", "error", err)
		}
		return false
	}
	return a.permits(p, access.Look, of)
}

func (a *API) send(ctx context.Context, w http.ResponseWriter, js []evidence.Judgement) error {
	if js == nil {
		_, err := fmt.Fprint(w, "event: lost\ndata: {}\n\n")
		return err
	}
	return a.cfg.Store.Read(ctx, func(tx *store.Tx) error {
		n, compiled := newNames(tx), a.cfg.Posture.Catalogue()
		for _, j := range js {
			data, err := json.Marshal(n.verdict(j, compiled))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "event: verdict\ndata: %s\n\n", data); err != nil {
				return err
			}
		}
		return nil
	})
}
