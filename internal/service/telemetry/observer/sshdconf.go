package observer

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	sshdConfig      = "/etc/ssh/sshd_config"
	maxSSHDLines    = 5000
	maxSSHDIncludes = 16
)

// sshdOptions is a configuration of sshd_config(5): values by keyword in lower case.
type sshdOptions struct {
	values map[string][]string
	// overrides are the settings of Match blocks, as "keyword value".
	overrides []string
	effective bool
	// reason is why sshd -T did not answer.
	reason string
	lines  int
}

// last returns the value of a keyword. In files the first value counts, and so
// it does here: later ones are kept only for keywords that may repeat.
func (o *sshdOptions) last(keyword string) string {
	if v := o.values[keyword]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// list returns all values of a keyword that may repeat, split at blanks.
func (o *sshdOptions) list(keyword string) []string {
	var out []string
	for _, v := range o.values[keyword] {
		out = append(out, strings.Fields(v)...)
	}
	return out
}

// repeated are the keywords whose values add up.
var repeated = []string{"port", "listenaddress", "hostkey", "allowusers", "allowgroups", "denyusers", "denygroups", "acceptenv"}

func (o *sshdOptions) set(keyword, value string) {
	if len(o.values[keyword]) == 0 || slices.Contains(repeated, keyword) {
		o.values[keyword] = append(o.values[keyword], value)
	}
}

// sshdSettings returns the effective configuration: from sshd -T where it can
// run, else from the files over OpenSSH's defaults. It asks again when a file
// or the program changed, or when sshd -T did not answer before.
func (p *probe) sshdSettings() *sshdOptions {
	watched := append([]string{sshdConfig, "/etc/ssh/sshd_config.d", "/usr/sbin/sshd"}, p.glob("/etc/ssh/sshd_config.d/*.conf")...)
	o, _ := remember(p, "sshd", p.stamp(watched...), func() (*sshdOptions, error) {
		var failed error
		files := &sshdOptions{values: map[string][]string{}}
		files.load(p, sshdConfig, false, 0)
		if p.exists("/usr/sbin/sshd") {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			b, err := p.run(ctx, "sshd", "-T")
			if err == nil {
				o := parseSSHD(b)
				o.overrides = files.overrides
				return o, nil
			}
			files.reason, failed = err.Error(), err
		}
		for k, v := range sshdDefaults {
			if len(files.values[k]) == 0 && v != "" {
				files.values[k] = []string{v}
			}
		}
		return files, failed
	})
	return o // what the files say, if sshd -T failed
}

// parseSSHD parses the output of sshd -T: a keyword in lower case and its value.
func parseSSHD(b []byte) *sshdOptions {
	o := &sshdOptions{values: map[string][]string{}, effective: true}
	lines(b, func(n int, line string) {
		if keyword, value := cutWord(line); n <= maxSSHDLines && keyword != "" {
			o.set(sshdKeyword(keyword), value)
		}
	})
	return o
}

// sshdKeyword is a keyword in lower case and by its present name.
func sshdKeyword(s string) string {
	switch s = strings.ToLower(s); s {
	case "challengeresponseauthentication", "skeyauthentication":
		return "kbdinteractiveauthentication"
	}
	return s
}

// load parses a file and what it includes. inMatch says that the file was
// included from within a Match block; a Match ends at the end of its file.
func (o *sshdOptions) load(p *probe, name string, inMatch bool, depth int) {
	b, err := p.read(name)
	if err != nil {
		p.gapUnlessAbsent(err)
		return
	}
	lines(b, func(_ int, line string) {
		keyword, value := sshdLine(line)
		if o.lines++; keyword == "" || o.lines > maxSSHDLines {
			return
		}
		switch keyword {
		case "match":
			inMatch = !strings.EqualFold(value, "all")
		case "include":
			for _, pattern := range strings.Fields(value) {
				if !path.IsAbs(pattern) {
					pattern = path.Join("/etc/ssh", pattern)
				}
				for _, file := range p.glob(pattern) {
					if depth < maxSSHDIncludes {
						o.load(p, file, inMatch, depth+1)
					}
				}
			}
		default:
			if inMatch {
				if len(o.overrides) < 100 {
					o.overrides = append(o.overrides, keyword+" "+value)
				}
				return
			}
			o.set(keyword, value)
		}
	})
}

// sshdLine parses "Keyword value", "Keyword=value" and quoted values.
func sshdLine(line string) (keyword, value string) {
	if line == "" || line[0] == '#' {
		return "", ""
	}
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return sshdKeyword(line), ""
	}
	value = strings.TrimLeft(line[i:], " \t")
	value = strings.TrimLeft(strings.TrimPrefix(value, "="), " \t")
	if j := strings.Index(value, " #"); j >= 0 && !strings.Contains(value[:j], `"`) {
		value = value[:j]
	}
	value = strings.TrimSpace(strings.ReplaceAll(value, `"`, ""))
	return sshdKeyword(line[:i]), value
}

// sshdDefaults are the defaults of sshd_config(5), OpenSSH 9.
var sshdDefaults = map[string]string{
	"port": "22", "permitrootlogin": "prohibit-password", "passwordauthentication": "yes",
	"kbdinteractiveauthentication": "yes", "pubkeyauthentication": "yes", "permitemptypasswords": "no",
	"hostbasedauthentication": "no", "ignorerhosts": "yes", "x11forwarding": "no", "allowtcpforwarding": "yes",
	"allowagentforwarding": "yes", "gatewayports": "no", "permituserenvironment": "no", "permittunnel": "no",
	"usepam": "no", "strictmodes": "yes", "maxauthtries": "6", "maxsessions": "10", "maxstartups": "10:30:100",
	"logingracetime": "120", "clientaliveinterval": "0", "clientalivecountmax": "3", "loglevel": "INFO",
	"banner": "none", "disableforwarding": "no", "compression": "delayed", "authenticationmethods": "any",
	"trustedusercakeys": "none", "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
	"ciphers":       "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com",
	"macs":          "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1",
	"kexalgorithms": "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256",
}
