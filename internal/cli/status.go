package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/demarc/demarc/api"
)

// silentAfter is when an agent that said nothing counts as silent.
const silentAfter = 5 * time.Minute

type statusCmd struct{}

// glance is the answer of status.
type glance struct {
	Server    string        `json:"server"`
	Principal api.Principal `json:"principal"`
	Counts    api.Counts    `json:"counts"`
	// Ledger is missing if the principal may not see it.
	Ledger *api.LedgerState `json:"ledger,omitempty"`
	Agents agentCounts      `json:"agents"`
	// Waiting are the stores that take no records now.
	Waiting []api.Waiting `json:"waiting"`
}

// agentCounts counts agents; one is silent if it said nothing for 5 minutes.
type agentCounts struct {
	Reporting int `json:"reporting"`
	Silent    int `json:"silent"`
	Revoked   int `json:"revoked"`
}

func (s *session) glanceColumns() []column[glance] {
	return []column[glance]{
		{key: "server", head: "SERVER", text: func(v glance) string { return v.Server }},
		{key: "principal", head: "YOU", text: func(v glance) string { return v.Principal.Name + ", " + v.Principal.Role }},
		{key: "duties", head: "DUTIES", fit: flow, text: func(v glance) string { return tally(v.Counts) }},
		{key: "ledger", head: "LEDGER", fit: flow, text: s.ledgerGlance, hue: func(v glance) hue {
			if v.Ledger != nil && v.Ledger.Fault != "" {
				return red
			}
			return plain
		}},
		{key: "agents_reporting", text: func(v glance) string { return strconv.Itoa(v.Agents.Reporting) }},
		{key: "agents_silent", text: func(v glance) string { return strconv.Itoa(v.Agents.Silent) }},
		{key: "agents_revoked", text: func(v glance) string { return strconv.Itoa(v.Agents.Revoked) }},
		{key: "waiting", head: "INGEST", fit: flow, hue: func(glance) hue { return red }, text: func(v glance) string {
			var out []string
			for _, w := range v.Waiting {
				out = append(out, "wait for the "+w.Store+" for "+s.age(w.Since)+": verdicts lag, nothing is lost")
			}
			return strings.Join(out, "; ")
		}},
		{key: "agents", head: "AGENTS", text: func(v glance) string {
			return fmt.Sprintf("%d reporting, %d silent, %d revoked", v.Agents.Reporting, v.Agents.Silent, v.Agents.Revoked)
		}},
	}
}

func (s *session) ledgerGlance(v glance) string {
	if v.Ledger == nil {
		return "not for your role"
	}
	text := fmt.Sprintf("%d entries", v.Ledger.Entries)
	switch {
	case v.Ledger.Fault != "":
		return text + ", at fault: " + v.Ledger.Fault
	case v.Ledger.VerifiedAt.IsZero():
		return text + ", not verified yet"
	}
	return text + ", found whole " + s.age(v.Ledger.VerifiedAt) + " ago"
}

// Run shows how the server stands.
func (c *statusCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	g := glance{Server: client.Base}
	if g.Principal, err = client.Whoami(ctx); err != nil {
		return fmt.Errorf("asking who you are: %w", err)
	}
	overview, err := client.Overview(ctx, "")
	if err != nil {
		return fmt.Errorf("reading the overview: %w", err)
	}
	g.Counts, g.Waiting = overview.Counts, overview.Waiting
	if state, err := client.LedgerState(ctx); err == nil {
		g.Ledger = &state
	} else if !forbidden(err) {
		return fmt.Errorf("reading the state of the ledger: %w", err)
	}
	if g.Agents, err = s.countAgents(ctx, client); err != nil {
		return err
	}
	return printOne(s, g, s.glanceColumns())
}

func (s *session) countAgents(ctx context.Context, client *api.Client) (agentCounts, error) {
	var n agentCounts
	for t, err := range client.Tenants(ctx) {
		if err != nil {
			return n, fmt.Errorf("listing tenants: %w", err)
		}
		for a, err := range client.Agents(ctx, t.ID) {
			switch {
			case err != nil:
				return n, fmt.Errorf("listing agents of tenant %s: %w", t.Name, err)
			case a.RevokedAt != nil:
				n.Revoked++
			case a.SeenAt == nil || s.now().Sub(*a.SeenAt) > silentAfter:
				n.Silent++
			default:
				n.Reporting++
			}
		}
	}
	return n, nil
}

type whoamiCmd struct {
	Tenant string `help:"Tell what you may do in this tenant; on your own side if left out." placeholder:"NAME"`
}

// Help is shown below the flags.
func (whoamiCmd) Help() string {
	return `Examples:
  demarc whoami
  demarc whoami --tenant acme`
}

var whoamiColumns = append(principalColumns[:len(principalColumns):len(principalColumns)],
	column[api.Principal]{key: "kind", head: "KIND", text: func(v api.Principal) string { return v.Kind }},
	column[api.Principal]{key: "mfa", head: "SECOND FACTOR", text: func(v api.Principal) string { return yes(v.MFA) }},
	column[api.Principal]{key: "scope", head: "NARROWED TO", text: func(v api.Principal) string { return strings.Join(v.Scope, " ") }},
	column[api.Principal]{key: "may", head: "MAY", text: func(v api.Principal) string { return strings.Join(v.May, " ") }},
)

// Run says who the caller is.
func (c *whoamiCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	v, err := client.WhoamiIn(ctx, c.Tenant)
	if err != nil {
		return fmt.Errorf("asking who you are: %w", err)
	}
	return printOne(s, v, whoamiColumns)
}
