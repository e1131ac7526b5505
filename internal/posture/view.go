package posture

import (
	"time"

	"github.com/demarc/demarc/internal/estate"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/judgement"
	"github.com/demarc/demarc/internal/responsibility"
	"github.com/demarc/demarc/internal/store"
)

// view is one subject at one moment within a transaction: what is around it
// and what has been read about it so far.
type view struct {
	tx       *store.Tx
	now      time.Time
	contract *contract
	subject  evidence.Subject
	vm       *estate.VM // of a subject of scope vm
	// around are the subjects whose facts duties of this one may read, by scope.
	around map[evidence.Scope]evidence.Subject
	// facts are those read so far, by kind; nil where there is none.
	facts map[string]*evidence.Fact
	// waivers are read once; see standing.
	waivers     []evidence.Waiver
	waiversRead bool
	// looking: nothing is written, and differs tells that something would be.
	looking, differs bool
}

// look finds the subject and what is around it.
func (e *Engine) look(tx *store.Tx, s evidence.Subject) (*view, error) {
	v := &view{
		tx: tx, now: e.cfg.Now(), contract: e.contract.Load(), subject: s, facts: map[string]*evidence.Fact{},
		around: map[evidence.Scope]evidence.Subject{evidence.ScopeProvider: evidence.Provider, s.Scope: s},
	}
	if s.Scope == evidence.ScopeProvider {
		return v, nil
	}
	v.around[evidence.ScopeTenant] = TenantSubject(s.Tenant)
	if s.Scope == evidence.ScopeVM {
		vm, err := tx.VMByID(s.ID)
		if err != nil {
			return nil, err
		}
		v.vm = &vm
		v.around[evidence.ScopeVDC] = evidence.Subject{Scope: evidence.ScopeVDC, Tenant: vm.Tenant, ID: vm.VDC}
	}
	return v, nil
}

// load reads the facts of the kinds, about the subject or that one around it
// that the kind is about, unless they were read before.
func (v *view) load(kinds ...string) error {
	ask := map[evidence.Scope][]string{}
	for _, name := range kinds {
		if _, known := v.facts[name]; known {
			continue
		}
		k, ok := v.contract.Environment.Kind(name)
		if !ok {
			k.Scope = v.subject.Scope // of no service any more: it is judged by nothing
		}
		v.facts[name] = nil
		ask[k.Scope] = append(ask[k.Scope], name)
	}
	for scope, names := range ask {
		s, ok := v.around[scope]
		if !ok {
			continue
		}
		facts, err := v.tx.Facts([]evidence.Subject{s}, names...)
		if err != nil {
			return err
		}
		for i := range facts {
			v.facts[facts[i].Kind] = &facts[i]
		}
	}
	return nil
}

// put writes facts about the subject.
func (v *view) put(facts ...evidence.Fact) error {
	for i := range facts {
		v.facts[facts[i].Kind] = &facts[i]
	}
	if v.looking {
		v.differs = v.differs || len(facts) > 0
		return nil
	}
	return v.tx.PutFacts(facts)
}

// standing returns the waivers about the subject or its tenant that have not ended.
func (v *view) standing() ([]evidence.Waiver, error) {
	if v.waiversRead {
		return v.waivers, nil
	}
	var err error
	v.waivers, err = v.tx.Waivers(v.own(), v.now)
	v.waiversRead = err == nil
	return v.waivers, err
}

// TenantSubject, VDCSubject and VMSubject name things as duties do.
func TenantSubject(tenant string) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeTenant, Tenant: tenant, ID: tenant}
}

// VDCSubject names a VDC.
func VDCSubject(v estate.VDC) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeVDC, Tenant: v.Tenant, ID: v.ID}
}

// VMSubject names a VM.
func VMSubject(v estate.VM) evidence.Subject {
	return evidence.Subject{Scope: evidence.ScopeVM, Tenant: v.Tenant, ID: v.ID}
}

// assign says who is responsible for d concerning the view's subject.
func (v *view) assign(d *judgement.Duty, subs []responsibility.Subscription) responsibility.Assignment {
	if v.vm == nil {
		return responsibility.Assignment{Party: d.Party}
	}
	return responsibility.Responsible(d.Duty, v.vm.ID, v.vm.VDC, subs, v.now)
}

// within judges, for a subject that has others inside, the duties of those
// that read its facts.
func (e *Engine) within(tx *store.Tx, s evidence.Subject, duties []*judgement.Duty) error {
	if s.Scope == evidence.ScopeVM || len(duties) == 0 {
		return nil
	}
	narrower := false
	for _, d := range duties {
		narrower = narrower || d.Scope != s.Scope
	}
	if !narrower {
		return nil
	}
	return eachWithin(tx, s, func(inner evidence.Subject) error {
		mine := only(duties, inner.Scope)
		if len(mine) == 0 {
			return nil
		}
		v, err := e.look(tx, inner)
		if err != nil {
			return err
		}
		_, err = e.judge(v, mine)
		return err
	})
}

// eachWithin calls f for every subject inside s.
func eachWithin(tx *store.Tx, s evidence.Subject, f func(evidence.Subject) error) error {
	tenants := []string{s.Tenant}
	if s.Scope == evidence.ScopeProvider {
		tenants = nil
		for page := (store.Page{}); ; {
			ts, err := tx.Tenants(page)
			if err != nil {
				return err
			}
			for _, t := range ts {
				if err := f(TenantSubject(t.ID)); err != nil {
					return err
				}
				tenants = append(tenants, t.ID)
			}
			if len(ts) < store.MaxPage {
				break
			}
			page.After = ts[len(ts)-1].ID
		}
	}
	for _, t := range tenants {
		if err := eachOfTenant(tx, t, s, f); err != nil {
			return err
		}
	}
	return nil
}

func eachOfTenant(tx *store.Tx, tenant string, s evidence.Subject, f func(evidence.Subject) error) error {
	if s.Scope != evidence.ScopeVDC {
		for page := (store.Page{}); ; {
			vdcs, err := tx.VDCs(tenant, page)
			if err != nil {
				return err
			}
			for _, d := range vdcs {
				if err := f(VDCSubject(d)); err != nil {
					return err
				}
			}
			if len(vdcs) < store.MaxPage {
				break
			}
			page.After = vdcs[len(vdcs)-1].ID
		}
	}
	for page := (store.Page{}); ; {
		vms, err := tx.VMs(tenant, page)
		if err != nil {
			return err
		}
		for _, m := range vms {
			if s.Scope == evidence.ScopeVDC && m.VDC != s.ID {
				continue
			}
			if err := f(VMSubject(m)); err != nil {
				return err
			}
		}
		if len(vms) < store.MaxPage {
			return nil
		}
		page.After = vms[len(vms)-1].ID
	}
}
