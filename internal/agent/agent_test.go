package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/bus"
	"github.com/demarc/demarc/internal/bus/bustest"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/service"
	"github.com/demarc/demarc/internal/wire"
)

// installation is a server as agents see one: enrolment, renewal, bus.
type installation struct {
	t    testing.TB
	ca   *bustest.Authority
	bus  *bus.Bus
	http *httptest.Server

	mu         sync.Mutex // guards what follows
	tokens     map[string]bool
	publicKeys map[string]string // by agent
	revoked    map[string]bool
	ttl        time.Duration
	renewed    int
	// loseAnswer makes the next enrolment succeed without the agent hearing of it.
	loseAnswer bool
	// keys and policies are what the server says that the customer signed.
	keys     json.RawMessage
	policies []json.RawMessage
	asked    int
}

func newInstallation(t testing.TB) *installation {
	t.Helper()
	in := &installation{t: t, ca: bustest.NewAuthority(t), tokens: map[string]bool{}, publicKeys: map[string]string{}, revoked: map[string]bool{}, ttl: time.Hour}
	in.bus = bustest.Open(t, bustest.Config(t, in.ca))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/enrol", in.enrol)
	mux.HandleFunc("POST /v1/renew", in.renew)
	mux.HandleFunc("POST /v1/agent/policies", in.givePolicies)
	in.http = httptest.NewUnstartedServer(mux)
	in.http.TLS = in.ca.ServerTLS()
	in.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	in.http.StartTLS()
	t.Cleanup(in.http.Close)
	return in
}

// token returns a new token whose id becomes the agent's.
func (in *installation) token(agent string) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := wire.Token{ID: agent, Secret: "hushhush" + rand.Text(), CA: sha256.Sum256(in.ca.DER)}.String()
	in.tokens[s] = true
	return s
}

func (in *installation) enrol(w http.ResponseWriter, r *http.Request) {
	var req wire.EnrolRequest
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	in.mu.Lock()
	ok := in.tokens[token]
	delete(in.tokens, token)
	in.mu.Unlock()
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || !ok {
		problem(w, 401, "the token is unknown or was used before")
		return
	}
	parsed, _ := wire.ParseToken(token)
	in.mu.Lock()
	in.publicKeys[parsed.ID] = req.PublicKey
	lose := in.loseAnswer
	in.loseAnswer = false
	if lose {
		in.tokens[token] = true
	}
	in.mu.Unlock()
	if lose {
		panic(http.ErrAbortHandler)
	}
	in.answer(w, parsed.ID)
}

func (in *installation) renew(w http.ResponseWriter, r *http.Request) {
	var req wire.RenewRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	in.mu.Lock()
	key, revoked := in.publicKeys[req.Agent], in.revoked[req.Agent]
	in.renewed++
	in.mu.Unlock()
	if err != nil || req.Verify(key) != nil || revoked {
		problem(w, 403, "this agent was revoked")
		return
	}
	in.answer(w, req.Agent)
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"detail": detail})
}

func (in *installation) answer(w http.ResponseWriter, agent string) {
	in.mu.Lock()
	key, ttl, history := in.publicKeys[agent], in.ttl, in.keys
	in.mu.Unlock()
	jwt, expires, err := in.bus.IssueAgent(context.Background(), "tenant-1", agent, key, ttl)
	if err != nil {
		problem(w, 500, err.Error())
		return
	}
	json.NewEncoder(w).Encode(wire.Identity{Agent: agent, Tenant: "tenant-1", VM: "vm-1", VMName: "web", JWT: jwt, ExpiresAt: expires,
		BusURLs: in.bus.URLs(), CA: string(in.ca.PEM), Keys: history})
}

// enrolled returns the directory of an enrolled agent.
func (in *installation) enrolled(agent string) string {
	in.t.Helper()
	dir := filepath.Join(in.t.TempDir(), "agent")
	if _, err := Enrol(in.t.Context(), EnrolOptions{Server: in.http.URL, Token: in.token(agent), Dir: dir, Software: "test"}); err != nil {
		in.t.Fatal(err)
	}
	return dir
}

// received are the records that came over the bus, checked as ingest checks them.
type received struct {
	t       testing.TB
	records chan evidence.Record

	mu   sync.Mutex // guards what follows
	next map[string]uint64
	dups int
}

func (in *installation) consume() *received {
	rc := &received{t: in.t, records: make(chan evidence.Record, 100000), next: map[string]uint64{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := in.bus.Consume(ctx, rc.handle); err != nil {
			in.t.Error(err)
		}
	}()
	in.t.Cleanup(func() { cancel(); <-done })
	return rc
}

func (rc *received) handle(_ context.Context, d bus.Delivery) {
	b, err := wire.DecodeBatch(d.Data)
	if err != nil {
		rc.t.Errorf("batch of %s: %v", d.Agent, err)
		_ = d.Reject(err.Error())
		return
	}
	rc.mu.Lock()
	next := max(rc.next[d.Agent+b.Epoch], 1)
	if b.First > next {
		rc.t.Errorf("agent %s: sequence %d where %d is next", d.Agent, b.First, next)
	}
	for i, r := range b.Records {
		if b.First+uint64(i) < next {
			rc.dups++
			continue
		}
		rc.records <- r
	}
	rc.next[d.Agent+b.Epoch] = max(next, b.First+uint64(len(b.Records)))
	rc.mu.Unlock()
	if err := d.Ack(); err != nil {
		rc.t.Error(err)
	}
}

// until returns the first record that matches.
func (rc *received) until(what string, match func(evidence.Record) bool) evidence.Record {
	rc.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case r := <-rc.records:
			if match(r) {
				return r
			}
		case <-deadline:
			rc.t.Fatalf("%s did not come in 30 s", what)
		}
	}
}

func (rc *received) kind(kind string) evidence.Record {
	rc.t.Helper()
	return rc.until("a record of kind "+kind, func(r evidence.Record) bool { return r.Kind == kind })
}

// testObserver does what the test gives it to do.
type testObserver struct {
	name  string
	needs []service.Need
	run   func(ctx context.Context, h service.Host) error
}

func (o testObserver) Name() string          { return o.name }
func (o testObserver) Needs() []service.Need { return o.needs }
func (o testObserver) Run(ctx context.Context, h service.Host) error {
	return o.run(ctx, h)
}

// start runs an agent until stop is called.
func start(t testing.TB, dir string, observers ...service.Observer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Dir: dir, Observers: observers, Software: "test", Log: slog.New(slog.DiscardHandler)})
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("agent: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func fact(kind, data string) evidence.Record {
	return evidence.Record{Class: evidence.ClassFact, Kind: kind, Time: time.Now().UTC(), Data: json.RawMessage(data)}
}

func TestAgentSendsFactsFromObserverToServer(t *testing.T) {
	in := newInstallation(t)
	rc := in.consume()
	refreshed := make(chan struct{}, 10)
	start(t, in.enrolled("agent-1"), testObserver{name: "look", run: func(ctx context.Context, h service.Host) error {
		for {
			if err := h.Emit(ctx, fact("test.fact", `{"b":1, "a":[2]}`)); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-h.Refresh:
				refreshed <- struct{}{}
			}
		}
	}})
	full := rc.kind("test.fact")
	if string(full.Data) != `{"a":[2],"b":1}` || full.Digest == "" {
		t.Errorf("the first fact: %s, %s", full.Data, full.Digest)
	}

	// Asked again, the agent says that nothing changed.
	notify := func(typ string) {
		t.Helper()
		if err := in.bus.NotifyAgent(t.Context(), "tenant-1", "agent-1", wire.Note{Type: typ}); err != nil {
			t.Fatal(err)
		}
		<-refreshed
	}
	notify(wire.NoteRefresh)
	if r := rc.kind("test.fact"); len(r.Data) != 0 || r.Digest != full.Digest {
		t.Errorf("the unchanged fact: %s, %s", r.Data, r.Digest)
	}
	// Where the server lost the fact, it gets all of it.
	notify(wire.NoteResync)
	if r := rc.kind("test.fact"); string(r.Data) != string(full.Data) {
		t.Errorf("the fact after a resync: %s", r.Data)
	}
}

func TestAgentTellsWhatItDoesNotWatch(t *testing.T) {
	in := newInstallation(t)
	rc := in.consume()
	start(t, in.enrolled("agent-1"),
		testObserver{name: "panics", run: func(context.Context, service.Host) error { panic("out of luck") }},
		testObserver{name: "fails", run: func(context.Context, service.Host) error { return errors.New("no luck") }},
		testObserver{name: "blind",
			needs: []service.Need{{What: "eyes", For: "everything visible", Check: func(service.Host) error { return errors.New("no eyes on this host") }}},
			run: func(ctx context.Context, h service.Host) error {
				h.Coverage(service.Coverage{Aspect: "sounds", Watched: true})
				<-ctx.Done()
				return nil
			}})
	rc.until("the agent's state with all three observers", func(r evidence.Record) bool {
		var st wire.AgentState
		if r.Kind != wire.KindAgent || len(r.Data) == 0 || json.Unmarshal(r.Data, &st) != nil || len(st.Services) != 3 {
			return false
		}
		blind, fails, panics := st.Services[0], st.Services[1], st.Services[2]
		return blind.Running && len(blind.Coverage) == 2 && !blind.Coverage[0].Watched && strings.Contains(blind.Coverage[0].Reason, "everything visible") &&
			blind.Coverage[1] == wire.AgentCoverage{Aspect: "sounds", Watched: true} &&
			fails.Fault == "no luck" && strings.Contains(panics.Fault, "out of luck")
	})
}

func TestRestartOfTheAgentContinuesTheSpool(t *testing.T) {
	in := newInstallation(t)
	dir := in.enrolled("agent-1")
	const rounds, each = 5, 200
	for round := range rounds {
		emitted := make(chan struct{})
		stop := start(t, dir, testObserver{name: "busy", run: func(ctx context.Context, h service.Host) error {
			defer func() { close(emitted); <-ctx.Done() }()
			for i := range each {
				r := evidence.Record{Class: evidence.ClassActivity, Kind: "test.event", Time: time.Now().UTC(), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, round*each+i))}
				if err := h.Emit(ctx, r); err != nil {
					return err
				}
			}
			return nil
		}})
		<-emitted
		stop()
	}
	// The last one has nothing of its own to send.
	start(t, dir)
	rc := in.consume()
	for i := range rounds * each {
		var n struct{ N int }
		if r := rc.kind("test.event"); json.Unmarshal(r.Data, &n) != nil || n.N != i {
			t.Fatalf("event %d where %d is next", n.N, i)
		}
	}
}

func TestEnrolGuardsTokenAndIdentity(t *testing.T) {
	in := newInstallation(t)
	dir := filepath.Join(t.TempDir(), "agent")
	enrol := func(change func(*EnrolOptions)) error {
		o := EnrolOptions{Server: in.http.URL, Token: in.token("agent-1"), Dir: dir}
		change(&o)
		_, err := Enrol(t.Context(), o)
		return err
	}
	otherCA := wire.Token{ID: "a", Secret: "s", CA: sha256.Sum256([]byte("other"))}.String()
	for name, test := range map[string]struct {
		change func(*EnrolOptions)
		want   string
	}{
		"plain HTTP":      {func(o *EnrolOptions) { o.Server = strings.Replace(o.Server, "https", "http", 1) }, "want https://"},
		"no address":      {func(o *EnrolOptions) { o.Server = "" }, "want https://"},
		"no token":        {func(o *EnrolOptions) { o.Token = "hello" }, "no enrolment token"},
		"token cut short": {func(o *EnrolOptions) { o.Token = o.Token[:len(o.Token)-4] }, "cut short"},
		"other authority": {func(o *EnrolOptions) { o.Token = otherCA }, "does not show the certificate authority"},
		"other name":      {func(o *EnrolOptions) { o.Server = strings.Replace(o.Server, "127.0.0.1", "127.0.0.2", 1) }, "127.0.0.2"},
		"unknown token": {func(o *EnrolOptions) {
			o.Token = wire.Token{ID: "x", Secret: "hushhush", CA: sha256.Sum256(in.ca.DER)}.String()
		}, "unknown or was used"},
		"no directory": {func(o *EnrolOptions) { o.Dir = "/dev/null/agent" }, "directory"},
	} {
		err := enrol(test.change)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hushhush") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
		if _, err := LoadIdentity(dir); !errors.Is(err, ErrNotEnrolled) {
			t.Errorf("%s: left an identity: %v", name, err)
		}
	}
	token := in.token("agent-1")
	if err := enrol(func(o *EnrolOptions) { o.Token = token }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, identityFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("identity: %v, %v", info, err)
	}
	before, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := enrol(func(*EnrolOptions) {}); !errors.Is(err, ErrEnrolled) {
		t.Errorf("enrolled twice: %v", err)
	}
	if err := enrol(func(o *EnrolOptions) { o.Token, o.Force = token, true }); err == nil {
		t.Error("a token was good for two")
	}
	if now, err := LoadIdentity(dir); err != nil || now.Seed != before.Seed {
		t.Errorf("a failed enrolment touched the identity: %v", err)
	}
	if err := enrol(func(o *EnrolOptions) { o.Force = true }); err != nil {
		t.Errorf("forced: %v", err)
	}
}

func TestEnrolmentWhoseAnswerGotLostIsRepeatedWithTheSameKey(t *testing.T) {
	in := newInstallation(t)
	o := EnrolOptions{Server: in.http.URL, Token: in.token("agent-1"), Dir: filepath.Join(t.TempDir(), "agent")}
	in.loseAnswer = true
	if _, err := Enrol(t.Context(), o); err == nil {
		t.Fatal("enrolled without an answer")
	}
	first := in.publicKeys["agent-1"]
	id, err := Enrol(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if first == "" || in.publicKeys["agent-1"] != first {
		t.Error("the second attempt came with another key")
	}
	if key, err := id.key(); err != nil {
		t.Error(err)
	} else if pub, _ := key.PublicKey(); pub != first {
		t.Error("the stored seed is not of the enrolled key")
	}
	if _, err := os.Stat(filepath.Join(o.Dir, pendingFile)); !os.IsNotExist(err) {
		t.Errorf("the key of the enrolment is left behind: %v", err)
	}
}
