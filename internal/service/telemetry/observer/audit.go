package observer

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// auditState reads the kernel's audit status, the rules in force and auditd.conf(5).
func auditState(ctx context.Context, p *probe, f *telemetry.Logging) {
	f.AuditInstalled = p.anyExists("/usr/sbin/auditd", "/sbin/auditd") != ""
	f.AuditRunning = p.running("auditd")
	for _, w := range strings.Fields(p.text("/proc/cmdline")) {
		f.AuditAtBoot = f.AuditAtBoot || w == "audit=1"
	}
	conf := settings(p.config("/etc/audit/auditd.conf"))
	f.AuditMaxFile = number(conf["max_log_file"], 0)
	f.AuditFullAction = strings.ToLower(conf["disk_full_action"])
	f.AuditKeepLogs = strings.EqualFold(conf["max_log_file_action"], "keep_logs")
	if p.live {
		status, err := auditStatus()
		switch {
		case err == nil:
			f.AuditEnabled, f.AuditLost, f.AuditBacklog = status.enabled, status.lost, status.backlog
		case errors.Is(err, unix.EPROTONOSUPPORT):
			f.AuditEnabled = 0 // the kernel has no audit
		default:
			p.gap("the kernel's audit state is not seen: %s; %s", err, mendDenied())
		}
	}
	if !f.AuditInstalled && f.AuditEnabled <= 0 {
		return
	}
	b, err := p.run(ctx, "auditctl", "-l")
	if err != nil {
		p.gap("the audit rules in force are not seen: %s", err)
		return
	}
	rules := parseAuditRules(b)
	f.AuditRules = rules.count
	f.AuditKeys, f.AuditWatches, f.AuditSyscalls = uniq(rules.keys), uniq(rules.watches), uniq(rules.syscalls)
	f.AuditPrivileged = rules.privileged
}

type auditRules struct {
	count                   int
	keys, watches, syscalls []string
	privileged              bool
}

// parseAuditRules parses the output of auditctl -l: a rule a line, in the form
// of audit.rules(7).
func parseAuditRules(b []byte) auditRules {
	var r auditRules
	lines(b, func(_ int, line string) {
		w := strings.Fields(line)
		if len(w) == 0 || w[0] != "-a" && w[0] != "-w" && w[0] != "-A" || r.count >= 5000 {
			return
		}
		r.count++
		path, calls, asRoot := "", []string(nil), false
		for i := 0; i+1 < len(w); i++ {
			value := w[i+1]
			switch w[i] {
			case "-k":
				r.keys = append(r.keys, value)
			case "-w":
				path = value
			case "-S":
				calls = append(calls, strings.Split(value, ",")...)
			case "-F":
				key, v, _ := strings.Cut(value, "=")
				switch key {
				case "key":
					r.keys = append(r.keys, v)
				case "path", "dir":
					path = v
				case "euid":
					asRoot = asRoot || v == "0"
				}
			case "-C":
				asRoot = asRoot || value == "uid!=euid" || value == "euid!=uid"
			}
		}
		if path != "" {
			r.watches = append(r.watches, strings.TrimSuffix(path, "/"))
		}
		for _, c := range calls {
			if c != "all" {
				r.syscalls = append(r.syscalls, c)
			}
		}
		if asRoot && slices.Contains(calls, "execve") || path == "/usr/bin/sudo" || path == "/bin/sudo" {
			r.privileged = true
		}
	})
	return r
}

type kernelAudit struct{ enabled, lost, backlog int }

// auditStatus asks the kernel over netlink for struct audit_status
// (linux/audit.h): mask, enabled, failure, pid, rate_limit, backlog_limit,
// lost, backlog, each of 32 bits.
func auditStatus() (kernelAudit, error) {
	const auditGet = 1000
	reply, err := netlinkAsk(unix.NETLINK_AUDIT, auditGet, unix.NLM_F_REQUEST, nil)
	if err != nil {
		return kernelAudit{}, err
	}
	for _, m := range reply {
		if m.kind == auditGet && len(m.data) >= 32 {
			word := func(i int) int { return int(binary.NativeEndian.Uint32(m.data[4*i:])) }
			return kernelAudit{enabled: word(1), lost: word(6), backlog: word(7)}, nil
		}
	}
	return kernelAudit{}, errors.New("the kernel gave no audit status")
}
