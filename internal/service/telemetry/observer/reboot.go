package observer

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectReboot(ctx context.Context, p *probe) (any, error) {
	f := telemetry.Reboot{RunningKernel: p.kernelRelease(), InstalledKernel: newestKernel(p)}
	if p.anyExists("/run/reboot-required", "/var/run/reboot-required") != "" {
		pkgs := strings.Fields(p.text("/run/reboot-required.pkgs"))
		if len(pkgs) == 0 {
			f.Reasons = append(f.Reasons, "a package asks for a restart")
		}
		for _, pkg := range pkgs[:min(len(pkgs), 50)] {
			f.Reasons = append(f.Reasons, "package "+pkg+" asks for a restart")
		}
	}
	if f.InstalledKernel != "" && f.RunningKernel != "" && compareVersions(f.InstalledKernel, f.RunningKernel) > 0 {
		f.Reasons = append(f.Reasons, "kernel "+f.InstalledKernel+" is installed and "+f.RunningKernel+" runs")
	}
	unreadable := 0
	for _, pr := range p.processes() {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		stale, readable := staleProcess(p, pr)
		if !readable {
			unreadable++
		}
		if stale && len(f.StaleServices) < 200 {
			f.StaleServices = append(f.StaleServices, pr.comm)
			if pr.pid == 1 {
				f.Reasons = append(f.Reasons, "process 1 ("+pr.comm+") runs a replaced program or library")
			}
		}
	}
	if unreadable > 0 {
		p.gap("whether some processes run replaced programs is not seen: their memory maps may not be read; %s", mendDenied())
	}
	f.StaleServices, f.Reasons = uniq(f.StaleServices), uniq(f.Reasons)
	f.Needed = len(f.Reasons) > 0
	return f, nil
}

// staleProcess reports whether a process runs a program or library that was
// deleted, as an update does to the former file.
func staleProcess(p *probe, pr process) (stale, readable bool) {
	if strings.HasSuffix(pr.exe, " (deleted)") {
		return systemPath(pr.exe), true
	}
	b, err := p.readUpTo("/proc/"+strconv.Itoa(pr.pid)+"/maps", 4<<20)
	if err != nil {
		return false, absent(err)
	}
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if !bytes.HasSuffix(line, []byte(" (deleted)")) {
			continue
		}
		if i := bytes.IndexByte(line, '/'); i > 0 {
			if path := string(line[i:]); systemPath(path) && strings.Contains(path, ".so") {
				return true, true
			}
		}
	}
	return false, true
}

// systemPath reports paths that package managers write to.
func systemPath(path string) bool {
	return strings.HasPrefix(path, "/usr/") || strings.HasPrefix(path, "/lib") || strings.HasPrefix(path, "/bin/") || strings.HasPrefix(path, "/sbin/")
}

// newestKernel is the highest release among the kernels in /boot.
func newestKernel(p *probe) string {
	newest := ""
	for _, path := range p.glob("/boot/vmlinuz-*") {
		v := strings.TrimPrefix(baseName(path), "vmlinuz-")
		if strings.Contains(v, "rescue") || strings.HasSuffix(v, ".old") {
			continue
		}
		if newest == "" || compareVersions(v, newest) > 0 {
			newest = v
		}
	}
	return newest
}

// compareVersions orders versions by their runs of digits and of other
// characters, digits by value, as dpkg and rpm do for kernels. A tilde sorts
// before the end.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutRun(a, false)
		y, b = cutRun(b, false)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = cutRun(a, true)
		y, b = cutRun(b, true)
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func cutRun(s string, digits bool) (run, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9') == digits {
		i++
	}
	return s[:i], s[i:]
}

// compareText gives each character the weight of dpkg: tilde, end, letters, others.
func compareText(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s):
			return 0
		case s[i] == '~':
			return -1
		case s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 'a' && s[i] <= 'z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for i := range max(len(a), len(b)) {
		if c := weight(a, i) - weight(b, i); c != 0 {
			return c
		}
	}
	return 0
}
