package privilege

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

const usersKind = "host.users"

// maxResting bounds how many accounts a report names.
const maxResting = 500

// Observes implements posture.Observer.
func (p *Privileges) Observes() []string { return []string{usersKind} }

// Observe implements posture.Observer: what was found out about the accounts of
// the tenant's VMs no longer counts.
func (p *Privileges) Observe(tx *store.Tx, s evidence.Subject) error {
	tx.OnCommit(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.accounts, s.Tenant)
	})
	return nil
}

// resting returns the administrators' accounts on the tenant's VMs that nobody
// logs in to.
func (p *Privileges) resting(tx *store.Tx, tenant string, now time.Time) ([]Unused, error) {
	p.mu.Lock()
	k, ok := p.accounts[tenant]
	p.mu.Unlock()
	if ok && now.Sub(k.at) < keepFor && !k.at.After(now) {
		return k.list, nil
	}
	found, err := p.look(tx, tenant, now)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accounts == nil {
		p.accounts = map[string]kept{}
	}
	p.accounts[tenant] = kept{now, found}
	return found, nil
}

func (p *Privileges) look(tx *store.Tx, tenant string, now time.Time) ([]Unused, error) {
	var found []Unused
	for page := (store.Page{Limit: 200}); ; {
		vms, err := tx.VMs(tenant, page)
		if err != nil || len(vms) == 0 {
			return found, err
		}
		names := map[string]string{}
		var subjects []evidence.Subject
		for _, vm := range vms {
			names[vm.ID] = vm.Name
			subjects = append(subjects, evidence.Subject{Scope: evidence.ScopeVM, Tenant: tenant, ID: vm.ID})
		}
		facts, err := tx.Facts(subjects, usersKind)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(facts, func(a, b evidence.Fact) int { return strings.Compare(names[a.Subject.ID], names[b.Subject.ID]) })
		for _, f := range facts {
			some, err := restingOn(f, names[f.Subject.ID])
			if err != nil {
				return nil, err
			}
			if found = append(found, some...); len(found) >= maxResting {
				return found[:maxResting], nil
			}
		}
		if len(vms) < page.Limit {
			return found, nil
		}
		page.After = vms[len(vms)-1].ID
	}
}

// restingOn returns the accounts of one VM that may administer it and are
// dormant: the agent knows what the machine remembers of logins.
func restingOn(f evidence.Fact, vm string) ([]Unused, error) {
	var u struct {
		Dormant []string `json:"dormant"`
		Users   []struct {
			Name      string    `json:"name"`
			Admin     bool      `json:"admin"`
			CanLogin  bool      `json:"can_login"`
			LastLogin time.Time `json:"last_login"`
		} `json:"users"`
	}
	if err := json.Unmarshal(f.Data, &u); err != nil {
		return nil, fmt.Errorf("stored %s of %s is damaged: %w", usersKind, f.Subject.ID, err)
	}
	var out []Unused
	for _, x := range u.Users {
		if x.Admin && x.CanLogin && slices.Contains(u.Dormant, x.Name) {
			out = append(out, Unused{Who: x.Name + " on " + vm, Why: "may administer the VM and did not log in for 90 days", Since: x.LastLogin})
		}
	}
	return out, nil
}

type privilegesFact struct {
	UnusedDays int      `json:"unused_days" doc:"how long something may rest before it counts as unused"`
	Unused     []string `json:"unused" doc:"principals, and accounts on VMs, at most 100"`
	WideRoles  []string `json:"wide_roles" doc:"principals with the narrower role that would do, at most 100"`
}

// FactKind is the form of the tenant.privileges fact.
var FactKind = evidence.KindOf[privilegesFact]("tenant.privileges", evidence.ScopeTenant, time.Minute, "Privileged accounts and roles that are not used.")

// named bounds how many names a fact holds.
const named = 100

// Facts implements posture.Source. The fact names principals by role and id,
// never by their names.
func (p *Privileges) Facts(tx *store.Tx, s evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	r, err := p.report(tx, s.ID, now)
	if err != nil {
		return nil, err
	}
	f := privilegesFact{UnusedDays: UnusedDays, Unused: []string{}, WideRoles: []string{}}
	for _, u := range r.Unused[:min(len(r.Unused), named)] {
		f.Unused = append(f.Unused, u.Who)
	}
	for _, w := range r.Wide[:min(len(r.Wide), named)] {
		f.WideRoles = append(f.WideRoles, w.Who+" ("+string(w.Suffices)+" would do)")
	}
	raw, err := json.Marshal(f)
	return []evidence.Fact{{Kind: FactKind.Name, Data: raw, Again: now.Add(time.Minute)}}, err
}
