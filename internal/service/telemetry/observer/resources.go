package observer

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// cpuTimes is what the first line of proc_stat(5) counts.
type cpuTimes struct{ busy, total uint64 }

func collectResources(_ context.Context, p *probe) (any, error) {
	stat, err := p.read("/proc/stat")
	if err != nil {
		return nil, fmt.Errorf("resource usage cannot be read: %w", err)
	}
	var f telemetry.Resources
	var now cpuTimes
	lines(stat, func(_ int, line string) {
		w := strings.Fields(line)
		switch {
		case len(w) > 5 && w[0] == "cpu":
			now = cpuLine(w[1:])
		case len(w) > 1 && strings.HasPrefix(w[0], "cpu"):
			f.CPUs++
		}
	})
	last, _ := remember(p, "cpu", "", func() (*cpuTimes, error) { return &cpuTimes{}, nil })
	if now.total > last.total && now.busy >= last.busy {
		f.CPUBusy = round(float64(now.busy-last.busy)/float64(now.total-last.total), 1000)
	}
	*last = now
	if w := strings.Fields(p.text("/proc/loadavg")); len(w) > 0 {
		f.Load1, _ = strconv.ParseFloat(w[0], 64)
	}
	mem := memInfo(p)
	f.MemoryBytes = mem["MemTotal"]
	f.MemoryUsed = f.MemoryBytes - mem["MemAvailable"]
	f.SwapUsed = mem["SwapTotal"] - mem["SwapFree"]
	if w := strings.Fields(p.text("/proc/uptime")); len(w) > 0 {
		up, _ := strconv.ParseFloat(w[0], 64)
		f.UptimeSeconds = int64(up)
	}
	f.NetworkReceived, f.NetworkSent = networkBytes(p)
	f.DiskRead, f.DiskWritten = diskBytes(p)
	f.DiskUsedRatio, f.FullestMount = fullest(p)
	names, _ := p.list("/proc")
	for _, n := range names {
		if n[0] >= '1' && n[0] <= '9' {
			f.Processes++
		}
	}
	return f, nil
}

// cpuLine sums user, nice, system, idle, iowait, irq, softirq and steal; guest
// times are part of user already.
func cpuLine(w []string) (t cpuTimes) {
	for i, s := range w[:min(len(w), 8)] {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			continue
		}
		t.total += n
		if i != 3 && i != 4 {
			t.busy += n
		}
	}
	return t
}

// memInfo parses proc_meminfo(5), in bytes.
func memInfo(p *probe) map[string]int64 {
	out := map[string]int64{}
	b, _ := p.read("/proc/meminfo")
	lines(b, func(_ int, line string) {
		if w := strings.Fields(line); len(w) >= 2 {
			n, err := strconv.ParseInt(w[1], 10, 64)
			if err == nil && n < 1<<50 {
				out[strings.TrimSuffix(w[0], ":")] = n << 10
			}
		}
	})
	return out
}

// networkBytes sums the counters of all interfaces but loopback.
func networkBytes(p *probe) (received, sent int64) {
	b, _ := p.read("/proc/net/dev")
	lines(b, func(_ int, line string) {
		name, rest, ok := strings.Cut(line, ":")
		w := strings.Fields(rest)
		if !ok || name == "lo" || len(w) < 9 {
			return
		}
		in, _ := strconv.ParseInt(w[0], 10, 64)
		out, _ := strconv.ParseInt(w[8], 10, 64)
		received, sent = received+in, sent+out
	})
	return received, sent
}

// diskBytes sums the counters of whole disks, in sectors of 512 bytes
// (Documentation/block/stat.rst of Linux).
func diskBytes(p *probe) (read, written int64) {
	for _, stat := range p.glob("/sys/block/*/stat") {
		name := strings.Split(stat, "/")[3]
		if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "dm-") || strings.HasPrefix(name, "zram") {
			continue
		}
		if w := strings.Fields(p.text(stat)); len(w) >= 7 {
			in, _ := strconv.ParseInt(w[2], 10, 64)
			out, _ := strconv.ParseInt(w[6], 10, 64)
			read, written = read+in*512, written+out*512
		}
	}
	return read, written
}

func fullest(p *probe) (ratio float64, mount string) {
	mounts, err := p.mounts()
	if err != nil {
		return 0, ""
	}
	for _, m := range mounts {
		if !m.disk() {
			continue
		}
		if used, _, ok := p.space(m.target); ok && (mount == "" || used > ratio) {
			ratio, mount = used, m.target
		}
	}
	return round(ratio, 1000), mount
}

func round(x float64, steps float64) float64 {
	return float64(int64(x*steps+0.5)) / steps
}
