package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/demarc/demarc/api"
	"github.com/demarc/demarc/internal/cli"
	"github.com/demarc/demarc/internal/role/server"
)

// saveProfile lets the command line of this user find the server. A profile
// for another server is left alone.
func (m *machine) saveProfile() error {
	path := m.flags.Profile
	if path == "" {
		return nil
	}
	old, err := cli.LoadProfile(path)
	if err == nil && old.Server != "" && old.Server != m.started.URL {
		fmt.Fprintf(m.errOut, "demarc up: %s points to %s and is left as it is; use DEMARC_SERVER=%s and DEMARC_TOKEN to reach this server\n", path, old.Server, m.started.URL)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	token, err := filepath.Abs(m.dir(server.TokenFile))
	if err != nil {
		return err
	}
	return cli.Profile{Server: m.started.URL, TokenFile: token, Tenant: m.flags.Tenant}.Save(path)
}

// enrol makes tenant and VDC and enrols this machine, unless it is enrolled.
func (m *machine) enrol(ctx context.Context) error {
	if err := m.program(); err != nil {
		return err
	}
	if _, err := os.Stat(m.dir("agent/identity.json")); err == nil {
		return nil
	}
	// Look first: once the set-up is finished, this credential can make nothing.
	if _, err := m.client.Tenant(ctx, m.flags.Tenant); err != nil {
		if !missing(err) {
			return fmt.Errorf("look for tenant %s: %w", m.flags.Tenant, err)
		}
		if _, err := m.client.CreateTenant(ctx, api.NewTenant{Name: m.flags.Tenant, Own: true}); err != nil {
			return fmt.Errorf("make tenant %s: %w", m.flags.Tenant, err)
		}
	}
	vdcs, err := api.Collect(m.client.VDCs(ctx, m.flags.Tenant))
	if err != nil {
		return fmt.Errorf("look for VDC %s: %w", m.flags.VDC, err)
	}
	if !slices.ContainsFunc(vdcs, func(v api.VDC) bool { return v.Name == m.flags.VDC || v.ID == m.flags.VDC }) {
		if _, err := m.client.CreateVDC(ctx, m.flags.Tenant, api.NewVDC{Name: m.flags.VDC}); err != nil {
			return fmt.Errorf("make VDC %s: %w", m.flags.VDC, err)
		}
	}
	t, err := m.client.CreateEnrolmentToken(ctx, m.flags.Tenant, api.NewEnrolmentToken{VDC: m.flags.VDC, Minutes: 10})
	if err != nil {
		return fmt.Errorf("make an enrolment token: %w", err)
	}
	cmd := exec.CommandContext(ctx, m.flags.Agent, "enroll", "--server", t.Server, "--dir", m.dir("agent"))
	cmd.Env = append(os.Environ(), "DEMARC_ENROL_TOKEN="+t.Token)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("enrol this machine: %w\n%s", err, out)
	}
	return nil
}

// program finds the agent's program.
func (m *machine) program() error {
	if m.flags.Agent == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		m.flags.Agent = filepath.Join(filepath.Dir(self), "demarc-agent")
	}
	if _, err := os.Stat(m.flags.Agent); err != nil {
		return fmt.Errorf("the agent's program is not there: %w; build it (make build) or name it with --agent", err)
	}
	return nil
}

func missing(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status == 404
}

// watchAgent runs the agent until ctx ends, and starts it again if it ends by
// itself, with growing pauses.
func (m *machine) watchAgent(ctx context.Context) error {
	log, err := os.OpenFile(m.dir("agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the agent's log: %w", err)
	}
	defer log.Close()
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		cmd := exec.CommandContext(ctx, m.flags.Agent, "run", "--dir", m.dir("agent"))
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		// The agent must not outlive a server that is killed.
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
		err := cmd.Run()
		if ctx.Err() != nil {
			return nil
		}
		fmt.Fprintf(m.errOut, "demarc up: the agent ended (%v); it is started again in %s; its log is %s\n", err, pause, log.Name())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// show waits for the first facts and prints how the contract stands.
func (m *machine) show(ctx context.Context) {
	fmt.Fprintln(m.out, "Looking at this machine ...")
	limit := time.Now().Add(25 * time.Second)
	for time.Now().Before(limit) && ctx.Err() == nil && !m.judged(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
	o, err := m.client.Overview(ctx, "")
	if err != nil {
		fmt.Fprintf(m.errOut, "demarc up: %v\n", err)
		return
	}
	fmt.Fprintf(m.out, "\n%-12s %-9s %6s %6s %8s %8s %6s %7s\n", "CONTROL", "PARTY", "DUTIES", "MET", "NOT MET", "UNKNOWN", "N/A", "WAIVED")
	for _, c := range o.Controls {
		n := c.Counts
		fmt.Fprintf(m.out, "%-12s %-9s %6d %6d %8d %8d %6d %7d\n", c.Control, c.Party, c.Duties, n.Met, n.NotMet, n.Unknown, n.NotApplicable, n.Waived)
	}
	fmt.Fprintf(m.out, "\nVM %s of tenant %s, %.0f s after the start. Next: demarc posture --vm %s, demarc explain DUTY --vm %s, demarc matrix --tenant %s\n",
		m.vm, m.flags.Tenant, time.Since(m.begun).Seconds(), m.vm, m.vm, m.flags.Tenant)
}

// judged reports whether the agent's first facts have been judged: most duties
// that host facts can answer have an answer.
func (m *machine) judged(ctx context.Context) bool {
	for vm, err := range m.client.VMs(ctx, m.flags.Tenant) {
		if err != nil {
			return false
		}
		if m.vm == "" || strings.EqualFold(vm.Name, m.vm) {
			m.vm = vm.Name
		}
		kinds := 0
		for f, err := range m.client.Facts(ctx, m.flags.Tenant, vm.ID) {
			if err == nil && strings.HasPrefix(f.Kind, "host.") {
				kinds++
			}
		}
		if kinds >= 24 && vm.Verdicts.Met+vm.Verdicts.NotMet > 10 {
			return true
		}
	}
	return false
}
