package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/demarc/demarc/api"
)

// vmsPage lists the VMs of a tenant.
type vmsPage struct {
	Tenant string
	VMs    []vmLine
	Filter string
	// More says that there are VMs that are not shown.
	More bool
}

// rowLimit bounds the rows of a table.
const rowLimit = 500

// vmLine is a VM with the state of its agents.
type vmLine struct {
	api.VM
	VDCName string
	Agent   agentState
}

// agentState is what is known of the agents of a VM.
type agentState struct {
	// Word is watched, silent, revoked or no agent; it names a class too.
	Word string
	Seen *api.Agent
}

func (c *Console) agent(m api.VM) agentState {
	out := agentState{Word: "none"}
	for i, a := range m.Agents {
		switch {
		case a.RevokedAt != nil:
			if out.Word == "none" {
				out = agentState{Word: "revoked", Seen: &m.Agents[i]}
			}
		case a.SeenAt != nil && c.cfg.Now().Sub(*a.SeenAt) <= silence:
			return agentState{Word: "watching", Seen: &m.Agents[i]}
		default:
			out = agentState{Word: "silent", Seen: &m.Agents[i]}
		}
	}
	return out
}

func (c *Console) vms(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	page := vmsPage{Tenant: t.Name, Filter: strings.TrimSpace(v.r.FormValue("q"))}
	vdcs, err := vdcNames(v, t.Name)
	if err != nil {
		return err
	}
	for m, err := range v.client.VMs(v, t.Name) {
		if err != nil {
			return err
		}
		text := strings.ToLower(m.Name + " " + vdcs[m.VDC] + " " + m.Declared.Role + " " + m.Declared.Environment)
		if !strings.Contains(text, strings.ToLower(page.Filter)) {
			continue
		}
		if page.More = len(page.VMs) == rowLimit; page.More {
			break
		}
		page.VMs = append(page.VMs, vmLine{VM: m, VDCName: orElse(vdcs[m.VDC], m.VDC), Agent: c.agent(m)})
	}
	slices.SortFunc(page.VMs, func(a, b vmLine) int { return strings.Compare(a.Name, b.Name) })
	c.render(v, http.StatusOK, "vms", "VMs", page)
	return nil
}

func vdcNames(v *visit, tenant string) (map[string]string, error) {
	out := map[string]string{}
	for d, err := range v.client.VDCs(v, tenant) {
		if err != nil {
			return nil, err
		}
		out[d.ID] = d.Name
	}
	return out, nil
}

// vmPage is one VM with what is known of it.
type vmPage struct {
	Tenant   string
	VM       vmLine
	Verdicts []verdictGroup
	Facts    []api.Fact
	Known    knownFacts
	MayWrite bool
	Asked    bool
}

// verdictGroup holds the duties of a VM with the same verdict.
type verdictGroup struct {
	Verdict string
	Duties  []api.Verdict
	Open    bool
}

func (c *Console) vm(v *visit) error {
	t, err := v.client.Tenant(v, v.tenant())
	if err != nil {
		return err
	}
	m, err := v.client.VM(v, t.Name, v.r.PathValue("vm"))
	if err != nil {
		return err
	}
	page := vmPage{Tenant: t.Name, VM: vmLine{VM: m, VDCName: m.VDC, Agent: c.agent(m)}, MayWrite: v.may("manage-estate", t), Asked: v.r.URL.Query().Get("asked") == "1"}
	vdcs, err := vdcNames(v, t.Name)
	if err != nil {
		return err
	}
	page.VM.VDCName = orElse(vdcs[m.VDC], m.VDC)
	judged, err := api.Collect(v.client.Posture(v, api.PostureFilter{Tenant: t.Name, VM: m.ID}))
	if err != nil {
		return err
	}
	page.Verdicts = group(judged)
	if page.Facts, err = api.Collect(v.client.Facts(v, t.Name, m.ID)); err != nil {
		return err
	}
	slices.SortFunc(page.Facts, func(a, b api.Fact) int { return strings.Compare(a.Kind, b.Kind) })
	page.Known = know(page.Facts)
	c.render(v, http.StatusOK, "vm", m.Name, page)
	return nil
}

// group opens what calls for attention.
func group(judged []api.Verdict) []verdictGroup {
	var out []verdictGroup
	for _, word := range verdicts {
		g := verdictGroup{Verdict: word, Open: word == "not-met"}
		for _, j := range judged {
			if j.Verdict == word {
				g.Duties = append(g.Duties, j)
			}
		}
		if len(g.Duties) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// refresh asks the agents of a VM to look now.
func (c *Console) refresh(v *visit) error {
	if err := v.client.Refresh(v, v.tenant(), v.r.PathValue("vm")); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, pathOf("tenants", v.tenant(), "vms", v.r.PathValue("vm"))+"?asked=1", http.StatusSeeOther)
	return nil
}
