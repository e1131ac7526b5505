package tenancy

import (
	"context"

	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

// SetPolicy writes the next version of a service's policy for a tenant, or for
// one of its VMs if vm is given. doc is canonical JSON that the service accepts.
func (e *Estate) SetPolicy(ctx context.Context, by access.Principal, tenant, vm, service string, doc []byte) (store.Policy, error) {
	p := store.Policy{
		Subject: evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant, ID: tenant}, Service: service,
		Document: doc, Digest: canonical.Digest(doc), CreatedAt: e.Now(), By: by.Actor(),
	}
	err := e.Store.Write(ctx, func(tx *store.Tx) error {
		if vm != "" {
			v, err := tx.VM(tenant, vm)
			if err != nil {
				return err
			}
			p.Subject = evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: v.ID}
		}
		if err := tx.AddPolicy(&p); err != nil {
			return err
		}
		if err := e.record(tx, by, tenant, "policy.set", "policy/"+service, map[string]string{"policy": p.Digest}); err != nil {
			return err
		}
		return e.rejudgeAbout(tx, p.Subject)
	})
	return p, err
}
