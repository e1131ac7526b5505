package tenancy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/ident"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

// grace is how far in the past a moment may lie that was meant as now.
const grace = time.Minute

// Subscribe buys a service. vdc and vm are ids or names; with neither it
// covers all VMs of the tenant. A zero from means now. The past cannot be
// bought: who was responsible then is history.
func (e *Estate) Subscribe(ctx context.Context, by access.Principal, tenant, service, vdc, vm string, from time.Time, to *time.Time) (s responsibility.Subscription, err error) {
	now := e.Now()
	if from.IsZero() {
		from = now
	}
	s = responsibility.Subscription{ID: ident.New("s"), Tenant: tenant, Service: service, From: from.UTC().Truncate(time.Microsecond), To: to}
	switch {
	case !slices.Contains(e.Services, service):
		return s, fmt.Errorf("%w: no service %q can be bought; there are %s", estate.ErrInvalid, service, strings.Join(e.Services, ", "))
	case vdc != "" && vm != "":
		return s, fmt.Errorf("%w: a subscription covers one VM, one VDC or the whole tenant: give a VM or a VDC, not both", estate.ErrInvalid)
	case from.Before(now.Add(-grace)):
		return s, fmt.Errorf("%w: a subscription cannot begin in the past (%s); leave the start out to begin now", estate.ErrInvalid, from.Format(time.RFC3339))
	case to != nil && !to.After(from):
		return s, fmt.Errorf("%w: a subscription must end after it begins", estate.ErrInvalid)
	}
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		switch {
		case vdc != "":
			v, err := tx.VDC(tenant, vdc)
			if err != nil {
				return err
			}
			s.Covers.VDC = v.ID
		case vm != "":
			m, err := tx.VM(tenant, vm)
			if err != nil {
				return err
			}
			s.Covers.VM = m.ID
		default:
			s.Covers.All = true
		}
		if err := tx.InsertSubscription(s, now); err != nil {
			return err
		}
		if err := e.record(tx, by, tenant, "subscription.create", "subscription/"+s.ID, nil); err != nil {
			return err
		}
		return e.rejudgeVMs(tx, tenant)
	})
	return s, err
}

// EndSubscription ends a subscription now or later. A zero at means now.
func (e *Estate) EndSubscription(ctx context.Context, by access.Principal, tenant, id string, at time.Time) (s responsibility.Subscription, err error) {
	now := e.Now()
	if at.IsZero() {
		at = now
	}
	if at.Before(now.Add(-grace)) {
		return s, fmt.Errorf("%w: a subscription cannot end in the past (%s); leave the end out to end now", estate.ErrInvalid, at.Format(time.RFC3339))
	}
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		if s, err = tx.Subscription(tenant, id); err != nil {
			return err
		}
		// One that has not begun yet is withdrawn: it ends as it begins.
		end := at
		if end.Before(s.From) {
			end = s.From
		}
		if err := tx.EndSubscription(tenant, id, end, now); err != nil {
			return fmt.Errorf("subscription %s has ended already: %w", id, err)
		}
		if s, err = tx.Subscription(tenant, id); err != nil {
			return err
		}
		if err := e.record(tx, by, tenant, "subscription.end", "subscription/"+id, nil); err != nil {
			return err
		}
		return e.rejudgeVMs(tx, tenant)
	})
	return s, err
}

// Subscriptions returns all subscriptions of a tenant.
func (e *Estate) Subscriptions(ctx context.Context, tenant string) (out []responsibility.Subscription, err error) {
	err = e.Store.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = tx.Subscriptions(tenant)
		return err
	})
	return out, err
}

func (e *Estate) rejudgeVMs(tx *store.Tx, tenant string) error {
	return eachVM(tx, tenant, func(vm estate.VM) error {
		return e.Judge.Rejudge(tx, evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: vm.ID})
	})
}

// eachVM calls f for every VM of a tenant.
func eachVM(tx *store.Tx, tenant string, f func(estate.VM) error) error {
	for page := (store.Page{}); ; {
		vms, err := tx.VMs(tenant, page)
		if err != nil {
			return err
		}
		for _, vm := range vms {
			if err := f(vm); err != nil {
				return err
			}
		}
		if len(vms) < store.MaxPage {
			return nil
		}
		page.After = vms[len(vms)-1].ID
	}
}
