package observer

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectOS(_ context.Context, p *probe) (any, error) {
	rel, err := release5(p)
	if err != nil {
		return nil, fmt.Errorf("the distribution cannot be told: %w", err)
	}
	o := telemetry.OS{
		Hostname:       p.text("/proc/sys/kernel/hostname"),
		ID:             rel["ID"],
		Family:         family(rel),
		Version:        rel["VERSION_ID"],
		Name:           rel["PRETTY_NAME"],
		Kernel:         p.kernelRelease(),
		Architecture:   architecture(p),
		Virtualization: virtualization(p),
		Init:           p.text("/proc/1/comm"),
		BootedAt:       bootTime(p),
		EndOfLife:      endOfLife(rel),
		SecureBoot:     secureBoot(p),
	}
	o.SupportEnded = !o.EndOfLife.IsZero() && p.now().After(o.EndOfLife)
	return o, nil
}

// release5 parses os-release(5).
func release5(p *probe) (map[string]string, error) {
	name := p.anyExists("/etc/os-release", "/usr/lib/os-release")
	if name == "" {
		return nil, fmt.Errorf("/etc/os-release does not exist")
	}
	b, err := p.read(name)
	if err != nil {
		return nil, err
	}
	return assignments(b), nil
}

// assignments parses the shell-like NAME=value lines of os-release(5) and of
// files in /etc/default. Expansions are not done.
func assignments(b []byte) map[string]string {
	out := map[string]string{}
	lines(b, func(_ int, line string) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \t#") || len(out) > 1000 {
			return
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[key] = value
	})
	return out
}

// family tells the distribution family from ID and, failing that, ID_LIKE.
func family(rel map[string]string) string {
	for _, id := range strings.Fields(rel["ID"] + " " + rel["ID_LIKE"]) {
		switch id {
		case "debian", "ubuntu":
			return "debian"
		case "rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn":
			return "rhel"
		case "suse", "sles", "opensuse", "opensuse-leap", "opensuse-tumbleweed":
			return "suse"
		case "alpine", "arch":
			return id
		}
	}
	return "other"
}

func (p *probe) kernelRelease() string { return p.text("/proc/sys/kernel/osrelease") }

func architecture(p *probe) string {
	var u unix.Utsname
	if p.live && unix.Uname(&u) == nil {
		return unix.ByteSliceToString(u.Machine[:])
	}
	return p.text("/proc/sys/kernel/arch")
}

// bootTime reads btime of proc_stat(5).
func bootTime(p *probe) time.Time {
	b, err := p.read("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	var at time.Time
	lines(b, func(_ int, line string) {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				at = time.Unix(n, 0)
			}
		}
	})
	return at
}

// virtualization tells the hypervisor from the container marks, the DMI
// strings and the CPU's hypervisor bit, in that order.
func virtualization(p *probe) string {
	if c := p.text("/run/systemd/container"); c != "" {
		return "container-" + c
	}
	// Where process 2 is not kthreadd, the agent sits in a PID namespace. The
	// mark alone does not tell: images of containers are also booted as machines.
	if p.exists("/.dockerenv") && p.text("/proc/2/comm") != "kthreadd" {
		return "container-docker"
	}
	clock := p.text("/sys/devices/system/clocksource/clocksource0/available_clocksource")
	dmi := strings.ToLower(p.text("/sys/class/dmi/id/sys_vendor") + " " + p.text("/sys/class/dmi/id/product_name") +
		" " + p.text("/sys/class/dmi/id/bios_vendor"))
	for _, v := range [][2]string{
		{"qemu", "qemu"}, {"kvm", "kvm"}, {"vmware", "vmware"}, {"innotek", "virtualbox"}, {"virtualbox", "virtualbox"},
		{"xen", "xen"}, {"amazon ec2", "amazon"}, {"google", "google"}, {"openstack", "kvm"}, {"kubevirt", "kvm"},
		{"parallels", "parallels"}, {"bhyve", "bhyve"}, {"microsoft corporation virtual", "microsoft"},
	} {
		if strings.Contains(dmi, v[0]) {
			if v[1] == "qemu" && strings.Contains(clock, "kvm-clock") {
				return "kvm"
			}
			return v[1]
		}
	}
	if t := p.text("/sys/hypervisor/type"); t != "" {
		return t
	}
	switch {
	case strings.Contains(clock, "kvm-clock"):
		return "kvm"
	case strings.Contains(clock, "hyperv"):
		return "microsoft"
	}
	b, err := p.readUpTo("/proc/cpuinfo", 16<<10)
	if err != nil {
		return "unknown"
	}
	sc := bufio.NewScanner(strings.NewReader(string(b)))
	sc.Buffer(nil, 64<<10)
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "flags") {
			if strings.Contains(sc.Text()+" ", " hypervisor ") {
				return "unknown"
			}
			return "none"
		}
	}
	return "unknown"
}

// secureBoot reads the EFI variable SecureBoot (UEFI specification, section
// 3.3): four bytes of attributes, then 1 if on. A machine that did not boot by
// EFI has it off.
func secureBoot(p *probe) string {
	if !p.exists("/sys/firmware/efi") {
		if p.exists("/sys/firmware") {
			return "off"
		}
		return "unknown"
	}
	b, err := p.read("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
	switch {
	case absent(err) && p.exists("/sys/firmware/efi/efivars"):
		return "off"
	case err != nil || len(b) < 5:
		return "unknown"
	case b[4] == 1:
		return "on"
	}
	return "off"
}
