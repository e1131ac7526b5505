package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/access"
	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/posture"
	"github.com/demarc/demarc/internal/store"
)

// VMPath is embedded in the input of operations about one VM.
type VMPath struct {
	TenantPath
	VM string `path:"vm" doc:"id or name of the VM" maxLength:"100"`
}

func (a *API) addVMs() {
	add(a, tenant(access.Look), get("list-vms", "/v1/tenants/{tenant}/vms", "VMs of a tenant"), a.listVMs)
	add(a, tenant(access.ManageEstate), created(post("create-vm", "/v1/tenants/{tenant}/vms", "Register a VM that runs already")), func(c call, in *struct {
		TenantPath
		Body api.NewVM
	}) (*body[api.VM], error) {
		v, err := a.cfg.Estate.RegisterVM(c, c.by, c.tenant.ID, in.Body.VDC, in.Body.Name, estate.Declaration(in.Body.Declared))
		if err != nil {
			return nil, err
		}
		return a.answerVM(c, v.ID)
	})
	add(a, tenant(access.Look), get("get-vm", "/v1/tenants/{tenant}/vms/{vm}", "One VM"), func(c call, in *struct{ VMPath }) (*body[api.VM], error) {
		return a.answerVM(c, in.VM)
	})
	add(a, tenant(access.ManageEstate), huma.Operation{OperationID: "change-vm", Method: http.MethodPatch, Path: "/v1/tenants/{tenant}/vms/{vm}", Summary: "Declare what a VM is for"},
		func(c call, in *struct {
			VMPath
			IfMatch
			Body api.ChangeVM
		}) (*body[api.VM], error) {
			ver, err := in.version()
			if err != nil {
				return nil, err
			}
			v, err := a.cfg.Estate.DeclareVM(c, c.by, c.tenant.ID, in.VM, estate.Declaration(in.Body.Declared), ver)
			if err != nil {
				return nil, in.failed(err)
			}
			return a.answerVM(c, v.ID)
		})
	add(a, tenant(access.Look), get("list-facts", "/v1/tenants/{tenant}/vms/{vm}/facts", "Latest facts about a VM"), a.listFacts)
	add(a, tenant(access.Look), get("get-fact", "/v1/tenants/{tenant}/vms/{vm}/facts/{kind}", "Latest fact of one kind"), a.getFact)
	refresh := post("refresh-vm", "/v1/tenants/{tenant}/vms/{vm}/refresh", "Ask the VM's agents to look now")
	refresh.DefaultStatus = http.StatusAccepted
	add(a, tenant(access.ManageEstate), refresh, func(c call, in *struct{ VMPath }) (*struct{}, error) {
		v, err := a.vm(c, in.VM)
		if err != nil {
			return nil, err
		}
		return nil, a.cfg.Fleet.Refresh(c, v)
	})
	add(a, tenant(access.Look), get("list-policies", "/v1/tenants/{tenant}/policies", "Policies in force"), a.listPolicies)
	add(a, tenant(access.SetPolicy), proposed(huma.Operation{OperationID: "set-policy", Method: http.MethodPut, Path: "/v1/tenants/{tenant}/policies/{service}", Summary: "Propose a service's policy; a signature puts it in force"}), a.setPolicy)
}

// answerVM answers with everything about one VM.
func (a *API) answerVM(c call, ref string) (*body[api.VM], error) {
	var out api.VM
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		v, err := tx.VM(c.tenant.ID, ref)
		if err != nil {
			return err
		}
		out, err = fullVM(tx, v)
		return err
	})
	return versioned(out, out.Version, err)
}

func (a *API) vm(c call, ref string) (v estate.VM, err error) {
	err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		v, err = tx.VM(c.tenant.ID, ref)
		return err
	})
	return v, err
}

// fullVM adds agents and verdicts.
func fullVM(tx *store.Tx, v estate.VM) (api.VM, error) {
	out := vmOut(v)
	agents, err := tx.AgentsOfVM(v.ID)
	if err != nil {
		return out, err
	}
	if out.Agents, err = agentsOut(tx, agents); err != nil {
		return out, err
	}
	s := posture.VMSubject(v)
	js, err := tx.Verdicts(store.VerdictFilter{Subject: &s})
	for _, j := range js {
		count(&out.Verdicts, string(j.Verdict), 1)
	}
	return out, err
}

func (a *API) listVMs(c call, in *struct {
	TenantPath
	PageParams
}) (*list[api.VM], error) {
	p, err := in.page()
	if err != nil {
		return nil, err
	}
	var vms []estate.VM
	full := map[string]api.VM{}
	err = a.cfg.Store.Read(c, func(tx *store.Tx) (err error) {
		if vms, err = tx.VMs(c.tenant.ID, p); err != nil {
			return err
		}
		for _, v := range vms {
			if full[v.ID], err = fullVM(tx, v); err != nil {
				return err
			}
		}
		return nil
	})
	return paged(vms, p.Limit, func(v estate.VM) string { return v.ID }, func(v estate.VM) api.VM { return full[v.ID] }), err
}

func factOut(n *names, f evidence.Fact) api.Fact {
	return api.Fact{
		Subject: n.subject(f.Subject), Kind: f.Kind, Data: f.Data, Digest: f.Digest,
		ObservedAt: f.ObservedAt, ChangedAt: f.ChangedAt, Source: f.Source,
	}
}

func (a *API) listFacts(c call, in *struct{ VMPath }) (*list[api.Fact], error) {
	out := &list[api.Fact]{Body: api.List[api.Fact]{Items: []api.Fact{}}}
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		v, err := tx.VM(c.tenant.ID, in.VM)
		if err != nil {
			return err
		}
		facts, err := tx.Facts([]evidence.Subject{posture.VMSubject(v)})
		n := newNames(tx)
		for _, f := range facts {
			out.Body.Items = append(out.Body.Items, factOut(n, f))
		}
		return err
	})
	return out, err
}

func (a *API) getFact(c call, in *struct {
	VMPath
	Kind string `path:"kind" maxLength:"100"`
}) (*body[api.Fact], error) {
	var out api.Fact
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		v, err := tx.VM(c.tenant.ID, in.VM)
		if err != nil {
			return err
		}
		f, err := tx.Fact(posture.VMSubject(v), in.Kind)
		out = factOut(newNames(tx), f)
		return err
	})
	return plain(out, err)
}

func (a *API) listPolicies(c call, in *struct{ TenantPath }) (*list[api.Policy], error) {
	out := &list[api.Policy]{Body: api.List[api.Policy]{Items: []api.Policy{}}}
	err := a.cfg.Store.Read(c, func(tx *store.Tx) error {
		ps, err := tx.TenantPolicies(c.tenant.ID)
		n := newNames(tx)
		for _, p := range ps {
			out.Body.Items = append(out.Body.Items, api.Policy{
				Service: p.Service, Subject: n.subject(p.Subject), Version: p.Version, Document: p.Document, Digest: p.Digest, CreatedAt: p.CreatedAt, By: p.By, Until: p.Until, Decision: p.Decision,
			})
		}
		return err
	})
	return out, err
}
