package assessment

import (
	"strings"
	"testing"
)

func TestFunctions(t *testing.T) {
	env := small(t)
	v, err := env.Decode("lab.thing", []byte(`{"name":"x","mode":"on","parts":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	facts := env.NewFacts()
	facts.Set("lab.thing", v)
	for expr, want := range map[string]string{
		`listed([])`:              "",
		`listed(["a"])`:           "a",
		`listed(["a", "b", "c"])`: "a, b and c",
		`listed(["a", "b", "c", "d", "e", "f", "g"])`:                                                      "a, b, c, d, e and 2 more",
		`reasons(["", "one", "", "two"])`:                                                                  "one; two",
		`counted(1, "update") + ", " + counted(0, "day")`:                                                  "1 update, 0 days",
		`listed(undeclared(["tcp/22:sshd", "tcp/80:nginx", "udp/53:x"], ["tcp/22", "udp/53:x", "tcp/8"]))`: "tcp/80:nginx",
		`listed(common(["a", "b", "a", "c"], ["c", "a", "z"]))`:                                            "a and c",
		`listed(inNetworks(["192.0.2.7", "198.51.100.1", "::ffff:192.0.2.9", "2001:db8::1", "tty1", "192.0.2.0/25"], ["192.0.2.0/24", "2001:db8::/32", "nonsense"]))`: "192.0.2.7, ::ffff:192.0.2.9, 2001:db8::1 and 192.0.2.0/25",
		`listed(notInNetworks(["192.0.2.7", "198.51.100.1", "tty1", "192.0.0.0/8"], ["192.0.2.0/24"]))`:                                                               "198.51.100.1, tty1 and 192.0.0.0/8",
		`listed(notInNetworks(["192.0.2.7"], []))`:                                                              "192.0.2.7",
		`listed(notEncrypted(["/srv/a", "/srv/b/c", "/home/x", "/srvx", "rel/a"], ["/srv/"], ["/", "/srv/b"]))`: "/srv/b/c, /home/x, /srvx and rel/a",
		`listed(notEncrypted(["/a/../etc", "/var/lib"], ["/"], ["/boot"]))`:                                     "",
		`beginsWith("openssl-libs", ["bind", "openssl"]) ? "yes" : "no"`:                                        "yes",
		`beginsWith("open", ["openssl"]) ? "yes" : "no"`:                                                        "no",
	} {
		p, err := env.CompileString(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got, err := p.String(facts); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", expr, got, err, want)
		}
	}
}

// TestFunctionsStayLinear: the longest lists that facts can have are gone
// through in little time.
func TestFunctionsStayLinear(t *testing.T) {
	long := make([]string, MaxListItems)
	for i := range long {
		long[i] = "/" + strings.Repeat("d/", i%50) + string(rune('a'+i%26))
	}
	if got := undeclared(long, long); len(got) != 0 {
		t.Errorf("%d undeclared", len(got))
	}
	if got := notEncrypted(long, long, nil); len(got) != 0 {
		t.Errorf("%d not encrypted", len(got))
	}
	if got := common(long, long); len(got) == 0 || len(got) > len(long) {
		t.Errorf("%d in common", len(got))
	}
}

func TestReadAt(t *testing.T) {
	env := environment(t)
	p, err := env.CompileBool("true &&\n  host.sshd.running &&\n host.os.support_ended && host.sshd.installed")
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]Place{"host.sshd": {2, 3}, "host.os": {3, 2}} {
		if got := p.ReadAt(kind); got != want {
			t.Errorf("%s is read at %v, want %v", kind, got, want)
		}
	}
}
