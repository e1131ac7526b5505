package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/evidence"
)

// stream is a watcher over a real connection.
type stream struct {
	t      *testing.T
	events chan [2]string // event and data; closed at the stream's end
	end    context.CancelFunc
	status int
}

func watch(t *testing.T, r *rig, token, query string) *stream {
	t.Helper()
	srv := httptest.NewServer(r.Handler())
	ctx, end := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(func() { end(); srv.Close() })
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, events: make(chan [2]string, 1000), end: end, status: res.StatusCode}
	body := bufio.NewReader(res.Body)
	if _, err := body.ReadString('\n'); err != nil { // the watcher is there now
		t.Fatal(err)
	}
	go func() {
		defer close(s.events)
		defer res.Body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		event := ""
		for lines.Scan() {
			if e, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = e
			} else if d, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				s.events <- [2]string{event, d}
			}
		}
	}()
	return s
}

func (s *stream) next() (event string, v api.Verdict, ok bool) {
	s.t.Helper()
	select {
	case e, ok := <-s.events:
		if ok && e[0] == "verdict" {
			if err := json.Unmarshal([]byte(e[1]), &v); err != nil {
				s.t.Fatal(err)
			}
		}
		return e[0], v, ok
	case <-time.After(20 * time.Second):
		s.t.Fatal("nothing came")
	}
	return "", v, false
}

// TestWatch follows changed verdicts: one's own, never another tenant's, and
// to the end with the principal.
func TestWatch(t *testing.T) {
	r := shared
	w, other := newWorld(t, r, "watchown"), newWorld(t, r, "watchalien")
	mine, all := watch(t, r, w.admin.Token, ""), watch(t, r, r.root, "")
	if s := watch(t, r, w.admin.Token, "?tenant="+other.tenant.ID); s.status != 404 {
		t.Errorf("another tenant's stream: %d", s.status)
	}
	if s := watch(t, r, "nonsense", ""); s.status != 401 {
		t.Errorf("a stream without credentials: %d", s.status)
	}
	// First the other tenant's change: what comes after it would come after it.
	other.newStatement(t, r, "waiver", "watch")
	must[any](t, r, 200, request{method: "PATCH", path: other.path("/vms/" + other.vm.ID), token: other.owner.Token, body: api.ChangeVM{Declared: api.Declaration{Unmanaged: "an appliance"}}})
	must[any](t, r, 200, request{method: "PATCH", path: w.path("/vms/" + w.vm.ID), token: w.owner.Token, body: api.ChangeVM{Declared: api.Declaration{Unmanaged: "an appliance"}}})
	event, v, ok := mine.next()
	if !ok || event != "verdict" || v.Subject.Tenant != w.tenant.ID {
		t.Fatalf("first came %s of %+v", event, v.Subject)
	}
	for seen := map[string]bool{}; !seen[w.tenant.ID] || !seen[other.tenant.ID]; {
		_, v, ok := all.next()
		if !ok {
			t.Fatal("the provider's stream ended")
		}
		seen[v.Subject.Tenant] = true
	}
	// A revoked principal's stream ends at the next change.
	must[any](t, r, 200, request{method: "POST", path: "/v1/principals/" + w.admin.ID + "/revoke", token: w.owner.Token})
	must[any](t, r, 200, request{method: "PATCH", path: w.path("/vms/" + w.vm.ID), token: w.owner.Token, body: api.ChangeVM{Declared: api.Declaration{Role: "web"}}})
	for {
		if _, v, ok := mine.next(); !ok {
			break
		} else if v.Subject.Tenant != w.tenant.ID {
			t.Errorf("a verdict of %s", v.Subject.Tenant)
		}
	}
}

// TestWatchTooSlow: who does not read is told that something was lost.
func TestWatchTooSlow(t *testing.T) {
	r := shared
	w := newWorld(t, r, "slow")
	watcher, stop := r.Events().Watch(func(s evidence.Subject) bool { return s.Tenant == w.tenant.ID })
	defer stop()
	j := []evidence.Judgement{{Duty: waivedDuty, Subject: evidence.Subject{Scope: evidence.ScopeTenant, Tenant: w.tenant.ID, ID: w.tenant.ID}}}
	for range cap(watcher.C) + 10 {
		r.Events().Publish(j)
	}
	lost := false
	for range cap(watcher.C) {
		lost = lost || <-watcher.C == nil
	}
	r.Events().Publish(j)
	if got := <-watcher.C; got != nil && !lost {
		t.Error("a slow watcher was not told that changes were lost")
	}
	if got := <-watcher.C; got == nil {
		t.Error("after the loss nothing comes any more")
	}
}
