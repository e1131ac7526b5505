package observer

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectSSHD(ctx context.Context, p *probe) (any, error) {
	f := telemetry.SSHD{
		Installed: p.anyExists("/usr/sbin/sshd", "/usr/local/sbin/sshd") != "",
		Running:   p.running("ssh", "sshd"),
	}
	if !f.Installed {
		return f, nil
	}
	if u, err := p.units(); err == nil { // systemd may listen for it
		f.Running = f.Running || u.active["ssh.socket"] || u.active["sshd.socket"]
	}
	if pkg, ok := p.installed(ctx)["openssh-server"]; ok {
		f.Version = pkg.Version
	}
	o := p.sshdSettings()
	f.Effective = o.effective
	if !o.effective {
		p.gap("sshd -T did not tell the effective settings (%s), so they are those of the files and OpenSSH's defaults", o.reason)
	}
	f.MatchOverrides = uniq(slices.Clone(o.overrides))
	yes := func(keyword string) bool { return o.last(keyword) == "yes" }
	for _, v := range o.list("port") {
		if n := number(v, 0); n > 0 {
			f.Ports = append(f.Ports, n)
		}
	}
	f.Ports = uniq(f.Ports)
	f.ListenAddresses = uniq(o.list("listenaddress"))
	f.PermitRootLogin = o.last("permitrootlogin")
	if f.PermitRootLogin == "without-password" {
		f.PermitRootLogin = "prohibit-password" // two words for one thing
	}
	f.PasswordAuthentication = yes("passwordauthentication")
	f.KbdInteractive = yes("kbdinteractiveauthentication")
	f.PubkeyAuthentication = yes("pubkeyauthentication")
	f.PermitEmptyPasswords = yes("permitemptypasswords")
	f.HostbasedAuthentication = yes("hostbasedauthentication")
	f.IgnoreRhosts = yes("ignorerhosts")
	f.X11Forwarding = yes("x11forwarding")
	f.AllowTCPForwarding = o.last("allowtcpforwarding")
	f.AllowAgentForwarding = yes("allowagentforwarding")
	f.GatewayPorts = o.last("gatewayports")
	f.PermitUserEnvironment = o.last("permituserenvironment") != "no"
	f.PermitTunnel = o.last("permittunnel")
	f.UsePAM = yes("usepam")
	f.StrictModes = yes("strictmodes")
	f.MaxAuthTries = number(o.last("maxauthtries"), 6)
	f.MaxSessions = number(o.last("maxsessions"), 10)
	f.MaxStartups = o.last("maxstartups")
	f.LoginGraceTime = seconds(o.last("logingracetime"))
	f.ClientAliveInterval = seconds(o.last("clientaliveinterval"))
	f.ClientAliveCountMax = number(o.last("clientalivecountmax"), 3)
	f.LogLevel = strings.ToUpper(o.last("loglevel"))
	f.Banner = o.last("banner")
	f.DisableForwarding = yes("disableforwarding")
	f.Compression = o.last("compression")
	f.AllowUsers, f.AllowGroups = uniq(o.list("allowusers")), uniq(o.list("allowgroups"))
	f.DenyUsers, f.DenyGroups = uniq(o.list("denyusers")), uniq(o.list("denygroups"))
	f.AuthenticationMethods = o.last("authenticationmethods")
	f.TrustedUserCAKeys = o.last("trustedusercakeys")
	f.Ciphers, f.MACs = algorithms(o, "ciphers"), algorithms(o, "macs")
	f.KexAlgorithms, f.HostKeyAlgorithms = algorithms(o, "kexalgorithms"), algorithms(o, "hostkeyalgorithms")
	f.WeakCiphers, f.WeakMACs, f.WeakKex = filter(f.Ciphers, weakCipher), filter(f.MACs, weakMAC), filter(f.KexAlgorithms, weakKex)
	if info, err := p.stat(sshdConfig); err == nil {
		f.ConfigMode = octal(info)
		if acc, err := p.accounts(); err == nil {
			uid, _ := ownerOf(info)
			f.ConfigOwner = acc.userName(uid)
		}
	}
	f.LooseHostKeys = looseHostKeys(p)
	return f, nil
}

// algorithms returns a comma-separated list in the order of preference. A list
// in a file that begins with +, - or ^ changes the default list.
func algorithms(o *sshdOptions, keyword string) []string {
	v := o.last(keyword)
	if v == "" {
		return nil
	}
	if o.effective || !strings.ContainsRune("+-^", rune(v[0])) {
		return splitList(v)
	}
	base, change := splitList(sshdDefaults[keyword]), splitList(v[1:])
	rest := filter(base, func(a string) bool {
		return !slices.ContainsFunc(change, func(c string) bool { return c == a || strings.HasSuffix(c, "*") && strings.HasPrefix(a, c[:len(c)-1]) })
	})
	switch v[0] {
	case '+':
		return append(base, change...)
	case '^':
		return append(change, rest...)
	}
	return rest
}

func filter(list []string, keep func(string) bool) []string {
	var out []string
	for _, v := range list {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

func weakCipher(a string) bool {
	return strings.Contains(a, "cbc") || strings.HasPrefix(a, "3des") || strings.HasPrefix(a, "arcfour") || strings.HasPrefix(a, "blowfish") || strings.HasPrefix(a, "cast128")
}

func weakMAC(a string) bool {
	return strings.HasPrefix(a, "hmac-md5") || strings.HasPrefix(a, "hmac-sha1") || strings.HasPrefix(a, "umac-64") || strings.HasPrefix(a, "hmac-ripemd")
}

func weakKex(a string) bool {
	return strings.HasSuffix(a, "-sha1") || strings.HasPrefix(a, "gss-") && strings.Contains(a, "-sha1-") || strings.HasPrefix(a, "diffie-hellman-group1-")
}

// seconds parses the TIME FORMATS of sshd_config(5), "1h30m" among them.
func seconds(s string) int {
	total, digits := 0, ""
	for _, c := range strings.ToLower(s) {
		if c >= '0' && c <= '9' && len(digits) < 9 {
			digits += string(c)
			continue
		}
		unit := map[rune]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[c]
		n, err := strconv.Atoi(digits)
		if unit == 0 || err != nil {
			return 0
		}
		total, digits = total+n*unit, ""
	}
	if n, err := strconv.Atoi(digits); err == nil {
		total += n
	}
	return total
}

// looseHostKeys are private host keys that others may read. RHEL lets the
// group ssh_keys read them, which is not counted.
func looseHostKeys(p *probe) []string {
	acc, _ := p.accounts()
	var out []string
	for _, name := range p.glob("/etc/ssh/ssh_host_*_key") {
		info, err := p.stat(name)
		if err != nil {
			continue
		}
		_, gid := ownerOf(info)
		bits := info.Mode().Perm()
		if acc != nil && acc.groupName(gid) == "ssh_keys" {
			bits &^= 0o040
		}
		if bits&0o077 != 0 {
			out = append(out, name)
		}
	}
	return out
}
