package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/demarc/demarc/internal/evidence"
	"github.com/demarc/demarc/internal/store"
	"github.com/demarc/demarc/internal/wire"
)

// SilentAfter is how long an agent may be unheard of. It reports every minute.
const SilentAfter = 5 * time.Minute

// coverage is the data of the vm.coverage fact.
type coverage struct {
	Enrolled            bool     `json:"enrolled"`
	AgentSeen           bool     `json:"agent_seen"`
	AcceptedException   bool     `json:"accepted_exception"`
	Accountable         string   `json:"accountable"`
	Lost                []lost   `json:"lost"`
	Shed                int      `json:"shed"`
	ClockSkewSeconds    float64  `json:"clock_skew_seconds"`
	Environment         string   `json:"environment"`
	Role                string   `json:"role"`
	ExpectedListeners   []string `json:"expected_listeners"`
	ExpectedServices    []string `json:"expected_services"`
	SensitivePaths      []string `json:"sensitive_paths"`
	TrustedAdminSources []string `json:"trusted_admin_sources"`
	RegisteredAdmins    []string `json:"registered_admins"`
	Own                 bool     `json:"own"`
}

type lost struct {
	Aspect string `json:"aspect"`
	Reason string `json:"reason"`
}

// CoverageKind is the form of the vm.coverage fact.
var CoverageKind = evidence.KindOf[coverage]("vm.coverage", evidence.ScopeVM, time.Minute, "Whether a VM is watched, and what its owner declared about it.")

// Coverage is the source of the vm.coverage fact: whether a VM is watched and
// what its owner declared.
type Coverage struct{}

// Scope implements posture.Source.
func (Coverage) Scope() evidence.Scope { return evidence.ScopeVM }

// Facts implements posture.Source.
func (Coverage) Facts(tx *store.Tx, s evidence.Subject, now time.Time) ([]evidence.Fact, error) {
	vm, err := tx.VMByID(s.ID)
	if err != nil {
		return nil, err
	}
	agents, err := tx.AgentsOfVM(s.ID)
	if err != nil {
		return nil, err
	}
	tenant, err := tx.Tenant(vm.Tenant)
	if err != nil {
		return nil, err
	}
	d := vm.Declared
	c := coverage{
		Enrolled: len(agents) > 0, AcceptedException: d.Unmanaged != "", Accountable: d.Accountable, Lost: []lost{},
		Environment: d.Environment, Role: d.Role, ExpectedListeners: list(d.Listeners), ExpectedServices: list(d.Services),
		SensitivePaths: list(d.SensitivePaths), TrustedAdminSources: list(d.AdminSources), RegisteredAdmins: list(d.Administrators),
		Own: tenant.Own,
	}
	var again time.Time
	for _, a := range agents {
		if a.SeenAt == nil {
			continue
		}
		if silent := a.SeenAt.Add(SilentAfter); now.Before(silent) {
			c.AgentSeen, again = true, silent
		}
		// Whole seconds: the measured skew jitters, and every change is judged.
		c.ClockSkewSeconds = float64(int64(a.Skew / time.Second))
	}
	clears, err := c.losses(tx, agents, now)
	if err != nil {
		return nil, err
	}
	if again.IsZero() || (!clears.IsZero() && clears.Before(again)) {
		again = clears
	}
	f, err := tx.Fact(s, wire.KindAgent)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		var st wire.AgentState
		if err := json.Unmarshal(f.Data, &st); err == nil {
			c.report(st)
		}
	}
	data, err := json.Marshal(c)
	return []evidence.Fact{{Kind: "vm.coverage", Data: data, Again: again}}, err
}

// Recent is how long a loss is held against a VM: for good, it would be a
// reproach that nobody can mend.
const Recent = 24 * time.Hour

// losses takes in what ingest lately missed or refused of the agents' records.
// clears is when the first of it is no longer recent.
func (c *coverage) losses(tx *store.Tx, agents []store.Agent, now time.Time) (clears time.Time, err error) {
	ids := make([]string, len(agents))
	for i, a := range agents {
		ids[i] = a.ID
	}
	known, err := tx.AgentsIngest(ids)
	if err != nil {
		return clears, err
	}
	for _, id := range ids {
		var last *store.Rejection
		for _, r := range known[id].Rejections {
			until := r.At.Add(Recent)
			if !now.Before(until) {
				continue
			}
			last = &r
			if clears.IsZero() || until.Before(clears) {
				clears = until
			}
		}
		if last == nil {
			continue
		}
		reason := last.Reason
		if last.Kind != "" {
			reason = last.Kind + ": " + reason
		}
		c.Lost = append(c.Lost, lost{Aspect: "records", Reason: fmt.Sprintf("%d lost and %d refused since enrolment; lately: %s",
			known[id].Lost, known[id].Rejected, printable(reason))})
	}
	return clears, nil
}

// report takes in what the agent says about itself.
func (c *coverage) report(st wire.AgentState) {
	for _, svc := range st.Services {
		if svc.Fault != "" {
			c.Lost = append(c.Lost, lost{Aspect: svc.Name, Reason: svc.Fault})
		}
		for _, a := range svc.Coverage {
			if !a.Watched {
				c.Lost = append(c.Lost, lost{Aspect: a.Aspect, Reason: a.Reason})
			}
		}
	}
	for _, r := range st.RefusedPolicies {
		c.Lost = append(c.Lost, lost{Aspect: "policy", Reason: fmt.Sprintf("policy refused: %s: %s", printable(r.Service), printable(r.Reason))})
	}
	if st.Keys != nil && st.Keys.Fault != "" {
		c.Lost = append(c.Lost, lost{Aspect: "policy", Reason: "the customer's keys that the server shows are refused: " + printable(st.Keys.Fault)})
	}
	if st.SpoolFault != "" {
		c.Lost = append(c.Lost, lost{Aspect: "spool", Reason: st.SpoolFault})
	}
	c.Shed = st.ShedLastDay
}

// list makes an absent list an empty one.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
