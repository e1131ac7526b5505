package observer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// parameters are the kernel settings that duties and baselines read.
var parameters = []string{
	"fs.protected_fifos", "fs.protected_hardlinks", "fs.protected_regular", "fs.protected_symlinks", "fs.suid_dumpable",
	"kernel.core_pattern", "kernel.core_uses_pid", "kernel.dmesg_restrict", "kernel.kexec_load_disabled", "kernel.kptr_restrict",
	"kernel.modules_disabled", "kernel.panic_on_oops", "kernel.perf_event_paranoid", "kernel.randomize_va_space", "kernel.sysrq",
	"kernel.unprivileged_bpf_disabled", "kernel.unprivileged_userns_clone", "kernel.yama.ptrace_scope", "kernel.io_uring_disabled",
	"dev.tty.ldisc_autoload", "net.core.bpf_jit_harden", "user.max_user_namespaces", "vm.mmap_min_addr", "vm.mmap_rnd_bits",
	"vm.unprivileged_userfaultfd", "crypto.fips_enabled",
	"net.ipv4.ip_forward", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_timestamps", "net.ipv4.tcp_rfc1337",
	"net.ipv4.icmp_echo_ignore_all", "net.ipv4.icmp_echo_ignore_broadcasts", "net.ipv4.icmp_ignore_bogus_error_responses",
	"net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding",
}

// perInterface are read below net.ipv4.conf.{all,default} and net.ipv6.conf.{all,default}.
var perInterface = map[string][]string{
	"ipv4": {"accept_redirects", "accept_source_route", "arp_ignore", "bootp_relay", "forwarding", "log_martians", "mc_forwarding", "proxy_arp", "rp_filter", "secure_redirects", "send_redirects"},
	"ipv6": {"accept_ra", "accept_ra_defrtr", "accept_redirects", "accept_source_route", "autoconf", "disable_ipv6", "mc_forwarding", "router_solicitations", "use_tempaddr"},
}

func collectKernel(_ context.Context, p *probe) (any, error) {
	f := telemetry.Kernel{Parameters: p.sysctls(), Vulnerabilities: map[string]string{}}
	if len(f.Parameters) == 0 {
		return nil, fmt.Errorf("kernel parameters cannot be read: /proc/sys is empty; mount /proc")
	}
	f.LSMs = uniq(splitList(p.text("/sys/kernel/security/lsm")))
	if !p.exists("/sys/kernel/security/lsm") {
		p.gap("the active security modules are not seen: securityfs is not mounted on /sys/kernel/security")
	}
	f.AppArmor, f.AppArmorEnforced, f.AppArmorComplain = apparmor(p)
	f.SELinux = selinux(p)
	f.Lockdown = chosen(p.text("/sys/kernel/security/lockdown"))
	f.CoreDumps = coreDumps(p, f.Parameters)
	f.CommandLine = commandLine(p.text("/proc/cmdline"))
	f.BootLoaderPassword, f.BootConfigMode = bootLoader(p)
	for _, path := range p.glob("/sys/devices/system/cpu/vulnerabilities/*") {
		f.Vulnerabilities[baseName(path)] = p.text(path)
	}
	return f, nil
}

// sysctls reads the parameters that exist, by their dotted name.
func (p *probe) sysctls() map[string]string {
	names := slices.Clone(parameters)
	for proto, keys := range perInterface {
		for _, scope := range []string{"all", "default"} {
			for _, k := range keys {
				names = append(names, "net."+proto+".conf."+scope+"."+k)
			}
		}
	}
	out := map[string]string{}
	for _, name := range names {
		b, err := p.readUpTo("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), 4096)
		if err != nil {
			p.gapUnlessAbsent(err)
			continue
		}
		out[name] = strings.Join(strings.Fields(string(b)), " ")
	}
	return out
}

func apparmor(p *probe) (state string, enforced, complain int) {
	if !p.exists("/sys/module/apparmor") {
		return "absent", 0, 0
	}
	if !strings.HasPrefix(p.text("/sys/module/apparmor/parameters/enabled"), "Y") {
		return "disabled", 0, 0
	}
	b, err := p.read("/sys/kernel/security/apparmor/profiles")
	if err != nil {
		p.gap("AppArmor profiles are not seen: %s", err)
	}
	lines(b, func(_ int, line string) {
		switch {
		case strings.HasSuffix(line, "(enforce)"), strings.HasSuffix(line, "(kill)"):
			enforced++
		case strings.HasSuffix(line, "(complain)"):
			complain++
		}
	})
	return "enabled", enforced, complain
}

func selinux(p *probe) string {
	switch p.text("/sys/fs/selinux/enforce") {
	case "1":
		return "enforcing"
	case "0":
		return "permissive"
	}
	if p.exists("/etc/selinux/config") {
		return "disabled"
	}
	return "absent"
}

// chosen is the word in brackets of a sysfs choice.
func chosen(s string) string {
	_, after, ok := strings.Cut(s, "[")
	word, _, closed := strings.Cut(after, "]")
	if !ok || !closed {
		return "unknown"
	}
	switch word {
	case "none", "integrity", "confidentiality":
		return word
	}
	return "unknown"
}

// coreDumps tells whether programs leave their memory on disk.
func coreDumps(p *probe, params map[string]string) string {
	limit := false
	for _, file := range append(p.glob("/etc/security/limits.d/*.conf"), "/etc/security/limits.conf") {
		lines([]byte(p.config(file)), func(_ int, line string) {
			w := strings.Fields(line)
			if len(w) == 4 && w[0] == "*" && (w[1] == "hard" || w[1] == "-") && w[2] == "core" && w[3] == "0" {
				limit = true
			}
		})
	}
	undumpable := params["fs.suid_dumpable"] == "0"
	systemd := map[string]string{}
	for _, file := range append([]string{"/etc/systemd/coredump.conf"}, p.glob("/etc/systemd/coredump.conf.d/*.conf")...) {
		for _, s := range parseINI([]byte(p.config(file))) {
			for k, v := range s {
				systemd[k] = v
			}
		}
	}
	piped := strings.Contains(params["kernel.core_pattern"], "systemd-coredump")
	switch {
	case limit && undumpable:
		return "off"
	case limit, undumpable && (params["kernel.core_pattern"] == "|/bin/false" || piped && strings.EqualFold(systemd["storage"], "none")):
		return "restricted"
	}
	return "on"
}

// bootParameters are the parameters of the kernel command line that concern security.
var bootParameters = []string{
	"apparmor", "audit", "audit_backlog_limit", "debugfs", "efi", "enforcing", "fips", "init", "init_on_alloc", "init_on_free",
	"iommu", "intel_iommu", "amd_iommu", "ipv6.disable", "kaslr", "nokaslr", "kpti", "nopti", "lockdown", "lsm", "mce",
	"mds", "mitigations", "module.sig_enforce", "nosmap", "nosmep", "nosmt", "page_alloc.shuffle", "page_poison", "pti",
	"random.trust_cpu", "randomize_kstack_offset", "rd.shell", "security", "selinux", "single", "slab_nomerge", "spec_store_bypass_disable",
	"spectre_v2", "spectre_v2_user", "nospectre_v1", "nospectre_v2", "retbleed", "l1tf", "tsx_async_abort", "mmio_stale_data", "srbds",
	"gather_data_sampling", "reg_file_data_sampling", "spec_rstack_overflow", "systemd.debug_shell", "systemd.debug-shell", "systemd.unit",
	"rd.break", "tsx", "vsyscall", "quiet",
}

func commandLine(s string) []string {
	var out []string
	for _, w := range strings.Fields(s) {
		name, _, _ := strings.Cut(w, "=")
		if slices.Contains(bootParameters, name) && len(out) < 100 {
			out = append(out, w)
		}
	}
	return uniq(out)
}

// bootLoader reports whether GRUB asks for a password before it lets somebody
// change what is booted, and the mode of its configuration.
func bootLoader(p *probe) (password bool, mode string) {
	for _, name := range []string{"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/redhat/grub.cfg"} {
		info, err := p.stat(name)
		if err != nil {
			continue
		}
		mode = octal(info)
		text := p.config(name)
		password = strings.Contains(text, "password_pbkdf2 ") && strings.Contains(text, "set superusers")
		user := p.config("/boot/grub2/user.cfg")
		password = password && !strings.Contains(text, "${GRUB2_PASSWORD}") || strings.Contains(user, "GRUB2_PASSWORD=")
		return password, mode
	}
	return false, ""
}
