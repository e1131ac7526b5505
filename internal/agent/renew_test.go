package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/wire"
)

// ticker emits an activity every 50 ms.
func ticker() service.Observer {
	return testObserver{name: "ticks", run: func(ctx context.Context, h service.Host) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			r := evidence.Record{Class: evidence.ClassActivity, Kind: "tick", Time: time.Now().UTC(), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
			if err := h.Emit(ctx, r); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}}
}

func TestAgentRenewsAndOutlivesItsFirstIdentity(t *testing.T) {
	in := newInstallation(t)
	in.ttl = 3 * time.Second
	rc := in.consume()
	dir := in.enrolled("agent-1")
	first, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	start(t, dir, ticker())
	rc.until("a record after the first identity has expired", func(r evidence.Record) bool {
		return r.Kind == "tick" && r.Time.After(first.ExpiresAt.Add(time.Second))
	})
	now, err := LoadIdentity(dir)
	if err != nil || now.JWT == first.JWT || now.Seed != first.Seed || !now.ExpiresAt.After(first.ExpiresAt) || now.VMName != "web" {
		t.Errorf("the stored identity was not renewed: %v", err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.renewed < 1 || in.renewed > 10 {
		t.Errorf("renewed %d times", in.renewed)
	}
}

func TestRevokedAgentSaysSoAndAsksSeldom(t *testing.T) {
	in := newInstallation(t)
	rc := in.consume()
	dir := in.enrolled("agent-1")
	start(t, dir, ticker())
	rc.kind("tick")
	in.mu.Lock()
	in.revoked["agent-1"] = true
	key := in.publicKeys["agent-1"]
	in.mu.Unlock()
	if err := in.bus.RevokeAgent(t.Context(), "tenant-1", key); err != nil {
		t.Fatal(err)
	}
	var st Status
	for deadline := time.After(30 * time.Second); !strings.Contains(st.IdentityFault, "this agent was revoked") || st.Connected; {
		select {
		case <-deadline:
			t.Fatalf("the status does not say it: %+v", st)
		case <-time.After(50 * time.Millisecond):
		}
		var err error
		if st, err = LoadStatus(dir); err != nil {
			t.Fatal(err)
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.renewed != 1 {
		t.Errorf("asked for renewal %d times", in.renewed)
	}
}

func TestRenewalIsSignedByTheAgent(t *testing.T) {
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := key.PublicKey()
	good := wire.RenewRequest{Agent: "agent-1", Time: time.Now(), Nonce: "n"}
	if err := good.Sign(key); err != nil {
		t.Fatal(err)
	}
	if err := good.Verify(pub); err != nil {
		t.Errorf("a good renewal: %v", err)
	}
	for name, change := range map[string]func(*wire.RenewRequest){
		"another agent":     func(r *wire.RenewRequest) { r.Agent = "agent-2" },
		"another time":      func(r *wire.RenewRequest) { r.Time = r.Time.Add(time.Second) },
		"another nonce":     func(r *wire.RenewRequest) { r.Nonce = "m" },
		"another key":       func(r *wire.RenewRequest) { r.Sign(other) },
		"no signature":      func(r *wire.RenewRequest) { r.Signature = "" },
		"garbage signature": func(r *wire.RenewRequest) { r.Signature = "!" },
	} {
		r := good
		change(&r)
		if err := r.Verify(pub); !errors.Is(err, wire.ErrRenewal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLifetimeGoesByTheServersClock(t *testing.T) {
	// {"iat":1000,"exp":4600}: an hour, whatever this machine's clock says.
	jwt := "x.eyJpYXQiOjEwMDAsImV4cCI6NDYwMH0.y"
	if got := lifetime(wire.Identity{JWT: jwt, ExpiresAt: time.Unix(4600, 0)}, time.Now()); got != time.Hour {
		t.Errorf("lifetime %s", got)
	}
	if got := lifetime(wire.Identity{JWT: "opaque", ExpiresAt: time.Unix(4600, 0)}, time.Unix(1000, 0)); got != time.Hour {
		t.Errorf("lifetime of an opaque token %s", got)
	}
	if got := lifetime(wire.Identity{JWT: "opaque", ExpiresAt: time.Unix(4600, 0)}, time.Now()); got != time.Minute {
		t.Errorf("lifetime of one that seems long gone %s", got)
	}
}
