package observer

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// watchedFiles are the paths whose owner and mode duties and baselines read.
var watchedFiles = []string{
	"/", "/boot", "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub2/user.cfg", "/dev/shm", "/etc",
	"/etc/aide.conf", "/etc/aide/aide.conf", "/etc/aliases", "/etc/anacrontab", "/etc/apparmor.d", "/etc/apt/sources.list",
	"/etc/at.allow", "/etc/at.deny", "/etc/audit", "/etc/audit/auditd.conf", "/etc/audit/audit.rules", "/etc/audit/rules.d",
	"/etc/bash.bashrc", "/etc/bashrc", "/etc/chrony.keys", "/etc/chrony/chrony.conf", "/etc/chrony/chrony.keys", "/etc/cron.allow", "/etc/cron.d", "/etc/cron.daily",
	"/etc/cron.deny", "/etc/cron.hourly", "/etc/cron.monthly", "/etc/cron.weekly", "/etc/cron.yearly", "/etc/crontab", "/etc/crypttab",
	"/etc/default/grub", "/etc/docker", "/etc/docker/daemon.json", "/etc/exports", "/etc/fstab", "/etc/group", "/etc/group-",
	"/etc/grub.d", "/etc/gshadow", "/etc/gshadow-", "/etc/hosts", "/etc/hosts.allow", "/etc/hosts.deny", "/etc/issue",
	"/etc/issue.net", "/etc/ld.so.conf", "/etc/ld.so.preload", "/etc/login.defs", "/etc/modprobe.d", "/etc/motd", "/etc/nftables.conf", "/etc/ntp.conf", "/etc/pam.d",
	"/etc/passwd", "/etc/passwd-", "/etc/profile", "/etc/profile.d", "/etc/resolv.conf", "/etc/rsyslog.conf", "/etc/rsyslog.d",
	"/etc/security", "/etc/security/opasswd", "/etc/security/opasswd.old", "/etc/shadow", "/etc/shadow-", "/etc/shells", "/etc/ssh", "/etc/ssh/sshd_config",
	"/etc/ssh/sshd_config.d", "/etc/ssh/ssh_config", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ecdsa_key.pub", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub",
	"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_rsa_key.pub", "/etc/ssl/private", "/etc/sudoers", "/etc/sudoers.d", "/etc/sysctl.conf", "/etc/sysctl.d",
	"/etc/systemd/journald.conf", "/etc/systemd/system", "/etc/yum.repos.d", "/home", "/root", "/root/.ssh", "/root/.bashrc", "/root/.profile", "/root/.rhosts",
	"/run/docker.sock", "/sbin/auditctl", "/sbin/auditd", "/sbin/augenrules", "/sbin/aureport", "/sbin/ausearch", "/tmp", "/usr/bin/at",
	"/usr/bin/chage", "/usr/bin/crontab", "/usr/bin/gcc", "/usr/bin/passwd", "/usr/bin/pkexec", "/usr/bin/su", "/usr/bin/sudo", "/usr/sbin/auditctl", "/usr/sbin/auditd", "/usr/sbin/augenrules", "/usr/sbin/aureport", "/usr/sbin/ausearch",
	"/var/lib/private", "/var/log", "/var/log/audit", "/var/log/audit/audit.log", "/var/log/auth.log", "/var/log/btmp",
	"/var/log/dmesg", "/var/log/journal", "/var/log/lastlog", "/var/log/messages", "/var/log/secure", "/var/log/sudo.log", "/var/log/syslog", "/var/log/wtmp",
	"/var/spool/cron", "/var/spool/cron/crontabs", "/var/tmp",
}

func collectFiles(ctx context.Context, p *probe) (any, error) {
	acc, err := p.accounts()
	if err != nil {
		return nil, fmt.Errorf("owners of files cannot be named: %w", err)
	}
	f := telemetry.Files{Files: map[string]telemetry.FileState{}}
	for _, name := range watchedFiles {
		info, err := p.stat(name)
		if err != nil {
			continue
		}
		uid, gid := ownerOf(info)
		s := telemetry.FileState{Mode: octal(info), Owner: acc.userName(uid), Group: acc.groupName(gid)}
		// Sizes of growing and of virtual files would make every fact new.
		if info.Mode().IsRegular() && !strings.HasPrefix(name, "/var/log") {
			s.Size = info.Size()
		}
		f.Files[name] = s
	}
	w := walker{acc: acc, root: p.root}
	if mounts, err := p.mounts(); err == nil {
		for _, m := range mounts {
			if m.disk() {
				w.disks = append(w.disks, m.device)
			}
		}
	}
	w.walk(ctx, systemDirs)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if w.cut {
		p.gap("only the first %d files of the system directories are looked at", maxWalk)
	}
	if w.denied > 0 {
		p.gap("%d system directories may not be read: %s", w.denied, mendDenied())
	}
	f.WorldWritable, f.StickyMissing, f.Unowned, f.SetUID = uniq(w.writable), uniq(w.sticky), uniq(w.unowned), uniq(w.setuid)
	owner, known := p.owners(ctx, f.SetUID)
	if !known {
		p.gap("which setuid programs no package installed is not known: the package manager cannot be asked")
	} else {
		f.UnpackagedSetUID = filter(f.SetUID, func(s string) bool { return owner[s] == "" })
	}
	f.RootPathUnsafe = unsafePath(p)
	f.DotFiles = dotFiles(p, acc)
	return f, nil
}

// unsafePath looks at the PATH that root gets: of the agent's own environment
// and of the files that set it.
func unsafePath(p *probe) []string {
	paths := []string{assignments([]byte(p.config("/etc/environment")))["PATH"], loginPath(p.loginDefs()["ENV_SUPATH"])}
	for _, file := range []string{"/root/.profile", "/root/.bashrc", "/root/.bash_profile"} {
		b, err := p.read(file)
		if err != nil {
			continue
		}
		lines(b, func(_ int, line string) {
			if v, ok := strings.CutPrefix(strings.TrimPrefix(line, "export "), "PATH="); ok {
				paths = append(paths, strings.Trim(v, `"'`))
			}
		})
	}
	var out []string
	for _, v := range paths {
		if v == "" {
			continue
		}
		for dir := range strings.SplitSeq(v, ":") {
			if strings.HasPrefix(dir, "$") || strings.HasPrefix(dir, "~") {
				continue // resolved by the shell, not here
			}
			info, err := p.stat(dir)
			switch {
			case dir == "":
				out = append(out, "(empty)")
			case !path.IsAbs(dir):
				out = append(out, dir)
			case err == nil && info.Mode().Perm()&0o022 != 0:
				out = append(out, dir)
			}
		}
	}
	return uniq(out)
}

// loginPath drops the "PATH=" that login.defs(5) allows before the value.
func loginPath(v string) string { return strings.TrimPrefix(v, "PATH=") }

// dotFiles finds files in homes that let somebody in, hold secrets, or that
// others may change.
func dotFiles(p *probe, acc *accounts) []string {
	var out []string
	seen := map[string]bool{}
	for _, u := range acc.users {
		if seen[u.home] || u.home == "" || u.home == "/" || !loginShell(u.shell) {
			continue
		}
		seen[u.home] = true
		for _, name := range []string{".rhosts", ".shosts", ".netrc", ".forward", ".bashrc", ".bash_profile", ".profile", ".bash_login",
			".bash_logout", ".zshrc", ".zprofile", ".cshrc", ".login", ".ssh/rc", ".ssh/config", ".ssh/environment"} {
			file := path.Join(u.home, name)
			info, err := os.Lstat(p.path(file))
			if err != nil || len(out) >= 500 {
				continue
			}
			always := name == ".rhosts" || name == ".shosts" || name == ".forward" || name == ".netrc"
			if always || info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0 {
				out = append(out, file)
			}
		}
	}
	return uniq(out)
}
