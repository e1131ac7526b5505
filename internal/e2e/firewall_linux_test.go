package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// guarded lets in answers, the machine itself and SSH from one network.
const guarded = `table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		ct state established,related accept
		iifname "lo" accept
		ip saddr 198.51.100.0/24 tcp dport 22 accept
	}
}
`

// TestFirewallOfTheKernel puts server and agent into a network namespace of
// their own, loads real rules into its kernel, and sees the duties about
// firewalls turn.
//
//demarc:duty CLD.9.5.1/C-3.3a
//demarc:duty CLD.9.5.2/C-4.4a
//demarc:duty CLD.13.1.4/C-7.1b
//demarc:duty CLD.13.1.4/C-7.2a
func TestFirewallOfTheKernel(t *testing.T) {
	t.Parallel()
	inNamespace(t, "TestFirewallOfTheKernelChild", "nft", "ip")
}

func TestFirewallOfTheKernelChild(t *testing.T) {
	if os.Getenv(namespaceVariable) == "" {
		t.Skip("is run by TestFirewallOfTheKernel")
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("the loopback interface cannot be set up: %v %s", err, out)
	}
	if out, err := exec.Command("nft", "list", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("nftables cannot be set up: %v %s", err, out)
	}
	s := newServer(t)
	s.tenant("acme")
	dir := t.TempDir()
	s.enrol("acme", "web-1", dir, "/")
	p := s.agent(dir, "/")
	t.Cleanup(func() { p.end(t) })
	duties := []string{"CLD.9.5.2/C-4.4a", "CLD.9.5.1/C-3.3a", "CLD.13.1.4/C-7.1b", "CLD.13.1.4/C-7.2a"}
	expect := func(rules, verdict, reason string) {
		t.Helper()
		if rules != "" {
			nft := exec.Command("nft", "-f", "-")
			nft.Stdin = strings.NewReader("flush ruleset\n" + rules)
			if out, err := nft.CombinedOutput(); err != nil {
				t.Fatalf("nft: %v\n%s", err, out)
			}
			s.demarc("agent", "refresh", "web-1", "--tenant", "acme")
		}
		for _, d := range duties {
			s.expect("acme", d, verdict, reason)
		}
	}
	expect("", "not-met", "no firewall rule is in force")
	expect(guarded, "met", "")
	expect(strings.Replace(guarded, "policy drop", "policy accept", 1), "not-met", "")
	expect(guarded, "met", "")
}
