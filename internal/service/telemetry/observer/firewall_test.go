package observer

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// sshAndDB are listening sockets of a machine with sshd, a database and a
// resolver on loopback.
var sshAndDB = []socket{
	{protocol: "tcp", addr: netip.MustParseAddr("0.0.0.0"), port: 22},
	{protocol: "tcp", addr: netip.MustParseAddr("::"), port: 22},
	{protocol: "tcp", addr: netip.MustParseAddr("0.0.0.0"), port: 5432},
	{protocol: "tcp", addr: netip.MustParseAddr("0.0.0.0"), port: 8080},
	{protocol: "udp", addr: netip.MustParseAddr("127.0.0.53"), port: 53},
}

type firewallCase struct {
	name, rules string
	want        telemetry.Firewall // only the members that check compares
	open        []string           // "protocol ports source rule"
	doubtful    bool               // some of what is said to be open cannot be reached at once
}

var nftCases = []firewallCase{
	{
		name: "nothing",
		want: telemetry.Firewall{InputPolicy: "none", InputPolicy6: "none", OpenToAny: []int{22, 5432, 8080}, AdminOpenToAny: []int{22}, LoopbackAccepted: true, EstablishedAccepted: true},
		open: []string{"tcp any any no rules", "udp any any no rules"},
	},
	{
		name: "drop by default, ssh from one network",
		rules: `table inet filter {
			chain input { type filter hook input priority 0; policy drop;
				ct state established,related accept
				ct state invalid drop
				iif lo accept
				ip saddr 192.0.2.0/24 tcp dport 22 accept
				tcp dport { 80, 443, 8000-8100 } accept
			}
		}`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{8080}, LoopbackAccepted: true, EstablishedAccepted: true, Rules: 5},
		open: []string{
			"tcp 22 192.0.2.0/24 inet filter input rule 4", "tcp 80 any inet filter input rule 5",
			"tcp 443 any inet filter input rule 5", "tcp 8000-8100 any inet filter input rule 5",
		},
	},
	{
		name: "IPv6 forgotten",
		rules: `table ip filter {
			chain INPUT { type filter hook input priority 0; policy drop; tcp dport 8080 accept; }
		}`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "none", OpenToAny: []int{22, 8080}, AdminOpenToAny: []int{22}, Rules: 1},
		open: []string{"tcp any any no rules", "tcp 8080 any ip filter INPUT rule 1", "udp any any no rules"},
	},
	{
		name: "jumps, verdict maps and sets",
		rules: `table inet fw {
			set admins { type ipv4_addr; flags interval; elements = { 198.51.100.0/24, 203.0.113.7 } }
			chain services { tcp dport vmap { 22 : jump ssh, 5432 : drop, 8080 : accept }; }
			chain ssh { ip saddr @admins accept; ip6 saddr ::/0 accept; drop; }
			chain input { type filter hook input priority filter; policy accept;
				ct state vmap { established : accept, related : accept, invalid : drop }
				iifname "lo" accept
				jump services
				reject
			}
		}`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{22, 8080}, AdminOpenToAny: []int{22}, LoopbackAccepted: true, EstablishedAccepted: true, Rules: 8},
		open: []string{
			"tcp 22 @admins inet fw ssh rule 1", "tcp 22 any inet fw ssh rule 2", "tcp 8080 any inet fw services rule 1",
		},
	},
	{
		name: "two base chains: the stricter wins",
		rules: `table inet a { chain input { type filter hook input priority 0; policy accept; tcp dport { 22, 5432 } accept; }; }
			table inet b { chain input { type filter hook input priority 10; policy drop; tcp dport 22 accept; }; }`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{22}, AdminOpenToAny: []int{22}, Rules: 2},
		open: []string{"tcp 22 any inet b input rule 1"},
	},
	{
		name: "a drop limited to some sources does not close", doubtful: true,
		rules: `table inet f { chain input { type filter hook input priority 0; policy drop;
				ip saddr 10.0.0.0/8 drop
				limit rate 10/second tcp dport 5432 drop
				tcp dport { 22, 5432 } accept
			}; }`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{22, 5432}, AdminOpenToAny: []int{22}, Rules: 3},
		open: []string{"tcp 22 any inet f input rule 3", "tcp 5432 any inet f input rule 3"},
	},
	{
		name: "a condition that is not modelled opens, and is said", doubtful: true,
		rules: `table inet f { chain input { type filter hook input priority 0; policy drop;
				meta mark 7 tcp dport 5432 accept
				meta mark 8 tcp dport 22 drop
				tcp dport 22 accept
			}; }`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{22, 5432}, AdminOpenToAny: []int{22}, Approximate: true, Rules: 3},
		open: []string{"tcp 22 any inet f input rule 3", "tcp 5432 any inet f input rule 1"},
	},
	{
		name: "a port that is passed on to a container is open", doubtful: true,
		rules: `table ip nat { chain PREROUTING { type nat hook prerouting priority dstnat; policy accept;
				tcp dport 8080 dnat to 172.17.0.2:80; }; }
			table inet f { chain input { type filter hook input priority 0; policy drop; }; }`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{8080}, Approximate: true, Rules: 1},
		open: []string{"tcp 8080 any ip nat PREROUTING rule 1"},
	},
	{
		name: "zones, as firewalld writes them",
		rules: `table inet firewalld {
			chain raw_PREROUTING { type filter hook prerouting priority -290; policy accept;
				icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
				meta nfproto ipv6 fib saddr . mark . iif oif missing drop
			}
			chain filter_INPUT { type filter hook input priority 10; policy accept;
				ct state { established, related } accept
				ct status dnat accept
				iifname "lo" accept
				ct state invalid drop
				jump filter_INPUT_ZONES
				reject with icmpx admin-prohibited
			}
			chain filter_INPUT_ZONES { ip saddr 192.0.2.0/24 goto trusted; iifname "eth0" goto public; goto public; }
			chain trusted { accept; }
			chain public { jump public_deny; jump public_allow; meta l4proto { icmp, ipv6-icmp } accept; reject with icmpx admin-prohibited; }
			chain public_deny { ip saddr 203.0.113.0/24 drop; }
			chain public_allow { tcp dport 22 accept; ip6 daddr fe80::/64 udp dport 546 accept; }
		}`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{22}, AdminOpenToAny: []int{22}, LoopbackAccepted: true, EstablishedAccepted: true, Approximate: true, Rules: 19},
		open: []string{
			"tcp 0-21 192.0.2.0/24 inet firewalld trusted rule 1", "tcp 22 any inet firewalld public_allow rule 1", "tcp 23-65535 192.0.2.0/24 inet firewalld trusted rule 1",
			"udp any 192.0.2.0/24 inet firewalld trusted rule 1", "udp 546 any inet firewalld public_allow rule 2",
		},
	},
	{
		name: "return and goto",
		rules: `table inet f {
			chain open { tcp dport 22 return; tcp dport 8080 accept; }
			chain input { type filter hook input priority 0; policy drop; ip saddr != 192.0.2.1 tcp dport 5432 accept; goto open; accept; }
		}`,
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "drop", OpenToAny: []int{5432, 8080}, Rules: 5},
		open: []string{"tcp 5432 any inet f input rule 1", "tcp 8080 any inet f open rule 2"},
	},
}

func (c firewallCase) check(t *testing.T, got telemetry.Firewall) {
	t.Helper()
	w := c.want
	var open []string
	for _, o := range got.Open {
		open = append(open, strings.Join([]string{o.Protocol, o.Ports, o.Source, o.Rule}, " "))
	}
	for _, d := range []struct {
		what      string
		got, want any
		same      bool
	}{
		{"active", got.Active, w.Active, got.Active == w.Active},
		{"input_policy", got.InputPolicy, w.InputPolicy, got.InputPolicy == w.InputPolicy},
		{"input_policy6", got.InputPolicy6, w.InputPolicy6, got.InputPolicy6 == w.InputPolicy6},
		{"open_to_any", got.OpenToAny, w.OpenToAny, slices.Equal(got.OpenToAny, w.OpenToAny)},
		{"admin_open_to_any", got.AdminOpenToAny, w.AdminOpenToAny, slices.Equal(got.AdminOpenToAny, w.AdminOpenToAny)},
		{"loopback_accepted", got.LoopbackAccepted, w.LoopbackAccepted, got.LoopbackAccepted == w.LoopbackAccepted},
		{"established_accepted", got.EstablishedAccepted, w.EstablishedAccepted, got.EstablishedAccepted == w.EstablishedAccepted},
		{"approximate", got.Approximate, w.Approximate, got.Approximate == w.Approximate},
		{"rules", got.Rules, w.Rules, got.Rules == w.Rules},
		{"open", strings.Join(open, "\n"), strings.Join(c.open, "\n"), slices.Equal(open, c.open)},
	} {
		if !d.same {
			t.Errorf("%s:\ngot  %v\nwant %v", d.what, d.got, d.want)
		}
	}
}

// inNamespace runs f on a thread with a network namespace of its own, which
// ends with it.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	if _, err := exec.LookPath("nft"); err != nil && lookPath("nft") == "" {
		t.Skip("nft is not installed")
	}
	refused := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		refused <- err
	}()
	if err := <-refused; err != nil {
		t.Skipf("network namespaces cannot be made here: %v", err)
	}
}

// TestNftablesOfTheKernel loads each rule set into the kernel, in a namespace
// of its own, and reads it back as the agent does.
func TestNftablesOfTheKernel(t *testing.T) {
	for _, c := range nftCases {
		t.Run(c.name, func(t *testing.T) {
			inNamespace(t, func() {
				if c.rules != "" {
					cmd := exec.Command(lookPath("nft"), "-f", "-")
					cmd.Stdin = strings.NewReader(c.rules)
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("nft refused the rules of the test: %v\n%s", err, out)
						return
					}
				}
				rules, err := newProbe("/", time.Now).rulesets(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if want := map[bool]string{true: "none", false: "nftables"}[c.rules == ""]; rules.backend != want {
					t.Errorf("backend %s, want %s", rules.backend, want)
				}
				c.check(t, assess(rules, sshAndDB, adminPorts))
			})
		})
	}
}

// TestNftGeneration shows that a change of the rules is noticed, and that
// nothing is listed again without one.
func TestNftGeneration(t *testing.T) {
	inNamespace(t, func() {
		p := newProbe("/", time.Now)
		first, err := p.nftables(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		again, _ := p.nftables(t.Context())
		if again != first {
			t.Error("the rules were listed again though none changed")
		}
		if out, err := exec.Command(lookPath("nft"), "add", "table", "inet", "x").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
			return
		}
		changed, err := p.nftables(t.Context())
		if err != nil || changed == first || !slices.Equal(changed.tables, []string{"inet x"}) {
			t.Errorf("after a change: %v, %v", changed, err)
		}
		if n, err := nftTables(); err != nil || n != 1 {
			t.Errorf("nftTables = %d, %v", n, err)
		}
	})
}

func TestIPTables(t *testing.T) {
	cases := []firewallCase{
		{
			name: "a usual host",
			rules: `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:LOGDROP - [0:0]
[5:300] -A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 22 -m comment --comment "only the office" -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443,8000:8100 -j ACCEPT
-A INPUT -j LOGDROP
-A LOGDROP -m limit --limit 3/min -j LOG --log-prefix "dropped: "
-A LOGDROP -j DROP
COMMIT
`,
			want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "none", OpenToAny: []int{22, 8080}, AdminOpenToAny: []int{22}, LoopbackAccepted: true, EstablishedAccepted: true, Rules: 7},
			open: []string{
				"tcp any any no rules", "tcp 22 203.0.113.0/24 ip filter INPUT rule 3", "tcp 80 any ip filter INPUT rule 4",
				"tcp 443 any ip filter INPUT rule 4", "tcp 8000-8100 any ip filter INPUT rule 4", "udp any any no rules",
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := &ruleset{backend: "iptables-legacy"}
			if err := r.addIPTables([]byte(c.rules), 4); err != nil {
				t.Fatal(err)
			}
			c.check(t, assess(r, sshAndDB, adminPorts))
		})
	}
}

// TestFirewallUnseen tells "there are no rules" from "the rules cannot be seen".
func TestFirewallUnseen(t *testing.T) {
	p := newProbe(t.TempDir(), time.Now)
	if _, err := collectFirewall(t.Context(), p); err == nil || !strings.Contains(err.Error(), "install the package nftables") {
		t.Errorf("without nft: %v", err)
	}
}

// TestIPTablesOverNftables reads what iptables wrote into nftables: nft does
// not print the arguments of its matches, iptables-save does.
func TestIPTablesOverNftables(t *testing.T) {
	listing, err := os.ReadFile("testdata/iptables-nft/nft.json")
	if err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile("testdata/iptables-nft/save.txt")
	if err != nil {
		t.Fatal(err)
	}
	p := newProbe(t.TempDir(), time.Now)
	installed := true
	p.run = func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch {
		case name == "nft":
			return listing, nil
		case name == "iptables-nft-save" && installed:
			return saved, nil
		}
		return nil, errNoCommand
	}
	rules, err := p.rulesets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := firewallCase{
		want: telemetry.Firewall{Active: true, InputPolicy: "drop", InputPolicy6: "none", OpenToAny: []int{22, 8080}, AdminOpenToAny: []int{22}, LoopbackAccepted: true, EstablishedAccepted: true, Rules: 18},
		open: []string{
			"tcp any any no rules", "tcp 22 198.51.100.0/24 ip filter from-outside rule 3", "tcp 443 any ip filter from-outside rule 4",
			"tcp 8000-8100 any ip filter from-outside rule 4", "udp any any no rules", "udp 5353 any ip filter from-outside rule 5",
		},
	}
	c.check(t, assess(rules, sshAndDB, adminPorts))

	installed = false
	if rules, err = p.rulesets(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := assess(rules, sshAndDB, adminPorts)
	if !strings.Contains(rules.unread, "install the package iptables") || !got.Approximate || !slices.Contains(got.OpenToAny, 5432) {
		t.Errorf("without iptables-save: unread %q, approximate %v, open %v; want what cannot be read to count as open", rules.unread, got.Approximate, got.OpenToAny)
	}
}

// TestManyRules bounds the time that a huge rule set takes. What cannot be
// followed to its end counts as open.
func TestManyRules(t *testing.T) {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n")
	for i := range maxRules - 1 {
		fmt.Fprintf(&b, "-A INPUT -s 10.%d.%d.0/24 -p tcp -m tcp --dport %d -j ACCEPT\n", i/256%256, i%256, 1+i%60000)
	}
	b.WriteString("COMMIT\n")
	r := &ruleset{backend: "iptables-legacy"}
	if err := r.addIPTables([]byte(b.String()), 4); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	got := assess(r, sshAndDB, adminPorts)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if !got.Approximate || got.Rules != maxRules-1 || len(got.Open) > maxOpenings {
		t.Errorf("approximate %v, %d rules, %d openings", got.Approximate, got.Rules, len(got.Open))
	}
	if err := (&ruleset{}).addIPTables([]byte("*filter\n:INPUT DROP [0:0]\n"+strings.Repeat("-A INPUT -j ACCEPT\n", maxRules+1)), 4); err == nil {
		t.Error("more rules than the limit were taken in")
	}
}
