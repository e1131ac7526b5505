package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/recording"
	"github.com/demarc/demarc/internal/store"
)

// sshKey is a public key, as OpenSSH writes it.
func sshKey(t testing.TB) string {
	t.Helper()
	_, private := newPublic(t)
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func target(t testing.TB, name string) api.NewTarget {
	return api.NewTarget{Name: name, Kind: "host", Address: name + ".example.org:22", User: "root", HostKeys: []string{sshKey(t)}}
}

func newTarget(t testing.TB, r *rig, name string) string {
	t.Helper()
	return must[api.Target](t, r, 201, request{method: "POST", path: "/v1/targets", token: r.root, body: target(t, name)}).ID
}

// hostThere registers the target that grants of tests name, unless it is there.
func hostThere(t testing.TB, r *rig) {
	t.Helper()
	name := hostAccess[0].Target
	if a := r.do(request{method: "POST", path: "/v1/targets", token: r.root, body: target(t, name)}); a.status != http.StatusCreated && a.status != http.StatusConflict {
		t.Fatalf("target %s: %d %s", name, a.status, a.body)
	}
}

// newRecording records a session in the world's environment to its end.
func (w world) newRecording(t testing.TB, r *rig) string {
	t.Helper()
	rec, err := r.Recorder().Start(t.Context(), recording.Meta{
		Tenant: w.tenant.ID, Grant: w.grant.ID, Holder: access.Principal{ID: w.grant.Holder, Role: access.ProviderSecurity},
		Target: store.Target{ID: w.target, Name: w.vdc.Name + "-host"}, Kind: "shell", Terminal: true, Width: 80, Height: 24,
		Permit: func(*store.Tx) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Output([]byte("seen on " + w.vdc.Name + "\r\n")); err != nil {
		t.Fatal(err)
	}
	rec.Close("left")
	tick, limit := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for {
		s := must[api.Session](t, r, 200, request{path: w.path("/sessions/" + rec.ID), token: w.owner.Token})
		if s.State == "complete" {
			return rec.ID
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the recording is %s", s.State)
		}
	}
}
