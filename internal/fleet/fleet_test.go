package fleet_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/fleet"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/tenancy"
	"github.com/demarc/demarc/internal/wire"
)

// rig is a fleet whose ledger, judge and bus only take notes.
type rig struct {
	fleet.Fleet
	now time.Time

	mu      sync.Mutex
	actions []string
	revoked []string
	told    []string
	busErr  error
}

func (r *rig) Append(_ *store.Tx, es ...ledger.Entry) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range es {
		r.actions = append(r.actions, e.Action)
	}
	return 0, nil
}

func (r *rig) Rejudge(*store.Tx, ...evidence.Subject) error { return nil }

func (r *rig) IssueAgent(_ context.Context, tenant, agent, _ string, ttl time.Duration) (string, time.Time, error) {
	return "jwt." + tenant + "." + agent, r.now.Add(ttl), r.busErr
}

func (r *rig) RevokeAgent(_ context.Context, _, key string) error {
	r.revoked = append(r.revoked, key)
	return r.busErr
}

func (r *rig) NotifyAgent(_ context.Context, _, agent string, n wire.Note) error {
	r.told = append(r.told, agent+" "+n.Type)
	return r.busErr
}

var admin = access.Principal{ID: "p-1", Role: access.ProviderAdministrator}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{now: time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)}
	s := storetest.Open(t, storetest.SQLite(t))
	now := func() time.Time { return r.now }
	r.Fleet = fleet.Fleet{
		Store: s, Ledger: r, Bus: r, Judge: r, VMs: &tenancy.Estate{Store: s, Ledger: r, Judge: r, Now: now}, CA: "PEM", Pin: [32]byte{1},
		BusURLs: []string{"tls://127.0.0.1:1"}, Now: now, Log: slog.New(slog.DiscardHandler),
	}
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		for _, id := range []string{"t-1", "t-2"} {
			if err := tx.InsertTenant(&estate.Tenant{ID: id, Name: "name-" + id, CreatedAt: r.now}); err != nil {
				return err
			}
			if err := tx.InsertVDC(&estate.VDC{ID: "vdc-" + id, Tenant: id, Name: "main", CreatedAt: r.now}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func key(t *testing.T) (nkeys.KeyPair, string) {
	t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return k, pub
}

func (r *rig) token(t *testing.T, vm string) string {
	t.Helper()
	_, token, err := r.CreateToken(t.Context(), admin, "t-1", "main", vm, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (r *rig) enrol(t *testing.T, vm string) (nkeys.KeyPair, wire.Identity) {
	t.Helper()
	k, pub := key(t)
	id, err := r.Enrol(t.Context(), r.token(t, vm), wire.EnrolRequest{PublicKey: pub, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	return k, id
}

func TestEnrol(t *testing.T) {
	r := newRig(t)
	_, pub := key(t)
	token := r.token(t, "")
	req := wire.EnrolRequest{PublicKey: pub, Hostname: "Web Server.Example.ORG\n", Software: "demarc-agent/1\x1b[31m"}
	id, err := r.Enrol(t.Context(), token, req)
	if err != nil || id.Tenant != "t-1" || id.VMName != "web-server.example.org" || id.JWT == "" || id.CA != "PEM" || !id.ExpiresAt.Equal(r.now.Add(fleet.IdentityLength)) {
		t.Fatalf("%+v, %v", id, err)
	}
	again, err := r.Enrol(t.Context(), token, req)
	if err != nil || again.Agent != id.Agent || again.VM != id.VM || again.VMName != id.VMName {
		t.Errorf("the same key again: %+v, %v", again, err)
	}
	_, other := key(t)
	if _, err := r.Enrol(t.Context(), token, wire.EnrolRequest{PublicKey: other}); !errors.Is(err, fleet.ErrToken) {
		t.Errorf("another key with a used token: %v", err)
	}
	_, err = r.Enrol(t.Context(), r.token(t, id.VMName), wire.EnrolRequest{PublicKey: other})
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), id.Agent) {
		t.Errorf("a VM that has an agent: %v", err)
	}
	if a := read(t, r, func(tx *store.Tx) (store.Agent, error) { return tx.Agent(id.Agent) }); strings.ContainsRune(a.Software, 0x1b) {
		t.Errorf("control characters are kept: %q", a.Software)
	}
	if got := strings.Join(r.actions, " "); got != "enrolment-token.create vm.register agent.enrol enrolment-token.create" {
		t.Error(got)
	}
}

func read[T any](t *testing.T, r *rig, f func(tx *store.Tx) (T, error)) (v T) {
	t.Helper()
	if err := r.Store.Read(t.Context(), func(tx *store.Tx) (err error) { v, err = f(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEnrolRefuses(t *testing.T) {
	r := newRig(t)
	_, pub := key(t)
	token := r.token(t, "web")
	parts := strings.Split(token, ".")
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := account.PublicKey()
	for what, c := range map[string]struct {
		token, key string
		want       error
	}{
		"empty": {"", pub, fleet.ErrToken}, "cut": {strings.Join(parts[:3], "."), pub, fleet.ErrToken}, "other secret": {strings.Replace(token, parts[2], "AAAA", 1), pub, fleet.ErrToken},
		"unknown": {strings.Replace(token, parts[1], "zzz", 1), pub, fleet.ErrToken}, "other form": {"demarc9" + strings.TrimPrefix(token, "demarc1"), pub, fleet.ErrToken},
		"empty secret": {strings.Replace(token, parts[2], "", 1), pub, fleet.ErrToken}, "long": {token + strings.Repeat("x", 300), pub, fleet.ErrToken}, "NUL": {"demarc1.a\x00b.c.d", pub, fleet.ErrToken},
		"no key": {token, "", estate.ErrInvalid}, "key of another kind": {token, foreign, estate.ErrInvalid},
	} {
		if _, err := r.Enrol(t.Context(), c.token, wire.EnrolRequest{PublicKey: c.key}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	if _, err := r.Enrol(t.Context(), token, wire.EnrolRequest{PublicKey: pub, Hostname: strings.Repeat("x", 254)}); !errors.Is(err, estate.ErrInvalid) {
		t.Errorf("long host name: %v", err)
	}
	r.now = r.now.Add(time.Hour)
	if _, err := r.Enrol(t.Context(), token, wire.EnrolRequest{PublicKey: pub}); !errors.Is(err, fleet.ErrToken) {
		t.Errorf("expired: %v", err)
	}
	for what, life := range map[string]time.Duration{"none": 0, "negative": -1, "long": fleet.MaxTokenLength + 1} {
		if _, _, err := r.CreateToken(t.Context(), admin, "t-1", "main", "", life); !errors.Is(err, estate.ErrInvalid) {
			t.Errorf("life %s: %v", what, err)
		}
	}
	if _, _, err := r.CreateToken(t.Context(), admin, "t-1", "vdc-t-2", "", time.Hour); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant's VDC: %v", err)
	}
}

// TestTokenRace: of many machines with one token one is enrolled.
func TestTokenRace(t *testing.T) {
	r := newRig(t)
	token := r.token(t, "web")
	results := make(chan error)
	for range 10 {
		_, pub := key(t)
		go func() {
			_, err := r.Enrol(t.Context(), token, wire.EnrolRequest{PublicKey: pub})
			results <- err
		}()
	}
	n := 0
	for range 10 {
		if err := <-results; err == nil {
			n++
		} else if !errors.Is(err, fleet.ErrToken) {
			t.Error(err)
		}
	}
	agents := read(t, r, func(tx *store.Tx) ([]store.Agent, error) { return tx.Agents("t-1", store.Page{}) })
	if n != 1 || len(agents) != 1 {
		t.Errorf("%d enrolled, %d agents", n, len(agents))
	}
}

func signed(t *testing.T, k nkeys.KeyPair, req wire.RenewRequest) wire.RenewRequest {
	t.Helper()
	sig, err := k.Sign(wire.RenewMessage(req))
	if err != nil {
		t.Fatal(err)
	}
	req.Signature = base64.RawURLEncoding.EncodeToString(sig)
	return req
}

func TestRenewAndRevoke(t *testing.T) {
	r := newRig(t)
	k, id := r.enrol(t, "web")
	stranger, other := r.enrol(t, "db")
	good := signed(t, k, wire.RenewRequest{Agent: id.Agent, Time: r.now, Nonce: "n"})
	if got, err := r.Renew(t.Context(), good); err != nil || got.Agent != id.Agent || got.JWT == "" {
		t.Errorf("%+v, %v", got, err)
	}
	skewed := signed(t, k, wire.RenewRequest{Agent: id.Agent, Time: r.now.Add(-25 * time.Hour), Nonce: "n"})
	if _, err := r.Renew(t.Context(), skewed); err != nil {
		t.Errorf("a clock a day behind: %v", err)
	}
	with := func(change func(*wire.RenewRequest)) wire.RenewRequest { q := good; change(&q); return q }
	for what, q := range map[string]wire.RenewRequest{
		"unknown agent": with(func(q *wire.RenewRequest) { q.Agent = "a-nobody" }), "another agent": with(func(q *wire.RenewRequest) { q.Agent = other.Agent }),
		"another time": with(func(q *wire.RenewRequest) { q.Time = q.Time.Add(time.Second) }), "another nonce": with(func(q *wire.RenewRequest) { q.Nonce = "m" }),
		"no signature": with(func(q *wire.RenewRequest) { q.Signature = "" }), "no base64": with(func(q *wire.RenewRequest) { q.Signature = "!" }),
		"another's key": signed(t, stranger, wire.RenewRequest{Agent: id.Agent, Time: r.now, Nonce: "n"}),
		"old":           signed(t, k, wire.RenewRequest{Agent: id.Agent, Time: r.now.Add(-fleet.MaxRenewalAge - time.Second)}),
		"of the future": signed(t, k, wire.RenewRequest{Agent: id.Agent, Time: r.now.Add(fleet.MaxRenewalAge + time.Second)}),
		"long nonce":    signed(t, k, wire.RenewRequest{Agent: id.Agent, Time: r.now, Nonce: strings.Repeat("n", 101)}),
	} {
		if _, err := r.Renew(t.Context(), q); !errors.Is(err, fleet.ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := r.Revoke(t.Context(), admin, "t-2", id.Agent); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant revokes: %v", err)
	}
	r.busErr = errors.New("no bus")
	a, err := r.Revoke(t.Context(), admin, "t-1", id.Agent)
	if err != nil || a.RevokedAt == nil || len(r.revoked) != 1 {
		t.Errorf("without the bus the store refuses it all the same: %+v, %v", a, err)
	}
	r.busErr = nil
	if _, err := r.Renew(t.Context(), good); !errors.Is(err, fleet.ErrRevoked) {
		t.Errorf("a revoked agent renews: %v", err)
	}
	if _, err := r.Revoke(t.Context(), admin, "t-1", id.Agent); !errors.Is(err, store.ErrConflict) {
		t.Errorf("revoked twice: %v", err)
	}
	// The machine may come back with a new token and a new key.
	if _, back := r.enrol(t, "web"); back.VM != id.VM || back.Agent == id.Agent {
		t.Errorf("%+v", back)
	}
}

func TestRefresh(t *testing.T) {
	r := newRig(t)
	_, id := r.enrol(t, "web")
	vm := estate.VM{ID: id.VM, Name: "web"}
	if err := r.Refresh(t.Context(), vm); err != nil || len(r.told) != 1 || r.told[0] != id.Agent+" refresh" {
		t.Errorf("%v, %v", r.told, err)
	}
	if err := r.Refresh(t.Context(), estate.VM{ID: "vm-none", Name: "none"}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
}

// TestCoverageOfLosses: what was lost or refused shows for a day, and says when
// to look again.
func TestCoverageOfLosses(t *testing.T) {
	r := newRig(t)
	_, id := r.enrol(t, "web")
	s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t-1", ID: id.VM}
	err := r.Store.Write(t.Context(), func(tx *store.Tx) error {
		known, err := tx.AgentsForIngest([]string{id.Agent})
		if err != nil {
			return err
		}
		a := known[id.Agent]
		a.SeenAt, a.Lost, a.Rejected = r.now, 7, 2
		a.Rejections = []store.Rejection{{At: r.now.Add(-23 * time.Hour), Kind: "host.os", Reason: "the data\x07 is no object"}}
		if err := tx.AdvanceAgents([]store.AgentIngest{a}); err != nil {
			return err
		}
		state, err := json.Marshal(wire.AgentState{ShedFacts: 100, ShedLastDay: 3})
		if err != nil {
			return err
		}
		return tx.PutFacts([]evidence.Fact{{Subject: s, Kind: wire.KindAgent, Data: state, Digest: "d", ObservedAt: r.now, ChangedAt: r.now, Source: "agent/x"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	type coverage struct {
		AgentSeen bool `json:"agent_seen"`
		Shed      int  `json:"shed"`
		Lost      []struct{ Aspect, Reason string }
	}
	look := func(after time.Duration) (c coverage, again time.Time) {
		facts := read(t, r, func(tx *store.Tx) ([]evidence.Fact, error) { return fleet.Coverage{}.Facts(tx, s, r.now.Add(after)) })
		if err := json.Unmarshal(facts[0].Data, &c); err != nil {
			t.Fatal(err)
		}
		return c, facts[0].Again
	}
	c, again := look(0)
	if !c.AgentSeen || c.Shed != 3 || len(c.Lost) != 1 || c.Lost[0].Reason != "7 lost and 2 refused since enrolment; lately: host.os: the data is no object" {
		t.Errorf("%+v", c)
	}
	if !again.Equal(r.now.Add(fleet.SilentAfter)) {
		t.Errorf("again at %s", again)
	}
	if c, again := look(10 * time.Minute); c.AgentSeen || len(c.Lost) != 1 || !again.Equal(r.now.Add(time.Hour)) {
		t.Errorf("%+v, again at %s", c, again)
	}
	if c, _ := look(time.Hour); len(c.Lost) != 0 {
		t.Errorf("a day later: %+v", c)
	}
}
