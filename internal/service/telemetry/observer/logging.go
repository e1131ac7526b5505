package observer

import (
	"context"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

const maxLogFiles = 5000

func collectLogging(ctx context.Context, p *probe) (any, error) {
	f := telemetry.Logging{Syslog: "none", AuditEnabled: -1}
	journalState(p, &f)
	syslogState(p, &f)
	f.AuthLog = f.Journal || p.anyExists("/var/log/auth.log", "/var/log/secure", "/var/log/messages") != "" && f.SyslogRunning
	f.LooseLogs = looseLogs(ctx, p)
	f.Logrotate = p.exists("/etc/logrotate.conf") && p.anyExists("/usr/sbin/logrotate", "/usr/bin/logrotate") != ""
	auditState(ctx, p, &f)
	f.RemoteTargets = uniq(f.RemoteTargets)
	return f, nil
}

// journalState reads journald.conf(5) and its drop-ins; later files win.
func journalState(p *probe, f *telemetry.Logging) {
	f.Journal = p.running("systemd-journald")
	conf := map[string]string{}
	for _, file := range append([]string{"/usr/lib/systemd/journald.conf", "/etc/systemd/journald.conf"},
		append(p.glob("/usr/lib/systemd/journald.conf.d/*.conf"), p.glob("/etc/systemd/journald.conf.d/*.conf")...)...) {
		for _, s := range parseINI([]byte(p.config(file))) {
			for k, v := range s {
				conf[k] = v
			}
		}
	}
	storage := strings.ToLower(conf["storage"])
	f.JournalPersistent = f.Journal && (storage == "persistent" || (storage == "" || storage == "auto") && p.exists("/var/log/journal"))
	f.JournalCompress = f.Journal && !slices.Contains([]string{"no", "false", "0", "off"}, strings.ToLower(conf["compress"]))
	f.JournalForward = f.Journal && truth(conf["forwardtosyslog"])
	f.JournalRemote = p.running("systemd-journal-upload")
	if f.JournalRemote {
		for _, s := range parseINI([]byte(p.config("/etc/systemd/journal-upload.conf"))) {
			if u := s["url"]; u != "" {
				f.RemoteTargets = append(f.RemoteTargets, hostOf(u))
			}
		}
	}
}

func syslogState(p *probe, f *telemetry.Logging) {
	switch {
	case p.exists("/usr/sbin/rsyslogd"):
		f.Syslog, f.SyslogRunning = "rsyslog", p.running("rsyslogd", "rsyslog")
		for _, file := range append([]string{"/etc/rsyslog.conf"}, p.glob("/etc/rsyslog.d/*.conf")...) {
			targets, mode := parseRsyslog([]byte(p.config(file)))
			f.RemoteTargets = append(f.RemoteTargets, targets...)
			if mode != "" {
				f.FileCreateMode = mode
			}
		}
	case p.exists("/usr/sbin/syslog-ng"):
		f.Syslog, f.SyslogRunning = "syslog-ng", p.running("syslog-ng")
		for _, file := range append([]string{"/etc/syslog-ng/syslog-ng.conf"}, p.glob("/etc/syslog-ng/conf.d/*.conf")...) {
			f.RemoteTargets = append(f.RemoteTargets, parseSyslogNG([]byte(p.config(file)))...)
		}
	}
}

var (
	omfwd      = regexp.MustCompile(`(?i)action\s*\([^)]*type\s*=\s*"om(?:fwd|relp|gssapi)"[^)]*\)`)
	fwdTarget  = regexp.MustCompile(`(?i)target\s*=\s*"([^"]+)"`)
	oldForward = regexp.MustCompile(`^\S+\s+(?:@@?|:omrelp:)(?:\([^)]*\))?(\[[^\]]+\]|[^\s:;]+)`)
	createMode = regexp.MustCompile(`(?i)^\$FileCreateMode\s+(\d{3,4})|fileCreateMode\s*=\s*"(\d{3,4})"`)
	ngTarget   = regexp.MustCompile(`(?:network|syslog|tcp|udp|tcp6|udp6)\s*\(\s*"?([A-Za-z0-9][A-Za-z0-9.:-]*)"?`)
)

// parseRsyslog finds where rsyslog.conf(5) forwards to, and the mode of new files.
func parseRsyslog(b []byte) (targets []string, mode string) {
	var text strings.Builder
	for _, line := range joinedLines(b) {
		text.WriteString(line + "\n")
		if m := oldForward.FindStringSubmatch(line); m != nil && len(targets) < 100 {
			targets = append(targets, strings.Trim(m[1], "[]"))
		}
		if m := createMode.FindStringSubmatch(line); m != nil {
			mode = m[1] + m[2]
		}
	}
	for _, action := range omfwd.FindAllString(text.String(), 100) {
		if m := fwdTarget.FindStringSubmatch(action); m != nil {
			targets = append(targets, m[1])
		}
	}
	return targets, mode
}

// parseSyslogNG finds the hosts of network destinations; sources, which name
// addresses to listen on, are left out.
func parseSyslogNG(b []byte) []string {
	var out []string
	for _, statement := range strings.Split(strings.Join(joinedLines(b), " "), "};") {
		if !strings.HasPrefix(strings.TrimSpace(statement), "destination") {
			continue
		}
		for _, m := range ngTarget.FindAllStringSubmatch(statement, 100) {
			out = append(out, m[1])
		}
	}
	return out
}

// hostOf cuts scheme, credentials, port and path off a URL.
func hostOf(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		url = rest
	}
	url, _, _ = strings.Cut(url, "/")
	url = url[strings.LastIndexByte(url, '@')+1:]
	if i := strings.LastIndexByte(url, ':'); i > 0 && !strings.HasSuffix(url, "]") {
		url = url[:i]
	}
	return url
}

// looseLogs walks /var/log for files that others may write, and for those with
// logins that others may read.
func looseLogs(ctx context.Context, p *probe) []string {
	var out []string
	seen := 0
	base := p.path("/var/log")
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read is not loose for the agent's user
		}
		if seen++; seen > maxLogFiles || ctx.Err() != nil {
			return fs.SkipAll
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		name := "/var/log" + strings.TrimPrefix(path, base)
		bits := info.Mode().Perm()
		if bits&0o002 != 0 || bits&0o004 != 0 && holdsLogins(name) {
			out = append(out, name)
		}
		return nil
	})
	if err != nil || seen > maxLogFiles {
		p.gap("only the first %d files of /var/log are looked at", maxLogFiles)
	}
	slices.Sort(out)
	return out[:min(len(out), 200)]
}

// holdsLogins reports logs that only administrators should read. wtmp and
// lastlog are left out: last(1) needs them readable.
func holdsLogins(name string) bool {
	base := baseName(name)
	return strings.HasPrefix(base, "auth.log") || strings.HasPrefix(base, "secure") || strings.HasPrefix(base, "btmp") || strings.HasPrefix(name, "/var/log/audit/")
}
