package observer

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/demarc/demarc/internal/service/telemetry"
)

func collectPasswordPolicy(_ context.Context, p *probe) (any, error) {
	defs := p.loginDefs()
	f := telemetry.PasswordPolicy{
		MaxDays:       number(defs["PASS_MAX_DAYS"], neverExpires),
		MinDays:       number(defs["PASS_MIN_DAYS"], 0),
		WarnDays:      number(defs["PASS_WARN_AGE"], 7),
		Umask:         defs["UMASK"],
		EncryptMethod: strings.ToUpper(defs["ENCRYPT_METHOD"]),
		InactiveDays:  inactiveDays(p),
		ShellTimeout:  shellTimeout(p),
		RootUmask:     rootUmask(p),
	}
	if f.EncryptMethod == "" {
		f.EncryptMethod = "DES" // what login.defs(5) says of a missing value
	}
	service := p.firstPAM("common-password", "system-auth", "base-password", "passwd")
	qualityOf(p, service, &f)
	lockoutOf(p, &f)
	for _, e := range service {
		if e.kind != "password" {
			continue
		}
		switch e.module {
		case "pam_unix.so":
			for _, h := range []string{"yescrypt", "gost_yescrypt", "sha512", "sha256", "blowfish", "md5", "bigcrypt"} {
				if e.has(h) {
					f.HashAlgorithm = h
				}
			}
			f.History = max(f.History, argNumber(e, "remember", 0))
		case "pam_pwhistory.so":
			conf := settings(p.config("/etc/security/pwhistory.conf"))
			f.History = max(f.History, argNumber(e, "remember", number(conf["remember"], 10)))
			_, enforced := conf["enforce_for_root"]
			f.EnforceRoot = f.EnforceRoot || enforced || e.has("enforce_for_root")
		}
	}
	if f.HashAlgorithm == "" {
		f.HashAlgorithm = strings.ToLower(f.EncryptMethod)
	}
	for _, e := range append(p.firstPAM("common-auth", "system-auth", "base-auth"), p.pam("password-auth")...) {
		if e.kind == "auth" && e.module == "pam_unix.so" && e.has("nullok") {
			f.NullOK = true
		}
	}
	return f, nil
}

// firstPAM returns the first of the services that exists.
func (p *probe) firstPAM(services ...string) []pamEntry {
	for _, s := range services {
		if out, ok := p.pamStack(s, "", 0); ok {
			return out
		}
	}
	return nil
}

// qualityOf reads pam_pwquality(8), whose arguments override pwquality.conf(5),
// or notes pam_passwdqc.
func qualityOf(p *probe, stack []pamEntry, f *telemetry.PasswordPolicy) {
	for _, e := range stack {
		if e.kind != "password" {
			continue
		}
		switch e.module {
		case "pam_pwquality.so", "pam_cracklib.so":
			f.Quality = true
			conf := map[string]string{}
			if e.module == "pam_pwquality.so" {
				for _, file := range append(p.glob("/etc/security/pwquality.conf.d/*.conf"), "/etc/security/pwquality.conf") {
					for k, v := range settings(p.config(file)) {
						if _, dup := conf[k]; !dup || file == "/etc/security/pwquality.conf" {
							conf[k] = v
						}
					}
				}
			}
			get := func(name string, fallback int) int { return argNumber(e, name, number(conf[name], fallback)) }
			f.MinLength = get("minlen", 8)
			f.MinClass, f.MaxRepeat, f.MaxSequence = get("minclass", 0), get("maxrepeat", 0), get("maxsequence", 0)
			f.DCredit, f.UCredit, f.LCredit, f.OCredit = get("dcredit", 0), get("ucredit", 0), get("lcredit", 0), get("ocredit", 0)
			f.DictCheck = get("dictcheck", 1) != 0
			_, enforce := conf["enforce_for_root"]
			f.EnforceRoot = enforce || e.has("enforce_for_root")
		case "pam_passwdqc.so":
			f.Quality, f.DictCheck = true, true
			if v, ok := e.arg("min"); ok {
				f.MinLength = number(v[strings.LastIndexByte(v, ',')+1:], 0)
			}
		case "pam_unix.so":
			if v := argNumber(e, "minlen", 0); v > 0 && !f.Quality {
				f.MinLength = v
			}
		}
	}
}

// lockoutOf reads pam_faillock(8) with faillock.conf(5), or pam_tally2.
func lockoutOf(p *probe, f *telemetry.PasswordPolicy) {
	for _, service := range []string{"common-auth", "system-auth", "password-auth", "base-auth", "login", "sshd"} {
		for _, e := range p.pam(service) {
			if e.kind != "auth" || f.Lockout {
				continue
			}
			switch e.module {
			case "pam_faillock.so":
				conf := settings(p.config("/etc/security/faillock.conf"))
				f.Lockout = true
				f.LockoutDeny = argNumber(e, "deny", number(conf["deny"], 3))
				f.LockoutUnlock = unlockTime(e, conf["unlock_time"], 600)
			case "pam_tally2.so", "pam_tally.so":
				f.Lockout = argNumber(e, "deny", 0) > 0
				f.LockoutDeny = argNumber(e, "deny", 0)
				f.LockoutUnlock = unlockTime(e, "", 0)
			}
		}
	}
}

// unlockTime is 0 for "never".
func unlockTime(e pamEntry, conf string, fallback int) int {
	if v, ok := e.arg("unlock_time"); ok {
		conf = v
	}
	if conf == "never" {
		return 0
	}
	return number(conf, fallback)
}

func inactiveDays(p *probe) int {
	return number(assignments([]byte(p.config("/etc/default/useradd")))["INACTIVE"], -1)
}

var (
	tmoutLine = regexp.MustCompile(`^(?:(?:declare|typeset|readonly|export)\s+(?:-\w+\s+)*)*TMOUT=["']?(\d{1,7})`)
	umaskLine = regexp.MustCompile(`^umask\s+(\d{3,4})`)
)

// shellTimeout is the largest TMOUT that a profile sets: the weakest counts.
func shellTimeout(p *probe) int {
	longest := 0
	for _, file := range append([]string{"/etc/profile", "/etc/bash.bashrc", "/etc/bashrc"}, p.glob("/etc/profile.d/*.sh")...) {
		lines([]byte(p.config(file)), func(_ int, line string) {
			for part := range strings.SplitSeq(line, ";") {
				if m := tmoutLine.FindStringSubmatch(strings.TrimSpace(part)); m != nil {
					longest = max(longest, number(m[1], 0))
				}
			}
		})
	}
	return longest
}

func rootUmask(p *probe) (umask string) {
	for _, file := range []string{"/root/.bash_profile", "/root/.profile", "/root/.bashrc"} {
		b, err := p.read(file)
		if err != nil {
			continue
		}
		lines(b, func(_ int, line string) {
			if m := umaskLine.FindStringSubmatch(line); m != nil {
				umask = m[1]
			}
		})
	}
	return umask
}

// settings parses "name = value" and bare "name" lines with '#' comments, the
// form of pwquality.conf, faillock.conf and auditd.conf. Names are in lower case.
func settings(text string) map[string]string {
	out := map[string]string{}
	lines([]byte(text), func(_ int, line string) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" || len(out) > 1000 {
			return
		}
		key, value, _ := strings.Cut(line, "=")
		out[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
	})
	return out
}

// number parses a decimal integer, or returns the fallback.
func number(s string, fallback int) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n > 1<<31 || n < -1<<31 {
		return fallback
	}
	return n
}

func argNumber(e pamEntry, name string, fallback int) int {
	v, ok := e.arg(name)
	if !ok {
		return fallback
	}
	return number(v, fallback)
}
