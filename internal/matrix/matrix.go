// Package matrix answers who is responsible for what, now and at any moment of
// the past, from the catalogue that was in force and the subscriptions.
package matrix

import (
	"context"
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

// Row says for one duty on which side of the line it lies.
type Row struct {
	Duty responsibility.Duty
	// Shares are the parts of the tenant's estate with the party responsible
	// for each: one for the whole tenant, or one a VM where a subscription
	// covers some VMs only.
	Shares []Share
}

// Share is a part of the estate with who is responsible for it.
type Share struct {
	// VM is nil where the share is the whole tenant.
	VM *estate.VM
	responsibility.Assignment
}

// Matrix is the answer for one tenant at one moment.
type Matrix struct {
	Tenant    estate.Tenant
	At        time.Time
	Catalogue *responsibility.Catalogue
	Rows      []Row
}

// Catalogues finds the catalogue that was in force at a moment.
type Catalogues interface {
	At(t time.Time) *responsibility.Catalogue
}

// For computes the matrix of a tenant at a moment.
func For(ctx context.Context, s *store.Store, cats Catalogues, tenant string, at time.Time) (Matrix, error) {
	m := Matrix{At: at, Catalogue: cats.At(at)}
	var subs []responsibility.Subscription
	var vms []estate.VM
	err := s.Read(ctx, func(tx *store.Tx) (err error) {
		if m.Tenant, err = tx.Tenant(tenant); err != nil {
			return err
		}
		if subs, err = tx.Subscriptions(m.Tenant.ID); err != nil {
			return err
		}
		vms, err = allVMs(tx, m.Tenant.ID)
		return err
	})
	if err != nil {
		return m, err
	}
	for _, d := range m.Catalogue.Duties() {
		m.Rows = append(m.Rows, Row{Duty: d, Shares: Shares(d, vms, subs, at)})
	}
	return m, nil
}

func allVMs(tx *store.Tx, tenant string) (all []estate.VM, err error) {
	for page := (store.Page{}); ; {
		vms, err := tx.VMs(tenant, page)
		if err != nil {
			return nil, err
		}
		all = append(all, vms...)
		if len(vms) < store.MaxPage {
			return all, nil
		}
		page.After = vms[len(vms)-1].ID
	}
}

// Shares says who is responsible for d, at t, for each part of the estate.
// VMs that are all with one party, for one reason, are one share. A VM that
// did not exist at t has no share.
func Shares(d responsibility.Duty, vms []estate.VM, subs []responsibility.Subscription, t time.Time) []Share {
	whole := []Share{{Assignment: responsibility.Assignment{Party: d.Party}}}
	if d.Scope != evidence.ScopeVM || len(d.Services) == 0 {
		return whole
	}
	var shares []Share
	uniform := true
	for i := range vms {
		if vms[i].CreatedAt.After(t) {
			continue
		}
		a := responsibility.Responsible(d, vms[i].ID, vms[i].VDC, subs, t)
		shares = append(shares, Share{VM: &vms[i], Assignment: a})
		uniform = uniform && a == shares[0].Assignment
	}
	switch {
	case len(shares) == 0:
		// Without VMs a subscription for all of them has moved the duty already.
		whole[0].Assignment = responsibility.Responsible(d, "", "", subs, t)
		return whole
	case uniform:
		return []Share{{Assignment: shares[0].Assignment}}
	}
	return shares
}

// EachVM calls f with id and VDC of every VM of the tenant.
func EachVM(tx *store.Tx, tenant string, f func(id, vdc string)) error {
	vms, err := allVMs(tx, tenant)
	for _, v := range vms {
		f(v.ID, v.VDC)
	}
	return err
}
