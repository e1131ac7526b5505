package review

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/canonical"
	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
)

const (
	firewallKind  = "host.firewall"
	listenersKind = "host.listeners"
	maxConfigured = 2000 // lines kept of one VM
)

// Observes implements posture.Observer.
func (r *Reviews) Observes() []string { return []string{firewallKind, listenersKind} }

// Observe implements posture.Observer: it keeps how a VM's network
// configuration differs from the one that was reviewed last, in the
// transaction that stores what changed.
func (r *Reviews) Observe(tx *store.Tx, s evidence.Subject) error {
	if s.Scope != evidence.ScopeVM {
		return nil
	}
	facts, err := tx.Facts([]evidence.Subject{s}, firewallKind, listenersKind)
	if err != nil || len(facts) == 0 {
		return err
	}
	lines, err := configuration(facts)
	if err != nil {
		return err
	}
	st, err := tx.NetworkState(s.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		st = store.NetworkState{VM: s.ID, Tenant: s.Tenant, Reviewed: []string{}, ReviewedDigest: digestOf(s.ID, []string{})}
	case err != nil:
		return err
	}
	digest := digestOf(s.ID, lines)
	if digest == st.PresentDigest {
		return nil
	}
	before := st.Changes
	added, removed := Diff(st.Reviewed, lines)
	st.Present, st.PresentDigest, st.Changes, st.Observed = lines, digest, len(added)+len(removed), r.Now()
	if err := tx.PutNetworkState(st); err != nil {
		return err
	}
	if (before == 0) == (st.Changes == 0) {
		return nil
	}
	return r.Judge.Rejudge(tx, tenantSubject(s.Tenant))
}

// CatchUp takes in the facts that were stored before they were observed.
func (r *Reviews) CatchUp(ctx context.Context) error {
	for _, kind := range r.Observes() {
		after := ""
		for ctx.Err() == nil {
			var ids []string
			err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
				ids, err = tx.VMsWithFact(kind, after, atOnce)
				return err
			})
			if err != nil || len(ids) == 0 {
				if err != nil {
					return err
				}
				break
			}
			after = ids[len(ids)-1]
			if err := r.Store.Write(ctx, func(tx *store.Tx) error { return r.observeNew(tx, ids) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reviews) observeNew(tx *store.Tx, ids []string) error {
	for _, id := range ids {
		if _, err := tx.NetworkState(id); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		vm, err := tx.VMByID(id)
		if err != nil {
			return err
		}
		if err := r.Observe(tx, evidence.Subject{Scope: evidence.ScopeVM, Tenant: vm.Tenant, ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// configuration puts facts into sorted lines that a person can compare.
func configuration(facts []evidence.Fact) ([]string, error) {
	lines := []string{}
	for _, f := range facts {
		var err error
		switch f.Kind {
		case firewallKind:
			lines, err = firewallLines(lines, f.Data)
		case listenersKind:
			lines, err = listenerLines(lines, f.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("stored %s of %s is damaged: %w", f.Kind, f.Subject.ID, err)
		}
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	return lines[:min(len(lines), maxConfigured)], nil
}

func firewallLines(lines []string, data []byte) ([]string, error) {
	var f struct {
		Backend       string `json:"backend"`
		InputPolicy   string `json:"input_policy"`
		InputPolicy6  string `json:"input_policy6"`
		OutputPolicy  string `json:"output_policy"`
		ForwardPolicy string `json:"forward_policy"`
		Chains        []struct {
			Family, Table, Name, Hook, Policy string
			Rules                             int
		} `json:"chains"`
		Open []struct {
			Protocol string `json:"protocol"`
			Ports    string `json:"ports"`
			Source   string `json:"source"`
		} `json:"open"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	lines = append(lines, "firewall "+f.Backend,
		"input policy "+f.InputPolicy, "input policy of IPv6 "+f.InputPolicy6, "output policy "+f.OutputPolicy, "forward policy "+f.ForwardPolicy)
	for _, c := range f.Chains {
		lines = append(lines, fmt.Sprintf("chain %s %s %s: hook %s, policy %s, %d rules", c.Family, c.Table, c.Name, c.Hook, c.Policy, c.Rules))
	}
	for _, o := range f.Open {
		lines = append(lines, fmt.Sprintf("lets in %s %s from %s", o.Protocol, o.Ports, o.Source))
	}
	return lines, nil
}

func listenerLines(lines []string, data []byte) ([]string, error) {
	var l struct {
		External []string `json:"external"`
	}
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, err
	}
	for _, e := range l.External {
		lines = append(lines, "listens "+e)
	}
	return lines, nil
}

func digestOf(vm string, lines []string) string {
	raw, err := canonical.JSON(struct {
		VM    string   `json:"vm"`
		Lines []string `json:"lines"`
	}{vm, lines})
	if err != nil {
		panic("review: digest: " + err.Error()) // strings always have a canonical form
	}
	return canonical.Digest(raw)
}

// Diff compares two sorted lists of lines.
func Diff(before, now []string) (added, removed []string) {
	for len(before) > 0 || len(now) > 0 {
		switch {
		case len(before) == 0 || len(now) > 0 && now[0] < before[0]:
			added, now = append(added, now[0]), now[1:]
		case len(now) == 0 || before[0] < now[0]:
			removed, before = append(removed, before[0]), before[1:]
		default:
			before, now = before[1:], now[1:]
		}
	}
	return added, removed
}

// networkItems are the tenant's VMs with what changed on each, those with most
// changes first.
func networkItems(tx *store.Tx, tenant string) ([]Item, error) {
	states, err := tx.NetworkStates(tenant, maxItems)
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(states))
	for _, st := range states {
		vm, err := tx.VMByID(st.VM)
		if err != nil {
			return nil, err
		}
		item := Item{ID: "network/" + st.VM, Count: st.Changes, Digest: st.PresentDigest, Title: vm.Name + ": nothing changed"}
		if st.Changes > 0 {
			item.Title, item.Unusual = vm.Name+": "+plural(st.Changes, "line changed", "lines changed"), "changed since the last review"
		}
		if st.ReviewedAt == nil {
			item.Title, item.Unusual = vm.Name+": "+plural(st.Changes, "line", "lines")+", never reviewed", "never reviewed"
		}
		item.Lines = diffLines(st)
		items = append(items, item)
	}
	return items, nil
}

// diffLines shows a VM's difference, or where there is none, how it is.
func diffLines(st store.NetworkState) []string {
	added, removed := Diff(st.Reviewed, st.Present)
	var lines []string
	for _, l := range removed {
		lines = append(lines, "- "+l)
	}
	for _, l := range added {
		lines = append(lines, "+ "+l)
	}
	if len(lines) == 0 {
		for _, l := range st.Present {
			lines = append(lines, "  "+l)
		}
	}
	if more := len(lines) - 4*maxLines; more > 0 {
		lines = append(lines[:4*maxLines], fmt.Sprintf("and %d more lines", more))
	}
	return lines
}

func vmOf(item string) (string, bool) { return strings.CutPrefix(item, "network/") }
