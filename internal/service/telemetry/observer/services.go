package observer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const maxUnits = 3000

// units is what the init system says of its units.
type units struct {
	manager string
	units   []telemetry.Unit
	active  map[string]bool
	enabled map[string]bool
}

// units asks the init system, at most twice a minute.
func (p *probe) units() (*units, error) {
	return lately(p, "units", 30*time.Second, func() (*units, error) {
		switch {
		case p.systemd():
			ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
			defer cancel()
			return systemdUnits(ctx, p)
		case p.exists("/run/openrc/softlevel"), p.exists("/run/openrc/started"):
			return openrcUnits(p)
		}
		return &units{manager: "none"}, nil
	})
}

func systemdUnits(ctx context.Context, p *probe) (*units, error) {
	files, err := p.run(ctx, "systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain", "--type=service,socket,timer")
	if err != nil {
		return nil, fmt.Errorf("systemd does not answer (%w); systemctl list-unit-files shows what is wrong", err)
	}
	states, err := p.run(ctx, "systemctl", "list-units", "--all", "--no-legend", "--no-pager", "--plain", "--type=service,socket,timer")
	if err != nil {
		return nil, fmt.Errorf("systemd does not answer (%w); systemctl list-units shows what is wrong", err)
	}
	return parseUnits(files, states), nil
}

// parseUnits joins "NAME STATE PRESET" of list-unit-files with "NAME LOAD
// ACTIVE SUB DESCRIPTION" of list-units.
func parseUnits(files, states []byte) *units {
	u := &units{manager: "systemd", active: map[string]bool{}, enabled: map[string]bool{}}
	all := map[string]*telemetry.Unit{}
	unit := func(name string) *telemetry.Unit {
		if all[name] == nil {
			all[name] = &telemetry.Unit{Name: name, Active: "inactive", Enabled: "none"}
		}
		return all[name]
	}
	lines(files, func(_ int, line string) {
		if f := strings.Fields(line); len(f) >= 2 && len(all) < maxUnits {
			unit(f[0]).Enabled = f[1]
			u.enabled[f[0]] = f[1] == "enabled" || f[1] == "enabled-runtime"
		}
	})
	lines(states, func(_ int, line string) {
		f := strings.Fields(strings.TrimLeft(line, "●*× "))
		if len(f) >= 4 && f[1] != "not-found" && len(all) < maxUnits {
			unit(f[0]).Active = f[2]
			u.active[f[0]] = f[2] == "active" || f[2] == "reloading"
		}
	})
	for _, x := range all {
		u.units = append(u.units, *x)
	}
	slices.SortFunc(u.units, func(a, b telemetry.Unit) int { return strings.Compare(a.Name, b.Name) })
	return u
}

// openrcUnits reads the state directories of OpenRC.
func openrcUnits(p *probe) (*units, error) {
	u := &units{manager: "openrc", active: map[string]bool{}, enabled: map[string]bool{}}
	started, err := p.list("/run/openrc/started")
	if err != nil {
		return nil, err
	}
	all, err := p.list("/etc/init.d")
	if err != nil {
		return nil, err
	}
	for _, path := range p.glob("/etc/runlevels/*/*") {
		u.enabled[baseName(path)+".service"] = true
	}
	for _, name := range all[:min(len(all), maxUnits)] {
		x := telemetry.Unit{Name: name + ".service", Active: "inactive", Enabled: "disabled"}
		if slices.Contains(started, name) {
			x.Active, u.active[x.Name] = "active", true
		}
		if u.enabled[x.Name] {
			x.Enabled = "enabled"
		}
		u.units = append(u.units, x)
	}
	return u, nil
}

func collectServices(_ context.Context, p *probe) (any, error) {
	u, err := p.units()
	if err != nil {
		return nil, err
	}
	if u.manager == "none" {
		name := p.text("/proc/1/comm")
		if name == "" {
			return nil, errors.New("the init system cannot be told: /proc is not there")
		}
		p.gap("units are not seen: neither systemd nor OpenRC runs here (process 1 is %s); what it starts shows among the listeners only", name)
	}
	if len(u.units) >= maxUnits {
		p.gap("only the first %d units are looked at", maxUnits)
	}
	f := telemetry.Services{Manager: u.manager, Units: u.units}
	for _, x := range u.units {
		name, isService := strings.CutSuffix(x.Name, ".service")
		if isService && x.Active == "active" {
			f.Running = append(f.Running, name)
		}
		if u.enabled[x.Name] && !strings.HasSuffix(x.Name, ".timer") {
			f.Enabled = append(f.Enabled, strings.TrimSuffix(name, ".socket"))
		}
		if x.Active == "failed" {
			f.Failed = append(f.Failed, name)
		}
	}
	f.Running, f.Enabled, f.Failed = uniq(f.Running), uniq(f.Enabled), uniq(f.Failed)
	return f, nil
}
