package observer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// seed adds the files of the fixture hosts and some torn lines.
func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, p := range patterns {
		files, _ := filepath.Glob(p)
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil {
				f.Add(b)
			}
		}
	}
	for _, s := range []string{"", "\n", "\\\n", "a", "=", "a=\\", ":::::::", "[", "\"", "a \"b", "(((", "\x00\xff", "@include", "#include x", "{ { {", "Match all\n"} {
		f.Add([]byte(s))
	}
}

// encodable checks that whatever was parsed becomes canonical JSON.
func encodable(t *testing.T, fact any) {
	t.Helper()
	b, err := encode(fact)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatalf("invalid JSON: %q", b)
	}
}

func FuzzSudoers(f *testing.F) {
	seed(f, "testdata/*/etc/sudoers", "testdata/*/etc/sudoers.d/*")
	f.Fuzz(func(t *testing.T, b []byte) {
		s := sudoersOf(t, string(b))
		if len(s.rules) > maxSudoRules {
			t.Fatalf("%d rules", len(s.rules))
		}
		s.fullRights()
		encodable(t, telemetry.Sudo{Rules: s.rules, TimeoutMinutes: s.timeout()})
	})
}

func FuzzAuthorizedKeys(f *testing.F) {
	seed(f, "testdata/*/home/*/.ssh/authorized_keys")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range parseAuthorizedKeys(b) {
			if k.Type == "" || k.Fingerprint == "" || k.Bits < 0 {
				t.Fatalf("%+v", k)
			}
		}
	})
}

func FuzzPackages(f *testing.F) {
	seed(f, "testdata/*/var/lib/dpkg/status", "testdata/*/commands/rpm")
	f.Add([]byte("P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, list := range [][]telemetry.Package{parseDpkg(b), parseApk(b), parseRPM(b)} {
			for _, x := range list {
				if x.Name == "" {
					t.Fatalf("a package without a name: %+v", x)
				}
			}
			encodable(t, telemetry.Packages{Packages: list})
		}
	})
}

func FuzzSSHD(f *testing.F) {
	seed(f, "testdata/*/etc/ssh/sshd_config", "testdata/*/commands/sshd")
	f.Fuzz(func(t *testing.T, b []byte) {
		o := parseSSHD(b)
		for _, k := range []string{"ciphers", "macs", "kexalgorithms"} {
			o.effective = false
			algorithms(o, k)
		}
		seconds(o.last("logingracetime"))
		root := t.TempDir()
		write(t, root, sshdConfig, string(b))
		files := &sshdOptions{values: map[string][]string{}}
		files.load(newProbe(root, time.Now), sshdConfig, false, 0)
	})
}

func FuzzNft(f *testing.F) {
	seed(f, "testdata/*/commands/nft", "testdata/iptables-nft/nft.json")
	f.Add([]byte(`{"nftables":[{"table":{"family":"ip","name":"t"}},{"chain":{"family":"ip","table":"t","name":"c","hook":"input","type":"filter","prio":0,"policy":"drop"}},
		{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"vmap":{"key":{"concat":[{"payload":{"protocol":"ip","field":"saddr"}},{"payload":{"protocol":"tcp","field":"dport"}}]},"data":{"set":[[{"concat":["10.0.0.1",22]},{"jump":{"target":"c"}}]]}}}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseNft(b)
		if err != nil {
			return
		}
		encodable(t, assess(r, sshAndDB, adminPorts))
	})
}

func FuzzIPTables(f *testing.F) {
	seed(f, "testdata/iptables-nft/save.txt")
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &ruleset{}
		if r.addIPTables(b, 4) == nil {
			encodable(t, assess(r, sshAndDB, adminPorts))
		}
	})
}

func FuzzCrontab(f *testing.F) {
	seed(f, "testdata/*/etc/crontab", "testdata/*/etc/cron.d/*", "testdata/*/var/spool/cron/crontabs/*")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, j := range append(parseCrontab(b, "f", ""), parseCrontab(b, "f", "u")...) {
			if j.User == "" || j.Command == "" {
				t.Fatalf("%+v", j)
			}
		}
	})
}

func FuzzLoginFiles(f *testing.F) {
	seed(f, "testdata/*/var/log/secure", "testdata/*/commands/journalctl")
	f.Add(utmpEntry(7, "anna", "198.51.100.1", fixtureNow))
	f.Fuzz(func(t *testing.T, b []byte) {
		var all []attempt
		all = append(all, parseAuthLog(b, fixtureNow)...)
		fromJournal, _ := parseJournal(b)
		all = append(all, fromJournal...)
		for _, r := range parseUtmp(b) {
			all = append(all, attempt{at: r.at, user: r.user, source: remote(r.host), ok: r.kind == utmpUser})
		}
		var l telemetry.Logins
		summarize(&l, all, nil, fixtureNow)
		encodable(t, l)
	})
}

func FuzzSettings(f *testing.F) {
	seed(f, "testdata/*/etc/login.defs", "testdata/*/etc/pam.d/*", "testdata/*/etc/security/*", "testdata/*/etc/apt/*/*", "testdata/*/etc/rsyslog.conf",
		"testdata/*/etc/modprobe.d/*", "testdata/*/commands/auditctl", "testdata/*/etc/passwd", "testdata/*/etc/group", "testdata/*/proc/1/mountinfo", "testdata/*/proc/net/*")
	f.Fuzz(func(t *testing.T, b []byte) {
		parseLoginDefs(b)
		parsePAM(b)
		settings(string(b))
		assignments(b)
		parseINI(b)
		parseAptConf(b)
		parseSourcesList(b)
		parseSources(b)
		parseRsyslog(b)
		parseSyslogNG(b)
		parseModprobe(b)
		parseAuditRules(b)
		parseMountInfo(b)
		parseAptSimulation(b)
		parseDnfUpdates(b, b, nil)
		parseUnits(b, b)
		timeServers(b)
		parsePasswd(b)
		parseGroup(b)
		parseShadow(b)
		parseSockets("tcp", b)
		maskSecrets(string(b))
		_, _, _ = parseNetlink(b)
	})
}
