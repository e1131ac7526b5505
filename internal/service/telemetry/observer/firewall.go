package observer

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/demarc/demarc/internal/service/telemetry"
)

// adminPorts are the usual ports of remote administration: SSH, telnet, RDP,
// VNC and WinRM. Whatever port sshd listens on counts too.
var adminPorts = []int{22, 23, 3389, 5900, 5901, 5902, 5985, 5986}

const maxOpenings = 500

func collectFirewall(ctx context.Context, p *probe) (any, error) {
	rules, err := p.rulesets(ctx)
	if err != nil {
		return nil, err
	}
	sockets, err := p.sockets()
	if err != nil {
		p.gap("which open ports are in use is not seen: %s", err)
	}
	if rules.unread != "" {
		p.gap("%s", rules.unread)
	}
	admin := adminPorts
	for _, v := range p.sshdSettings().list("port") {
		if p.exists("/usr/sbin/sshd") {
			admin = append(slices.Clone(admin), number(v, 22))
		}
	}
	return assess(rules, sockets, admin), nil
}

// assess says what the rules let in.
func assess(rules *ruleset, sockets []socket, admin []int) telemetry.Firewall {
	f := telemetry.Firewall{Backend: rules.backend, Rules: rules.count}
	for _, c := range rules.order {
		if t := c.family + " " + c.table; !slices.Contains(f.Tables, t) {
			f.Tables = append(f.Tables, t)
		}
		if c.hook != "input" && c.hook != "forward" && c.hook != "output" {
			continue
		}
		f.Active = f.Active || c.hook == "input" && (len(c.rules) > 0 || c.policy == "drop")
		f.Chains = append(f.Chains, telemetry.FirewallChain{Family: c.family, Table: c.table, Name: c.name, Hook: c.hook, Policy: c.policy, Rules: len(c.rules)})
	}
	f.Tables = uniq(append(f.Tables, rules.tables...))
	slices.SortFunc(f.Chains, func(a, b telemetry.FirewallChain) int {
		return cmp.Or(strings.Compare(a.Hook, b.Hook), strings.Compare(a.Family, b.Family), strings.Compare(a.Table, b.Table), strings.Compare(a.Name, b.Name))
	})
	f.InputPolicy, f.InputPolicy6 = rules.policy("input", 4), rules.policy("input", 6)
	f.OutputPolicy, f.ForwardPolicy = rules.policy("output", 4), rules.policy("forward", 4)
	e := &evaluation{rules: rules}
	// The ports in use first, while there is room for steps.
	for _, s := range sockets {
		if s.addr.IsLoopback() {
			continue
		}
		for _, family := range socketFamilies(s) {
			if !e.inbound(packet{family: family, protocol: s.protocol, port: s.port, state: "new"}).any {
				continue
			}
			f.OpenToAny = append(f.OpenToAny, s.port)
			if slices.Contains(admin, s.port) && s.protocol == "tcp" {
				f.AdminOpenToAny = append(f.AdminOpenToAny, s.port)
			}
		}
	}
	f.OpenToAny, f.AdminOpenToAny = uniq(f.OpenToAny), uniq(f.AdminOpenToAny)
	f.Open = openings(e)
	f.Approximate = e.approximate
	quiet := &evaluation{rules: rules} // what follows does not bear on the openings
	f.LoopbackAccepted = quiet.inbound(packet{family: 4, protocol: "tcp", port: unlikelyPort, state: "new", loopback: true}).any
	f.EstablishedAccepted = quiet.inbound(packet{family: 4, protocol: "tcp", port: unlikelyPort, state: "established"}).any
	return f
}

// unlikelyPort stands for a port that no rule speaks of.
const unlikelyPort = 47

// socketFamilies tells by which IP versions a socket is reached; one on :: is
// reached by both unless it is limited to IPv6, which /proc does not tell.
func socketFamilies(s socket) []int {
	if s.addr.Is4() {
		return []int{4}
	}
	if s.addr.IsUnspecified() {
		return []int{4, 6}
	}
	return []int{6}
}

// openings lists what is let in, as ranges of ports that are treated alike.
// Ports are tried one from each range that the rules do not tell apart.
func openings(e *evaluation) []telemetry.Opening {
	var out []telemetry.Opening
	for _, protocol := range []string{"tcp", "udp"} {
		for _, family := range []int{4, 6} {
			bounds := e.rules.portBounds()
			open := map[[2]string]portRange{}
			var flush = func(key [2]string, r portRange) {
				out = append(out, telemetry.Opening{Protocol: protocol, Ports: r.String(), Source: key[0], Rule: key[1]})
			}
			for i, from := range bounds {
				to := 65535
				if i+1 < len(bounds) {
					to = bounds[i+1] - 1
				}
				got := e.inbound(packet{family: family, protocol: protocol, port: from, state: "new"})
				for _, o := range got.openings() {
					key := [2]string{o.source, o.rule}
					r, ok := open[key]
					if ok && r.to == from-1 {
						r.to = to
					} else {
						if ok {
							flush(key, r)
						}
						r = portRange{from, to}
					}
					open[key] = r
				}
			}
			for key, r := range open {
				flush(key, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b telemetry.Opening) int {
		return cmp.Or(strings.Compare(a.Protocol, b.Protocol), cmp.Compare(firstPort(a.Ports), firstPort(b.Ports)),
			strings.Compare(a.Ports, b.Ports), strings.Compare(a.Source, b.Source), strings.Compare(a.Rule, b.Rule))
	})
	out = slices.Compact(out)
	return out[:min(len(out), maxOpenings)]
}

func firstPort(ports string) int {
	from, _, _ := strings.Cut(ports, "-")
	return number(from, 0)
}

// rulesets reads nftables, and the older iptables of the kernel where it is in
// use beside or instead of it.
func (p *probe) rulesets(ctx context.Context) (*ruleset, error) {
	legacy, err := p.legacyTables()
	if err != nil {
		return nil, err
	}
	rules, err := p.nftables(ctx)
	if err != nil {
		return nil, err
	}
	if len(legacy) == 0 {
		if len(rules.tables) == 0 {
			rules.backend = "none"
		}
		return rules, nil
	}
	// The listing of nftables is kept for the next run, so it is added to in a copy.
	rules = &ruleset{tables: slices.Clone(rules.tables), chains: maps.Clone(rules.chains), count: rules.count, unread: rules.unread}
	for _, version := range []int{4, 6} {
		if !slices.Contains(legacy, version) {
			continue
		}
		name := map[int]string{4: "iptables-legacy-save", 6: "ip6tables-legacy-save"}[version]
		b, err := p.run(ctx, name)
		if errors.Is(err, errNoCommand) {
			name = strings.Replace(name, "-legacy", "", 1)
			b, err = p.run(ctx, name)
		}
		if err != nil {
			return nil, fmt.Errorf("the kernel holds iptables rules that cannot be listed (%w); install the package iptables", err)
		}
		if err := rules.addIPTables(b, version); err != nil {
			return nil, err
		}
	}
	// With both in use, the older tables are what people wrote their rules in.
	rules.backend = "iptables-legacy"
	return rules, nil
}

// legacyTables tells for which IP versions the kernel holds tables of the
// older kind; it lists their names once they are in use.
func (p *probe) legacyTables() ([]int, error) {
	var out []int
	for version, name := range map[int]string{4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"} {
		b, err := p.read(name)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the firewall rules in force are not seen: %w", err)
		}
		if strings.TrimSpace(string(b)) != "" {
			out = append(out, version)
		}
	}
	return out, nil
}

// nftables lists the rules through nft, again only when the kernel says that
// they changed. Without nft the kernel still tells whether there are any.
func (p *probe) nftables(ctx context.Context) (*ruleset, error) {
	stamp := fmt.Sprint(p.now().UnixNano())
	if p.live {
		// To ask would make the kernel load the module, and the observer changes nothing.
		if !p.moduleLoaded("nf_tables") {
			return &ruleset{backend: "none"}, nil
		}
		generation, err := nftGeneration()
		switch {
		case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
			return &ruleset{backend: "none"}, nil // the kernel has no nftables, or has not loaded it
		case errors.Is(err, unix.EPERM):
			return nil, fmt.Errorf("the firewall rules in force are not seen: the kernel shows them to root only; %s", mendDenied())
		case err != nil:
			return nil, fmt.Errorf("the firewall rules in force are not seen: %w", err)
		}
		stamp = fmt.Sprint(generation)
	}
	return remember(p, "nftables", stamp, func() (*ruleset, error) {
		b, err := p.run(ctx, "nft", "-j", "list", "ruleset")
		if errors.Is(err, errNoCommand) {
			if p.live {
				if n, err := nftTables(); err == nil && n == 0 {
					return &ruleset{backend: "nftables"}, nil
				}
			}
			return nil, errors.New("the kernel holds firewall rules that cannot be listed: nft is not installed; install the package nftables")
		}
		if err != nil {
			return nil, fmt.Errorf("the firewall rules in force are not seen: %w", err)
		}
		rules, err := parseNft(b)
		if err == nil && len(rules.opaque) > 0 {
			p.readOpaque(ctx, rules)
		}
		return rules, err
	})
}

// readOpaque reads the rules of tables that iptables wrote with iptables-save,
// which prints all of their arguments. What it cannot read stays as nft gave
// it, and counts as letting in.
func (p *probe) readOpaque(ctx context.Context, rules *ruleset) {
	for family, version := range map[string]int{"ip": 4, "ip6": 6} {
		wanted := false
		for t := range rules.opaque {
			wanted = wanted || t.family == family
		}
		if !wanted {
			continue
		}
		name := map[int]string{4: "iptables-nft-save", 6: "ip6tables-nft-save"}[version]
		b, err := p.run(ctx, name)
		if errors.Is(err, errNoCommand) {
			b, err = p.run(ctx, strings.Replace(name, "-nft", "", 1))
		}
		read := &ruleset{}
		if err == nil {
			err = read.addIPTables(b, version)
		}
		if err != nil {
			rules.unread = fmt.Sprintf("conditions of some firewall rules are not seen, and counted as letting in: %s; install the package iptables", err)
			continue
		}
		for id, c := range rules.chains {
			if known := read.chains[id]; rules.opaque[chainID{id.family, id.table, ""}] && known != nil && len(known.rules) == len(c.rules) {
				c.rules = known.rules
			}
		}
	}
}

// Messages of linux/netfilter/nf_tables.h.
const (
	nfnlNftables = 10
	nftGetTable  = 1
	nftGetGen    = 16
	nftaGenID    = 1
)

// nftGeneration is the number that the kernel raises at every change of the rules.
func nftGeneration() (uint32, error) {
	reply, err := netlinkAsk(unix.NETLINK_NETFILTER, nfnlNftables<<8|nftGetGen, unix.NLM_F_REQUEST, make([]byte, 4))
	if err != nil {
		return 0, err
	}
	for _, m := range reply {
		for b := m.data[min(4, len(m.data)):]; len(b) >= 8; {
			n := binary.NativeEndian.Uint16(b)
			if kind := binary.NativeEndian.Uint16(b[2:]); kind&0x3fff == nftaGenID && n >= 8 {
				return binary.BigEndian.Uint32(b[4:]), nil
			}
			if n < 4 || int(n+3)&^3 > len(b) {
				break
			}
			b = b[int(n+3)&^3:]
		}
	}
	return 0, errors.New("the kernel did not tell the generation of its rules")
}

// nftTables counts the tables that the kernel holds.
func nftTables() (int, error) {
	reply, err := netlinkAsk(unix.NETLINK_NETFILTER, nfnlNftables<<8|nftGetTable, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, make([]byte, 4))
	return len(reply), err
}
