package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// heartbeat keeps a quiet stream open through proxies.
const heartbeat = 15 * time.Second

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
			_, w := humago.Unwrap(hc)
			a.stream(hc, w, c.by.ID, tenant, wants)
		}}, nil
	})
}

// stream sends changes until the client goes, the server ends, or the
// principal is revoked or expires.
func (a *API) stream(hc huma.Context, w http.ResponseWriter, principal, tenant string, wants func(evidence.Subject) bool) {
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
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-hc.Context().Done():
			return
		case <-beat.C:
			if !a.stands(hc, principal) {
				return
			}
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return
			}
		case js := <-watcher.C:
			if !a.stands(hc, principal) {
				return
			}
			if err := a.send(hc, w, js); err != nil {
				return
			}
		case found := <-acts.C:
			if !a.stands(hc, principal) || sendActs(w, found) != nil {
				return
			}
		}
		rc.Flush()
	}
}

// stands reports whether the principal may still watch.
func (a *API) stands(hc huma.Context, principal string) bool {
	ok, err := a.cfg.Identities.Stands(hc.Context(), principal)
	if err != nil {
		a.cfg.Log.WarnContext(hc.Context(), "a watcher is sent away: whether it may watch cannot be read", "error", err)
	}
	return ok
}

func (a *API) send(hc huma.Context, w http.ResponseWriter, js []evidence.Judgement) error {
	if js == nil {
		_, err := fmt.Fprint(w, "event: lost\ndata: {}\n\n")
		return err
	}
	return a.cfg.Store.Read(hc.Context(), func(tx *store.Tx) error {
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
