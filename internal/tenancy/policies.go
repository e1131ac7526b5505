package tenancy

import (
	"context"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// SetPolicy is SetPolicyIn in a transaction of its own, for a tenant or, if vm
// is given, for that VM of it.
func (e *Estate) SetPolicy(ctx context.Context, by access.Principal, tenant, vm, service string, doc []byte) (p store.Policy, err error) {
	err = e.Store.Write(ctx, func(tx *store.Tx) error {
		s, err := e.PolicySubject(tx, tenant, vm)
		if err != nil {
			return err
		}
		p, err = e.SetPolicyIn(tx, by, store.Policy{Subject: s, Service: service, Document: doc})
		return err
	})
	return p, err
}

// PolicySubject is what a policy is for: the tenant, or a VM of it by id or name.
func (e *Estate) PolicySubject(tx *store.Tx, tenant, vm string) (evidence.Subject, error) {
	if vm == "" {
		return evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant, ID: tenant}, nil
	}
	v, err := tx.VM(tenant, vm)
	return evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: v.ID}, err
}

// SetPolicyIn writes the next version of a service's policy and judges anew what
// it concerns. p gives subject, service, canonical document and the decision
// behind it.
func (e *Estate) SetPolicyIn(tx *store.Tx, by access.Principal, p store.Policy) (store.Policy, error) {
	p.Digest, p.CreatedAt, p.By = canonical.Digest(p.Document), e.Now(), by.Actor()
	if err := tx.AddPolicy(&p); err != nil {
		return p, err
	}
	if err := e.record(tx, by, p.Subject.Tenant, "policy.set", "policy/"+p.Service, map[string]string{"policy": p.Digest}); err != nil {
		return p, err
	}
	return p, e.rejudgeAbout(tx, p.Subject)
}
