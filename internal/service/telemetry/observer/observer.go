// Package observer is the half of the telemetry service that runs in the
// agent. It reads the state of a Linux machine and emits it as facts, and says
// which part of the state it could not read, why, and what would mend it.
//
// It changes nothing on the machine: it reads files below Host.Root, asks the
// kernel over netlink, and runs a few listing commands whose output it parses
// strictly and within bounds.
package observer

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/demarc/demarc/internal/service"
)

// New returns the observer of the telemetry service.
func New() service.Observer { return observer{} }

type observer struct{}

// Name implements service.Observer.
func (observer) Name() string { return "telemetry" }

// Needs implements service.Observer. Every need is soft: what is not seen
// without it is also reported fact by fact.
func (observer) Needs() []service.Need {
	return []service.Need{
		{
			What: "root",
			For:  "password states, sudo rules, keys of other users, firewall rules, audit state and the processes of other users",
			Check: func(service.Host) error {
				if os.Geteuid() != 0 {
					return errors.New("the agent does not run as root; start it as root (systemd unit with User=root)")
				}
				return nil
			},
		},
		{
			What: "systemd",
			For:  "units, timers and the journal",
			Check: func(h service.Host) error {
				if !newProbe(h.Root, time.Now).systemd() {
					return errors.New("systemd is not the init system of this machine")
				}
				return nil
			},
		},
	}
}

// Run implements service.Observer.
func (observer) Run(ctx context.Context, host service.Host) error {
	p := newProbe(host.Root, time.Now)
	p.dir = host.Dir
	return newScheduler(host, p, collectors()).run(ctx)
}
