package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/demarc/demarc/api"
)

// agentState is what the tests read of the agent.state fact.
type agentState struct {
	Keys *struct {
		Pinned  string `json:"pinned"`
		Digest  string `json:"digest"`
		Version int    `json:"version"`
	} `json:"customer_keys"`
	Policies []struct {
		Service string `json:"service"`
		Version int    `json:"version"`
	} `json:"policies"`
	Refused []struct {
		Class  string `json:"class"`
		Reason string `json:"reason"`
	} `json:"refused_policies"`
}

// stateOf is what the agent of a VM last told; the zero state if nothing.
func (s *server) stateOf(tenant, vm string) (st agentState) {
	f, err := s.client.Fact(s.t.Context(), tenant, vm, "agent.state")
	if err == nil {
		err = json.Unmarshal(f.Data, &st)
	}
	if err != nil {
		return agentState{}
	}
	return st
}

// TestTheCustomerSigns follows a customer from its first key to a policy that its
// agent obeys, with the programs as they are shipped: what nobody signed has no
// effect, on the server and at the agent, and what the provider signs has none.
//
//demarc:duty PII/C-8l
func TestTheCustomerSigns(t *testing.T) {
	t.Parallel()
	provider := newServer(t)
	provider.demarc("tenant", "create", "acme")
	provider.demarc("vdc", "create", "main", "--tenant", "acme")
	owner := provider.owner("acme")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	policy := func(level int) string {
		path := file(fmt.Sprintf("level%d.json", level))
		if err := os.WriteFile(path, []byte(fmt.Sprintf(`{"level": %d}`, level)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	refused := func(s *server, word string, args ...string) {
		t.Helper()
		if out, errOut, err := s.try(args...); err == nil || !strings.Contains(errOut, word) {
			t.Errorf("demarc %s: %v\n%s%s", strings.Join(args, " "), err, out, errOut)
		}
	}

	// Three recovery keys, two of which replace what is lost.
	for _, k := range []string{"sign", "new", "r1", "r2", "r3", "mallory"} {
		owner.demarc("key", "generate", file(k))
	}
	refused(provider, "sign in as a person", "key", "add", file("mallory.pub"), "--tenant", "acme")
	owner.demarc("key", "add", file("sign.pub"), "--recovery", file("r1.pub"), "--recovery", file("r2.pub"), "--recovery", file("r3.pub"), "--threshold", "2")
	var keys api.KeySet
	owner.ask(&keys, "key", "list")

	// The machine pins them with its token.
	agentDir, root := file("agent"), t.TempDir()
	owner.enrol("acme", "web-1", agentDir, root)
	agent := owner.agent(agentDir, root)
	t.Cleanup(func() { agent.end(t) })
	eventually(t, "the agent tells which keys it goes by", func() string {
		if st := owner.stateOf("acme", "web-1"); st.Keys == nil || st.Keys.Pinned != keys.Digest || st.Keys.Version != 1 {
			return fmt.Sprintf("%+v, and the keys are %s", st, keys.Digest)
		}
		return ""
	})

	// A policy waits for its signature.
	refused(provider, "may not do this", "policy", "set", "hardening", policy(2), "--tenant", "acme", "--vm", "web-1")
	var d api.Decision
	owner.ask(&d, "policy", "set", "hardening", policy(2), "--vm", "web-1")
	var inForce []api.Policy
	if owner.ask(&inForce, "policy", "list"); d.State != "pending" || len(inForce) != 0 {
		t.Fatalf("before it is signed it is %s, and %d policies are in force", d.State, len(inForce))
	}
	refused(owner, "not among the tenant's keys", "sign", d.ID, "--key", file("mallory"), "--yes")
	refused(provider, "may not do this", "sign", d.ID, "--key", file("sign"), "--tenant", "acme", "--yes")
	owner.ask(&d, "sign", d.ID, "--key", file("sign"), "--yes")
	if owner.ask(&inForce, "policy", "list"); d.State != "signed" || len(inForce) != 1 {
		t.Fatalf("after it was signed it is %s, and %d policies are in force", d.State, len(inForce))
	}
	obeys := func(version int) {
		t.Helper()
		eventually(t, fmt.Sprintf("the agent obeys version %d", version), func() string {
			st := owner.stateOf("acme", "web-1")
			if len(st.Policies) != 1 || st.Policies[0].Version != version {
				return fmt.Sprintf("%+v\n%s", st, agent.output())
			}
			return ""
		})
	}
	obeys(1)

	// A waiver counts when it is signed.
	var w api.Decision
	owner.ask(&w, "waive", "CLD.6.3.1/C-1.1c", "--vm", "web-1", "--reason", "appliance, replaced in May", "--expires", "90d")
	if v := owner.verdicts("acme", "web-1")["CLD.6.3.1/C-1.1c"].Verdict; v == "waived" {
		t.Error("an unsigned waiver counts")
	}
	owner.demarc("sign", w.ID, "--key", file("sign"), "--yes")
	if v := owner.verdicts("acme", "web-1")["CLD.6.3.1/C-1.1c"].Verdict; v != "waived" {
		t.Errorf("a signed waiver does not count: %s", v)
	}

	// The key is lost; two recovery keys put another in its place, and the agent
	// follows.
	var r api.Decision
	owner.ask(&r, "key", "recover", file("new.pub"), "--lost", keys.Keys[0].ID, "--key", file("r1"), "--yes")
	if r.State != "pending" {
		t.Fatalf("one recovery key is enough: %s", r.State)
	}
	owner.ask(&r, "sign", r.ID, "--key", file("r3"), "--yes")
	if r.State != "signed" {
		t.Fatalf("two recovery keys are not enough: %s", r.State)
	}
	eventually(t, "the agent goes by the new keys", func() string {
		if st := owner.stateOf("acme", "web-1"); st.Keys == nil || st.Keys.Version != 2 {
			return fmt.Sprintf("%+v", st)
		}
		return ""
	})
	refused(owner, "not among the tenant's keys", "policy", "set", "hardening", policy(1), "--vm", "web-1", "--key", file("sign"), "--yes")
	owner.demarc("policy", "set", "hardening", policy(1), "--vm", "web-1", "--key", file("new"), "--yes")
	obeys(2)

	// Nobody of the provider can change a VM: that is the customer's (PII/C-8l).
	eventually(t, "the duty is met", func() string {
		v := owner.verdicts("acme", "web-1")["PII/C-8l"]
		if v.Verdict != "met" || v.Party != "customer" {
			return fmt.Sprintf("%+v", v)
		}
		return ""
	})
	if st := owner.stateOf("acme", "web-1"); len(st.Refused) != 0 {
		t.Errorf("refused: %+v", st.Refused)
	}
}
