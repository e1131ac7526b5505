package agent

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/wire"
)

func (in *installation) givePolicies(w http.ResponseWriter, r *http.Request) {
	var req wire.PoliciesRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil || req.Verify(in.publicKeys[req.Agent]) != nil {
		problem(w, 401, "not signed by the agent's key")
		return
	}
	in.asked++
	json.NewEncoder(w).Encode(wire.Policies{Keys: in.keys, Policies: in.policies})
}

func raw(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve has the server show these keys and policies, and tells the agent.
func (in *installation) serve(h *decision.History, policies ...any) {
	in.t.Helper()
	in.mu.Lock()
	in.keys, in.policies = nil, nil
	if h != nil {
		in.keys = raw(in.t, h)
	}
	for _, p := range policies {
		in.policies = append(in.policies, raw(in.t, p))
	}
	in.mu.Unlock()
	if err := in.bus.NotifyAgent(in.t.Context(), "tenant-1", "agent-1", wire.Note{Type: wire.NotePolicy}); err != nil {
		in.t.Fatal(err)
	}
}

// guarded is an observer that tells which policy it is given.
func guarded(seen chan<- string) service.Observer {
	return testObserver{name: "guarded", run: func(ctx context.Context, h service.Host) error {
		for {
			doc, version := h.Policy()
			select {
			case seen <- fmt.Sprintf("%d %s", version, doc):
			case <-ctx.Done():
				return nil
			}
			select {
			case <-h.PolicyChanged:
			case <-ctx.Done():
				return nil
			}
		}
	}}
}

func (rc *received) state(what string, match func(wire.AgentState) bool) {
	rc.t.Helper()
	rc.until(what, func(r evidence.Record) bool {
		var st wire.AgentState
		return r.Kind == wire.KindAgent && len(r.Data) > 0 && json.Unmarshal(r.Data, &st) == nil && match(st)
	})
}

// enrolledUnder returns the directory of an agent whose token names the keys.
func (in *installation) enrolledUnder(h decision.History) string {
	in.t.Helper()
	in.mu.Lock()
	in.keys = raw(in.t, h)
	in.mu.Unlock()
	token, err := wire.ParseToken(in.token("agent-1"))
	if err != nil {
		in.t.Fatal(err)
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(digestOf(in.t, h.First), "sha256:"))
	if err != nil {
		in.t.Fatal(err)
	}
	copy(token.Keys[:], sum)
	in.mu.Lock()
	in.tokens[token.String()] = true
	in.mu.Unlock()
	dir := filepath.Join(in.t.TempDir(), "agent")
	if _, err := Enrol(in.t.Context(), EnrolOptions{Server: in.http.URL, Token: token.String(), Dir: dir, Software: "test"}); err != nil {
		in.t.Fatal(err)
	}
	return dir
}

// TestAServerCannotMakeItAct has a server that holds all keys of its own (TLS,
// bus, enrolment, and keys of no customer) try whatever it can to change what an
// agent does. Only the customer's signature does.
func TestAServerCannotMakeItAct(t *testing.T) {
	in := newInstallation(t)
	rc := in.consume()
	alice, eve := newKeeper(t, "p-alice"), newKeeper(t, "p-eve")
	first := keySet(alice)
	history := decision.History{First: first, Changes: []decision.Signed{}}
	dir := in.enrolledUnder(history)
	seen := make(chan string, 10)
	stop := start(t, dir, guarded(seen))
	next := func(want string) {
		t.Helper()
		select {
		case got := <-seen:
			if got != want {
				t.Fatalf("the service was given %q, want %q", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("the service was not given %q", want)
		}
	}
	next("0 ")
	good := alice.sign(t, policyOf(5, 2))
	in.serve(&history, good)
	next(`5 {"level":2}`)
	rc.state("the policy as obeyed", func(st wire.AgentState) bool {
		return len(st.Policies) == 1 && st.Policies[0].Version == 5 && st.Keys != nil && st.Keys.Pinned == digestOf(t, first) && st.Keys.Version == 1
	})

	planted := first
	planted.Version, planted.Keys = 2, []decision.Key{eve.Key}
	takeover := decision.History{First: first, Changes: []decision.Signed{rotate(t, eve, first, planted)}}
	for _, attack := range []struct {
		name, class string
		history     *decision.History
		policy      any
	}{
		{"unsigned", "unsigned", &history, decision.Signed{Decision: policyOf(6, 0)}},
		{"signed by its own key", "key", &history, eve.sign(t, policyOf(6, 0))},
		{"its own key planted in the customer's place", "key", &takeover, eve.sign(t, policyOf(7, 0))},
		{"its own key set shown", "key", &decision.History{First: keySet(eve)}, eve.sign(t, policyOf(8, 0))},
		{"another machine's policy", "foreign", &history, alice.sign(t, policyOf(9, 0, func(d *decision.Decision) { d.Subject = "vm/vm-2" }))},
		{"a former policy", "rolled-back", &history, alice.sign(t, policyOf(4, 0))},
		{"no policy at all but words", "malformed", &history, "obey me"},
		{"keys hidden", "key", nil, eve.sign(t, policyOf(10, 0))},
	} {
		in.serve(attack.history, attack.policy)
		rc.state(attack.name+", refused", func(st wire.AgentState) bool {
			return len(st.RefusedPolicies) == 1 && st.RefusedPolicies[0].Class == attack.class && len(st.Policies) == 1 && st.Policies[0].Version == 5
		})
	}
	// It cannot take the policy away either, and not by a restart.
	in.serve(&history)
	rc.state("nothing refused", func(st wire.AgentState) bool { return len(st.RefusedPolicies) == 0 && len(st.Policies) == 1 })
	stop()
	again := make(chan string, 10)
	start(t, dir, guarded(again))
	if got := <-again; got != `5 {"level":2}` {
		t.Errorf("after a restart: %q", got)
	}
	select {
	case got := <-seen:
		t.Errorf("the service was given %q", got)
	default:
	}
	in.serve(&history, alice.sign(t, policyOf(6, 3)))
	if got := <-again; got != `6 {"level":3}` {
		t.Errorf("the customer's next policy: %q", got)
	}
}

// TestNoPin: a machine that was enrolled before the customer had keys obeys
// nothing until somebody trusts them at the machine.
func TestNoPin(t *testing.T) {
	in := newInstallation(t)
	rc := in.consume()
	alice := newKeeper(t, "p-alice")
	history := decision.History{First: keySet(alice), Changes: []decision.Signed{}}
	dir := in.enrolled("agent-1")
	seen := make(chan string, 10)
	start(t, dir, guarded(seen))
	if got := <-seen; got != "0 " {
		t.Fatalf("given %q", got)
	}
	in.serve(&history, alice.sign(t, policyOf(1, 2)))
	rc.state("no keys are trusted", func(st wire.AgentState) bool {
		return st.Keys == nil && len(st.RefusedPolicies) == 1 && st.RefusedPolicies[0].Class == "unpinned"
	})
	if err := Trust(dir, digestOf(t, history.First)); err != nil {
		t.Fatal(err)
	}
	in.serve(&history, alice.sign(t, policyOf(1, 2)))
	if got := <-seen; got != `1 {"level":2}` {
		t.Errorf("after the keys were trusted: %q", got)
	}
}

// TestEnrolPins: where the server shows other keys than the machine was told, it
// is not enrolled.
func TestEnrolPins(t *testing.T) {
	in := newInstallation(t)
	alice, eve := newKeeper(t, "p-alice"), newKeeper(t, "p-eve")
	shown := decision.History{First: keySet(eve)}
	enrol := func(digest string) error {
		dir := filepath.Join(t.TempDir(), "agent")
		_, err := Enrol(t.Context(), EnrolOptions{Server: in.http.URL, Token: in.token("agent-1"), Dir: dir, Software: "test", CustomerKeys: digest})
		if _, miss := LoadIdentity(dir); err != nil && miss == nil {
			t.Error("a refused enrolment left an identity")
		}
		return err
	}
	if err := enrol(digestOf(t, keySet(alice))); err == nil || !strings.Contains(err.Error(), "no keys") {
		t.Errorf("the server knows no keys: %v", err)
	}
	in.keys = raw(t, shown)
	if err := enrol(digestOf(t, keySet(alice))); err == nil || !strings.Contains(err.Error(), "other keys") {
		t.Errorf("the server shows keys of its own: %v", err)
	}
	if err := enrol("sha256:short"); err == nil || !strings.Contains(err.Error(), "--customer-key") {
		t.Errorf("no digest: %v", err)
	}
	if err := enrol(digestOf(t, keySet(eve))); err != nil {
		t.Errorf("the keys that it was told: %v", err)
	}
}

// customerProcess stores policy after policy until it is killed, and tells of
// each that is stored.
func customerProcess(ctx context.Context, dir string) error {
	c, err := loadCustomer(dir)
	if err != nil {
		return err
	}
	big := strings.Repeat("x", 200<<10) // many pages, so that half a file is likely
	for v := c.Held["p"].Decision.Version + 1; ctx.Err() == nil; v++ {
		sum := sha256.Sum256([]byte(strconv.FormatInt(v, 10)))
		c.Held = map[string]decision.Signed{"p": {Decision: decision.Decision{
			ID: "d-" + hex.EncodeToString(sum[:4]), Version: v, Content: json.RawMessage(`{"a":"` + big + `"}`),
		}}}
		if err := c.save(dir); err != nil {
			return err
		}
		fmt.Println("stored", v)
	}
	return nil
}

// TestKilledWhileStoring kills the agent's storing again and again: what is read
// afterwards is a whole policy, and none that is older than what was stored.
func TestKilledWhileStoring(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 15 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), envPart+"=customer", envDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last, stop := int64(0), 1+rand.IntN(5)
		lines := bufio.NewScanner(out)
		for i := 0; i < stop && lines.Scan(); i++ {
			last, _ = strconv.ParseInt(strings.TrimPrefix(lines.Text(), "stored "), 10, 64)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			last, _ = strconv.ParseInt(strings.TrimPrefix(lines.Text(), "stored "), 10, 64)
		}
		_ = cmd.Wait() // it was killed
		c, err := loadCustomer(dir)
		if err != nil || last == 0 {
			t.Fatalf("after a kill: %v, last %d", err, last)
		}
		sum := sha256.Sum256([]byte(strconv.FormatInt(c.Held["p"].Decision.Version, 10)))
		if d := c.Held["p"].Decision; d.Version < last || d.ID != "d-"+hex.EncodeToString(sum[:4]) {
			t.Fatalf("after a kill: version %d (%s), and %d was stored", d.Version, d.ID, last)
		}
	}
}

// FuzzReceive gives the agent answers of a server that means harm.
func FuzzReceive(f *testing.F) {
	alice := newKeeper(f, "p-alice")
	set := keySet(alice)
	history := decision.History{First: set, Changes: []decision.Signed{}}
	c := pinnedTo(f, set)
	good := alice.sign(f, policyOf(1, 1))
	f.Add([]byte(raw(f, history)), []byte(raw(f, good)))
	f.Fuzz(func(t *testing.T, keys, policy []byte) {
		next := c
		var h decision.History
		if json.Unmarshal(keys, &h) == nil {
			next, _ = next.follow(h)
		}
		if digestOf(t, *next.Keys) != digestOf(t, set) {
			t.Fatalf("keys changed by %q", keys)
		}
		var s decision.Signed
		if json.Unmarshal(policy, &s) == nil {
			next, _ = next.take(s)
		}
		if now, _ := next.obey(noon); len(now) > 0 && string(now["guarded"].document) != `{"level":1}` {
			t.Fatalf("obeys %v by %q", now, policy)
		}
	})
}
