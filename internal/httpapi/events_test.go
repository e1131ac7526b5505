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
	"github.com/demarc/demarc/internal/httpapi"
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
	return watchAs(t, r, map[string]string{"Authorization": "Bearer " + token}, query)
}

func watchAs(t *testing.T, r *rig, header map[string]string, query string) *stream {
	t.Helper()
	srv := httptest.NewServer(r.Handler())
	ctx, end := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(func() { end(); srv.Close() })
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
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

// TestWatch follows changed verdicts: one's own, never another tenant's.
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
	if mine.status != 200 || all.status != 200 {
		t.Errorf("status %d and %d", mine.status, all.status)
	}
}

// ends returns for how long the stream went on.
func (s *stream) ends(began time.Time) time.Duration {
	for {
		if _, _, ok := s.next(); !ok {
			return time.Since(began)
		}
	}
}

// TestWatchEndsWithTheRight: a stream is decided about while it runs. It ends
// within a second after its principal is revoked or its session signed out, and
// others go on.
func TestWatchEndsWithTheRight(t *testing.T) {
	r := shared
	w := newWorld(t, r, "watchend")
	session, err := r.Identities().SignIn(t.Context(), w.owner.Token)
	if err != nil {
		t.Fatal(err)
	}
	byToken, bySession, other := watch(t, r, w.viewer.Token, ""), watchAs(t, r, map[string]string{"Cookie": httpapi.SessionCookie + "=" + session}, ""), watch(t, r, w.owner.Token, "")
	began := time.Now()
	must[any](t, r, 200, request{method: "POST", path: "/v1/principals/" + w.viewer.ID + "/revoke", token: w.owner.Token})
	if took := byToken.ends(began); took > time.Second {
		t.Errorf("a revoked principal's stream went on for %s", took)
	}
	began = time.Now()
	if err := r.Identities().SignOut(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if took := bySession.ends(began); took > time.Second {
		t.Errorf("the stream of a session that was signed out went on for %s", took)
	}
	must[any](t, r, 200, request{method: "PATCH", path: w.path("/vms/" + w.vm.ID), token: w.owner.Token, body: api.ChangeVM{Declared: api.Declaration{Role: "web", Unmanaged: "an appliance"}}})
	for event, ok := "", true; event != "verdict"; {
		if event, _, ok = other.next(); !ok {
			t.Fatal("a stream whose principal stands has ended")
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
