package observer

import (
	"context"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// timeDaemons are the programs that keep the clock, with where they read their servers.
var timeDaemons = []struct {
	name, process string
	files         []string
}{
	{"chrony", "chronyd", []string{"/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/chrony/conf.d/*.conf", "/etc/chrony/sources.d/*.sources", "/run/chrony-dhcp/*.sources", "/etc/chrony.d/*.conf"}},
	{"systemd-timesyncd", "systemd-timesyncd", []string{"/etc/systemd/timesyncd.conf", "/etc/systemd/timesyncd.conf.d/*.conf", "/usr/lib/systemd/timesyncd.conf.d/*.conf"}},
	{"ntpd", "ntpd", []string{"/etc/ntp.conf", "/etc/ntpsec/ntp.conf", "/etc/ntpsec/ntp.d/*.conf"}},
	{"openntpd", "openntpd", []string{"/etc/openntpd/ntpd.conf"}},
}

func collectTimeSync(_ context.Context, p *probe) (any, error) {
	f := telemetry.TimeSync{Service: "none"}
	for _, d := range timeDaemons {
		pr, runs := p.process(d.process)
		if d.name == "ntpd" && runs && p.exists("/etc/openntpd/ntpd.conf") {
			d = timeDaemons[3]
		}
		installed := false
		for _, dir := range []string{"/usr/sbin/", "/usr/bin/", "/usr/lib/systemd/", "/lib/systemd/"} {
			installed = installed || p.exists(dir+d.process)
		}
		if !runs && (!installed || f.Service != "none") {
			continue
		}
		f.Service, f.Running = d.name, runs
		f.RunsAsRoot = runs && pr.uid == 0
		f.Servers = nil
		for _, pattern := range d.files {
			for _, file := range p.glob(pattern) {
				f.Servers = append(f.Servers, timeServers([]byte(p.config(file)))...)
			}
		}
		if runs {
			break
		}
	}
	f.Servers = uniq(f.Servers)
	if _, ok := p.process("phc2sys", "vmtoolsd"); ok && f.Service == "none" {
		f.Service, f.Running = "hypervisor", true
	}
	if !p.live {
		return f, nil
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		p.gap("the state of the kernel clock cannot be read: %s", err)
		return f, nil
	}
	f.Synchronized = state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0
	unit := 1e-6
	if t.Status&unix.STA_NANO != 0 {
		unit = 1e-9
	}
	// To the millisecond, so that an idle clock does not change the fact.
	ms := float64(t.Offset) * unit * 1000
	f.OffsetSeconds = float64(int64(ms)) / 1000
	return f, nil
}

// timeServers finds the servers in the configuration of chrony ("server x
// iburst"), ntpd, and timesyncd ("NTP=a b").
func timeServers(b []byte) []string {
	var out []string
	for _, line := range joinedLines(b) {
		w := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(w) < 2 || len(out) >= 100 {
			continue
		}
		switch strings.ToLower(w[0]) {
		case "server", "servers", "pool", "peer", "refclock":
			out = append(out, w[1])
		case "ntp", "fallbackntp":
			out = append(out, w[1:]...)
		}
	}
	return out
}
