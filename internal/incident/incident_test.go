package incident

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
)

var (
	chief = access.Principal{ID: "p-chief", Role: access.ProviderAdministrator, Kind: access.Person, MFA: true}
	owner = access.Principal{ID: "p-owner", Role: access.CustomerOwner, Tenant: "t-1", Kind: access.Person}
)

type rig struct {
	*testing.T
	store     *store.Store
	log       *ledger.Log
	incidents *Incidents
	judged    []evidence.Subject
}

func (r *rig) Rejudge(_ *store.Tx, s ...evidence.Subject) error {
	r.judged = append(r.judged, s...)
	return nil
}

// newRig makes tenants t-1, t-2, and t-own of the provider, each with a VM.
func newRig(t *testing.T, dsn string) *rig {
	t.Helper()
	r := &rig{T: t, store: storetest.Open(t, dsn)}
	var err error
	if r.log, err = ledger.New(ledger.Config{Store: r.store, Origin: "demarc/test"}); err != nil {
		t.Fatal(err)
	}
	r.incidents = &Incidents{Store: r.store, Ledger: r.log, Judge: r, Now: func() time.Time { return then.Add(time.Hour) }, Log: slog.New(slog.DiscardHandler)}
	r.write(func(tx *store.Tx) error {
		for _, id := range []string{"t-1", "t-2", "t-own"} {
			if err := tx.InsertTenant(&estate.Tenant{ID: id, Name: "name-" + id, Own: id == "t-own", CreatedAt: then}); err != nil {
				return err
			}
			vdc := estate.VDC{ID: "vdc-" + id, Tenant: id, Name: "main", CreatedAt: then}
			if err := tx.InsertVDC(&vdc); err != nil {
				return err
			}
			vm := estate.VM{ID: "v-" + id, Tenant: id, VDC: vdc.ID, Name: "web", State: lifecycle.Active, CreatedAt: then}
			if err := tx.InsertVM(&vm); err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

func (r *rig) write(f func(tx *store.Tx) error) {
	r.Helper()
	if err := r.store.Write(r.Context(), f); err != nil {
		r.Fatal(err)
	}
}

// report stores logins that an agent saw, as posture does.
func (r *rig) report(tenant string, logins ...Login) {
	r.Helper()
	s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: "v-" + tenant}
	raw, err := json.Marshal(Logins{Available: true, Logins: logins})
	if err != nil {
		r.Fatal(err)
	}
	r.write(func(tx *store.Tx) error {
		f := evidence.Fact{Subject: s, Kind: loginsKind, Data: raw, Digest: "sha256:" + strings.Repeat("1", 64), ObservedAt: then, ChangedAt: then, Source: "agent/a"}
		if err := tx.PutFacts([]evidence.Fact{f}); err != nil {
			return err
		}
		return r.incidents.Observe(tx, s)
	})
}

func (r *rig) list(tenant string) []store.Incident {
	r.Helper()
	list, err := r.incidents.List(r.Context(), tenant, store.Page{})
	if err != nil {
		r.Fatal(err)
	}
	return list
}

func TestGuestLogin(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) { guestLogin(newRig(t, dsn(t))) })
	}
}

func guestLogin(r *rig) {
	t := r.T
	bad := Login{User: "opsanna", Source: "198.51.100.7", Method: "publickey", At: then}
	// Before the identity is known, the login says nothing; then the machine is
	// looked through again.
	r.report("t-1", bad)
	r.report("t-own", bad)
	if n := len(r.list("t-1")); n != 0 {
		t.Fatalf("%d incidents without a known identity", n)
	}
	added, err := r.incidents.Register(t.Context(), chief, Account, "opsanna", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.incidents.Register(t.Context(), chief, Account, "opsanna", ""); !errors.Is(err, store.ErrConflict) {
		t.Errorf("registered twice: %v", err)
	}
	for range 2 {
		if err := r.incidents.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list := r.list("t-1")
	if len(list) != 1 || !strings.Contains(list[0].Words, "account opsanna") || list[0].Closed != nil {
		t.Fatalf("incidents: %+v", list)
	}
	if n := len(r.list("t-own")) + len(r.list("t-2")); n != 0 {
		t.Errorf("%d incidents where there is none", n)
	}
	// The same login again is the same incident; another is another.
	r.report("t-1", bad, Login{User: "ben", At: then})
	r.report("t-1", bad, Login{User: "opsanna", Source: "198.51.100.7", At: then.Add(time.Minute)})
	if n := len(r.list("t-1")); n != 2 {
		t.Errorf("%d incidents, want 2", n)
	}
	for _, c := range []struct {
		tenant, note string
		want         error
	}{{"t-1", " ", estate.ErrInvalid}, {"t-1", "a\x00b c", estate.ErrInvalid}, {"t-2", "not mine", store.ErrNotFound}} {
		if _, err := r.incidents.Close(t.Context(), owner, c.tenant, list[0].ID, c.note); !errors.Is(err, c.want) {
			t.Errorf("close with %q in %s: %v", c.note, c.tenant, err)
		}
	}
	closed, err := r.incidents.Close(t.Context(), owner, "t-1", list[0].ID, "We asked for it by telephone.")
	if err != nil || closed.Closed == nil || closed.ClosedBy != owner.Actor() {
		t.Errorf("closed: %+v, %v", closed, err)
	}
	if _, err := r.incidents.Close(t.Context(), owner, "t-1", list[0].ID, "again"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("closed twice: %v", err)
	}
	// A closed incident does not come back with the next report.
	r.report("t-1", bad)
	if n := len(r.list("t-1")); n != 2 {
		t.Errorf("%d incidents after one was closed, want 2", n)
	}
	r.factsFollow(added)
}

// factsFollow checks that there is a fact while an identity is known.
func (r *rig) factsFollow(added store.ProviderIdentity) {
	r.Helper()
	facts := func() (list []evidence.Fact) {
		err := r.store.Read(r.Context(), func(tx *store.Tx) (err error) {
			list, err = r.incidents.Facts(tx, evidence.Provider, then)
			return err
		})
		if err != nil {
			r.Fatal(err)
		}
		return list
	}
	if list := facts(); len(list) != 1 || !strings.Contains(string(list[0].Data), `"opsanna"`) {
		r.Errorf("facts: %s", list)
	}
	if err := r.incidents.Remove(r.Context(), chief, added.ID); err != nil {
		r.Fatal(err)
	}
	if list := facts(); len(list) != 0 {
		r.Errorf("none is known, and there is the fact %s", list[0].Data)
	}
}

// The key of a certificate counts from its issue until a month after its end.
func TestNoticed(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for range 2 {
		r.write(func(tx *store.Tx) error { return r.incidents.Noticed(tx, chief, key, then.Add(2*time.Hour)) })
	}
	r.report("t-1", Login{User: "root", Key: key, At: then})
	if n := len(r.list("t-1")); n != 1 {
		t.Errorf("%d incidents, want 1", n)
	}
	r.incidents.Now = func() time.Time { return then.AddDate(0, 2, 0) }
	r.report("t-2", Login{User: "root", Key: key, At: then})
	if n := len(r.list("t-2")); n != 0 {
		t.Errorf("%d incidents with a key of long ago", n)
	}
}

// A login from a network of the configuration is one from the provider.
func TestConfiguredNetwork(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.incidents.Networks = []string{"192.0.2.0/24"}
	r.report("t-1", Login{User: "root", Source: "192.0.2.44", At: then})
	if n := len(r.list("t-1")); n != 1 {
		t.Errorf("%d incidents, want 1", n)
	}
	if err := CheckNetworks([]string{"0.0.0.0/0"}); !errors.Is(err, estate.ErrInvalid) {
		t.Errorf("the whole world as the provider's network: %v", err)
	}
}
