package tenancy_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/store/storetest"
	"github.com/demarc/demarc/internal/tenancy"
)

// rig is an estate whose ledger, judge and bus only take notes.
type rig struct {
	tenancy.Estate
	now     time.Time
	entries []ledger.Entry
	judged  []evidence.Subject
	failing error // of the ledger
	noBus   error
}

func (r *rig) Append(_ *store.Tx, es ...ledger.Entry) (int64, error) {
	r.entries = append(r.entries, es...)
	return 0, r.failing
}

func (r *rig) Rejudge(_ *store.Tx, s ...evidence.Subject) error {
	r.judged = append(r.judged, s...)
	return nil
}

func (r *rig) EnsureTenant(context.Context, string) error { return r.noBus }

func (r *rig) Find(id string) (responsibility.Duty, bool) {
	d := responsibility.Duty{ID: id, Scope: evidence.ScopeTenant, Party: responsibility.Customer}
	switch id {
	case "D/attested":
		d.Modes, d.AttestationFor = []responsibility.Mode{responsibility.Attested}, 30*24*time.Hour
	case "D/assessed":
		d.Scope, d.Modes = evidence.ScopeVM, []responsibility.Mode{responsibility.Assessed}
	case "D/provider":
		d.Scope = evidence.ScopeProvider
	default:
		return d, false
	}
	return d, true
}

func (r *rig) ServiceRule(id string) bool { return id == "hardening/rule" }

func (r *rig) last() ledger.Entry { return r.entries[len(r.entries)-1] }

func (r *rig) wasJudged(s evidence.Subject) bool { return slices.Contains(r.judged, s) }

var admin = access.Principal{ID: "p-1", Role: access.ProviderAdministrator}

func newRig(t *testing.T) *rig {
	t.Helper()
	keys, err := keyring.Open(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{now: time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)}
	r.Estate = tenancy.Estate{
		Store: storetest.Open(t, storetest.SQLite(t)), Ledger: r, Judge: r, Accounts: r, Keys: keys, Services: []string{"backup", "encryption"}, Now: func() time.Time { return r.now },
	}
	return r
}

// home makes a tenant with a VDC and a VM.
func (r *rig) home(t *testing.T, name string) (estate.Tenant, estate.VDC, estate.VM) {
	t.Helper()
	tenant, err := r.CreateTenant(t.Context(), admin, name, false)
	if err != nil {
		t.Fatal(err)
	}
	vdc, err := r.CreateVDC(t.Context(), admin, tenant.ID, "main")
	if err != nil {
		t.Fatal(err)
	}
	vm, err := r.RegisterVM(t.Context(), admin, tenant.ID, "main", "web", estate.Declaration{})
	if err != nil {
		t.Fatal(err)
	}
	return tenant, vdc, vm
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}
