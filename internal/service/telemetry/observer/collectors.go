package observer

import (
	"context"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// collector reads one fact. It returns an error if the fact cannot be read at
// all; what it could not read in part it tells with probe.gap. Both reach
// people as lost coverage, so they say in plain words what is missing and what
// mends it.
type collector func(ctx context.Context, p *probe) (any, error)

// task pairs a kind of fact with its collector.
type task struct {
	kind    string
	every   time.Duration
	limit   time.Duration
	collect collector
}

const defaultLimit = 10 * time.Second

// collectors lists every task, in the order in which the first facts are read:
// the two slow ones first, because they run beside the others, then the cheap
// before the dear.
func collectors() []task {
	table := []struct {
		kind    string
		limit   time.Duration
		collect collector
	}{
		{"host.os", 0, collectOS},
		{"host.updates", 90 * time.Second, collectUpdates},
		{"host.resources", 0, collectResources},
		{"host.users", 0, collectUsers},
		{"host.groups", 0, collectGroups},
		{"host.sudo", 0, collectSudo},
		{"host.sshd", 0, collectSSHD},
		{"host.authorized_keys", 0, collectKeys},
		{"host.password_policy", 0, collectPasswordPolicy},
		{"host.mfa", 0, collectMFA},
		{"host.network", 0, collectNetwork},
		{"host.listeners", 0, collectListeners},
		{"host.firewall", 0, collectFirewall},
		{"host.services", 0, collectServices},
		{"host.mounts", 0, collectMounts},
		{"host.kernel", 0, collectKernel},
		{"host.modules", 0, collectModules},
		{"host.timesync", 0, collectTimeSync},
		{"host.logging", 0, collectLogging},
		{"host.jobs", 0, collectJobs},
		{"host.banners", 0, collectBanners},
		{"host.packages", 30 * time.Second, collectPackages},
		{"host.software", 0, collectSoftware},
		{"host.reboot", 0, collectReboot},
		{"host.logins", 20 * time.Second, collectLogins},
		{"host.files", 60 * time.Second, collectFiles},
	}
	every := map[string]time.Duration{}
	for _, k := range telemetry.Kinds {
		every[k.Name] = k.Every
	}
	tasks := make([]task, 0, len(table))
	for _, row := range table {
		limit := row.limit
		if limit == 0 {
			limit = defaultLimit
		}
		tasks = append(tasks, task{row.kind, every[row.kind], limit, row.collect})
	}
	return tasks
}
