package privilege

import (
	"encoding/json"
	"log/slog"
	"slices"
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

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// roles is a policy of three customer roles, each within the next.
type roles struct{}

// Allowed implements Policy.
func (roles) Allowed(r access.Role) []access.Action {
	switch r {
	case access.CustomerOwner:
		return []access.Action{access.Look, access.ManageEstate, access.Subscribe, access.ManagePeople}
	case access.CustomerAdministrator:
		return []access.Action{access.Look, access.ManageEstate, access.Subscribe}
	case access.CustomerApprover:
		return []access.Action{access.Look, access.Subscribe}
	case access.CustomerViewer:
		return []access.Action{access.Look}
	}
	return nil
}

type rig struct {
	*testing.T
	log *ledger.Log
	p   *Privileges
}

func newRig(t *testing.T, dsn string) *rig {
	t.Helper()
	s := storetest.Open(t, dsn)
	log, err := ledger.New(ledger.Config{Store: s, Origin: "demarc/test"})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, log, &Privileges{Store: s, Policy: roles{}, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}}
	r.write(func(tx *store.Tx) error {
		for _, id := range []string{"t-1", "t-2"} {
			if err := tx.InsertTenant(&estate.Tenant{ID: id, Name: "name-" + id, CreatedAt: noon}); err != nil {
				return err
			}
			vdc := estate.VDC{ID: "vdc-" + id, Tenant: id, Name: "main", CreatedAt: noon}
			if err := tx.InsertVDC(&vdc); err != nil {
				return err
			}
			vm := estate.VM{ID: "v-" + id, Tenant: id, VDC: vdc.ID, Name: "web-" + id, State: lifecycle.Active, CreatedAt: noon}
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
	if err := r.p.Store.Write(r.Context(), f); err != nil {
		r.Fatal(err)
	}
}

func days(n int) time.Time { return noon.AddDate(0, 0, -n) }

// who adds a principal that is so many days old, and what it did how many days ago.
func (r *rig) who(id string, role access.Role, age int, did map[string]int) {
	r.Helper()
	p := access.Principal{ID: id, Name: "Name of " + id, Role: role, Tenant: "t-1", Kind: access.Person}
	if strings.HasPrefix(id, "p-program") {
		p.Kind = access.Service
	}
	r.write(func(tx *store.Tx) error {
		if err := tx.InsertPrincipal(store.Credential{Principal: p, CreatedAt: days(age)}); err != nil {
			return err
		}
		var entries []ledger.Entry
		for action, ago := range did {
			entries = append(entries, ledger.Entry{Time: days(ago), Tenant: "t-1", Actor: p.Actor(), Action: action, Subject: "x/y"})
		}
		_, err := r.log.Append(tx, entries...)
		return err
	})
}

func (r *rig) report() (unused, wide []string) {
	r.Helper()
	if err := r.p.Follow(r.Context()); err != nil {
		r.Fatal(err)
	}
	rep, err := r.p.Report(r.Context(), "t-1")
	if err != nil {
		r.Fatal(err)
	}
	for _, u := range rep.Unused {
		unused = append(unused, u.Who+": "+u.Why)
	}
	for _, w := range rep.Wide {
		wide = append(wide, w.Who+" > "+string(w.Suffices))
	}
	slices.Sort(unused)
	return unused, wide
}

func TestReport(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) { report(newRig(t, dsn(t))) })
	}
}

func report(r *rig) {
	const resting, idle = "was not seen for 90 days", "used none of the rights of its role for 90 days"
	r.who("p-owner", access.CustomerOwner, 300, map[string]int{"session.start": 1, "subscription.create": 2}) // the only owner
	r.who("p-busy", access.CustomerAdministrator, 300, map[string]int{"vm.declare": 3, "subscription.create": 5})
	r.who("p-wide", access.CustomerAdministrator, 300, map[string]int{"subscription.create": 3, "vm.declare": 100})
	r.who("p-idle", access.CustomerAdministrator, 300, map[string]int{"session.start": 3, "vm.declare": 100})
	r.who("p-gone", access.CustomerViewer, 300, map[string]int{"session.start": 91})
	r.who("p-never", access.CustomerApprover, 300, nil)
	r.who("p-looks", access.CustomerViewer, 300, map[string]int{"session.start": 3})
	r.who("p-new", access.CustomerAdministrator, 10, nil)
	r.who("p-program-reads", access.CustomerViewer, 300, nil)
	r.who("p-program-idle", access.CustomerAdministrator, 300, nil)
	r.who("p-revoked", access.CustomerAdministrator, 300, nil)
	r.write(func(tx *store.Tx) error { return tx.RevokePrincipal("p-revoked", noon) })
	unused, wide := r.report()
	want := []string{
		"customer-administrator/p-idle: " + idle, "customer-administrator/p-program-idle: " + idle, "customer-approver/p-never: " + resting, "customer-viewer/p-gone: " + resting,
	}
	if !slices.Equal(unused, want) {
		r.Errorf("unused: %q, want %q", unused, want)
	}
	if !slices.Equal(wide, []string{"customer-administrator/p-wide > customer-approver"}) {
		r.Errorf("wide: %q", wide)
	}
	// With another owner, one may be told that less would do.
	r.who("p-second", access.CustomerOwner, 300, map[string]int{"principal.create": 1})
	if _, wide := r.report(); !slices.Contains(wide, "customer-owner/p-owner > customer-approver") {
		r.Errorf("wide with two owners: %q", wide)
	}
}

// The ledger is read once to its end, whoever reads it, and goes on from there.
func TestFollow(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	entries := make([]ledger.Entry, 2*readAtOnce+7)
	for i := range entries {
		entries[i] = ledger.Entry{Time: days(5), Tenant: "t-1", Actor: "customer-owner/p-1", Action: "vm.declare", Subject: "vm/v"}
	}
	r.write(func(tx *store.Tx) error { _, err := r.log.Append(tx, entries...); return err })
	other := &Privileges{Store: r.p.Store, Policy: roles{}, Now: r.p.Now, Log: r.p.Log}
	for _, p := range []*Privileges{r.p, other, r.p} {
		if err := p.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var uses []store.ActorUse
	err := r.p.Store.Read(t.Context(), func(tx *store.Tx) (err error) {
		uses, err = tx.Uses("customer-owner/p-1")
		return err
	})
	if err != nil || len(uses) != 1 || uses[0].Uses != int64(len(entries)) || !uses[0].Last.Equal(days(5)) {
		t.Errorf("%+v, %v; want %d uses", uses, err, len(entries))
	}
}

func TestAccounts(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	users := func(tenant, dormant string) {
		s := evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: "v-" + tenant}
		raw, _ := json.Marshal(map[string]any{"dormant": strings.Fields(dormant), "users": []map[string]any{
			{"name": "anna", "admin": true, "can_login": true, "last_login": days(100)}, {"name": "ben", "can_login": true}, {"name": "root", "admin": true},
		}})
		r.write(func(tx *store.Tx) error {
			if err := tx.PutFacts([]evidence.Fact{{Subject: s, Kind: usersKind, Data: raw, Digest: dormant, ObservedAt: noon, ChangedAt: noon, Source: "agent/a"}}); err != nil {
				return err
			}
			return r.p.Observe(tx, s)
		})
	}
	users("t-1", "anna ben")
	users("t-2", "anna")
	unused, _ := r.report()
	if len(unused) != 1 || !strings.HasPrefix(unused[0], "anna on web-t-1: ") {
		t.Errorf("%q", unused)
	}
	users("t-1", "ben")
	if unused, _ := r.report(); len(unused) != 0 {
		t.Errorf("after a login: %q", unused)
	}
	// The fact names no people.
	r.who("p-gone", access.CustomerViewer, 300, nil)
	err := r.p.Store.Read(t.Context(), func(tx *store.Tx) error {
		facts, err := r.p.Facts(tx, evidence.Subject{Scope: evidence.ScopeTenant, Tenant: "t-1", ID: "t-1"}, noon)
		if err == nil && (strings.Contains(string(facts[0].Data), "Name of") || !strings.Contains(string(facts[0].Data), "customer-viewer/p-gone")) {
			t.Errorf("fact: %s", facts[0].Data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
