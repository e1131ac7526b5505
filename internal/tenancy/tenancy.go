// Package tenancy keeps the estate: tenants, their VDCs and VMs, contacts,
// subscriptions, and the statements that people make about duties. Every
// change is one transaction with its ledger entry and the verdicts that follow
// from it.
package tenancy

import (
	"context"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/keyring"
	"github.com/demarc/demarc/internal/ledger"
	"github.com/demarc/demarc/internal/lifecycle"
	"github.com/demarc/demarc/internal/store"
)

// Recorder appends to the ledger within a transaction.
type Recorder interface {
	Append(tx *store.Tx, entries ...ledger.Entry) (first int64, err error)
}

// Judge judges the duties of subjects within a transaction.
type Judge interface {
	Rejudge(tx *store.Tx, subjects ...evidence.Subject) error
}

// Accounts makes the tenant's account on the bus.
type Accounts interface {
	EnsureTenant(ctx context.Context, tenant string) error
}

// Estate is the use-case. All members are required. It is safe for concurrent use.
type Estate struct {
	Store    *store.Store
	Ledger   Recorder
	Judge    Judge
	Accounts Accounts
	Keys     *keyring.Keyring
	// Services are the names of the services that can be bought.
	Services []string
	Now      func() time.Time
}

func (e *Estate) record(tx *store.Tx, by access.Principal, tenant, action, subject string, digests map[string]string) error {
	_, err := e.Ledger.Append(tx, ledger.Entry{
		Time: e.Now(), Tenant: tenant, Actor: by.Actor(), Action: action, Subject: subject, Digests: digests,
	})
	return err
}

// CreateTenant adds a tenant with an encryption key of its own. own marks a
// tenant of the provider's own hosts.
func (e *Estate) CreateTenant(ctx context.Context, by access.Principal, name string, own bool) (estate.Tenant, error) {
	t := estate.Tenant{ID: ident.New("t"), Name: name, Own: own, CreatedAt: e.Now()}
	if err := estate.CheckName("tenant", name); err != nil {
		return t, err
	}
	wrapped, err := e.Keys.NewDataKey("tenant/" + t.ID)
	if err != nil {
		return t, err
	}
	// The bus account first: an account without a tenant harms nobody, a
	// tenant without an account could not enrol a machine.
	if err := e.Accounts.EnsureTenant(ctx, t.ID); err != nil {
		return t, fmt.Errorf("make the bus account of tenant %s: %w: %w", name, store.ErrUnavailable, err)
	}
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.InsertTenant(&t); err != nil {
			return err
		}
		if err := tx.InsertTenantKey(t.ID, wrapped); err != nil {
			return err
		}
		if err := e.record(tx, by, t.ID, "tenant.create", "tenant/"+t.ID, nil); err != nil {
			return err
		}
		return e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeTenant, Tenant: t.ID, ID: t.ID})
	})
	return t, err
}

// RenameTenant changes a tenant's name.
func (e *Estate) RenameTenant(ctx context.Context, by access.Principal, id, name string, version int64) (t estate.Tenant, err error) {
	if err := estate.CheckName("tenant", name); err != nil {
		return t, err
	}
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.RenameTenant(id, name, version); err != nil {
			return err
		}
		if t, err = tx.Tenant(id); err != nil {
			return err
		}
		return e.record(tx, by, id, "tenant.change", "tenant/"+id, nil)
	})
	return t, err
}

// CreateVDC adds a VDC to a tenant.
func (e *Estate) CreateVDC(ctx context.Context, by access.Principal, tenant, name string) (estate.VDC, error) {
	v := estate.VDC{ID: ident.New("vdc"), Tenant: tenant, Name: name, CreatedAt: e.Now()}
	if err := estate.CheckName("VDC", name); err != nil {
		return v, err
	}
	err := e.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.InsertVDC(&v); err != nil {
			return err
		}
		if err := e.record(tx, by, tenant, "vdc.create", "vdc/"+v.ID, nil); err != nil {
			return err
		}
		return e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVDC, Tenant: tenant, ID: v.ID})
	})
	return v, err
}

// RegisterVM adds a VM that runs already.
func (e *Estate) RegisterVM(ctx context.Context, by access.Principal, tenant, vdc, name string, d estate.Declaration) (vm estate.VM, err error) {
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		home, err := tx.VDC(tenant, vdc)
		if err != nil {
			return err
		}
		if err := accountable(tx, tenant, d); err != nil {
			return err
		}
		vm, err = e.AddVM(tx, by.Actor(), home, name, d)
		return err
	})
	return vm, err
}

// AddVM adds a running VM to a VDC within a transaction.
func (e *Estate) AddVM(tx *store.Tx, actor string, home estate.VDC, name string, d estate.Declaration) (estate.VM, error) {
	vm := estate.VM{
		ID: ident.New("vm"), Tenant: home.Tenant, VDC: home.ID, Name: name, State: lifecycle.Active, Declared: d, CreatedAt: e.Now(),
	}
	if err := estate.CheckName("VM", name); err != nil {
		return vm, err
	}
	if err := d.Check(); err != nil {
		return vm, err
	}
	if err := tx.InsertVM(&vm); err != nil {
		return vm, err
	}
	_, err := e.Ledger.Append(tx, ledger.Entry{Time: e.Now(), Tenant: vm.Tenant, Actor: actor, Action: "vm.register", Subject: "vm/" + vm.ID})
	if err != nil {
		return vm, err
	}
	return vm, e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVM, Tenant: vm.Tenant, ID: vm.ID})
}

// DeclareVM replaces what is declared about a VM.
func (e *Estate) DeclareVM(ctx context.Context, by access.Principal, tenant, ref string, d estate.Declaration, version int64) (vm estate.VM, err error) {
	if err := d.Check(); err != nil {
		return vm, err
	}
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		if vm, err = tx.VM(tenant, ref); err != nil {
			return err
		}
		if version != 0 {
			vm.Version = version
		}
		if err := accountable(tx, tenant, d); err != nil {
			return err
		}
		vm.Declared = d
		if err := tx.UpdateVM(&vm); err != nil {
			return err
		}
		if err := e.record(tx, by, tenant, "vm.declare", "vm/"+vm.ID, nil); err != nil {
			return err
		}
		return e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: vm.ID})
	})
	return vm, err
}

// accountable checks that the contact who is to answer for a VM is there.
func accountable(tx *store.Tx, tenant string, d estate.Declaration) error {
	if d.Accountable == "" {
		return nil
	}
	if _, err := tx.Contact(tenant, d.Accountable); err != nil {
		return fmt.Errorf("%w: the accountable contact: %w", estate.ErrInvalid, err)
	}
	return nil
}
