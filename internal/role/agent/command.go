package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/demarc/demarc/internal/agent"
)

// Commands are the verbs of the program, with their flags.
type Commands struct {
	Enroll  Enroll  `cmd:"" help:"Enrol this machine with a one-time token."`
	Trust   Trust   `cmd:"" help:"Trust the customer's keys of a digest: from then on their signed policies are obeyed."`
	Run     Run     `cmd:"" help:"Run the agent until it is interrupted."`
	Status  Status  `cmd:"" help:"Show identity, coverage and spool of the agent on this machine."`
	Version Version `cmd:"" help:"Print the version."`
}

// Enroll exchanges a token for an identity.
type Enroll struct {
	Server    string `required:"" placeholder:"URL" help:"The server's HTTPS address."`
	TokenFile string `placeholder:"FILE" help:"File that holds the token. Without it, the variable DEMARC_ENROL_TOKEN, then standard input."`
	Dir       string `default:"/var/lib/demarc-agent" help:"Where the agent keeps identity and spool."`
	Root      string `default:"/" help:"The directory that stands for /."`
	Force     bool   `help:"Give up an identity that is there."`

	CustomerKey string `name:"customer-key" placeholder:"DIGEST" help:"Digest of the customer's key set, as demarc key list prints it; it counts before the one in the token."`
}

// maxToken bounds what is read in search of a token.
const maxToken = 4096

// Run implements the command.
func (c *Enroll) Run(ctx context.Context, p Program) error {
	token, err := c.token(p)
	if err != nil {
		return err
	}
	id, err := agent.Enrol(ctx, agent.EnrolOptions{Server: c.Server, Token: token, Dir: c.Dir, Root: c.Root, Software: p.Software(), Force: c.Force, CustomerKeys: c.CustomerKey})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "Enrolled as agent %s of VM %s. Start it with: demarc-agent run --dir %s\n", id.Agent, id.VMName, c.Dir)
	return nil
}

func (c *Enroll) token(p Program) (string, error) {
	var from io.Reader
	switch {
	case c.TokenFile != "":
		f, err := os.Open(c.TokenFile)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		defer f.Close()
		from = f
	case p.Getenv("DEMARC_ENROL_TOKEN") != "":
		from = strings.NewReader(p.Getenv("DEMARC_ENROL_TOKEN"))
	default:
		from = p.Stdin
	}
	b, err := io.ReadAll(io.LimitReader(from, maxToken))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return string(b), nil
}

// Trust pins the customer's keys on a machine that is enrolled.
type Trust struct {
	Digest string `arg:"" help:"sha256:<64 hex digits>, as demarc key list prints it to the customer."`
	Dir    string `default:"/var/lib/demarc-agent" help:"Where the agent keeps identity and spool."`
}

// Run implements the command.
func (c *Trust) Run(p Program) error {
	if err := agent.Trust(c.Dir, c.Digest); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "Pinned. The agent goes by the customer's keys %s from its next look on, at the latest in six minutes; starting it again hastens it.\n", c.Digest)
	return nil
}

// Run runs the agent.
type Run struct {
	Dir        string `default:"/var/lib/demarc-agent" help:"Where the agent keeps identity and spool."`
	Root       string `default:"/" help:"The directory that stands for /."`
	SpoolBytes int64  `default:"268435456" help:"Most bytes that wait on disk while the server cannot be reached."`
	Debug      bool   `help:"Log more."`
}

// Run implements the command.
func (c *Run) Run(ctx context.Context, p Program) error {
	return p.Run(ctx, c.Dir, c.Root, c.SpoolBytes, c.Debug)
}

// Status shows how the agent is.
type Status struct {
	Dir    string `default:"/var/lib/demarc-agent" help:"Where the agent keeps identity and spool."`
	Output string `enum:"text,json" default:"text" help:"Form of the output: text or json."`
}

// report is the JSON form of the status. It leaves out what is secret.
type report struct {
	Agent     string       `json:"agent"`
	Tenant    string       `json:"tenant"`
	VM        string       `json:"vm"`
	VMName    string       `json:"vm_name"`
	Server    string       `json:"server"`
	BusURLs   []string     `json:"bus_urls"`
	ExpiresAt time.Time    `json:"expires_at"`
	Status    agent.Status `json:"status"`
}

// Run implements the command.
func (c *Status) Run(p Program) error {
	id, err := agent.LoadIdentity(c.Dir)
	if err != nil {
		return err
	}
	st, err := agent.LoadStatus(c.Dir)
	if err != nil {
		return err
	}
	r := report{Agent: id.Agent, Tenant: id.Tenant, VM: id.VM, VMName: id.VMName, Server: id.Server, BusURLs: id.BusURLs, ExpiresAt: id.ExpiresAt, Status: st}
	if c.Output == "json" {
		enc := json.NewEncoder(p.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return r.print(p.Stdout)
}

func (r report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	line := func(name, format string, v ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, v...)) }
	line("Agent", "%s", r.Agent)
	line("VM", "%s (%s), tenant %s", r.VMName, r.VM, r.Tenant)
	line("Server", "%s", r.Server)
	line("Identity", "valid until %s%s", r.ExpiresAt.Format(time.RFC3339), suffix(r.Status.IdentityFault))
	if r.Status.WrittenAt.IsZero() {
		line("Running", "never ran")
		return w.Flush()
	}
	line("Reported", "%s", r.Status.WrittenAt.Format(time.RFC3339))
	line("Bus", "%s%s", map[bool]string{true: "connected", false: "not connected"}[r.Status.Connected], suffix(r.Status.BusFault))
	s := r.Status.State
	line("Spool", "%d records wait%s", r.Status.Waiting, suffix(s.SpoolFault))
	line("Dropped", "%d facts, %d findings, %d activities for want of room; %d malformed; %d lost to damage",
		s.ShedFacts, s.ShedFindings, s.ShedActivities, s.Refused, s.Lost)
	switch {
	case s.Keys == nil:
		line("Customer", "no keys are trusted, so no policy is obeyed; see demarc-agent trust --help")
	default:
		line("Customer", "keys version %d, pinned %s%s", s.Keys.Version, s.Keys.Pinned, suffix(s.Keys.Fault))
	}
	for _, o := range s.Policies {
		line("Policy", "%s: version %d of %s, decision %s", o.Service, o.Version, o.Subject, o.Decision)
	}
	for _, r := range s.RefusedPolicies {
		line("", "policy refused: %s: %s", r.Service, r.Reason)
	}
	for _, svc := range s.Services {
		line("Service", "%s: %s%s", svc.Name, map[bool]string{true: "running", false: "not running"}[svc.Running], suffix(svc.Fault))
		for _, c := range svc.Coverage {
			if !c.Watched {
				line("", "not watched: %s%s", c.Aspect, suffix(c.Reason))
			}
		}
	}
	return w.Flush()
}

func suffix(fault string) string {
	if fault == "" {
		return ""
	}
	return ": " + fault
}

// Version prints the version.
type Version struct{}

// Run implements the command.
func (Version) Run(p Program) error {
	_, err := fmt.Fprintln(p.Stdout, "demarc-agent", p.Version)
	return err
}
