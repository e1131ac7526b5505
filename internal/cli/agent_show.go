package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

type agentShowCmd struct {
	VM string `arg:"" name:"vm" help:"Name or id of the VM."`
	ofTenant
}

// Help is shown below the flags.
func (agentShowCmd) Help() string {
	return `It tells which of the customer's keys the agent goes by, which signed policies it obeys, and which it refuses and why.

Example:
  demarc agent show web-1`
}

// agentTold is what this command reads of the agent.state fact.
type agentTold struct {
	Software string `json:"software"`
	Keys     *struct {
		Pinned  string `json:"pinned"`
		Digest  string `json:"digest,omitempty"`
		Version int    `json:"version,omitempty"`
		Fault   string `json:"fault,omitempty"`
	} `json:"customer_keys,omitempty"`
	Policies []struct {
		Service  string     `json:"service"`
		Subject  string     `json:"subject"`
		Version  int        `json:"version"`
		Decision string     `json:"decision"`
		Digest   string     `json:"digest"`
		Until    *time.Time `json:"until,omitempty"`
	} `json:"policies,omitempty"`
	Refused []struct {
		Service  string `json:"service"`
		Decision string `json:"decision"`
		Class    string `json:"class"`
		Reason   string `json:"reason"`
	} `json:"refused_policies,omitempty"`
	Services []struct {
		Name    string `json:"name"`
		Running bool   `json:"running"`
		Fault   string `json:"fault,omitempty"`
	} `json:"services"`
}

// Run shows what an agent told last.
func (c *agentShowCmd) Run(ctx context.Context, s *session) error {
	client, tenant, err := s.within(ctx, c.Tenant)
	if err != nil {
		return err
	}
	f, err := client.Fact(ctx, tenant, c.VM, "agent.state")
	if err != nil {
		return fmt.Errorf("reading what the agent of VM %s told: %w", c.VM, err)
	}
	var told agentTold
	if err := json.Unmarshal(f.Data, &told); err != nil {
		return fmt.Errorf("reading what the agent of VM %s told: %w", c.VM, err)
	}
	if s.flags.Output == "json" || s.flags.Output == "yaml" {
		return s.printValue(told)
	}
	return printOne(s, f, s.toldColumns(told))
}

// toldColumns are the lines of what an agent told.
func (s *session) toldColumns(told agentTold) []column[api.Fact] {
	var out []column[api.Fact]
	line := func(key, head, text string) {
		out = append(out, column[api.Fact]{key: key, head: head, fit: flow, text: func(api.Fact) string { return text }})
	}
	out = append(out, column[api.Fact]{key: "observed_at", head: "TOLD", text: func(v api.Fact) string { return stamp(v.ObservedAt) },
		show: func(v api.Fact) string { return s.age(v.ObservedAt) + " ago" }})
	line("software", "SOFTWARE", told.Software)
	switch {
	case told.Keys == nil:
		line("customer_keys", "KEYS", "none are trusted on the machine, so no policy is obeyed; see demarc-agent trust --help")
	case told.Keys.Fault != "":
		line("customer_keys", "KEYS", fmt.Sprintf("version %d, pinned %s; those that the server shows are refused: %s", told.Keys.Version, told.Keys.Pinned, told.Keys.Fault))
	default:
		line("customer_keys", "KEYS", fmt.Sprintf("version %d, %s, pinned %s", told.Keys.Version, told.Keys.Digest, told.Keys.Pinned))
	}
	for _, p := range told.Policies {
		until := ""
		if p.Until != nil {
			until = ", until " + stamp(*p.Until)
		}
		scope, _, _ := strings.Cut(p.Subject, "/")
		line("policy", "OBEYS", fmt.Sprintf("%s: version %d for the %s, decision %s%s", p.Service, p.Version, scope, p.Decision, until))
	}
	for _, r := range told.Refused {
		line("refused", "REFUSES", fmt.Sprintf("%s: decision %s: %s", r.Service, r.Decision, r.Reason))
	}
	for _, v := range told.Services {
		state := "runs"
		if !v.Running {
			state = "does not run"
		}
		if v.Fault != "" {
			state += ": " + v.Fault
		}
		line("service", "SERVICE", v.Name+" "+state)
	}
	return out
}
