package sessionaudit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/decision"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/sessionaudit"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

const authority = "SHA256:authority"

// rig is a store with a customer t-1, a host hv-1 of the provider, and one
// session gone as it should.
type rig struct {
	*testing.T
	store   *store.Store
	log     *ledger.Log
	auditor *sessionaudit.Auditor
	private ed25519.PrivateKey
	keys    decision.KeySet
	faults  map[string]string // of recordings
}

// Verified implements sessionaudit.Recordings.
func (r *rig) Verified(_ context.Context, rec store.Recording) (string, bool, error) {
	return r.faults[rec.ID], true, nil
}

func newRig(t *testing.T, dsn string) *rig {
	t.Helper()
	r := &rig{T: t, store: storetest.Open(t, dsn), faults: map[string]string{}}
	var err error
	if r.log, err = ledger.New(ledger.Config{Store: r.store, Origin: "demarc/test", Now: func() time.Time { return noon }}); err != nil {
		t.Fatal(err)
	}
	r.auditor = &sessionaudit.Auditor{
		Store: r.store, Recordings: r, Authority: func() string { return authority }, Now: func() time.Time { return noon.Add(2 * time.Hour) },
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	r.private = private
	k := decision.Key{Holder: "p-owner", Algorithm: decision.Ed25519, Public: der}
	k.ID = decision.KeyID(der)
	r.keys = decision.KeySet{Tenant: "t-1", Version: 1, Keys: []decision.Key{k}}
	r.write(func(tx *store.Tx) error {
		for _, id := range []string{"t-1", "t-own"} {
			if err := tx.InsertTenant(&estate.Tenant{ID: id, Name: "name-" + id, Own: id == "t-own", CreatedAt: noon}); err != nil {
				return err
			}
		}
		vdc := estate.VDC{ID: "vdc", Tenant: "t-own", Name: "main", CreatedAt: noon}
		if err := tx.InsertVDC(&vdc); err != nil {
			return err
		}
		vm := estate.VM{ID: "v-hv", Tenant: "t-own", VDC: vdc.ID, Name: "hv-1", State: lifecycle.Active, CreatedAt: noon}
		if err := tx.InsertVM(&vm); err != nil {
			return err
		}
		if err := tx.InsertKeySet(&store.KeySet{KeySet: r.keys, CreatedAt: noon.Add(-time.Hour), By: "customer-owner/p-owner"}); err != nil {
			return err
		}
		return tx.InsertTarget(store.Target{ID: "ta-1", Name: "hv-1", Kind: "host", Address: "192.0.2.10:22", Login: "root", CreatedAt: noon})
	})
	return r
}

func (r *rig) write(f func(tx *store.Tx) error) {
	r.Helper()
	if err := r.store.Write(r.Context(), f); err != nil {
		r.Fatal(err)
	}
}

// decisionID is the id of the decision about a grant.
func decisionID(grant string) string {
	return "d-" + strings.Repeat("0", 26-len("gr1")) + strings.ReplaceAll(grant, "-", "")
}

// approve makes a grant in force from noon to one, with a decision; change can
// spoil either before it is kept.
func (r *rig) approve(id string, change func(g *store.Grant, c *decision.ApprovalContent)) {
	r.Helper()
	g := store.Grant{
		ID: id, Tenant: "t-1", Holder: "p-ops", Ticket: "4711", Purpose: "a disk is full", Duration: time.Hour, State: access.InForce,
		Scope: []access.Ability{{Do: "shell", Target: "ta-1"}}, Granted: []access.Ability{{Do: "shell", Target: "ta-1"}},
		RequestedAt: noon.Add(-time.Minute), LapsesAt: noon.Add(time.Hour), From: noon, Until: noon.Add(time.Hour), ApprovedBy: "p-owner", Decision: decisionID(id), Version: 1,
	}
	c := decision.ApprovalContent{Grant: id, Holder: "p-ops", Ticket: "4711", Purpose: "a disk is full", Scope: []decision.Ability{{Do: "shell", Target: "ta-1"}}, Seconds: 3600}
	if change != nil {
		change(&g, &c)
	}
	content, err := canonical.JSON(c)
	if err != nil {
		r.Fatal(err)
	}
	d := decision.Decision{
		ID: decisionID(id), Kind: decision.AccessApproval, Tenant: "t-1", Subject: "grant/" + c.Grant, IssuedAt: noon.Add(-time.Minute), ExpiresAt: noon.Add(time.Hour), Content: content,
	}
	text, err := d.Canonical()
	if err != nil {
		r.Fatal(err)
	}
	r.write(func(tx *store.Tx) error {
		if err := grow(tx, g); err != nil {
			return err
		}
		if g.Decision == "" {
			return nil
		}
		if err := tx.InsertDecision(&store.Decision{Decision: d, State: "pending", ProposedBy: "customer-owner/p-owner"}); err != nil {
			return err
		}
		if err := tx.InsertSignature(d.ID, store.GivenSignature{
			Signature: decision.Signature{Key: r.keys.Keys[0].ID, Algorithm: decision.Ed25519, Signature: ed25519.Sign(r.private, decision.Message(text))},
			At:        noon, By: "customer-owner/p-owner",
		}); err != nil {
			return err
		}
		return tx.Decide(d.ID, "signed", noon)
	})
}

// grow takes a grant through its states to the one that it has.
func grow(tx *store.Tx, g store.Grant) error {
	path := []access.GrantState{access.Requested, access.InForce}
	if g.BreakGlass {
		path = path[1:]
	}
	if g.State != access.InForce {
		path = append(path, g.State)
	}
	event := func(from, to access.GrantState) store.GrantEvent {
		return store.GrantEvent{Grant: g.ID, Number: g.Version, At: noon, Actor: "provider-support/p-ops", What: "move", From: from, To: to}
	}
	g.Version, g.State = 1, path[0]
	err := tx.InsertGrant(&g, event("", g.State))
	for i, to := range path[1:] {
		if err == nil {
			g.State = to
			err = tx.ChangeGrant(&g, path[i], event(path[i], to))
		}
	}
	return err
}

// session records a session of half an hour from noon on.
func (r *rig) session(id, grant string, change func(s *store.Recording)) {
	r.Helper()
	end := noon.Add(30 * time.Minute)
	s := store.Recording{ID: id, Tenant: "t-1", Grant: grant, Holder: "p-ops", Target: "ta-1", Kind: "shell", Server: "here", State: "open", Started: noon.Add(time.Second), Ended: &end}
	if change != nil {
		change(&s)
	}
	r.write(func(tx *store.Tx) error {
		if err := tx.InsertRecording(s); err != nil {
			return err
		}
		if err := tx.EndRecording(id, "complete", "closed", *s.Ended, 1); err != nil {
			return err
		}
		_, err := r.log.Append(tx, ledger.Entry{Tenant: "t-1", Actor: "provider-support/p-ops", Action: "session.open", Subject: "session/" + id})
		return err
	})
}

type login struct {
	User        string    `json:"user"`
	Source      string    `json:"source,omitempty"`
	Method      string    `json:"method,omitempty"`
	Certificate string    `json:"certificate,omitempty"`
	Authority   string    `json:"authority,omitempty"`
	At          time.Time `json:"at"`
}

// logins reports what the agent of hv-1 sees.
func (r *rig) logins(list ...login) {
	r.Helper()
	raw, err := json.Marshal(map[string]any{"available": true, "logins": list})
	if err != nil {
		r.Fatal(err)
	}
	s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: "t-own", ID: "v-hv"}
	r.write(func(tx *store.Tx) error {
		f := evidence.Fact{Subject: s, Kind: "host.logins", Data: raw, Digest: "d", ObservedAt: noon, ChangedAt: noon, Source: "agent/a"}
		if err := tx.PutFacts([]evidence.Fact{f}); err != nil {
			return err
		}
		return r.auditor.Observe(tx, s)
	})
}

func (r *rig) audit(tenant string) sessionaudit.Report {
	r.Helper()
	rep, err := r.auditor.Of(r.Context(), tenant, noon.Add(-24*time.Hour))
	if err != nil {
		r.Fatal(err)
	}
	return rep
}

func TestExplained(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, dsn(t))
			r.approve("gr-1", nil)
			r.session("rec-1", "gr-1", nil)
			in := login{User: "root", Source: "192.0.2.1", Method: "publickey", Certificate: "demarc/gr-1/rec-1", Authority: authority, At: noon.Add(2 * time.Second)}
			r.logins(in)
			r.logins(in) // told again
			for _, tenant := range []string{"t-1", ""} {
				rep := r.audit(tenant)
				if rep.Unexplained != 0 || len(rep.Sessions) != 1 || rep.Explained != 1 {
					t.Fatalf("audit of %q: %+v", tenant, rep)
				}
				if s := rep.Sessions[0]; s.Why != "" || s.Recorded != "verified" || s.Ticket != "4711" || s.TargetName != "hv-1" {
					t.Errorf("session: %+v", s)
				}
				if len(rep.Approvals) != 1 || sessionaudit.Proves("gr-1", "p-ops", rep.Approvals[0].Signed, rep.Approvals[0].Keys.KeySet, rep.Approvals[0].At) != nil {
					t.Errorf("approvals: %+v", rep.Approvals)
				}
			}
			if n := len(r.audit("t-1").Logins); n != 0 {
				t.Errorf("a tenant is shown %d explained logins", n)
			}
		})
	}
}

// Each way in which a session can be without approval is found and named.
func TestUnexplainedSessions(t *testing.T) {
	other := func(s *store.Recording) {}
	for name, c := range map[string]struct {
		grant   func(g *store.Grant, c *decision.ApprovalContent)
		session func(s *store.Recording)
		want    string
	}{
		"no grant":         {session: func(s *store.Recording) { s.Grant = "gr-none" }, want: "there is no grant"},
		"another's grant":  {session: func(s *store.Recording) { s.Holder = "p-eve" }, want: "another person's"},
		"another target":   {grant: func(g *store.Grant, _ *decision.ApprovalContent) { g.Granted[0].Target = "ta-2" }, session: other, want: "does not reach hv-1"},
		"before the grant": {session: func(s *store.Recording) { s.Started = noon.Add(-time.Minute) }, want: "began before"},
		"after the grant":  {session: func(s *store.Recording) { e := noon.Add(61 * time.Minute); s.Ended = &e }, want: "went on after"},
		"revoked meanwhile": {grant: func(g *store.Grant, _ *decision.ApprovalContent) {
			g.State, g.EndedAt = access.Revoked, noon.Add(10*time.Minute)
		}, want: "went on after"},
		"signed for another person": {
			grant: func(_ *store.Grant, c *decision.ApprovalContent) { c.Holder = "p-eve" }, want: "lets another person in",
		},
		"signed for another grant": {
			grant: func(_ *store.Grant, c *decision.ApprovalContent) { c.Grant = "gr-9" }, want: "another grant",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, storetest.SQLite(t))
			r.approve("gr-1", c.grant)
			r.session("rec-1", "gr-1", c.session)
			rep := r.audit("t-1")
			if rep.Unexplained != 1 || !strings.Contains(rep.Sessions[0].Why, c.want) {
				t.Errorf("%d unexplained, %q; want %q", rep.Unexplained, rep.Sessions[0].Why, c.want)
			}
		})
	}
}

// A decision that the server made up does not hold: the customer's key did not
// sign it.
func TestForgedApproval(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	_, r.private, _ = ed25519.GenerateKey(nil)
	r.approve("gr-1", nil)
	r.session("rec-1", "gr-1", nil)
	if rep := r.audit("t-1"); rep.Unexplained != 1 || !strings.Contains(rep.Sessions[0].Why, "its approval does not hold") {
		t.Errorf("%+v", rep.Sessions)
	}
}

func TestBreakGlass(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.approve("gr-1", func(g *store.Grant, _ *decision.ApprovalContent) {
		g.BreakGlass, g.Notice, g.NoticeDue, g.Decision, g.ApprovedBy = true, store.NoticeOwed, noon.Add(24*time.Hour), "", ""
	})
	r.session("rec-1", "gr-1", nil)
	if rep := r.audit("t-1"); rep.Unexplained != 0 || !rep.Sessions[0].BreakGlass {
		t.Errorf("%+v", rep.Sessions)
	}
}

// What the ledger tells of and nobody recorded, and a recording with a flipped
// byte, are found.
func TestMissingAndBrokenRecordings(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.approve("gr-1", nil)
	r.session("rec-1", "gr-1", nil)
	r.faults["rec-1"] = "segment 3 is not what was sealed"
	r.write(func(tx *store.Tx) error {
		_, err := r.log.Append(tx, ledger.Entry{Tenant: "t-1", Actor: "provider-support/p-ops", Action: "session.open", Subject: "session/rec-gone"})
		return err
	})
	rep := r.audit("t-1")
	if rep.Unexplained != 2 {
		t.Errorf("%d unexplained: %+v", rep.Unexplained, rep.Sessions)
	}
}

// Each way in which somebody can be on a host without a session is found.
func TestUnexplainedLogins(t *testing.T) {
	at := noon.Add(time.Minute)
	for name, c := range map[string]struct {
		login login
		want  string
	}{
		"a password":                  {login{User: "root", Source: "192.0.2.9", Method: "password", At: at}, "no session of the gateway: as root from 192.0.2.9 by password"},
		"the console":                 {login{User: "anna", At: at}, "as anna from the console"},
		"another authority":           {login{User: "root", Certificate: "demarc/gr-1/rec-1", Authority: "SHA256:other", At: at}, "signed by somebody else"},
		"no such grant":               {login{User: "root", Certificate: "demarc/gr-9/rec-1", Authority: authority, At: at}, "a grant that is not there"},
		"no such session":             {login{User: "root", Certificate: "demarc/gr-1/rec-9", Authority: authority, At: at}, "a session that is not there"},
		"a session that is over":      {login{User: "root", Certificate: "demarc/gr-1/rec-1", Authority: authority, At: noon.Add(time.Hour)}, "not while its session was open"},
		"a key id that says little":   {login{User: "root", Certificate: "demarc/", Authority: authority, At: at}, "no session of the gateway"},
		"text that no database takes": {login{User: "ro\x00ot", Source: "x\x1b[2J", At: at}, "no session of the gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, storetest.SQLite(t))
			r.approve("gr-1", nil)
			r.session("rec-1", "gr-1", nil)
			r.logins(c.login)
			for _, tenant := range []string{"", "t-1"} {
				rep := r.audit(tenant)
				if rep.Unexplained != 1 || len(rep.Logins) != 1 || !strings.Contains(rep.Logins[0].Why, c.want) {
					t.Errorf("%+v; want %q", rep.Logins, c.want)
				}
			}
		})
	}
}

// What the hosts show of changes of networks: nothing while none is watched,
// then whoever logged in past the gateway, and what was not reviewed.
func TestNetworkChanges(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	facts := func() map[string]any {
		var out map[string]any
		err := r.store.Read(t.Context(), func(tx *store.Tx) error {
			list, err := r.auditor.Facts(tx, evidence.Provider, noon.Add(time.Hour))
			if err == nil && len(list) == 1 {
				err = json.Unmarshal(list[0].Data, &out)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if f := facts(); f != nil {
		t.Errorf("without a watched host: %v", f)
	}
	r.approve("gr-1", nil)
	r.session("rec-1", "gr-1", nil)
	r.logins(login{User: "root", Certificate: "demarc/gr-1/rec-1", Authority: authority, At: noon.Add(2 * time.Second)})
	if f := facts(); f["gate"] != true || len(f["unauthorized"].([]any)) != 0 || len(f["drift"].([]any)) != 0 {
		t.Errorf("with a session: %v", f)
	}
	r.logins(login{User: "root", Source: "192.0.2.9", At: noon.Add(time.Minute)})
	r.write(func(tx *store.Tx) error {
		if err := tx.InsertTarget(store.Target{ID: "ta-2", Name: "hv-2", Kind: "host", Address: "192.0.2.11:22", Login: "root", CreatedAt: noon}); err != nil {
			return err
		}
		return tx.PutNetworkState(store.NetworkState{VM: "v-hv", Tenant: "t-own", Present: []string{"a"}, Reviewed: []string{}, Changes: 1, Observed: noon})
	})
	if f := facts(); f["gate"] != false || len(f["unauthorized"].([]any)) != 1 || len(f["drift"].([]any)) != 1 {
		t.Errorf("past the gateway: %v", f)
	}
}
