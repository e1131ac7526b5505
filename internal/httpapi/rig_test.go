package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/role/server"
)

// rig is one server of real parts that all tests share; each test makes
// tenants of its own where it counts what is there.
type rig struct {
	*server.Server
	dir  string
	log  *lockedBuffer
	stop context.CancelFunc
	done chan error
	next atomic.Int64

	// setup is the first start's credential. root acts for the provider: that
	// credential until settle, then an administrator with a second factor.
	setup, root string
	// support asks for access, in emergencies too.
	support string
}

var shared *rig

func TestMain(m *testing.M) {
	flag.Parse() // before the event store's library does it for itself
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if shared, err = start(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else if err := shared.settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
		if err := shared.end(); err != nil {
			fmt.Fprintln(os.Stderr, "the server ended with", err)
			code = 1
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func start(dir string) (*rig, error) {
	r := &rig{dir: dir, log: &lockedBuffer{}, done: make(chan error, 1)}
	ready := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.Open(ctx, server.Config{
		DataDir: dir, HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", BusListen: "127.0.0.1:0", SSH: "127.0.0.1:0", Version: "test",
		Log:   slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ready: func(server.Started) { close(ready) },
	})
	if err != nil {
		stop()
		return nil, err
	}
	r.Server, r.stop, r.setup = s, stop, s.FirstToken()
	go func() { r.done <- s.Run(ctx) }()
	select {
	case <-ready:
		r.root = r.setup
		_, r.support, err = s.Identities().Issue(ctx, r.actor(access.ProviderAdministrator, ""), access.Principal{
			Name: "support", Role: access.ProviderSecurity, Kind: access.Person, MFA: true,
		}, nil)
		return r, err
	case err := <-r.done:
		stop()
		return nil, fmt.Errorf("the server ended before it was ready: %w", err)
	}
}

// settle finishes the set-up.
func (r *rig) settle() (err error) {
	_, r.root, err = r.Identities().Issue(context.Background(), r.actor(access.ProviderAdministrator, ""), access.Principal{
		Name: "root", Role: access.ProviderAdministrator, Kind: access.Person, MFA: true,
	}, nil)
	tick, limit := time.NewTicker(10*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for err == nil && !r.Policy().Settled() {
		select {
		case <-tick.C:
		case <-limit:
			return errors.New("the server does not see that the set-up is finished")
		}
	}
	return err
}

func (r *rig) end() error {
	r.stop()
	if err := <-r.done; err != nil {
		return err
	}
	return r.Close()
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// request is one call. The zero method is GET.
type request struct {
	method, path string
	token        string
	header       map[string]string
	// body is sent as it is if it is a string, else as JSON; nil sends none.
	body any
}

type response struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(q request) response {
	var body io.Reader
	switch b := q.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			panic(err)
		}
		body = bytes.NewReader(raw)
	}
	if q.method == "" {
		q.method = http.MethodGet
	}
	req := httptest.NewRequest(q.method, q.path, body)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return response{w.Code, w.Header(), w.Body.String()}
}

// must calls and decodes, and fails the test unless the status is the one wanted.
func must[T any](t testing.TB, r *rig, status int, q request) (v T) {
	t.Helper()
	res := r.do(q)
	if res.status != status {
		t.Fatalf("%s %s: %d, want %d: %s", q.method, q.path, res.status, status, clip(res.body))
	}
	if res.body == "" {
		return v
	}
	return decode[T](t, res)
}

func decode[T any](t testing.TB, res response) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(res.body), &v); err != nil {
		t.Fatalf("%v: %d %s", err, res.status, clip(res.body))
	}
	return v
}

// world is a tenant with one of everything.
type world struct {
	tenant       api.Tenant
	vdc          api.VDC
	vm           api.VM
	contact      api.Contact
	subscription api.Subscription
	attestation  api.Statement
	waiver       api.Statement
	token        api.EnrolmentToken
	agent        string
	owner        api.Principal
	admin        api.Principal
	viewer       api.Principal
	// key is the owner's, and decision waits for its signature.
	key              signing
	decision         api.Decision
	grant            api.Grant
	review, incident string
	// The rest is made for the matrix of operations only.
	person, invitation, provider string
	target, recording            string
}

func (w world) path(rest string) string { return "/v1/tenants/" + w.tenant.ID + rest }

// attested and waived are duties of the built-in catalogue that fit a tenant
// or VM and can be attested; every duty can be waived.
const (
	attestedDuty = "CLD.8.1.5/C-2.4a"
	waivedDuty   = "CLD.9.5.2/C-4.4b"
)

func (r *rig) name(what string) string { return fmt.Sprintf("%s-%d", what, r.next.Add(1)) }

// newWorld makes a customer whose every name contains mark. What is the
// customer's to do its owner does.
func newWorld(t testing.TB, r *rig, mark string) world { return r.world(t, mark, false) }

// world is newWorld, or the same of a tenant of the provider's own.
func (r *rig) world(t testing.TB, mark string, own bool) world {
	t.Helper()
	var w world
	w.tenant = must[api.Tenant](t, r, 201, request{method: "POST", path: "/v1/tenants", token: r.root, body: api.NewTenant{Name: r.name(mark + "-tenant"), Own: own}})
	w.owner = r.issue(t, access.Principal{Name: mark + " owner", Role: access.CustomerOwner, Tenant: w.tenant.ID, Kind: access.Person})
	w.vdc = must[api.VDC](t, r, 201, request{method: "POST", path: w.path("/vdcs"), token: r.root, body: api.NewVDC{Name: mark + "-vdc"}})
	w.key = w.newKey(t, r)
	w.contact = w.newContact(t, r, mark)
	w.vm = must[api.VM](t, r, 201, request{method: "POST", path: w.path("/vms"), token: w.owner.Token, body: api.NewVM{
		VDC: w.vdc.Name, Name: mark + "-vm", Declared: api.Declaration{Role: mark + "-role", Accountable: w.contact.ID},
	}})
	w.subscription = w.newSubscription(t, r)
	w.attestation = w.newStatement(t, r, "attestation", mark)
	w.waiver = w.newStatement(t, r, "waiver", mark)
	w.agent, w.token = w.enrol(t, r, mark+"-enrolled")
	w.admin = w.principal(t, r, access.CustomerAdministrator, mark+" admin")
	w.viewer = w.principal(t, r, access.CustomerViewer, mark+" viewer")
	w.decision = w.propose(t, r, mark)
	w.grant = w.newGrant(t, r, r.support)
	w.review, w.incident = w.openReview(t, r), w.newIncident(t, r)
	return w
}

func (w world) newContact(t testing.TB, r *rig, mark string) api.Contact {
	return must[api.Contact](t, r, 201, request{method: "POST", path: w.path("/contacts"), token: w.owner.Token, body: api.NewContact{
		Role: "administrator", Name: "Person " + mark, Mail: mark + "@example.org", Telephone: "+43 1 234567",
	}})
}

func (w world) newSubscription(t testing.TB, r *rig) api.Subscription {
	vm := must[api.VM](t, r, 201, request{method: "POST", path: w.path("/vms"), token: w.owner.Token, body: api.NewVM{VDC: w.vdc.ID, Name: r.name(w.vdc.Name + "-covered")}})
	return must[api.Subscription](t, r, 201, request{method: "POST", path: w.path("/subscriptions"), token: w.owner.Token, body: api.NewSubscription{
		Service: "backup", VM: vm.ID,
	}})
}

func (w world) newStatement(t testing.TB, r *rig, what, mark string) api.Statement {
	if what == "waiver" {
		return w.newWaiver(t, r, mark)
	}
	return must[api.Statement](t, r, 201, request{method: "POST", path: w.path("/" + what + "s"), token: w.owner.Token, body: api.NewStatement{
		Duty: attestedDuty, Text: "stated by " + mark, Expires: time.Now().Add(24 * time.Hour),
	}})
}

// providerDuty is attested, and about the provider.
const providerDuty = "PII/P-8k"

func providerStatement(t testing.TB, r *rig, what string) api.Statement {
	return must[api.Statement](t, r, 201, request{method: "POST", path: "/v1/provider/" + what + "s", token: r.root, body: api.NewStatement{
		Duty: providerDuty, Text: "stated by the provider", Expires: time.Now().Add(24 * time.Hour),
	}})
}

func (w world) newToken(t testing.TB, r *rig, vm string) api.EnrolmentToken {
	return must[api.EnrolmentToken](t, r, 201, request{method: "POST", path: w.path("/enrolment-tokens"), token: w.owner.Token, body: api.NewEnrolmentToken{VDC: w.vdc.ID, VMName: vm}})
}

// enrol enrols a machine with a key of its own and returns the agent's id.
func (w world) enrol(t testing.TB, r *rig, vm string) (string, api.EnrolmentToken) {
	t.Helper()
	tok := w.newToken(t, r, vm)
	id := must[struct{ Agent string }](t, r, 200, request{method: "POST", path: "/v1/enrol", token: tok.Token, body: enrolment(t)})
	return id.Agent, tok
}

func enrolment(t testing.TB) map[string]string {
	t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"public_key": pub, "hostname": "host", "machine_id": "m", "software": "test"}
}

// principal makes a service of the tenant, as its owner does.
func (w world) principal(t testing.TB, r *rig, role access.Role, name string) api.Principal {
	t.Helper()
	return must[api.Principal](t, r, 201, request{method: "POST", path: "/v1/principals", token: w.owner.Token, body: api.NewPrincipal{Name: name, Role: string(role), Tenant: w.tenant.ID}})
}

// issue makes a principal with a token, past the API.
func (r *rig) issue(t testing.TB, p access.Principal) api.Principal {
	t.Helper()
	c, token, err := r.Identities().Issue(t.Context(), r.actor(access.ProviderAdministrator, ""), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return api.Principal{ID: c.ID, Name: c.Name, Role: string(c.Role), Tenant: c.Tenant, Token: token}
}

// actor is the principal of that role as the use-cases know it.
func (r *rig) actor(role access.Role, tenant string) access.Principal {
	return access.Principal{ID: "p-test", Name: "test", Role: role, Tenant: tenant}
}

func (r *rig) stateFile() string { return filepath.Join(r.dir, "state.db") }
